"""Options that meet: masks, hints and earlier results, files of regions, layers, --watch, and white lines on black."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from drawings import run, sketch
from PIL import Image
from typer.testing import CliRunner

from colorize.cli import watching
from colorize.cli.app import app
from colorize.images import files
from colorize.images.image import Picture
from colorize.images.metadata import MARK

pytestmark = pytest.mark.usefixtures("desk")


def half(path: str, left: bool = True) -> None:
    """Write a mask that is white on one side."""
    pixels = np.zeros((96, 64, 1), np.uint8)
    pixels[:, slice(None, 32) if left else slice(32, None)] = 255
    files.write(Picture(pixels), Path(path))


def values(path: str | Path) -> np.ndarray:
    return np.array(Image.open(path).convert("RGB"))


def negative(path: str = "night.png") -> None:
    """Write white lines on black."""
    drawing = sketch(400, 300, 60)
    files.write(Picture(255 - drawing.pixels), Path(path))


def test_watch_colors_again_when_the_part_to_color_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[Callable[[], object]] = [lambda: None, lambda: half("parts/p2.png", left=False), lambda: None]
    waits = iter([*steps, None])

    def sleep(_: float) -> None:
        step = next(waits)
        if step is None:
            raise KeyboardInterrupt
        step()

    monkeypatch.setattr(watching.time, "sleep", sleep)
    half("parts/p2.png")
    shutil.rmtree("pages/1")
    result = run("--watch", "pages", "--only", "parts")
    assert result.stdout.split() == ["colored/p2.jpg", "colored/p2.jpg"], result.stderr


def test_one_file_beside_all_drawings_of_a_watched_folder_is_refused() -> None:
    shutil.rmtree("pages/1")
    assert run("--watch", "pages", "--film", "a.gif").exit_code == 2


def test_watching_is_not_estimated_and_writes_nothing_then() -> None:
    assert run("--watch", "pages", "--dry-run").exit_code == 2
    assert not Path("colored").exists()


def test_outside_of_a_mask_an_edited_result_in_a_folder_stays() -> None:
    run("sketch.png", "--ref", "ref.png", "-o", "out/")
    edited = values("out/sketch.png")
    edited[:, 40:] = (9, 200, 9)
    Image.fromarray(edited).save("out/sketch.png")
    half("left.png")
    result = run("sketch.png", "--ref", "ref.png", "--seed", "2", "--only", "left.png", "-o", "out/")
    assert result.stdout == "out/sketch-2.png\n"
    assert (values("out/sketch-2.png")[:, 40:] == (9, 200, 9)).all()


@pytest.mark.parametrize("options", [("--only", "left.png"), ("--hints", "copy.png")])
def test_a_damaged_file_beside_the_drawing_does_not_matter(options: tuple[str, ...]) -> None:
    half("left.png")
    run("sketch.png", "--ref", "ref.png", "-o", "copy.png")
    Path("sketch_color_old.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    result = run("sketch.png", "--ref", "ref.png", *options, "-o", "new.png")
    assert result.exit_code == 0, result.stderr


def test_a_forged_number_of_variations_is_not_made() -> None:
    run("sketch.png", "--ref", "ref.png", "-o", "copy.png")
    for forged in ("many", 10**9, -2, True):
        picture = files.read(Path("copy.png"))
        meta = {**json.loads(picture.text[MARK]), "variation": forged, "seed": "x"}
        files.write(Picture(picture.pixels, text={MARK: json.dumps(meta)}), Path("forged.png"))
        result = run("sketch.png", "--ref", "ref.png", "--hints", "forged.png", "-o", "new.png", "--overwrite")
        assert result.exit_code == 0, result.stderr


def test_gaps_change_only_what_is_divided_into_regions() -> None:
    run("sketch.png", "--ref", "ref.png")
    assert run("sketch.png", "--ref", "ref.png", "--gaps", "3").stderr.startswith("note: skipped")
    assert "was made" in run("sketch.png", "--ref", "ref.png", "--flat", "--gaps", "3").stderr


def test_a_result_that_serves_as_a_mask_is_not_replaced() -> None:
    run("sketch.png", "--ref", "ref.png")
    before = Path("sketch_color.png").read_bytes()
    result = run("sketch.png", "--only", "sketch_color.png")
    assert result.stdout == "sketch_color-2.png\n"
    assert Path("sketch_color.png").read_bytes() == before


def test_recoloring_replaces_no_layers_that_were_painted_on() -> None:
    run("sketch.png", "--ref", "ref.png", "--flat", "--layers", "a.ora")
    CliRunner().invoke(app, ["regions", "sketch.png"])
    command = ("sketch.png", "--regions", "sketch_regions.toml", "--layers", "a.ora")
    result = run(*command)
    assert "the layers are `a.ora`" in result.stderr
    result = run(*command)
    assert "the layers are `a.ora`" in result.stderr
    with ZipFile("a.ora", "a") as archive:
        archive.writestr("mine", b"")
    mine = Path("a.ora").read_bytes()
    assert "the layers are `a-2.ora`" in run(*command).stderr
    assert "the layers are `a-2.ora`" in run(*command).stderr
    assert Path("a.ora").read_bytes() == mine
    assert "the layers are `a.ora`" in run(*command, "--overwrite").stderr


def test_recoloring_writes_layers_into_a_folder() -> None:
    CliRunner().invoke(app, ["regions", "sketch.png"])
    result = run("sketch.png", "--regions", "sketch_regions.toml", "--layers", "layers/")
    assert result.exit_code == 0, result.stderr
    assert Path("layers/sketch.ora").is_file()


def test_a_map_of_other_regions_is_not_replaced() -> None:
    run("sketch.png", "--ref", "ref.png", "--save-regions", "sketch.toml")
    before = Path("sketch_regions_map.png").read_bytes()
    result = CliRunner().invoke(app, ["regions", "sketch.png"])
    assert result.exit_code == 2
    assert "sketch.toml" in result.stderr
    assert Path("sketch_regions_map.png").read_bytes() == before


def test_a_renamed_file_of_regions_keeps_its_map() -> None:
    run("sketch.png", "--ref", "ref.png", "--flat")
    CliRunner().invoke(app, ["regions", "sketch.png"])
    text = Path("sketch_regions.toml").read_text()
    Path("variant.toml").write_text(
        text.replace('color = "', 'color = "#101010", source = ["', 1).replace(", name", "], name", 1)
    )
    half("variant_regions_map.png")
    other = Path("variant_regions_map.png").read_bytes()
    result = run("sketch.png", "--regions", "variant.toml")
    assert result.exit_code == 0, result.stderr
    assert Path("variant_regions_map.png").read_bytes() == other
    assert "no color differs" in run("sketch.png", "--regions", "variant.toml").stderr


def test_white_lines_on_black_have_no_layers() -> None:
    negative()
    result = run("night.png", "--ref", "ref.png", "--layers", "a.ora")
    assert "white lines on black" in result.stderr
    assert not Path("a.ora").exists()
    assert "no layers" in result.stderr
