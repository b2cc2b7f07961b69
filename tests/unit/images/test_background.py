"""Claims about telling a figure from what is around it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from colorize.images import background
from colorize.images.background import whiten
from colorize.images.image import Picture, from_tensor


def ring(side: int = 96, low: int = 20, high: int = 70, cut: bool = False) -> torch.Tensor:
    """A square's outline on paper, (1, 1, side, side); cut: it runs out of the picture below."""
    line = torch.ones(1, 1, side, side)
    line[..., low:high, low:high] = -1
    line[..., low + 4 : high - 4, low + 4 : high - 4] = 1
    if cut:
        line[..., high - 4 :, :] = 1
        line[..., low:, low : low + 4] = -1
        line[..., low:, high - 4 : high] = -1
        line[..., low + 4 :, low + 4 : high - 4] = 1
    return line


@pytest.mark.parametrize("cut", [False, True])
def test_the_inside_of_an_outline_is_figure_even_where_the_border_cuts_it(cut: bool) -> None:
    mask = background.of_drawing(ring(cut=cut))
    assert mask is not None
    assert mask.shape == (1, 1, 96, 96)
    assert (mask[..., 30:60, 30:60] > 0.9).all()
    assert (mask[..., :12, :] < -0.9).all()
    assert (mask[..., 60:, :12] < -0.9).all()
    assert bool((mask[..., 90:, 40:50] > 0.9).all()) is cut


@pytest.mark.parametrize("line", [torch.ones(1, 1, 64, 64), -torch.ones(1, 1, 64, 64)])
def test_where_there_is_no_figure_none_is_found(line: torch.Tensor) -> None:
    assert background.of_drawing(line) is None


def colored(noise: float = 0.0) -> Picture:
    picture = torch.full((1, 3, 120, 80), 0.6)
    picture[:, :, 30:100, 20:60] = torch.tensor([-0.5, 0.1, 0.9])[:, None, None]
    rng = torch.Generator().manual_seed(1)
    return from_tensor((picture + noise * torch.randn(picture.shape, generator=rng)).clamp(-1, 1))


@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_the_figure_of_a_picture_is_what_its_border_does_not_run_into(noise: float) -> None:
    mask = background.of_picture(colored(noise))
    assert mask is not None
    truth = torch.zeros(120, 80, dtype=torch.bool)
    truth[30:100, 20:60] = True
    assert float(((mask[0, 0] > 0) == truth).float().mean()) > 0.97


def test_alpha_tells_a_figure_by_itself() -> None:
    alpha = np.zeros((50, 40), np.uint8)
    alpha[10:40, 10:30] = 255
    mask = background.of_picture(Picture(np.full((50, 40, 3), 200, np.uint8), alpha))
    assert mask is not None
    assert torch.equal(mask[0, 0] > 0, torch.from_numpy(alpha > 0))


def test_a_picture_painted_all_over_has_no_figure() -> None:
    rng = np.random.default_rng(0)
    assert background.of_picture(Picture(rng.integers(0, 255, (60, 60, 3), np.uint8))) is None


def test_a_mask_is_light_where_the_figure_is() -> None:
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:4] = 255
    mask = background.read(Picture(pixels))
    assert mask.shape == (1, 1, 8, 8)
    assert (mask[..., :4, :] == 1).all()
    assert (mask[..., 4:, :] == -1).all()


ALL = torch.ones(1)


def box(side: int = 48, gap: int = 0) -> Tensor:
    """Paper with a square outline in the middle, open by `gap` cells at its right."""
    paper = torch.ones(1, 1, side, side)
    paper[..., 12:36, 12] = paper[..., 12:36, 35] = -1
    paper[..., 12, 12:36] = paper[..., 35, 12:36] = -1
    if gap:
        paper[..., 22 : 22 + gap, 35] = 1
    return paper


def glowing(inside: float = -0.2) -> Tensor:
    """White with a pale glow beside the box, which is filled."""
    color = torch.ones(1, 3, 48, 48)
    color[..., 12:36, 36:42] = 0.5
    color[:, 1:, 13:35, 13:35] = inside
    return color


def test_a_pale_glow_becomes_white_and_the_figure_stays() -> None:
    result = whiten(glowing(), box())
    assert (result[..., 36:] == 1).all()
    assert torch.equal(result[..., 13:35, 13:35], glowing()[..., 13:35, 13:35])


def test_small_openings_do_not_let_the_paper_in() -> None:
    pale = glowing(inside=0.5)
    result = whiten(pale, box(gap=4))
    assert torch.equal(result[..., 14:34, 14:30], pale[..., 14:34, 14:30])
    assert (result[..., 38:] == 1).all()


def test_a_strong_stain_on_white_surroundings_becomes_white_unless_told_otherwise() -> None:
    color = glowing()
    color[:, 1:, 2:8, 2:8] = -0.8
    assert (whiten(color, box())[..., 2:8, 2:8] == 1).all()
    kept = whiten(color, box(), strong=False)
    assert torch.equal(kept[..., 2:8, 2:8], color[..., 2:8, 2:8])


def test_strong_colors_stay_where_most_of_the_surroundings_have_them() -> None:
    color = glowing()
    color[:, 1:, :, :12] = color[:, 1:, :12] = color[:, 1:, 37:] = -0.8
    assert torch.equal(whiten(color, box())[..., :12, :], color[..., :12, :])


def test_a_painted_surrounding_stays() -> None:
    color = torch.full((1, 3, 48, 48), 0.5)
    assert torch.equal(whiten(color, box()), color)


def test_areas_do_not_grow_through_the_corners_of_a_line() -> None:
    free = torch.ones(1, 40, 40, dtype=torch.bool)
    for off in (0, 4):  # a band too narrow for an area of its own
        free[0, torch.arange(40 - off), torch.arange(40 - off) + off] = False
    numbers = background.areas(free).view(40, 40)
    band = [numbers[at, at + off].item() for at in range(36) for off in (1, 2, 3)]
    assert set(band) == {0}
    assert numbers[20, 5] > 0 < numbers[5, 20]
