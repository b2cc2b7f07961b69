"""Tell whether two pictures show the same things at the same places, by where edges lie. Knows nothing of color."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from colorize.pictures.ease import ease

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


def same_frame(drawing: Tensor, references: Tensor) -> Tensor:
    """How far each reference shows the frame of the drawing: (B, R) from 0 to 1, without a step between.

    drawing: (B, C, H, W). references: (B, 3 R, h, w), R pictures joined on channels.
    """
    several = references.reshape(len(drawing), -1, 3, *references.shape[-2:]).unbind(1)
    alike = torch.stack([likeness(drawing, one) for one in several], dim=1)
    return ease(alike, LOW, HIGH)


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
