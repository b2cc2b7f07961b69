"""Claims about coloring the lines of a picture in color."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from colorize import paint
from colorize.cli.app import app
from colorize.errors import ColorizeError
from colorize.images import files, lines
from colorize.images.image import Picture

EXAMPLES = Path(__file__).parents[3] / "examples"
PINK, BLUE = EXAMPLES / "reference-1.png", EXAMPLES / "reference-2.png"


def test_a_picture_in_color_gets_the_colors_of_another_between_its_lines() -> None:
    result = paint(PINK, reference=BLUE, kind="extract")
    found = result.picture.tensor()[0]
    ink = lines.xdog(files.read(PINK).tensor())[0, 0] < 0
    assert float(found[:, ink].mean()) < -0.9
    red, _, blue = found[:, ~ink]
    assert float((blue - red > 0.4).float().mean()) > 0.1  # the other one's blue, and no pink
    assert float((red - blue > 0.1).float().mean()) < 0.02


def test_line_art_stays_as_it_is() -> None:
    drawing = EXAMPLES / "sketch.png"
    plain, extracted = (paint(drawing, reference=BLUE, kind=kind) for kind in ("line", "extract"))
    np.testing.assert_array_equal(plain.picture.array, extracted.picture.array)


def test_lines_are_wider_on_larger_pictures_and_what_is_transparent_stays_so() -> None:
    small = files.read(PINK)
    pixels, half = small.pixels.repeat(4, 0).repeat(4, 1), np.full((1024, 1024), 255, np.uint8)
    half[:, :100] = 0
    large = lines.extracted(Picture(pixels, half, text={"colorize": "{}", "Author": "A"}))
    share, wanted = ((one.pixels == 0).mean() for one in (large, lines.extracted(small)))
    assert share == pytest.approx(wanted, rel=0.1)
    assert large.alpha is not None
    np.testing.assert_array_equal(large.alpha, half)
    assert large.text == {"Author": "A"}


def test_a_result_can_be_colored_anew(tmp_path: Path) -> None:
    first = replace(paint(PINK, kind="extract").picture, pixels=files.read(PINK).pixels)
    assert "colorize" in first.text
    assert paint(first, reference=BLUE, kind="extract").picture.size == first.size
    with pytest.raises(ColorizeError, match="was colored by this program already"):
        paint(first, reference=BLUE)


def test_a_picture_in_color_is_told_of_both_ways_to_color_it(tmp_path: Path) -> None:
    told = CliRunner().invoke(app, ["sample", str(PINK), "--out", str(tmp_path / "a.png")])
    assert told.exit_code == 1
    assert "--kind extract" in told.stderr
    made = ["sample", str(PINK), "--out", str(tmp_path / "a.png"), "--kind", "extract", "--ref", str(BLUE), "--flat"]
    assert CliRunner().invoke(app, made).exit_code == 0
    assert len(np.unique(files.read(tmp_path / "a.png").pixels.reshape(-1, 3), axis=0)) < 300
