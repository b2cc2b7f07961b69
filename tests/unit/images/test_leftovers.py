"""Temporary files of killed runs are removed by the next one: only our own, and only once nobody writes them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from colorize.images import files, leftovers
from colorize.images.files import atomic


def named(process: int, host: str = leftovers._HOST) -> str:
    return f".colorize-{host}-{process}-0123456789abcdef.png"


@pytest.fixture
def dead() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def aged(path: Path, seconds: float) -> None:
    os.utime(path, (time.time() - seconds,) * 2)


def test_a_run_that_is_killed_leaves_a_file_that_the_next_one_removes(tmp_path: Path) -> None:
    code = (
        "import os, sys, signal\n"
        "from pathlib import Path\n"
        "from colorize.images.files import atomic\n"
        "with atomic(Path(sys.argv[1], 'a.png')) as path:\n"
        "    path.write_bytes(b'half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    there = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    subprocess.run([sys.executable, "-c", code, tmp_path], env=there, timeout=60, check=False)
    assert len(list(tmp_path.iterdir())) == 1
    with atomic(tmp_path / "b.png") as path:
        path.write_bytes(b"whole")
    assert [path.name for path in tmp_path.iterdir()] == ["b.png"]


def test_what_somebody_still_writes_or_others_made_stays(tmp_path: Path, dead: int) -> None:
    kept = [
        named(os.getppid()),
        named(os.getpid()),
        named(dead, "0" * 8),
        ".0123456789abcdef.png",
        f".colorize-{leftovers._HOST}-{dead}.png",
        f".colorize-{leftovers._HOST}-{dead}-0123456789abcdef.png.bak/x",
        ".colorize-notes.png",
    ]
    files.copy(Path(__file__), tmp_path / "source")
    for name in kept:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"mine")
    (tmp_path / named(dead)).symlink_to(tmp_path / "source")
    leftovers._tidied.clear()
    leftovers.tidy(tmp_path)
    assert all((tmp_path / name).exists() for name in kept)
    assert (tmp_path / named(dead)).is_symlink()


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="no users")
def test_files_of_another_user_stay(tmp_path: Path, dead: int, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / named(dead)).write_bytes(b"theirs")
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    leftovers.tidy(tmp_path)
    assert (tmp_path / named(dead)).exists()


def test_old_ones_go_wherever_they_are_from(tmp_path: Path) -> None:
    for name in (named(7, "0" * 8), named(os.getpid())):
        (tmp_path / name).write_bytes(b"half")
        aged(tmp_path / name, leftovers.OLD + 9)
    leftovers.tidy(tmp_path)
    assert not list(tmp_path.iterdir())
