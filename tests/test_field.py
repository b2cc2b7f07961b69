"""Claims about colorize.pictures.field."""

import pytest
import torch

from colorize.pictures import field
from colorize.pictures.field import fill

RED, BLUE = (torch.tensor(c).view(1, 3, 1, 1) for c in ((0.8, -0.6, -0.6), (-0.6, -0.6, 0.8)))


def drawn(color: torch.Tensor, line: torch.Tensor) -> torch.Tensor:
    """Color with black ink on top."""
    return torch.where(line < 0, -torch.ones_like(color), color)


def paper(height: int = 32, width: int = 32) -> torch.Tensor:
    return torch.ones(1, 1, height, width)


def test_pixels_far_from_ink_stay_bit_by_bit():
    color = torch.rand(2, 3, 32, 32)
    line = paper().repeat(2, 1, 1, 1)
    line[..., 10:12, :] = -1
    filled = fill(color, line)
    assert torch.equal(filled[..., :9, :], color[..., :9, :])


def test_a_line_through_one_color_vanishes():
    color, line = RED.expand(1, 3, 32, 32), paper()
    line[..., 14:18] = -1
    torch.testing.assert_close(fill(drawn(color, line), line), color, atol=1e-4, rtol=0)


def test_a_wide_black_area_takes_the_color_around_it():
    color, line = RED.expand(1, 3, 32, 32), paper()
    line[..., 8:24, 8:24] = -1
    torch.testing.assert_close(fill(drawn(color, line), line), color, atol=1e-3, rtol=0)


def test_two_areas_meet_under_the_middle_of_their_line():
    line = paper()
    line[..., 14:18] = -1
    color = torch.cat((RED.expand(1, 3, 32, 16), BLUE.expand(1, 3, 32, 16)), 3)
    filled = fill(drawn(color, line), line)
    assert (filled - color)[..., [13, 14, 17, 18]].abs().max() < 0.05


def test_the_dark_rim_of_ink_does_not_bleed():
    color, line = RED.expand(1, 3, 32, 32).clone(), paper()
    line[..., 15] = -1
    color[..., 14:17] = -1  # anti-aliasing: the color is dark one pixel beside the ink
    assert (fill(color, line) - RED).abs().max() < 0.05


def test_gray_ink_counts_as_ink():
    color, line = RED.expand(1, 3, 16, 16).clone(), paper(16, 16)
    line[..., 8], color[..., 8] = 0.2, -1
    assert (fill(color, line) - RED).abs().max() < 1e-3


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 3), (33, 18)])
def test_any_size_is_filled(size):
    line = paper(*size)
    line[..., ::3] = -1
    assert (fill(RED.expand(1, 3, *size), line) - RED).abs().max() < 1e-4


def test_a_picture_of_ink_only_keeps_its_color():
    color = RED.expand(1, 3, 9, 9)
    torch.testing.assert_close(fill(color, -paper(9, 9)), color, atol=1e-4, rtol=0)


def test_hints_flow_up_to_the_ink_and_no_further() -> None:
    paper = torch.ones(1, 1, 16, 16)
    paper[..., 8] = -1
    hints = torch.zeros(1, 4, 16, 16)
    hints[:, 3] = -1
    hints[0, :, 4, 3] = torch.tensor([0.5, -0.5, 0.25, 1.0])
    told = field.spread(hints, paper)
    assert (told[0, 3, :, :8] == 1).all()
    assert (told[0, 3, :, 9:] == -1).all()


def test_an_area_that_a_hint_reaches_follows_it_and_the_others_stay() -> None:
    paper = torch.ones(1, 1, 16, 16)
    paper[..., 8] = -1
    hints = torch.zeros(1, 4, 16, 16)
    hints[:, 3] = -1
    hints[0, :, 4, 3] = torch.tensor([0.5, -0.5, 0.25, 1.0])
    result = field.obey(torch.zeros(1, 3, 16, 16), hints, paper)
    torch.testing.assert_close(result[0, :, 12, 5], torch.tensor([0.5, -0.5, 0.25]))
    assert (result[..., 9:] == 0).all()
