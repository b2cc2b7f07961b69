"""`--only` and corrected results with models and pictures of other kinds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from drawings import gray, one, pixels, ref, refused, run, sketch

from colorize.coloring.options import Job, SampleOptions
from colorize.errors import ColorizeError
from colorize.images import files
from colorize.images.image import Picture

pytestmark = pytest.mark.usefixtures("desk")

LEFT = np.zeros((96, 64, 1), np.uint8)
LEFT[:, :32] = 255


def job(**given: object) -> Job:
    return Job("sketch.png", sketch(), ref(), **given)


def test_any_model_colors_only_inside_the_mask() -> None:
    whole, part = (pixels(one(job(only=mask))) for mask in (None, Picture(LEFT)))
    assert (part[:, :32] == whole[:, :32]).all()
    assert (part[:, 32:] == sketch().pixels[:, 32:]).all()


def test_a_gray_mask_mixes() -> None:
    whole, part = (pixels(one(job(only=mask))) for mask in (None, Picture(np.full((96, 64, 1), 153, np.uint8))))
    assert np.abs(part - (0.6 * whole + 0.4 * sketch().pixels)).max() <= 1


def test_the_latest_result_of_the_same_size_stays_outside() -> None:
    made = np.random.default_rng(0).integers(0, 256, (96, 64, 3)).astype(np.uint8)
    files.write(Picture(made[:50]), Path("sheet.png"))
    files.write(Picture(made), Path("made.png"))
    part = pixels(one(job(only=Picture(LEFT), results=(Path("sheet.png"), Path("made.png")))))
    assert (part[:, 32:] == made[:, 32:]).all()


@pytest.mark.parametrize("peak", [255, 65535])
def test_what_stays_has_the_depth_and_alpha_of_the_drawing(peak: int) -> None:
    deep = sketch().pixels.astype(np.uint16) * 257 if peak > 255 else sketch().pixels
    alpha = np.full((96, 64), peak, deep.dtype)
    alpha[:5] = 0
    made = Picture(np.full((96, 64, 3), (10, 20, 30), np.uint8))
    files.write(made, Path("made.png"))
    outcome = one(Job("d", Picture(deep, alpha), ref(), only=Picture(LEFT), results=(Path("made.png"),)))
    painted = outcome.painted[0].picture
    assert painted.pixels[50, 50].tolist() == [value * (peak // 255) for value in (10, 20, 30)]
    assert (painted.alpha[:5, :32] == 0).all()
    assert (painted.alpha[:, 32:] == peak).all()


def test_an_empty_mask_is_refused() -> None:
    error = refused(job(only=Picture(np.zeros((9, 9, 1), np.uint8))))
    assert "black everywhere" in error.message


def test_masks_may_lie_in_a_folder() -> None:
    files.write(Picture(LEFT), Path("masks/sketch.png"))
    assert run("sketch.png", "--only", "masks").exit_code == 0
    made = files.read(Path("sketch_color.png")).pixels
    assert (made[:, 32:] == sketch().pixels[:, 32:]).all()
    told = run("pages", "--only", "masks")
    assert "`masks` holds no mask for `1/p1.png`" in told.stderr


def test_colors_are_limited_only_where_they_are_chosen() -> None:
    with pytest.raises(ColorizeError, match="mixes colors freely, so --colors cannot limit them"):
        one(job(), colors=3)
    with pytest.raises(ColorizeError, match="colors is 0"):
        SampleOptions(colors=0)


@pytest.mark.parametrize("drawing", [sketch(), gray()])
def test_any_model_keeps_what_was_corrected(drawing: Picture) -> None:
    made = one(Job("d", drawing, ref())).painted[0].picture
    copy = made.pixels.astype(int)
    green = np.array((-24, 12, -24))
    copy[24:38, 24:38] = (copy[24:38, 24:38].mean(2, keepdims=True) + green).clip(0, 255)
    outcome = one(Job("d", drawing, ref(), hints=Picture(copy.astype(np.uint8))))
    inside, wanted = pixels(outcome)[26:36, 26:36].astype(int), copy[26:36, 26:36]
    assert outcome.painted[0].notes == ()
    difference = (inside - wanted) - (inside - wanted).mean(2, keepdims=True)  # gray pictures keep their lightness
    assert np.abs(difference).max() <= 4


def test_a_result_of_the_model_without_corrections_says_so() -> None:
    made = one(Job("d", sketch(), ref())).painted[0].picture
    again = one(Job("d", sketch(), ref(), hints=made))
    assert "nothing was corrected" in again.painted[0].notes[0]
    assert (pixels(again) == made.pixels).all()


def test_a_mask_of_another_size_is_scaled_and_said_to_be() -> None:
    outcome = one(job(only=Picture(LEFT[::2, ::2])))
    note = "the mask of --only is 32 x 48 pixels and was scaled to 64 x 96"
    assert note in outcome.painted[0].notes
    assert note not in one(job(only=Picture(LEFT))).painted[0].notes


def test_a_film_shows_what_stays_outside_of_a_mask() -> None:
    made = one(job(only=Picture(LEFT)), film=Path("film.gif"), steps=2).painted[0]
    assert len(made.frames) == 2
    for frame in made.frames:
        assert frame.size == (96, 64)
        assert (frame.pixels[:, 32:] == sketch().pixels[:, 32:]).all()
