"""Where defaults of options come from. Bugs guarded: a stranger's file, switches that nothing undoes, tracebacks."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from colorize.cli import config
from colorize.cli.app import app


def run(*arguments: str, **environment: str):
    return CliRunner().invoke(app, list(arguments), env=environment)


def dry_run(folder: Path, *more: str, **environment: str) -> dict:
    result = run("train", "mini", str(folder), "--dry-run", *more, **environment)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_flag_wins_over_the_environment_and_that_over_the_file(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("colorize.toml").write_text('[train]\ndevice = "cuda:1"\nsave-every = "7m"\n')
    assert dry_run(folder)["options"]["device"] == "cuda:1"
    assert dry_run(folder)["options"]["save_every"] == 420
    assert dry_run(folder, COLORIZE_DEVICE="mps")["options"]["device"] == "mps"
    flag = dry_run(folder, "--device", "cpu", COLORIZE_DEVICE="mps")
    assert flag["options"]["device"] == "cpu"


def test_the_file_gives_repeatable_options_one_or_many_values(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("colorize.toml").write_text('[train]\nset = "lr=0.5"\n')
    assert dry_run(folder)["recipe"]["pretrain"]["lr"] == 0.5
    Path("colorize.toml").write_text('[train]\nset = ["lr=0.5", "batch=3"]\n')
    assert dry_run(folder)["recipe"]["pretrain"]["batch"] == 3


@pytest.mark.parametrize("text", ["[train]\nstpes = 3\n", "[[[", "steps = 3\n", "a = " + "[" * 5000])
def test_help_answers_whatever_is_wrong_in_the_file(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("colorize.toml").write_text(text)
    for words in (("train", "--help"), ("sample", "-h"), ("models", "info", "--help"), ("--help",), ("--version",)):
        result = run(*words)
        assert (result.exit_code, result.stderr) == (0, "")
    for words in (("sample",), ("models",), ("models", "info", "mini"), ("train", "mini", "--dry-run")):
        result = run(*words)
        assert (result.exit_code, "colorize.toml" in result.stderr) == (2, True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[train]\nstpes = 3\n", "did you mean `steps`?"),
        ("[trian]\nsteps = 3\n", "did you mean `train`?"),
        ("steps = 3\n", "`steps`"),
        ("[train]\nsteps = {a = 1}\n", '`steps` in [train] of `colorize.toml`, line 2 is {"a": 1}'),
        ("[train\n", "cannot read"),
    ],
)
def test_a_mistake_in_the_file_is_wrong_usage(text, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("colorize.toml").write_text(text)
    result = run("train", "mini", "--dry-run")
    assert result.exit_code == 2
    assert said in result.stderr


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('steps = "many"', 'is "many"\nhint: write it as a whole number'),
        ("steps = true", "is true\nhint: write it as a whole number"),
        ("steps = 0", "must be at least 1"),
        ("compile = 1", "is 1\nhint: write it as true or false"),
        ("save-every = 9", "is 9\nhint: write it as text in quotes"),
        ('save-every = "9"', "`9` is not a time"),
        ("set = [1]", "is 1\nhint: write it as text in quotes"),
        ('phase = "middle"', "'middle' is not one of 'pretrain', 'finetune'"),
    ],
)
def test_a_wrong_value_in_the_file_is_told_with_file_and_key(line, said, tmp_path, monkeypatch):
    # Guards against "Invalid value for '--steps'", where no --steps was given.
    monkeypatch.chdir(tmp_path)
    Path("colorize.toml").write_text(f"[train]\n{line}\n")
    result = run("train", "mini", "--dry-run")
    assert result.exit_code == 2
    key = line.partition(" ")[0]
    assert result.stderr.startswith(f"error: `{key}` in [train] of `colorize.toml`")
    assert said in result.stderr
    assert "--steps" not in result.stderr


@pytest.fixture
def below(tmp_path, monkeypatch):
    """Work two folders below the test's own."""
    inner = tmp_path / "series" / "chapter"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    return tmp_path


def test_the_nearest_file_wins_over_those_above_and_the_users_own(folder, below, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(below / "config"))
    own = below / "config/colorize/colorize.toml"
    own.parent.mkdir(parents=True)
    own.write_text("[train]\nseed = 1\nsave-every = '7m'\nsample-every = 5\n")
    (below / "colorize.toml").write_text("[train]\nseed = 2\nsample-every = 6\n")
    (below / "series/colorize.toml").write_text("[train]\nseed = 3\n")
    known = dry_run(folder)
    options = known["options"]
    assert (known["seed"], options["save_every"], options["sample_every"]) == (3, 420, 5)
    told = run("train", "mini", str(folder), "--dry-run").stderr
    assert f"note: options from `{own}`\nnote: options from `{below}/series/colorize.toml`" in told
    Path("colorize.toml").write_text("[train]\nseed = 4\n")
    assert dry_run(folder)["seed"] == 4
    assert "series" not in run("train", "mini", str(folder), "--dry-run").stderr


def test_a_switch_of_the_file_can_be_undone(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("colorize.toml").write_text("[train]\ncompile = true\nrestart = false\n")
    assert dry_run(folder)["options"]["compile"] is True
    assert dry_run(folder, "--no-compile")["options"]["compile"] is False
    assert dry_run(folder, "--no-compile", "--compile")["options"]["compile"] is True


def test_files_beside_a_file_above_are_found_from_below(folder, below):
    path = below / "colorize.toml"
    path.write_text('[train]\ndata = "data/train"\n[sample]\nmodel = "mini"\nlora = ["data/train=0.5", "other/one"]\n')
    (below / "mini").mkdir()
    program = typer.main.get_command(app)
    known = config.read_file(path, program.commands, program.make_context("colorize", [], resilient_parsing=True))
    assert known["train"] == {"data": f"{below}/data/train"}
    assert known["sample"] == {"model": "mini", "lora": [f"{below}/data/train=0.5", "other/one"]}


def test_a_strangers_file_above_the_working_folder_is_ignored(folder, below, monkeypatch):
    path, lstat = below / "colorize.toml", Path.lstat
    path.write_text("[train]\nseed = 5\n")

    class Other:
        st_uid = 4242

    monkeypatch.setattr(Path, "lstat", lambda self: Other if self == path else lstat(self))
    assert dry_run(folder)["seed"] == 0
    assert f"`{path}` belongs to another user and is ignored" in run("train", "mini", str(folder), "--dry-run").stderr


def test_quiet_commands_name_no_file(below):
    (below / "colorize.toml").write_text('[sample]\nkind = "line"\n')
    assert "note" in run("sample", "none.png").stderr
    assert "note" not in run("sample", "none.png", "--quiet").stderr
    assert "note" not in run("sample", "none.png", "--json").stderr


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[sample]\nx = " + b"[" * 5000, "cannot read `colorize.toml`: a value is too long or too deep"),
        (b"[sample]\nsteps = " + b"1" * 5000, "cannot read `colorize.toml`: a value is too long or too deep"),
        (b"#" * (1 << 21), "`colorize.toml` is larger than 1 MB"),
        (b"\xff\xfe", "`colorize.toml` is not UTF-8 text"),
        (b'[sample]\n"\\u001b[31m" = 1', "unknown option `?[31m` in [sample] of `colorize.toml`"),
        (b"[sample]\n# stpes = 1\nkind = 'line'\nstpes = 3\n", "`stpes` in [sample] of `colorize.toml`, line 4"),
        (b"\xef\xbb\xbf[sampel]\r\nkind = 'line'\r\n", "unknown table `sampel` in `colorize.toml`, line 1"),
        (b"[sample]\n[sample.kind]\nx = 1", "`kind` in [sample] of `colorize.toml`, line 2 is"),
    ],
)
def test_hostile_files_give_one_sentence(content, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("colorize.toml").write_bytes(content)
    result = run("sample", "none.png")
    assert result.exit_code == 2
    assert said in result.stderr
    assert "\x1b" not in result.stderr
    assert len(result.stderr.splitlines()) == 2


@pytest.mark.parametrize("make", [lambda path: path.mkdir(), os.mkfifo, lambda path: path.symlink_to("nowhere")])
def test_what_is_not_a_file_is_refused(make, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make(Path("colorize.toml"))
    result = run("sample", "none.png")
    assert (result.exit_code, result.stderr.splitlines()[0]) == (2, "error: `colorize.toml` is not a file")
