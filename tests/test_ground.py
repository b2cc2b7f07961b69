"""Paper around a figure stays white; figures, scenes and strong colors stay as they are."""

from __future__ import annotations

import torch
from torch import Tensor

from colorize.hints import Hints
from colorize.networks.spaces import Field
from colorize.pictures.ground import whiten

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
    result = whiten(glowing(), box(), ALL)
    assert (result[..., 36:] == 1).all()
    assert torch.equal(result[..., 13:35, 13:35], glowing()[..., 13:35, 13:35])


def test_small_openings_do_not_let_the_paper_in() -> None:
    pale = glowing(inside=0.5)
    result = whiten(pale, box(gap=4), ALL)
    assert torch.equal(result[..., 14:34, 14:30], pale[..., 14:34, 14:30])
    assert (result[..., 38:] == 1).all()


def test_a_strong_stain_on_white_surroundings_becomes_white_unless_told_otherwise() -> None:
    color = glowing()
    color[:, 1:, 2:8, 2:8] = -0.8
    assert (whiten(color, box(), ALL)[..., 2:8, 2:8] == 1).all()
    kept = whiten(color, box(), ALL, strong=False)
    assert torch.equal(kept[..., 2:8, 2:8], color[..., 2:8, 2:8])


def test_strong_colors_stay_where_most_of_the_surroundings_have_them() -> None:
    color = glowing()
    color[:, 1:, :, :12] = color[:, 1:, :12] = color[:, 1:, 37:] = -0.8
    assert torch.equal(whiten(color, box(), ALL)[..., :12, :], color[..., :12, :])


def test_a_painted_surrounding_stays() -> None:
    color = torch.full((1, 3, 48, 48), 0.5)
    assert torch.equal(whiten(color, box(), ALL), color)


def test_rows_are_whitened_by_their_own_share() -> None:
    both = glowing().expand(2, -1, -1, -1)
    result = whiten(both, box().expand(2, -1, -1, -1), torch.tensor([0.0, 1.0]))
    assert torch.equal(result[0], both[0])
    assert (result[1, ..., 36:] == 1).all()


def test_a_reference_of_the_same_frame_tells_what_is_around() -> None:
    line, space = box(96), Field(2)
    x = torch.ones(1, 3, 48, 48)
    x[..., 20:28, 20:28] = 0.5  # pale, in an open area that is mostly white
    lone = space.decode(x, Hints(line=line))
    framed = space.decode(x, Hints(line=line, reference=line.expand(-1, 3, -1, -1)))
    assert lone[..., 24, 24].min() > framed[..., 24, 24].min() + 0.2


def test_where_only_a_palette_is_given_less_white_is_enough() -> None:
    color = glowing()
    color[:, 1:, :, :26] = -0.6  # a strong stain over half of the surroundings
    color[:, 1:, 13:35, 13:35] = -0.2
    plain, loose = (whiten(color, box(), ALL, palette=torch.tensor([one])) for one in (False, True))
    stain = color[..., 2:8, 2:8]
    assert torch.equal(plain[..., 2:8, 2:8], whiten(color, box(), ALL)[..., 2:8, 2:8])
    assert (loose[..., 2:8, 2:8] - stain).mean() > (plain[..., 2:8, 2:8] - stain).mean() + 0.05
