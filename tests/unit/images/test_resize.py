"""Claims about sizes and canvases: where pictures lie on them, margins, and sizes that a stride divides."""

import pytest
import torch

from colorize.errors import ColorizeError
from colorize.images.resize import Box, area_size, crop, fit_size, letterbox, multiple_size, pad, widen


def test_a_reference_is_widened_as_colorize_diffusion_does():
    wide = widen(torch.zeros(1, 3, 90, 70), 1.5)
    assert wide.shape == (1, 3, 90, 105)
    assert (wide[..., :17] == 1).all()
    assert (wide[..., 17:87] == 0).all()
    assert (wide[..., 87:] == 1).all()


def test_a_margin_of_one_changes_nothing():
    picture = torch.rand(1, 3, 5, 7)
    assert torch.equal(widen(picture, 1.0), picture)


@pytest.mark.parametrize("margin", [0.5, float("nan")])
def test_a_margin_below_one_is_refused(margin):
    with pytest.raises(ColorizeError, match="the margin is"):
        widen(torch.zeros(1, 3, 4, 4), margin)


def test_a_canvas_is_paper_around_the_picture():
    size, box = multiple_size((90, 70), 64)
    assert (size, box) == ((128, 128), Box(29, 19, 70, 90))
    canvas = pad(torch.full((2, 1, 90, 70), 0.5), box, size, paper=-1)
    assert (crop(canvas, box) == 0.5).all()
    crop(canvas, box)[:] = -1
    assert (canvas == -1).all()


def test_a_letterbox_is_white_around_the_picture():
    square = letterbox(torch.full((2, 1, 90, 70), 0.5), 60, "bicubic")
    assert square.shape == (2, 1, 60, 60)
    torch.testing.assert_close(square[..., 6:53], torch.full((2, 1, 60, 47), 0.5))
    assert (square[..., :6] == 1).all()
    assert (square[..., 53:] == 1).all()


def test_a_very_long_picture_still_shows():
    assert fit_size((1, 1000), 64) == (1, 64)
    assert fit_size((1, 1000), 2000, enlarge=False) == (1, 1000)


@pytest.mark.parametrize(("size", "side", "found"), [((90, 70), 512, (580, 452)), ((10, 1000), 512, (52, 5120))])
def test_an_area_keeps_proportions_in_even_sides(size, side, found):
    assert area_size(size, side) == found
