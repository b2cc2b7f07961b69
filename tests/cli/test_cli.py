"""The program around the commands: help, errors, settings, exit codes. Bugs guarded: slow help, bare tracebacks."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import typer
from typer.testing import CliRunner

from colorize import __version__
from colorize.cli import messages
from colorize.cli.app import app
from colorize.errors import ColorizeError

COMMANDS = ("sample", "prepare-data", "train", "finetune", "eval")
HEAVY = ("torch", "numpy", "cv2", "huggingface_hub", "PIL", "rich", "safetensors", "skimage")


def run(*arguments: str, **environment: str):
    return CliRunner().invoke(app, list(arguments), env=environment)


def python(code: str, **options):
    there = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.run([sys.executable, "-c", code], text=True, timeout=60, env=there, **options)


def test_help_imports_nothing_heavy():
    # Torch alone takes 2 s to import; `--help` has 0.3 s.
    code = (
        "import sys\n"
        "from colorize.cli.app import app\n"
        f"for command in {COMMANDS}:\n"
        "    app([command, '--help'], standalone_mode=False)\n"
        f"print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    )
    assert python(code, capture_output=True).stderr.strip() == "[]"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_ends_with_two_examples_of_the_command(command):
    text = run(command, "--help").stdout
    examples = text.rpartition("Examples:")[2].strip().splitlines()
    assert len(examples) == 2
    assert all(line.strip().startswith(f"colorize {command} ") for line in examples)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_has_a_line_of_help(command):
    text = run(command, "--help", COLUMNS="200").stdout
    options = re.findall(r"^  (?:-\w, )?--.*$", text, re.MULTILINE)
    assert options
    assert all(re.search(r"\S {2,}\S", line) or len(line) > 35 for line in options)


def test_without_arguments_the_help_is_printed():
    assert run().stdout == run("--help").stdout


def test_version():
    assert run("--version").stdout == f"colorize {__version__}\n"


def test_completion_knows_the_commands():
    words = {"COMP_WORDS": "colorize tra", "COMP_CWORD": "1", "_COLORIZE_COMPLETE": "complete_bash"}
    assert "train" in run(**words).output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("trian",), "train"),
        (("train", "--stps", "3"), "--steps"),
        (("train", "minni"), "did you mean `mini`?"),
        (("tran",), "unknown command `tran`\nhint: did you mean `train`?"),
        (("paint",), "unknown command `paint`\nhint: known: "),
        (("models", "lst"), "unknown command `lst`\nhint: did you mean `list`?"),
        (("sample", "a.png", "--refs", "b.png"), "No such option: --refs (Possible options: --ref)"),
        (("sample", "a.png", "--ship", "8"), "No such option: --ship\n"),
        (("train", "--phase", "middle"), "pretrain"),
    ],
)
def test_wrong_usage_is_code_2_with_error_and_hint(arguments, said):
    result = run(*arguments)
    assert result.exit_code == 2
    assert re.fullmatch(r"error: .+\nhint: .+\n", result.stderr)
    assert said in result.stderr


def test_a_folder_in_the_place_of_the_recipe_gets_its_own_hint(tmp_path):
    result = run("train", str(tmp_path))
    assert f"colorize train anime-diffusion {tmp_path}" in result.stderr


@pytest.mark.parametrize(
    ("error", "said", "code"),
    [
        (ColorizeError("it broke", "mend it", 3), "it broke", 3),
        (KeyboardInterrupt(), "interrupted", 130),
        (typer.Abort(), "interrupted", 130),
        (OSError(errno.ENOSPC, "No space left", "out.png"), "disk is full", 1),
        (PermissionError(errno.EACCES, "denied", "out.png"), "no permission to read or write `out.png`", 1),
        (FileNotFoundError(errno.ENOENT, "No such file", "a.png"), "`a.png`: No such file", 1),
        (MemoryError(), "not enough memory", 1),
        (torch.OutOfMemoryError("CUDA out of memory."), "not enough memory", 1),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "not enough memory", 1),
        (ValueError("odd"), "this should not have happened: ValueError: odd", 1),
    ],
)
def test_every_error_becomes_a_sentence_and_a_code(error, said, code, capsys):
    assert messages.print_error(error) == code
    told = capsys.readouterr().err
    assert said in told
    assert "Traceback" not in told


@pytest.mark.parametrize(("value", "colored"), [("", True), ("1", False)])
def test_errors_have_color_unless_it_is_not_wanted(value, colored):
    result = CliRunner().invoke(app, ["trian"], color=True, env={"NO_COLOR": value})
    assert ("\x1b" in result.stderr) == colored


def test_the_debug_variable_shows_where_it_happened(capsys, monkeypatch):
    monkeypatch.setenv("COLORIZE_DEBUG", "1")
    try:
        raise ValueError("odd")
    except ValueError as error:
        messages.print_error(error)
    assert "Traceback" in capsys.readouterr().err


def test_a_closed_pipe_is_left_quietly():
    reading, writing = os.pipe()
    os.close(reading)
    code = "from colorize.cli.app import main; main()"
    done = python(code, stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert done.stderr == ""


def test_a_closed_standard_output_leaves_no_traceback():
    done = python("import sys; sys.stdout = None; from colorize.cli.app import main; main()", capture_output=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_full_disk_behind_stdout_is_told():
    code = (
        "import errno, io, sys\n"
        "class Full(io.StringIO):\n"
        "    def flush(self):\n"
        "        raise OSError(errno.ENOSPC, 'No space left on device')\n"
        "sys.stdout = Full()\n"
        "from colorize.cli.app import main\n"
        "main()"
    )
    done = python(code, capture_output=True)
    assert done.returncode == 1
    assert "disk is full" in done.stderr


@pytest.mark.parametrize("seed", ["-1", str(2**63), "99999999999999999999"])
@pytest.mark.parametrize("command", ["sample", "train", "eval"])
def test_a_seed_that_no_generator_takes_is_refused_alike(command, seed, folder, tmp_path):
    picture = str(folder / "train/picture0.png")
    more = {"sample": [picture], "train": ["mini", str(folder), "--out", str(tmp_path / "run")]}
    result = run(command, *more.get(command, ["mini", str(folder)]), "--seed", seed)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: seed is {seed}\nhint: choose 0 to")
