"""Find the color under the ink, and let colors flow over paper up to the lines."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from colorize.images.color import luminance

RIM = 0.02  # weight of white pixels beside ink, which are half ink themselves
NOTHING = 1e-8  # weight of ink: where all is ink, its own color is the best guess
WALL = 0.2  # in [-1, 1]; darker cells stop what flows over the paper
FLOW = 0.24  # of the difference of two neighbors that flows in a step; a quarter is the most
WHITE = (0.86, 0.95)  # of 1; a color this near to white is meant to be paper
SURE = 2.0  # a cell of 4 x 4 pixels is sure of its color once two of them are


def fill(color: Tensor, ink: Tensor, threshold: float = 0.5) -> Tensor:
    """Color of the picture as if its ink had never been drawn.

    color: (B, 3, H, W) in [-1, 1]. ink: (B, 1, H, W) line art, paper +1, ink -1; a pixel darker than `threshold` is
    ink, and so is the anti-aliased pixel around it. Returns (B, 3, H, W), equal to `color` bit by bit where no ink is
    near. Lines are closed from both sides, so that two areas meet sharply under their middle, wide ink by pull-push
    (Gortler et al. 1996).
    """
    inked = (ink < threshold).to(color)
    bright = ((luminance(color) + 1) / 2).clamp(0, 1)
    rim = torch.where(inked > 0, NOTHING, RIM * bright.square() + NOTHING)
    weight = torch.where(_around(inked) > 0, rim, 1.0)  # how much each pixel tells about the color under the ink
    return _pull_push(*_peel(color, weight))


def spread(hints: Tensor, paper: Tensor, wall: float = WALL, steps: int | None = None) -> Tensor:
    """Let hints flow over the paper until they meet ink, an edge of the picture, or another hint.

    hints: (B, 4, H, W), RGB and a mask, +1 where hinted. paper: (B, 1, H, W) in [-1, 1]; darker than `wall` stops the
    flow. Returns (B, 4, H, W): each pixel has the color of the hint nearest by the way around the ink, within `steps`
    (max(H, W) unless given); RGB is 0 and the mask -1 where none arrives.
    """
    known = (hints[:, 3:] > 0).to(hints)
    free = (paper > wall).to(hints)
    color = hints[:, :3] * known
    for _ in range(steps or max(hints.shape[-2:])):
        flow = torch.cat([color, known], dim=1) * free  # ink takes color and gives none
        flow = F.pad(flow, (1, 1, 1, 1))
        # Four neighbors, not eight: a line that is joined at corners only is a wall, too.
        total = flow[..., 1:-1, 2:] + flow[..., 1:-1, :-2] + flow[..., 2:, 1:-1] + flow[..., :-2, 1:-1]
        fresh = (total[:, 3:] > 0) & (known == 0)
        color = torch.where(fresh, total[:, :3] / total[:, 3:].clamp(min=1), color)
        known = torch.where(fresh, 1.0, known)
    return torch.cat([color, 2 * known - 1], dim=1)


def even(color: Tensor, paper: Tensor, steps: int = 60, edge: float = 0.3) -> Tensor:
    """Even a painted field out between the lines, and keep the edges that it has.

    color: (B, 3, H, W) in [-1, 1]. paper: (B, 1, H, W), see `spread`. Perona and Malik 1990 with walls: color flows
    between open neighbors only, the less the farther apart they are; `edge` is the distance in RGB at which a third of
    the flow is left.
    """
    free = (paper > WALL).to(color)
    across = FLOW * torch.minimum(free[..., 1:], free[..., :-1])
    down = FLOW * torch.minimum(free[..., 1:, :], free[..., :-1, :])
    for _ in range(steps):
        east, south = color.diff(dim=3), color.diff(dim=2)
        east = east * across * (-east.square().sum(1, keepdim=True) / edge**2).exp()
        south = south * down * (-south.square().sum(1, keepdim=True) / edge**2).exp()
        color = color + F.pad(east, (0, 1)) - F.pad(east, (1, 0))
        color = color + F.pad(south, (0, 0, 0, 1)) - F.pad(south, (0, 0, 1, 0))
    return color


def paper_white(color: Tensor) -> Tensor:
    """Bring nearly white cells to white, without a step: (B, 3, H, W) in [-1, 1], in and out."""
    share = smoothstep((color.amin(1, keepdim=True) + 1) / 2, *WHITE)
    return color + share * (1 - color)


def beside(values: Tensor) -> Tensor:
    """The largest of each pixel (B, C, H, W) and its four neighbors: what grows so does not pass between corners."""
    return torch.maximum(F.max_pool2d(values, (3, 1), 1, (1, 0)), F.max_pool2d(values, (1, 3), 1, (0, 1)))


def _around(values: Tensor) -> Tensor:
    """Sum of 3 x 3 pixels, nothing beyond the border; ten times as fast as avg_pool2d on a CPU."""
    grown = F.pad(values, (1, 1, 1, 1))
    rows = grown[..., :-2] + grown[..., 1:-1] + grown[..., 2:]
    return rows[..., :-2, :] + rows[..., 1:-1, :] + rows[..., 2:, :]


def _peel(color: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Fill one ring of unknown pixels from the known ones beside it; return color and weight."""
    total = _around(weight)
    mean = _around(color * weight) / total
    grown = torch.maximum(weight, (total / 3).clamp(max=1))  # three neighbors make a pixel sure
    return torch.where(weight < 1, torch.lerp(mean, color, weight), color), grown


def _pull_push(color: Tensor, weight: Tensor) -> Tensor:
    """Blend each pixel with its coarser neighborhood, by how little it is trusted itself.

    One ring is filled at every size first, which keeps the meeting of two areas sharp and smooth.
    """
    height, width = color.shape[-2:]
    if max(height, width) == 1:
        return color
    color, weight = _peel(color, weight)
    share = _halve(weight)
    coarse = _pull_push(_halve(color * weight) / share, (share / SURE).clamp(max=1))
    around = F.interpolate(coarse, scale_factor=2.0, mode="bilinear")[..., :height, :width]
    return torch.where(weight >= 1, color, torch.lerp(around, color, weight))


def _halve(values: Tensor) -> Tensor:
    """Sum of 4 x 4 pixels around the middle of each 2 x 2: overlapping cells leave no blocks."""
    height, width = values.shape[-2:]
    grown = F.pad(values, (1, 1 + width % 2, 1, 1 + height % 2))
    rows = grown[..., ::2, :] + grown[..., 1::2, :]
    rows = rows[..., :-1, :] + rows[..., 1:, :]
    columns = rows[..., ::2] + rows[..., 1::2]
    return columns[..., :-1] + columns[..., 1:]


def smoothstep(value: Tensor, low: float, high: float) -> Tensor:
    """0 up to `low`, 1 from `high` on, Hermite's cubic between them."""
    share = ((value - low) / (high - low)).clamp(0, 1)
    return share * share * (3 - 2 * share)
