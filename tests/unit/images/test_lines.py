"""Claims about colorize.images.lines."""

import cv2
import numpy as np
import pytest
import torch

from colorize.images import lines
from colorize.images.color import luminance

STYLES = {"xdog": lines.xdog, "dog": lines.dog, "pencil": lines.pencil, "canny": lines.canny}


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(batch: int = 2, size: int = 24) -> torch.Tensor:
    return torch.rand(batch, 3, size, size, generator=rng()) * 2 - 1


def square(batch: int = 1) -> torch.Tensor:
    """An orange square on white, 48 px, its edges at 16 and 32."""
    color = torch.ones(batch, 3, 48, 48)
    color[:, :, 16:32, 16:32] = torch.tensor((0.8, 0.0, -0.6)).view(3, 1, 1)
    return color


def pen() -> torch.Tensor:
    """A vertical black line 2 px wide on paper."""
    line = torch.ones(1, 1, 32, 32)
    line[..., 15:17] = -1
    return line


@pytest.mark.parametrize("sigma", [0.3, 0.4, 0.5])
def test_xdog_is_anime_diffusions(sigma):
    gray = (luminance(noise(1))[0, 0].numpy() + 1) / 2
    blurs = [cv2.GaussianBlur(gray, (0, 0), s, borderType=cv2.BORDER_REFLECT_101) for s in (sigma, 3.5 * sigma)]
    response = gray * (11 * blurs[0] - 10 * blurs[1])
    ours = lines.xdog(noise(1), sigma)[0, 0].numpy() > 0
    clear = np.abs(response - 0.01) > 1e-5  # nearer to the threshold, rounding decides
    assert np.array_equal(ours[clear], (response >= 0.01)[clear])


def test_xdog_is_black_or_white_by_default():
    assert set(lines.xdog(noise()).unique().tolist()) == {-1.0, 1.0}


def test_a_soft_phi_makes_grays():
    assert len(lines.xdog(noise(), phi=5).unique()) > 100


@pytest.mark.parametrize("style", STYLES)
def test_every_style_leaves_white_paper_white(style):
    assert STYLES[style](torch.ones(1, 3, 32, 32)).min() == 1


@pytest.mark.parametrize("style", ["dog", "pencil", "canny"])
def test_areas_of_one_color_stay_paper(style):
    assert STYLES[style](square())[..., 22:26, 22:26].min() == 1


@pytest.mark.parametrize("style", STYLES)
def test_every_style_draws_the_outline(style):
    middle = STYLES[style](square())[0, 0, 24]
    assert middle[14:19].min() < 0.5
    assert middle[29:34].min() < 0.5


@pytest.mark.parametrize("style", STYLES)
def test_every_style_takes_gray_pictures(style):
    gray = luminance(square())
    assert torch.equal(STYLES[style](gray), STYLES[style](square()))


def test_pictures_smaller_than_the_kernel_are_drawn():
    assert lines.pencil(torch.rand(1, 3, 4, 4)).shape == (1, 1, 4, 4)


def test_mixed_lines_draw_the_outline_in_every_row():
    assert lines.mix(square(32), rng())[:, 0, 24, 14:19].amin(1).max() < 0.6


def test_mixed_lines_leave_paper_white():
    assert lines.mix(square(32), rng())[:, :, :8, :8].min() == 1


def test_mixed_lines_differ_between_rows():
    drawn = lines.mix(square(8), rng())
    assert (drawn[1:] - drawn[:1]).abs().amax((1, 2, 3)).min() > 0.01


def test_mixed_lines_stay_in_range():
    assert lines.mix(noise(16), rng()).abs().max() <= 1


def test_equal_generators_make_equal_lines():
    assert torch.equal(lines.mix(noise(), rng(3)), lines.mix(noise(), rng(3)))


def test_each_row_is_mixed_by_its_own_numbers():
    """Rows must not leak into each other through the blur by groups."""
    both = torch.cat((noise(1), square()[..., :24, :24]))
    changed = torch.cat((noise(1), -both[1:]))
    assert torch.equal(lines.mix(both, rng())[0], lines.mix(changed, rng())[0])


def test_lines_are_worn_only_by_chance():
    assert torch.equal(lines.degrade(pen(), rng(), chance=0), pen())


def test_worn_lines_stay_in_range():
    assert lines.degrade(lines.mix(noise(16), rng()), rng(), chance=1).abs().max() <= 1


def test_every_row_wears_in_its_own_way():
    worn = lines.degrade(pen().repeat(8, 1, 1, 1), rng(), chance=1)
    assert (worn[1:] - worn[:1]).abs().amax((1, 2, 3)).min() > 0.01


@pytest.mark.parametrize(("amount", "width"), [(1.0, 4), (0.0, 2), (-1.0, 0)])
def test_thickening_moves_both_sides_by_a_pixel(amount, width):
    thick = lines._thicken(pen(), torch.tensor(amount))
    assert (thick[0, 0, 16] < 0).sum() == width


def test_gaps_lift_part_of_the_ink():
    inked = lines._gaps(-torch.ones(8, 1, 64, 64), torch.ones(8, 1, 1, 1), rng())
    assert 0.05 < (inked > 0).float().mean() < 0.4


def test_paper_gets_darker_but_stays_paper():
    paper = lines._paper(torch.ones(4, 1, 64, 64), torch.ones(4, 1, 1, 1), rng())
    assert 0.7 <= paper.min() < paper.max() <= 1
