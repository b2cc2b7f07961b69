"""Ctrl-C at any time ends the program, and the shell loop around it, with 130 and a line.

Bugs guarded: half-imported modules, swallowed signals.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from colorize import interrupts
from colorize.cli import messages
from colorize.errors import ColorizeError

ROOT = Path(__file__).parents[2]
ENDED = -signal.SIGINT if os.name == "posix" else interrupts.CODE
PRESS = "import signal; signal.raise_signal(signal.SIGINT)\n"
BEGUN = "from colorize import interrupts\ninterrupts.watch(); interrupts.begin()\n"


def python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    there = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}
    command = [sys.executable, *arguments]
    heard = {"preexec_fn": hearing} if os.name == "posix" else {}
    return subprocess.run(command, text=True, timeout=60, env=there, cwd=folder, capture_output=True, **heard)


def hearing() -> None:
    """Hear Ctrl-C, also where these tests themselves run in a shell's background."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("module", ["typer", "numpy"])
@pytest.mark.parametrize("start", ["-m colorize", "-c from|colorize.__main__|import|main;main()"])
def test_while_something_is_imported_the_program_ends_at_once(tmp_path, module, start):
    (tmp_path / f"{module}.py").write_text(f"{PRESS}raise ImportError('half')")
    begin = [word.replace("|", " ") for word in start.split(" ")]
    done = python(tmp_path, *begin, "sample", str(ROOT / "examples/sketch.png"))
    assert (done.returncode, done.stdout, done.stderr) == (ENDED, "", "error: interrupted\n")


@pytest.mark.skipif(os.name != "posix", reason="a loop of a POSIX shell")
def test_a_loop_around_it_ends_too(tmp_path):
    (tmp_path / "typer.py").write_text("import os, signal\nos.killpg(0, signal.SIGINT)\n")
    loop = f"for n in 1 2; do '{sys.executable}' -m colorize; echo went on; done"
    there = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    done = subprocess.run(
        ["bash", "-c", loop], env=there, text=True, capture_output=True, start_new_session=True, preexec_fn=hearing
    )
    assert (done.stdout, done.stderr) == ("", "error: interrupted\n")
    code = f"from colorize import interrupts\ninterrupts.leave({interrupts.CODE})"
    shown = subprocess.run(
        ["bash", "-c", f"'{sys.executable}' -c '{code}'; echo $?"],
        env=there, text=True, capture_output=True, start_new_session=True, preexec_fn=hearing,
    )  # fmt: skip
    assert shown.stdout == f"{interrupts.CODE}\n"


def test_once_something_is_begun_an_interrupt_waits_for_the_import_and_then_comes(tmp_path):
    (tmp_path / "slow.py").write_text(f"{PRESS}import time\ntime.sleep(0.1)\nprint('whole')")
    code = BEGUN + (
        "try:\n    import slow, time\n    time.sleep(99)\n"
        "except KeyboardInterrupt:\n    print('ended', hasattr(slow, 'time'))"
    )
    done = python(tmp_path, "-c", code)
    assert (done.returncode, done.stdout) == (0, "whole\nended True\n")


def test_what_a_library_swallows_is_found_by_the_next_check(tmp_path):
    swallowed = f"try:\n    {PRESS}except BaseException:\n    pass\n"
    check = "try:\n    interrupts.check()\nexcept KeyboardInterrupt:\n    print('found')"
    assert python(tmp_path, "-c", BEGUN + swallowed + check).stdout == "found\n"


def test_a_program_that_is_to_ignore_interrupts_goes_on(tmp_path):
    # As a shell starts jobs in the background of a script.
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        f"from colorize import interrupts; interrupts.watch()\n{PRESS}print('on')"
    )
    assert python(tmp_path, "-c", code).stdout == "on\n"


def test_after_an_interrupt_any_failure_is_one(monkeypatch, capsys):
    monkeypatch.setattr(interrupts._State, "pressed", True)
    assert messages.print_error(ValueError("could not determine the shape")) == 130
    assert messages.print_error(ColorizeError("`a.png` is damaged")) == 130
    assert capsys.readouterr().err == "error: interrupted\n" * 2
    assert messages.print_error(ColorizeError("stopped at step 3", "go on", 130)) == 130
    assert "step 3" in capsys.readouterr().err
