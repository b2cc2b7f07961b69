"""Claims about who may write into a run folder, and what is tidied away there."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from colorize.errors import ColorizeError
from colorize.training import run_folder
from colorize.training.run_folder import LOCK, Lock

HOLD = (
    "import sys; from pathlib import Path; from colorize.training.run_folder import Lock\n"
    "held = Lock(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
)
LEFT = "." + "0123456789abcdef"


def test_a_killed_process_holds_nothing(tmp_path):
    there = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=there, stdin=pipe, stdout=pipe, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(ColorizeError, match=f"another training run, process {other.pid} on"):
            Lock(tmp_path)
        other.kill()
    Lock(tmp_path).free()


def test_a_lock_leaves_nothing_behind(tmp_path):
    held = Lock(tmp_path)
    assert (tmp_path / LOCK).exists()
    held.free()
    assert list(tmp_path.iterdir()) == []


def test_a_forgotten_lock_is_let_go(tmp_path):
    held = Lock(tmp_path)
    del held
    Lock(tmp_path).free()


def test_a_lock_whose_file_its_last_owner_removes_meanwhile_is_taken_anew(tmp_path, monkeypatch):
    # Guards against two owners: one of a removed file, one of its successor.
    claim, files = run_folder._claim, []

    def removed_once(file: int) -> None:
        claim(file)
        files.append(file)
        if len(files) == 1:
            (tmp_path / LOCK).unlink()

    monkeypatch.setattr(run_folder, "_claim", removed_once)
    held = Lock(tmp_path)
    with pytest.raises(ColorizeError):
        Lock(tmp_path)
    held.free()


def test_a_lock_does_not_remove_that_of_a_folder_made_anew(tmp_path):
    old = Lock(tmp_path)
    (tmp_path / LOCK).unlink()  # as if the folder had been removed and made again
    new = Lock(tmp_path)
    old.free()
    assert (tmp_path / LOCK).exists()
    new.free()


def without_locks(monkeypatch):
    def refuse(file: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(run_folder, "_claim", refuse)


def test_a_disk_without_locks_is_no_reason_not_to_train(tmp_path, monkeypatch):
    without_locks(monkeypatch)
    held = Lock(tmp_path)
    assert not held.sure
    held.free()


def test_a_folder_in_which_nothing_can_be_written_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ColorizeError, match=r"`.*file` cannot be written: Not a directory"):
        Lock(tmp_path / "file")


OURS = (f"{LEFT}.safetensors", f"{LEFT}.json", "state.safetensors.part", f"samples/{LEFT}.png")
OTHERS = (
    *("model.safetensors", ".gitignore", f"{LEFT}.png", f"{LEFT}.safetensors.bak", ".0123.json"),
    *("samples/step-00000002.png", "samples/.hidden.png", f"other/{LEFT}.safetensors"),
)


def filled(folder: Path) -> None:
    for name in (*OURS, *OTHERS):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"x")


def test_only_what_killed_runs_left_half_written_is_removed(tmp_path):
    filled(tmp_path)
    held = Lock(tmp_path)
    held.tidy()
    held.free()
    found = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")}
    assert found - {"samples", "other"} == set(OTHERS)


def test_without_a_sure_lock_only_old_files_are_removed(tmp_path, monkeypatch):
    without_locks(monkeypatch)
    filled(tmp_path)
    os.utime(tmp_path / OURS[0], (0, 0))
    held = Lock(tmp_path)
    held.tidy()
    held.free()
    assert [(tmp_path / name).exists() for name in OURS] == [False, True, True, True]
