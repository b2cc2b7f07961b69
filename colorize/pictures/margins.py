"""Take from line art what it has near its borders, as if the drawing ended there. Knows nothing of colors."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

MOST = 0.2  # of a side that a border loses; ColorizeDiffusion takes up to 100 of 512 pixels


def whiten(line: Tensor, chosen: Tensor, rng: Generator) -> Tensor:
    """Turn the borders of some rows into paper: as much on the left as on the right, on top as below.

    line: (B, 1, H, W), paper 1. chosen: (B,) bool. Each row loses shares of its height and width of
    its own, from 0 to a fifth on either side.
    """
    lost = MOST * torch.rand(2, len(line), generator=rng)
    height, width = (_depth(side) for side in line.shape[-2:])
    outside = (height < lost[0, :, None])[:, :, None] | (width < lost[1, :, None])[:, None]
    blank = outside & chosen[:, None, None]
    return torch.where(blank[:, None].to(line.device), 1.0, line)


def _depth(pixels: int) -> Tensor:
    """How far each pixel is from the nearer end of a side, as a share of the side: (pixels,)."""
    place = (torch.arange(pixels) + 0.5) / pixels
    return torch.minimum(place, 1 - place)
