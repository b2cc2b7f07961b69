"""Claims about `colorize sample` with a latent model: sizes, knobs, masks, words, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from drawings import furnish, run
from latents import letters, published_folder
from PIL import Image

from colorize.checkpoints import model_files
from colorize.colorize_diffusion import conditioner
from colorize.images import files


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model of version 2, which knows all there is."""
    return published_folder(tmp_path_factory.mktemp("model"), "v2")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLORIZE_MODEL", str(model))
    monkeypatch.setenv("COLORIZE_DEVICE", "cpu")
    furnish()


def told(path: str) -> dict[str, object]:
    """What a result says of how it was made."""
    return dict(json.loads(files.read(Path(path)).text["colorize"]))


def pixels(path: str) -> bytes:
    return files.read(Path(path)).pixels.tobytes()


def test_a_drawing_keeps_its_size_and_tells_how_it_was_made() -> None:
    result = run("sketch.png", "--ref", "ref.png", "--spacing", "uniform")
    assert (result.stdout, result.exit_code) == ("sketch_color.png\n", 0)
    assert files.read(Path("sketch_color.png")).size == files.read(Path("sketch.png")).size
    facts = told("sketch_color.png")
    assert facts["recipe"] == "colorize-diffusion"
    assert (facts["spacing"], facts["guidance"]) == ("uniform", {"reference": 5.0})
    assert "settings" not in facts


@pytest.mark.parametrize(("precision", "kind"), [("bf16", torch.bfloat16), ("fp32", torch.float32)])
def test_the_network_is_loaded_in_the_numbers_it_computes_in(
    precision: str, kind: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads, kinds = model_files.load, []

    def seen(*given: object, **named: object) -> model_files.Loaded:
        loaded = loads(*given, **named)  # type: ignore[arg-type]
        kinds.append(loaded.colorizer.denoiser.net.dtype)
        return loaded

    monkeypatch.setattr(model_files, "load", seen)
    assert run("sketch.png", "--ref", "ref.png", "--precision", precision).exit_code == 0
    assert kinds == [kind]


def test_a_small_drawing_is_worked_on_at_the_area_the_model_knows() -> None:
    run("sketch.png", "--ref", "ref.png", "--size", "64")
    width, height = told("sketch_color.png")["size"]  # type: ignore[misc]
    assert abs(width * height - 64 * 64) < 64 * 8


@pytest.mark.parametrize(
    "options",
    [
        ("--knob", "margin=1.5"),
        ("--knob", "echo.start=0"),
        ("--knob", "window.start=0.5"),
        ("--knob", "levels.low=0"),
        ("--knob", "halves.style=true"),
        ("--strength", "line=2"),
        ("--strength", "reference=1.5"),
        ("--guidance", "line=3"),
        ("--mask", "auto"),
        ("--background", "sketch.png"),
    ],
)
def test_every_option_changes_the_picture(options: tuple[str, str]) -> None:
    for more, out in (((), "plain.png"), (options, "turned.png")):
        assert run("sketch.png", "--ref", "ref.png", "-o", out, *more).exit_code == 0
    assert pixels("plain.png") != pixels("turned.png")


def test_a_mask_may_be_a_picture_or_lie_in_a_folder() -> None:
    height, width = files.read(Path("sketch.png")).size
    Path("masks").mkdir()
    half = Image.new("L", (width, height))
    half.paste(255, (0, 0, width // 2, height))
    half.save("masks/sketch.png")
    given = ("sketch.png", "--ref", "ref.png")
    for mask, out in (("masks", "a.png"), ("masks/sketch.png", "b.png"), ("auto", "c.png")):
        assert run(*given, "--mask", mask, "-o", out).exit_code == 0
    assert pixels("a.png") == pixels("b.png") != pixels("c.png")
    Path("masks/sketch.png").rename("masks/other.png")
    assert "holds no mask for `sketch.png`" in run(*given, "--mask", "masks", "-o", "d.png").stderr


def test_where_no_figure_is_found_a_note_says_so() -> None:
    Image.new("RGB", (64, 64), "orange").save("plain.png")
    result = run("sketch.png", "--ref", "plain.png", "--mask", "auto")
    assert "no figure was found in `plain.png`" in result.stderr


def test_what_surrounds_the_figure_can_be_white() -> None:
    height, width = files.read(Path("sketch.png")).size
    half = Image.new("L", (width, height))
    half.paste(255, (0, 0, width // 2, height))
    half.save("half.png")
    run("sketch.png", "--ref", "ref.png", "--mask", "half.png", "--knob", "halves.clear=true")
    color = files.read(Path("sketch_color.png")).pixels
    paper = files.read(Path("sketch.png")).pixels[..., 0] == 255
    right = paper[:, width // 2 + 8 :]
    assert (color[:, width // 2 + 8 :][right] == 255).all()
    assert not (color[:, : width // 2 - 8][paper[:, : width // 2 - 8]] == 255).all()


@pytest.fixture
def spoken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conditioner, "tokenized", letters)


@pytest.mark.usefixtures("spoken")
def test_words_change_the_picture_and_are_told() -> None:
    run("sketch.png", "--ref", "ref.png", "-o", "plain.png")
    result = run("sketch.png", "--ref", "ref.png", "-o", "edited.png", "--text", "hair: blonde")
    assert result.exit_code == 0, result.stderr
    assert pixels("plain.png") != pixels("edited.png")
    settings = told("edited.png")["settings"]
    assert settings["prompts"][0]["target"] == "blonde hair"  # type: ignore[index]


@pytest.mark.usefixtures("spoken")
def test_edits_of_a_file_come_before_those_of_the_command_line_and_are_drawn() -> None:
    Path("edits.toml").write_text('[[edit]]\ntarget = "night"\ncontrol = "sky"\n', "utf-8")
    more = ("--edits", "edits.toml", "--text", "hair: blonde", "--visualize", "map.png")
    assert run("sketch.png", "--ref", "ref.png", *more).exit_code == 0
    prompts = told("sketch_color.png")["settings"]["prompts"]  # type: ignore[index]
    assert [prompt["target"] for prompt in prompts] == ["night", "blonde hair"]
    assert min(files.read(Path("map.png")).size) > 256


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--text", "hair: blonde"), "need a reference"),
        (("--knob", "echo.own=1"), "need a reference"),
        (("--mask", "auto"), "needs a background or a reference"),
        (("--ref", "ref.png", "--visualize", "map.png"), "no edits by words"),
        (("--ref", "ref.png", "--knob", "margn=2"), "did you mean `margin`"),
        (("--ref", "ref.png", "--knob", "margin"), "has no value"),
        (("--ref", "ref.png", "--knob", "echo.start=2"), "choose 0 to 1"),
        (("--ref", "ref.png", "--text", "target=a; sale=3"), "did you mean `scale`"),
        (("--ref", "ref.png", "--edits", "none.toml"), "none.toml"),
        (("--ref", "ref.png", "--strength", "line=3.5"), "strength of `line` is 3.5"),
        (("--ref", "ref.png", "--strength", "reference=2.5"), "choose 0"),
        (("--ref", "ref.png", "--predicts", "x0"), "unknown prediction `x0`"),
        (("--ref", "ref.png", "--encoder", "none.safetensors"), "weights of CLIP"),
        (("--ref", "ref.png", "--background", "none.png"), "none.png"),
        (("--hint", "3,3=red"), "does not support `hints`"),
        (("--palette", "#ff0000,#00ff00"), "was not trained on palettes"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(options: tuple[str, ...], words: str) -> None:
    result = run("sketch.png", *options)
    assert result.exit_code in (1, 2)
    assert words in " ".join(result.stderr.split())
    assert not Path("sketch_color.png").exists()


@pytest.mark.parametrize(
    "options", [("--knob", "margin=1.5"), ("--mask", "auto"), ("--text", "hair: blonde"), ("--background", "ref.png")]
)
def test_other_models_take_none_of_it(options: tuple[str, str]) -> None:
    result = run("sketch.png", "--ref", "ref.png", "--model", "tiny.safetensors", *options)
    assert result.exit_code == 2
    assert "colorize-diffusion" in result.stderr
