"""Claims about colorize.images.under_ink."""

import pytest
import torch

from colorize.images import under_ink
from colorize.images.under_ink import fill

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
    told = under_ink.spread(hints, paper)
    assert (told[0, 3, :, :8] == 1).all()
    assert (told[0, 3, :, 9:] == -1).all()


def test_a_field_is_evened_out_between_lines_and_keeps_its_edges() -> None:
    paper = torch.ones(1, 1, 24, 24)
    paper[..., 12] = -1
    noise = 0.05 * torch.randn(1, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    color = noise + torch.where(torch.arange(24) < 12, 0.1, -0.1)  # apart by less than an edge
    color[:, :, 16:, 12:] += 1  # an edge of its own, without a line
    result = under_ink.even(color, paper)
    for part in (slice(0, 12), slice(13, 24)):
        inside, before = result[..., :14, part], color[..., :14, part]
        assert inside.std() < before.std() / 3
        assert torch.allclose(inside.mean(), before.mean(), atol=0.02)
    assert (result[..., 20, 18] - result[..., 10, 18]).mean() > 0.8
    torch.testing.assert_close(result.mean((2, 3)), color.mean((2, 3)))


def test_nearly_white_becomes_white_and_the_rest_stays() -> None:
    made = under_ink.paper_white(torch.tensor([0.95, 0.5]).expand(1, 3, 1, 2))
    assert made[0, 0, 0].tolist() == [1.0, 0.5]
