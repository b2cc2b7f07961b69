"""Paper around a figure stays white; figures, scenes and strong colors stay as they are."""

from __future__ import annotations

import torch
from torch import Tensor

from colorize.images.background import whiten

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
