"""Put pictures on canvases of a given size or margin, and choose sizes that a network's stride divides."""

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


def placed(given: tuple[int, int], size: tuple[int, int]) -> Box:
    """Return the box of a picture that is enlarged or shrunk to fit a canvas, in its middle.

    given, size: height and width of the picture and of the canvas.
    """
    share = min(side / own for side, own in zip(size, given, strict=True))
    height, width = (max(1, int(own * share)) for own in given)
    return Box((size[1] - width) // 2, (size[0] - height) // 2, width, height)


def framed(picture: Tensor, size: tuple[int, int], paper: float = -1.0) -> tuple[Tensor, Box]:
    """Fit a picture (B, C, h, w) onto a canvas (B, C, H, W) of one value, and return where it lies."""
    box = placed((picture.shape[-2], picture.shape[-1]), size)
    fitted = F.interpolate(picture, (box.height, box.width), mode="bicubic", antialias=True)
    canvas = picture.new_full((*picture.shape[:2], *size), paper)
    cropped(canvas, box).copy_(fitted)
    return canvas, box


def cropped(picture: Tensor, box: Box) -> Tensor:
    """Return the part of a canvas (B, C, H, W) where a picture lies, without a copy."""
    rows, columns = (slice(box.top, box.top + box.height), slice(box.left, box.left + box.width))
    return picture[..., rows, columns]


def widened(picture: Tensor, margin: float, paper: float = 1.0) -> Tensor:
    """Put a picture (B, C, H, W) in the middle of a canvas `margin` times as wide and as high as itself.

    ColorizeDiffusion widens references by 1 to 2, so that their layout does not show in the result.
    Raises ColorizeError for a margin below 1.
    """
    if not margin >= 1:
        raise ColorizeError(f"the margin is {margin:g}", "take 1 or more, such as 1.5", code=2)
    width = picture.shape[-1]
    room = int(width * margin) - width
    return F.pad(picture, (room // 2, room - room // 2, 0, 0), value=paper)


def sized(given: tuple[int, int], side: int, multiple: int = 64) -> tuple[int, int]:
    """Return the height and width nearest to a picture's proportions at about side x side pixels.

    Both are multiples, and at least one of them. given: height and width of the picture.
    """
    share = side / sqrt(given[0] * given[1])
    height, width = (max(1, round(own * share / multiple)) * multiple for own in given)
    return height, width


def boarded(given: tuple[int, int], multiple: int = 64) -> tuple[tuple[int, int], Box]:
    """Return the smallest canvas of sides that are multiples, and the place of a picture in its middle.

    given: height and width of the picture, which keeps them.
    """
    height, width = (-(-own // multiple) * multiple for own in given)
    return (height, width), Box((width - given[1]) // 2, (height - given[0]) // 2, given[1], given[0])


def spread(given: tuple[int, int], side: int) -> tuple[int, int]:
    """Return the even height and width of a picture's proportions that cover about side x side pixels."""
    share = side / sqrt(given[0] * given[1])
    height, width = (max(8, 2 * round(own * share / 2)) for own in given)
    return height, width
