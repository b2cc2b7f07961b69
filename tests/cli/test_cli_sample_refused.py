"""What `colorize sample` takes for wrong usage, and that nothing is done then."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from drawings import run

from colorize.cli.app import app

pytestmark = pytest.mark.usefixtures("desk")


@pytest.mark.parametrize(
    "wrong",
    [
        ("sketch.png", "--sampler", "dppm"),
        ("sketch.png", "--guidance", "reference"),
        ("sketch.png", "--guidance", "refernce=2"),
        ("sketch.png", "--guidance", "reference=2"),
        ("sketch.png", "--model", "mniii"),
        ("sketch.png", "--steps", "0"),
        ("sketch.png", "--size", "7"),
        ("sketch.png", "--ref", "ref.png", "--strength", "reference=5"),
        ("sketch.png", "--ref", "-"),
        ("sketch.png", "--kind", "photo"),
        ("sketch.png", "-o", "sketch.png", "--overwrite"),
        ("sketch.png", "-o", "a.gif"),
        ("sketch.png", "--film", "a.mp4"),
        ("sketch.png", "-o", "-", "--variations", "2"),
        ("sketch.png", "-o", "-", "--json"),
        ("pages", "-o", "pages"),
        ("pages", "-o", "-"),
        ("pages", "-o", "one.png"),
        ("pages", "--film", "a.gif"),
        (),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_refused_before_anything_is_done(wrong: tuple[str, ...]) -> None:
    before = {path: path.read_bytes() for path in Path().rglob("*.*")}
    result = run(*wrong)
    assert result.exit_code == 2, result.stderr
    assert result.stderr.startswith("error: ")
    assert "\nhint: " in result.stderr
    assert {path: path.read_bytes() for path in Path().rglob("*.*")} == before


@pytest.mark.parametrize(("wrong", "said"), [(("--steps", "0"), "0"), (("--kind", "photo"), "'photo' is not one of")])
def test_a_value_that_an_option_cannot_have_is_told(wrong: tuple[str, ...], said: str) -> None:
    told = run("sketch.png", *wrong).stderr
    assert said in told.partition(wrong[0])[2]
    assert "Value error" not in told
    assert "Input" not in told


@pytest.mark.parametrize(("stream", "arguments"), [("stdin", ["-"]), ("stdout", ["sketch.png", "-o", "-"])])
def test_a_closed_standard_stream_is_told(
    stream: str, arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, stream, None)
    app(["sample", *arguments], standalone_mode=False)
    assert "put is closed\nhint: name a file" in capsys.readouterr().err


def test_a_folder_without_hints_of_the_drawings_is_told() -> None:
    Path("hints").mkdir()
    result = run("sketch.png", "--hints", "hints")
    assert result.exit_code == 0
    assert "`hints` has no hints for `sketch.png`; name them like the drawing" in result.stderr


@pytest.mark.parametrize("model", ["doesnotexist", "manga-gna", "runs/none", "none.safetensors"])
def test_a_model_that_is_not_there_is_told_though_the_result_is(model: str) -> None:
    # Guards against "exists, skipped" and exit code 0 for a misspelt name.
    Path("sketch_color.png").write_bytes(b"mine")
    result = run("sketch.png", "--model", model)
    assert result.exit_code in (1, 2)
    assert result.stderr.startswith(("error: there is no ", "error: unknown model "))
    assert f"`{model}`" in result.stderr
    assert "someone/something" in run("sketch.png", "--model", "someone/something", "--offline").stderr
    assert Path("sketch_color.png").read_bytes() == b"mine"


@pytest.mark.parametrize("out", ["notes.txt", "notes.txt/", "notes", "notes.txt/below"])
def test_a_file_is_no_folder_for_several_pictures(out: str) -> None:
    Path(out.partition("/")[0]).write_text("mine")
    for inputs in (("pages",), ("sketch.png", "ref.png"), ("sketch.png",)):
        result = run(*inputs, "-o", out)
        file = out.partition("/")[0]
        said = "the results of 2 pictures need a folder" if inputs != ("sketch.png",) else "not a folder"
        assert result.exit_code == 2
        assert result.stderr.startswith(f"error: `{file}` is ")
        assert said in result.stderr
        assert result.stderr.count("\n") == 2
        assert Path(file).read_text() == "mine"


def test_a_misspelt_suffix_makes_no_folder() -> None:
    before = sorted(Path().rglob("*"))
    result = run("sketch.png", "-o", "out.pgn")
    assert result.exit_code == 2
    assert "cannot be written as `.pgn`" in result.stderr
    assert "end a folder with /" in result.stderr
    assert sorted(Path().rglob("*")) == before
    assert run("sketch.png", "-o", "v1.pgn/").exit_code == 0


@pytest.mark.parametrize(
    "given",
    [
        ("--encoder", "clip.safetensors"),
        ("--predicts", "eps"),
        ("--text", "hair: blonde"),
        ("--knob", "margin=1.5"),
        ("--background", "none.png"),
        ("--mask", "auto"),
        ("--ref-mask", "none.png"),
        ("--visualize", "edits.png"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("model", ["mini", "tiny.safetensors"])
def test_options_of_colorize_diffusion_are_refused_before_anything_is_loaded(
    given: tuple[str, ...], model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from colorize.checkpoints import model_files

    monkeypatch.setattr(model_files, "load", None)
    result = run("sketch.png", "--model", model, *given)
    assert result.exit_code == 2
    assert result.stderr.startswith(
        f"error: the model `mini` does not support {given[0]}\nhint: leave it out, or choose"
    )
