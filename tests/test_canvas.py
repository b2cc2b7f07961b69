"""Claims about canvases: where pictures lie on them, margins, and sizes that a stride divides."""

import pytest
import torch

from colorize.errors import ColorizeError
from colorize.images.resize import Box, cropped, framed, placed, sized, widened


def test_a_drawing_lies_where_colorize_diffusion_puts_it():
    assert placed((90, 70), (128, 192)) == Box(46, 0, 99, 128)


def test_a_reference_is_widened_as_colorize_diffusion_does():
    wide = widened(torch.zeros(1, 3, 90, 70), 1.5)
    assert wide.shape == (1, 3, 90, 105)
    assert (wide[..., :17] == 1).all()
    assert (wide[..., 17:87] == 0).all()
    assert (wide[..., 87:] == 1).all()


def test_a_margin_of_one_changes_nothing():
    picture = torch.rand(1, 3, 5, 7)
    assert torch.equal(widened(picture, 1.0), picture)


@pytest.mark.parametrize("margin", [0.5, float("nan")])
def test_a_margin_below_one_is_refused(margin):
    with pytest.raises(ColorizeError, match="the margin is"):
        widened(torch.zeros(1, 3, 4, 4), margin)


def test_a_canvas_is_paper_around_the_picture():
    canvas, box = framed(torch.full((2, 1, 90, 70), 0.5), (128, 192))
    assert canvas.shape == (2, 1, 128, 192)
    torch.testing.assert_close(cropped(canvas, box), torch.full((2, 1, 128, 99), 0.5))
    canvas[..., box.left : box.left + box.width] = -1
    assert (canvas == -1).all()


def test_a_very_long_picture_still_shows():
    assert placed((1, 1000), (64, 64)) == Box(0, 31, 64, 1)


@pytest.mark.parametrize(
    ("given", "side", "size"),
    [((90, 70), 512, (576, 448)), ((500, 500), 512, (512, 512)), ((10, 1000), 512, (64, 5120))],
)
def test_sizes_keep_proportions_in_multiples_of_64(given, side, size):
    assert sized(given, side) == size
