"""Hints of ink color that lie on ink say nothing of the area; all others stay."""

from __future__ import annotations

import torch
from torch import Tensor

from colorize.images.color_hints import off_ink

GRAY, RED = (-0.2, -0.2, -0.1), (0.9, -0.8, -0.8)


def line(side: int = 32) -> Tensor:
    """A vertical line, two pixels wide, in the middle."""
    drawn = torch.ones(1, 1, side, side)
    drawn[..., side // 2 : side // 2 + 2] = -1
    return drawn


def dot(color: tuple[float, float, float], x: int, y: int = 8, wide: int = 3) -> Tensor:
    hints = torch.zeros(1, 4, 32, 32)
    hints[:, 3] = -1
    hints[..., y : y + 3, x : x + wide] = torch.tensor((*color, 1.0))[:, None, None]
    return hints


def test_a_gray_dot_on_a_line_goes() -> None:
    assert (off_ink(dot(GRAY, 16), line())[:, 3] == -1).all()
    assert (off_ink(dot(GRAY, 15), line())[:, :3] == 0).all()


def test_colored_ones_and_those_on_paper_stay() -> None:
    for kept in (dot(RED, 16), dot(GRAY, 4), dot(GRAY, 13)):  # the last touches the line only
        assert torch.equal(off_ink(kept, line()), kept)


def test_a_black_stroke_across_lines_stays() -> None:
    stroke = dot((-1.0, -1.0, -1.0), 4, wide=24)
    assert torch.equal(off_ink(stroke, line()), stroke)


def test_white_is_no_ink() -> None:
    white = dot((0.95, 0.95, 0.95), 16)
    assert torch.equal(off_ink(white, line()), white)


def test_rows_and_dots_are_judged_apart() -> None:
    two = torch.maximum(dot(GRAY, 16), dot(RED, 4, y=20))
    two[:, :3] = dot(GRAY, 16)[:, :3] + dot(RED, 4, y=20)[:, :3]
    both = torch.cat([two, dot(GRAY, 4)])
    result = off_ink(both, line().expand(2, -1, -1, -1))
    assert torch.equal(result[1], both[1])
    assert (result[0, 3] > 0).sum() == 9
    assert (result[0, 3, 20:23, 4:7] == 1).all()
