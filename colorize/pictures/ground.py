"""Find the paper around a drawn figure, and keep it white where a painted field was meant to.

A model that is unsure where a figure ends leaves a pale glow around it. Knows nothing of networks.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from colorize.pictures.ease import ease
from colorize.pictures.field import WALL

BALL = 3  # cells; openings of a line up to twice this are taken for closed
LIGHT = 0.8  # of 1; a cell whose darkest channel is lighter was meant to be paper
MOSTLY = (0.2, 0.4)  # of an area's cells that are light: from none of it to all of it is paper
SURELY = (0.5, 0.7)  # the same for cells of strong colors
EASED = (0.4, 0.7)  # of 1; how light a cell of such an area must be to become white


def whiten(
    color: Tensor,
    paper: Tensor,
    strong: bool = True,
) -> Tensor:
    """Whiten areas that reach the border and are mostly white, or only their pale cells.

    color: (B, 3, H, W) in [-1, 1]. paper: (B, 1, H, W), see `field.spread`. strong: strong
    colors, too, where the area has more white; a surrounding that is painted all over stays in any case.
    """
    darkest = (color.amin(1, keepdim=True) + 1) / 2
    rows = [_white(light, free) for light, free in zip(darkest > LIGHT, paper > WALL, strict=True)]
    part = torch.stack(rows)[:, None].to(color)
    weight = ease(part, *MOSTLY) * ease(darkest, *EASED)
    if strong:
        weight = torch.maximum(weight, ease(part, *SURELY))
    return torch.lerp(color, torch.ones_like(color), weight)


def _white(light: Tensor, free: Tensor) -> Tensor:
    """How much of the area that reaches the border around a cell is light: (1, H, W) bool twice to (H, W).

    0 in all other areas, and on lines.
    """
    numbers = areas(free)
    count = numbers.bincount().clamp(min=1)
    part = numbers.bincount(light[0].cpu().flatten().double(), minlength=len(count)) / count
    edge = numbers.view(free.shape[1:])
    at_border = torch.cat([edge[0], edge[-1], edge[:, 0], edge[:, -1]])
    outside = torch.zeros_like(part).index_fill(0, at_border, 1.0)
    outside[0] = 0  # lines
    return (part * outside)[numbers].view(edge.shape)


def areas(free: Tensor) -> Tensor:
    """Number the areas that lines leave, small openings taken for closed, 0 is line: (1, H, W) bool to (H W,)."""
    core = 1 - F.max_pool2d(1 - free.float()[None], 2 * BALL + 1, 1, BALL)
    labels = cv2.connectedComponents(core[0, 0].cpu().numpy().astype(np.uint8), connectivity=4)[1]
    found = torch.from_numpy(labels).float()[None, None]
    open_ = free.cpu().float()[None]
    for _ in range(BALL + 1):
        found = torch.where(found > 0, found, F.max_pool2d(found, 3, 1, 1) * open_)
    return found.flatten().long()
