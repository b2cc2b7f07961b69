"""Choose sizes, and fit pictures onto canvases."""

from __future__ import annotations

from math import sqrt
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor

from colorize.errors import ColorizeError


class Box(NamedTuple):
    """Where on a canvas a picture lies, in pixels."""

    left: int
    top: int
    width: int
    height: int


def fit_size(size: tuple[int, ...], side: int, enlarge: bool = True) -> tuple[int, int]:
    """Return the height and width whose longer side is `side`, at least 1 each, in the proportions of a size.

    enlarge: if False, what is smaller keeps its size.
    """
    height, width = size
    scale = side / max(height, width)
    if scale >= 1 and not enlarge:
        return height, width
    return max(1, round(height * scale)), max(1, round(width * scale))


def centered(size: tuple[int, int], canvas: tuple[int, int]) -> Box:
    """Return the box of a picture in the middle of a canvas; both (height, width)."""
    return Box((canvas[1] - size[1]) // 2, (canvas[0] - size[0]) // 2, size[1], size[0])


def letterbox(picture: Tensor, side: int, mode: str) -> Tensor:
    """Fit a picture (B, C, H, W) in [-1, 1] into a white square (B, C, side, side), its longer side filling it.

    mode: "bilinear" or "bicubic", without aliasing.
    """
    size = fit_size(picture.shape[-2:], side)
    if size != tuple(picture.shape[-2:]):
        picture = F.interpolate(picture, size, mode=mode, antialias=True).clamp(-1, 1)
    return pad(picture, centered(size, (side, side)), (side, side))


def pad(picture: Tensor, box: Box, size: tuple[int, int], paper: float = 1.0) -> Tensor:
    """Lay a picture (B, C, h, w) at a box of a canvas (B, C, H, W) of one value."""
    right, below = size[1] - box.left - box.width, size[0] - box.top - box.height
    return F.pad(picture, (box.left, right, box.top, below), value=paper)


def crop(picture: Tensor, box: Box) -> Tensor:
    """Return the part of a canvas (B, C, H, W) where a picture lies, without a copy."""
    return picture[..., box.top : box.top + box.height, box.left : box.left + box.width]


def widen(picture: Tensor, margin: float, paper: float = 1.0) -> Tensor:
    """Put a picture (B, C, H, W) in the middle of a canvas `margin` times as wide as itself.

    ColorizeDiffusion widens references by 1 to 2, so that their layout does not show in the result.
    Raises ColorizeError for a margin below 1.
    """
    if not margin >= 1:
        raise ColorizeError(f"the margin is {margin:g}", "take 1 or more, such as 1.5", code=2)
    width = picture.shape[-1]
    room = int(width * margin) - width
    return F.pad(picture, (room // 2, room - room // 2, 0, 0), value=paper)


def multiple_size(size: tuple[int, int], multiple: int = 64) -> tuple[tuple[int, int], Box]:
    """Return the smallest canvas (H, W) of sides that are multiples, and the place of a picture in its middle."""
    height, width = (-(-own // multiple) * multiple for own in size)
    return (height, width), centered(size, (height, width))


def area_size(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Return the even height and width of a picture's proportions that cover about side x side pixels."""
    share = side / sqrt(size[0] * size[1])
    height, width = (max(8, 2 * round(own * share / 2)) for own in size)
    return height, width
