"""Tell whether two pictures show the same things at the same places, by where edges lie. Knows nothing of color."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

SIDE = 128  # pixels a side at which edges are found
CELLS = 16  # cells a side in which they are counted
STRONG = 0.5  # of 2; stronger edges count no more than this
LOW, HIGH = 0.25, 0.45  # likeness of unrelated pictures is below, of warped copies above


def likeness(first: Tensor, second: Tensor) -> Tensor:
    """How alike the edges of two pictures lie: (B,) in [-1, 1], their correlation over 16 x 16 cells.

    first, second: (B, C, H, W) in [-1, 1] of any sizes and channels; line art may meet a color
    picture. A picture without edges is like no other: 0.
    """
    one, other = (_density(picture) for picture in (first, second))
    return (one * other).sum(1)


def same_frame(first: Tensor, second: Tensor) -> Tensor:
    """Whether two pictures may show the same frame: (B,) from 0 to 1, without a step between."""
    share = ((likeness(first, second) - LOW) / (HIGH - LOW)).clamp(0, 1)
    return share * share * (3 - 2 * share)


def _density(picture: Tensor) -> Tensor:
    """Edges per cell less their mean, of length 1 or 0: (B, 256)."""
    larger = min(picture.shape[-2:]) >= SIDE
    small = (
        F.adaptive_avg_pool2d(picture, SIDE)
        if larger
        else F.interpolate(picture, (SIDE, SIDE), mode="bilinear")
    )
    across, down = (small.diff(dim=dim).abs().amax(1, keepdim=True) for dim in (3, 2))
    edges = (F.pad(across, (0, 1)) + F.pad(down, (0, 0, 0, 1))).clamp(max=STRONG)
    cells: Tensor = F.adaptive_avg_pool2d(edges, CELLS).flatten(1)
    cells = cells - cells.mean(1, keepdim=True)
    length = torch.linalg.vector_norm(cells, dim=1, keepdim=True)
    density: Tensor = cells / length.clamp(min=1e-6)
    return density
