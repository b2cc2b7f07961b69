"""A copy of the drawing that was painted over: what differs is a hint, and nothing else is."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from drawings import MINI, run, sketch
from PIL import Image
from torch import Tensor

import colorize
from colorize.errors import ColorizeError
from colorize.images import files, hint_files
from colorize.images.image import Picture

RED = (220, 30, 40)
DRAWING = sketch(240, 200, 45)


def over(soft: float = 0, drawing: Picture = DRAWING) -> np.ndarray:
    """The drawing (H, W, 3) with a red stroke across a line, its edges blurred by `soft` pixels."""
    mask = cv2.line(np.zeros(drawing.size, np.float32), (70, 110), (110, 120), 1, 15)
    if soft:
        mask = cv2.GaussianBlur(mask, (0, 0), soft)
    mixed = drawing.pixels * (1 - mask[..., None]) + np.array(RED) * mask[..., None]
    return mixed.round().astype(np.uint8)


def jpeg(rgb: np.ndarray, quality: int = 60) -> Picture:
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, "JPEG", quality=quality)
    return Picture(np.array(Image.open(file)))


def apart(hints: Tensor) -> float:
    """Mean over hinted pixels of the largest channel's distance from red, in levels."""
    colors = (hints[0, :3].movedim(0, 2)[hints[0, 3] > 0].numpy() + 1) * 127.5
    return float(np.abs(colors - RED).max(1).mean())


def stroke() -> np.ndarray:
    return over()[..., 1] == RED[1]


def test_a_stroke_is_found_and_nothing_else() -> None:
    hints = hint_files.parse_copy(Picture(over()), DRAWING)
    held = (hints[0, 3] > 0).numpy()
    assert (held & ~stroke()).sum() == 0
    assert held.sum() > 0.8 * stroke().sum()
    assert apart(hints) < 0.01


@pytest.mark.parametrize("quality", [30, 60, 90])
def test_a_copy_saved_as_jpeg_has_the_same_stroke(quality: int) -> None:
    hints = hint_files.parse_copy(jpeg(over(), quality), DRAWING)
    held = (hints[0, 3] > 0).numpy()
    assert (held & ~stroke()).sum() <= 0.02 * held.sum()
    assert held.sum() > 0.4 * stroke().sum()
    assert apart(hints) < 16


def test_soft_edges_do_not_pale_the_color() -> None:
    hints = hint_files.parse_copy(Picture(over(soft=3)), DRAWING)
    assert (hints[0, 3] > 0).sum() > 0.4 * stroke().sum()
    assert apart(hints) < 10


@pytest.mark.parametrize("quality", [30, 60, 90])
def test_a_copy_that_nobody_painted_on_is_refused(quality: int) -> None:
    plain = np.broadcast_to(DRAWING.pixels, (240, 200, 3)).copy()
    for copy in (Picture(plain), jpeg(plain, quality)):
        with pytest.raises(ColorizeError, match="do not differ from the drawing"):
            hint_files.parse_copy(copy, DRAWING)


def test_another_drawing_is_no_copy() -> None:
    for other in (sketch(240, 200, 33), Picture(np.zeros((240, 200, 3), np.uint8))):
        with pytest.raises(ColorizeError, match="differ from the drawing nearly everywhere"):
            hint_files.parse_copy(other, DRAWING)


def test_other_proportions_are_refused() -> None:
    with pytest.raises(ColorizeError, match="200 x 100 pixels, the drawing is 200 x 240"):
        hint_files.parse_copy(Picture(over()[:100]), DRAWING)


@pytest.mark.parametrize("size", [(120, 100), (480, 400)])
def test_a_copy_of_another_size_is_scaled_and_said_so(size: tuple[int, int]) -> None:
    small = cv2.resize(over(), size[::-1], interpolation=cv2.INTER_AREA)
    hints = hint_files.parse_copy(jpeg(small, 85), DRAWING)
    held = (hints[0, 3] > 0).numpy()
    assert (held & ~stroke()).sum() <= 0.05 * held.sum()
    assert apart(hints) < 16
    files.write(Picture(small), Path("copy.png"))
    told = run("drawing.png", "--hints", "copy.png")
    assert f"{size[1]} x {size[0]} pixels and were scaled to 200 x 240" in told.stderr


@pytest.fixture(autouse=True)
def here(desk: None) -> None:
    files.write(DRAWING, Path("drawing.png"))


def test_the_strokes_of_a_copy_are_obeyed_with_or_without_alpha() -> None:
    opaque = np.full(DRAWING.size, 255, np.uint8)
    for copy in (Picture(over()), Picture(over(), opaque)):
        made = colorize.paint(DRAWING, hints=copy, model=MINI).array
        assert made[115, 82].tolist() == list(RED)
        assert (made[:, :, 0][DRAWING.pixels[..., 0] == 0] == 0).all()


def test_a_folder_of_hints_may_hold_painted_copies() -> None:
    Path("marks").mkdir()
    Image.fromarray(over()).save("marks/drawing.jpg", quality=90)
    assert run("drawing.png", "--hints", "marks").exit_code == 0
    made = files.read(Path("drawing_color.png")).pixels[115, 82].astype(int)
    assert np.abs(made - RED).max() < 16


def test_a_picture_that_is_no_copy_ends_in_a_sentence() -> None:
    told = run("drawing.png", "--hints", "ref.png")
    assert told.exit_code == 1
    assert told.stderr.startswith("error: `drawing.png`: the hints are 96 x 96 pixels")
    files.write(sketch(240, 200, 33), Path("other.png"))
    told = run("drawing.png", "--hints", "other.png")
    assert told.exit_code == 1
    assert "differ from the drawing nearly everywhere" in told.stderr
    assert not Path("drawing_color.png").exists()
