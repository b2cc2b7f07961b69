"""Nothing from outside is taken for markup or for a terminal's command, and `--json` names inputs exactly."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path

import pytest
from drawings import run, sketch
from typer.testing import CliRunner

from colorize.cli import messages
from colorize.cli.app import app
from colorize.errors import ColorizeError, plain
from colorize.images import files

pytestmark = pytest.mark.usefixtures("desk")
STEERING = "\x1b[2J\x1b]0;own\x07\x9b31m\r\u202e"  # clears, renames, colors, overwrites, turns around
BROKEN = b"no picture"


def harmless(text: str) -> bool:
    return all(sign.isprintable() or sign == "\n" for sign in text)


def test_names_of_files_do_not_steer_the_terminal() -> None:
    for folder in ("odd", "odder"):
        files.write(sketch(), Path(folder, f"a{STEERING}.png"))
        Path(folder, f"b{STEERING}.png").write_bytes(BROKEN)
    for more in ((), ("--dry-run",), ("--hints", "none"), ("--ref", f"{STEERING}.png"), (f"--{STEERING}",)):
        result = run("odd", f"odder/a{STEERING}.png", "--out", "out", *more)
        assert result.exit_code or "--dry-run" in more
        assert harmless(result.stderr)
        assert harmless(result.stdout) or not more  # paths for programs are exact
    assert "`odd/b?[2J?]0;own??31m??.png` is" in run("odd", "--out", "out").stderr


def test_paths_of_results_are_exact_in_pipes_and_harmless_on_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path(f"a{STEERING}.png")
    for watched, told in ((False, f"{path}\n"), (True, f"{plain(str(path))}\n")):
        stream = io.TextIOWrapper(io.BytesIO(), newline="")
        monkeypatch.setattr(stream.buffer, "isatty", lambda watched=watched: watched)
        monkeypatch.setattr(sys, "stdout", stream)
        messages.name_result(path)
        stream.flush()
        assert stream.buffer.getvalue().decode() == told


def test_text_inside_of_files_does_not_steer_the_terminal() -> None:
    escaped = json.dumps(STEERING)[1:-1]
    for text in (f'{{"{escaped}": 1}}', f'{{"points": [{{"x": 1, "y": 1, "color": "{escaped}"}}]}}'):
        Path("hints.json").write_text(text)
        assert harmless(run("sketch.png", "--ref", "ref.png", "--hints", "hints.json").stderr)
    files.write(sketch(), Path("sketch_color.png"), {"colorize": f'{{"options": {{"{escaped}": "{escaped}"}}}}'})
    assert harmless(run("sketch.png", "--ref", "ref.png").stderr)
    Path("colorize.toml").write_text(f'[sample]\n"{escaped}" = "{escaped}"\n')
    assert harmless(run("sketch.png").stderr)
    Path("colorize.toml").unlink()
    Path("data").mkdir()
    Path("data/metadata.jsonl").write_text(json.dumps({"file_name": STEERING}))
    result = CliRunner().invoke(app, ["train", "mini", "data"])
    assert (result.exit_code, harmless(result.stderr)) == (1, True)
    runs = Path("runs", f"x{STEERING}")
    runs.mkdir(parents=True)
    (runs / "model.safetensors").write_bytes(Path("tiny.safetensors").read_bytes())
    (runs / "README.md").write_text(f"---\nlicense: mit\n---\n{STEERING}\n")
    for words in (("models",), ("models", "info", str(runs))):
        result = CliRunner().invoke(app, list(words))
        assert (result.exit_code, harmless(result.output)) == (0, True)


def test_what_is_quoted_and_long_is_cut() -> None:
    text = plain(f"an unknown key `{'k' * 5000}`, and `{'p' * 200}.png`")
    assert len(text) < 500
    assert f"`{'p' * 200}.png`" in text
    assert len(plain("x" * 10**6)) < 2000


def test_traces_for_programmers_are_harmless_too(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setenv("COLORIZE_DEBUG", "1")
    try:
        raise ColorizeError(STEERING)
    except ColorizeError as error:
        messages.print_error(error)
    told = capsys.readouterr().err
    assert harmless(told)
    assert told.count("\n") > 3


@pytest.mark.skipif(sys.platform in ("darwin", "win32"), reason="names are Unicode there")
def test_json_names_inputs_exactly() -> None:
    Path("odd").mkdir()
    names = [b"odd/a\xff.png", b"odd/b\n\x1b.png", b"odd/c.png"]
    for name in names[:2]:
        files.write(sketch(), Path(os.fsdecode(name)))
    Path(os.fsdecode(names[2])).write_bytes(BROKEN)
    result = run("odd", "--out", "out", "--json")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [os.fsencode(line["input"]) for line in lines] == names
    assert [os.fsencode(line["output"]) for line in lines[:2]] == [b"out/a\xff.png", b"out/b\n\x1b.png"]
    assert result.stdout.isascii()
    again = run("odd", "--out", "out", "--dry-run", "--json")
    assert [os.fsencode(name) for name in json.loads(again.stdout)["why"]] == names[2:]
