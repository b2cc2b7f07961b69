"""Tell the figure of a picture from its background without anything learned, and whiten backgrounds."""

from __future__ import annotations

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from colorize.images.image import Picture
from colorize.images.resize import fit_size
from colorize.images.under_ink import WALL, beside, smoothstep

BALL = 3  # cells; openings of a line up to twice this are taken for closed
LIGHT = 0.8  # of 1; a cell whose darkest channel is lighter was meant to be paper
MOSTLY = (0.2, 0.4)  # of an area's cells that are light: from none of it to all of it is paper
SURELY = (0.5, 0.7)  # the same for cells of strong colors
PALE = (0.4, 0.7)  # of 1; how light a cell of such an area must be to become white


def whiten(color: Tensor, paper: Tensor, strong: bool = True) -> Tensor:
    """Whiten areas that reach the border and are mostly white, or only their pale cells.

    color: (B, 3, H, W) in [-1, 1]. paper: (B, 1, H, W), see `under_ink.spread`. strong: strong colors, too, where the
    area has more white; a background that is painted all over stays in any case.
    """
    darkest = (color.amin(1, keepdim=True) + 1) / 2
    rows = []  # for each cell, how much of its area is light, 0 on lines and in areas that do not reach the border
    for light, free in zip(darkest > LIGHT, paper > WALL, strict=True):
        numbers = areas(free)
        count = numbers.bincount().clamp(min=1)
        share = numbers.bincount(light[0].cpu().flatten().double(), minlength=len(count)) / count
        edge = numbers.view(free.shape[1:])
        at_border = torch.cat([edge[0], edge[-1], edge[:, 0], edge[:, -1]])
        outside = torch.zeros_like(share).index_fill(0, at_border, 1.0)
        outside[0] = 0  # lines
        rows.append((share * outside)[numbers].view(edge.shape))
    part = torch.stack(rows)[:, None].to(color)
    weight = smoothstep(part, *MOSTLY) * smoothstep(darkest, *PALE)
    if strong:
        weight = torch.maximum(weight, smoothstep(part, *SURELY))
    return torch.lerp(color, torch.ones_like(color), weight)


def areas(free: Tensor) -> Tensor:
    """Number the areas that lines leave, small openings taken for closed, 0 is line: (1, H, W) bool to (H W,)."""
    core = 1 - F.max_pool2d(1 - free.float()[None], 2 * BALL + 1, 1, BALL)
    labels = cv2.connectedComponents(core[0, 0].cpu().numpy().astype(np.uint8), connectivity=4)[1]
    found = torch.from_numpy(labels).float()[None, None]
    open_ = free.cpu().float()[None]
    for _ in range(BALL + 1):
        found = torch.where(found > 0, found, beside(found) * open_)
    return found.flatten().long()


SIDE = 256  # pixels of the longer side at which figures are sought
LARGE = 0.02  # share of the picture from which on an area in a corner is background
CORNER = 4  # cells a side of a corner
NEAR = 0.06  # of 1 a channel; how far the background's color may change from pixel to pixel
PLAUSIBLE = (0.03, 0.97)  # shares of a picture that a figure may have


def of_drawing(line: Tensor) -> Tensor | None:
    """Return where the figure of line art (1, 1, H, W) is, +1, and its background, -1; None if none is found.

    The background is the large areas that reach a corner without crossing a line; a figure that the border cuts off
    reaches none.
    """
    size = (line.shape[-2], line.shape[-1])
    small = F.interpolate(line, _small(size), mode="area")
    free = (small[0] + 1) / 2 > 0.5  # of 1; a lighter cell of a drawing is no wall
    numbers = areas(free).view(free.shape[1:])
    ends = (slice(0, CORNER), slice(-CORNER, None))
    corners = {n for rows in ends for columns in ends for n in numbers[rows, columns].flatten().tolist()}
    share = numbers.flatten().bincount().float() / numbers.numel()
    outside = [n for n in corners if n > 0 and share[n] >= LARGE]
    figure = ~torch.isin(numbers, torch.tensor(outside, dtype=numbers.dtype))
    return _mask(figure, size)


def of_picture(picture: Picture) -> Tensor | None:
    """Return the same for a color picture, by its alpha or by the color that runs along its border."""
    size = picture.size
    if picture.alpha is not None and picture.alpha.min() < picture.peak:
        solid = torch.from_numpy(picture.alpha.astype(np.float32) / picture.peak)
        return _mask(solid > 1 / 2, size)
    small = F.interpolate(picture.tensor(), _small(size), mode="area")
    pixels = ((small[0].permute(1, 2, 0).numpy() + 1) * 127.5).astype(np.uint8)
    height, width = pixels.shape[:2]
    seen = np.zeros((height + 2, width + 2), np.uint8)
    near = (round(255 * NEAR),) * 3
    pixels = np.ascontiguousarray(cv2.medianBlur(pixels, 3))
    for x, y in ((0, 0), (width - 1, 0), (0, height - 1), (width - 1, height - 1)):
        if not seen[y + 1, x + 1]:
            cv2.floodFill(pixels, seen, (x, y), (0, 0, 0), near, near, cv2.FLOODFILL_MASK_ONLY | 4)
    return _mask(torch.from_numpy(seen[1:-1, 1:-1] == 0), size)


def read(picture: Picture) -> Tensor:
    """Return a mask that is given as a picture, light where the figure is: (1, 1, H, W) in [-1, 1]."""
    return picture.on_white().tensor().mean(1, keepdim=True)


def _small(size: tuple[int, int]) -> tuple[int, int]:
    height, width = fit_size(size, SIDE, enlarge=False)
    return max(8, height), max(8, width)


def _mask(figure: Tensor, size: tuple[int, int]) -> Tensor | None:
    """Bring what is found to a size, unless it is nearly nothing or nearly all."""
    if not PLAUSIBLE[0] <= float(figure.float().mean()) <= PLAUSIBLE[1]:
        return None
    wide = F.interpolate(figure.float()[None, None], size, mode="bilinear", antialias=True)
    return 2 * wide - 1
