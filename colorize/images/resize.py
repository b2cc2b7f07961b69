"""Choose sizes, fit pictures onto canvases, and enlarge color fields along the lines and edges of large pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from colorize.errors import ColorizeError

if TYPE_CHECKING:  # see `image`
    from torch import Tensor


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
    import torch.nn.functional as F

    size = fit_size(picture.shape[-2:], side)
    if size != picture.shape[-2:]:
        picture = F.interpolate(picture, size, mode=mode, antialias=True).clamp(-1, 1)
    return pad(picture, centered(size, (side, side)), (side, side))


def pad(picture: Tensor, box: Box, size: tuple[int, int], paper: float = 1.0) -> Tensor:
    """Lay a picture (B, C, h, w) at a box of a canvas (B, C, H, W) of one value."""
    import torch.nn.functional as F

    right, below = size[1] - box.left - box.width, size[0] - box.top - box.height
    return F.pad(picture, (box.left, right, box.top, below), value=paper)


def crop(picture: Tensor, box: Box) -> Tensor:
    """Return the part of a canvas (B, C, H, W) where a picture lies, without a copy."""
    return picture[..., box.top : box.top + box.height, box.left : box.left + box.width]


def widen(picture: Tensor, margin: float, paper: float = 1.0) -> Tensor:
    """Put a picture (B, C, H, W) in the middle of a canvas `margin` times as wide as itself.

    ColorizeDiffusion widens references by 1 to 2, so that their layout does not show in the result. Raises
    ColorizeError for a margin below 1.
    """
    if not margin >= 1:
        raise ColorizeError(f"the margin is {margin:g}", "choose 1 or more, such as 1.5", code=2)
    import torch.nn.functional as F

    width = picture.shape[-1]
    room = int(width * margin) - width
    return F.pad(picture, (room // 2, room - room // 2, 0, 0), value=paper)


def multiple_size(size: tuple[int, int], multiple: int = 64) -> tuple[tuple[int, int], Box]:
    """Return the smallest canvas (H, W) of sides that are multiples, and the place of a picture in its middle."""
    height, width = (-(-own // multiple) * multiple for own in size)
    return (height, width), centered(size, (height, width))


def area_size(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Return the even height and width of a picture's proportions that cover about side x side pixels."""
    share = side / math.sqrt(size[0] * size[1])
    height, width = (max(8, 2 * round(own * share / 2)) for own in size)
    return height, width


Array = npt.NDArray[np.float32]
# Shares of color that pass from a pixel to the next, down, up, right and left: (n - 1, m), first axis swept along
_Gates = tuple[Array, Array, Array, Array]

PASSES = 2  # sweeps in both directions; Gastal and Oliveira use 3, no better here
REACH = 1.0  # cells of the field that a clean color spreads
DOUBTFUL = (0.5, 1.5)  # cells from a thin line, up to which a color is of either side, and from which it is of one
ENOUGH = 0.25  # of trust around a pixel, from which its color needs no correction
DOUBT = 1e-3  # trust in a cell that holds ink, which mixes the colors of both sides
WALL = 30.0  # strength of ink as a wall: leaving ink 0.2 darker leaves 0.4 % of the color
NOISE = 0.02  # differences of neighbors that are paper or sensor noise
EDGE = 0.03  # difference in lightness, of [0, 1], that leaves 1/e of the color
HALF, FULL = 0.5, 1.0  # of a correction: models place the sides of a line less surely than chroma
CALM = 4.0  # cells over which chroma evens out; takes the model's blotches off even surfaces
CHROMA_REACH = 0.7  # cells; lightness has no doubtful zone beside its edges


def under_ink(field: Array, paper: Array) -> Array:
    """Enlarge colors so that each side of a line gets its own color right up to the ink.

    field: (h, w, C). paper: (H, W) in [0, 1], 1 where there is no ink. Returns (H, W, C), within the range of the
    neighboring cells; a cubic enlargement farther than a cell from thin ink. Color enters ink freely and does not leave
    it, which closes both sides of a line and leaves no pale rim on it. After the domain transform of Gastal and
    Oliveira 2011, weighted by trust.
    """
    field = _no_larger(field, paper.shape)
    if field.shape[:2] == paper.shape:
        return field
    ink = 1 - paper
    cell = float(max(paper.shape[0] / field.shape[0], paper.shape[1] / field.shape[1]))
    size = max(3, round(1.5 * cell) | 1)  # cells; a wider line keeps its two sides apart without help
    broad = cv2.morphologyEx(ink, cv2.MORPH_OPEN, np.ones((size, size), np.uint8))
    clean = (ink - broad < 0.15).astype(np.uint8)  # ink of a pixel that stands out by this much belongs to a line
    distance = cv2.distanceTransform(clean, cv2.DIST_L2, 3)
    near, far = DOUBTFUL
    trust = np.square(np.clip((distance / cell - near) / (far - near), 0, 1)).clip(DOUBT).astype(np.float32)
    return _enlarged(field, trust, _walls(ink), REACH * cell, HALF)


def along_edges(field: Array, light: Array) -> Array:
    """Enlarge chroma so that it changes where lightness does, and is even where lightness is.

    field: (h, w, C). light: (H, W) in [0, 1]. Returns (H, W, C), within the range of the cells around. A guided filter
    (He et al. 2013) was worse than plain bilinear enlargement on drawings, where many colors share a lightness.
    """
    field = _no_larger(field, light.shape)
    small = resized(light[..., None], field.shape, cv2.INTER_AREA)[..., 0]
    field = _spread(field, _steps(small), CALM)
    if field.shape[:2] == light.shape:
        return field
    cell = float(max(light.shape[0] / field.shape[0], light.shape[1] / field.shape[1]))
    trust = np.full(light.shape, DOUBT, np.float32)
    return _enlarged(field, trust, _steps(light), CHROMA_REACH * cell, FULL)


def spread_between_lines(planes: Array, paper: Array, cells: float) -> Array:
    """Smooth planes (H, W, C) over some cells, but not across ink; paper: (H, W) in [0, 1], 1 without ink."""
    return _spread(planes, _walls(1 - paper), cells)


def resized(picture: Array, shape: tuple[int, ...], how: int = cv2.INTER_LINEAR) -> Array:
    """The picture (h, w, C) at another size (H, W, C), its channels kept even if there is one."""
    result = cv2.resize(picture, (shape[1], shape[0]), interpolation=how)
    return np.asarray(result, np.float32).reshape(shape[0], shape[1], -1)


def _no_larger(field: Array, shape: tuple[int, ...]) -> Array:
    """The field, shrunk where it has more cells than the picture has pixels."""
    size = (min(field.shape[0], shape[0]), min(field.shape[1], shape[1]))
    return field if size == field.shape[:2] else resized(field, size, cv2.INTER_AREA)


def _steps(light: Array) -> _Gates:
    """Gates that close where lightness changes, one way or the other."""
    down = np.exp(-np.abs(np.diff(light, axis=0)) / EDGE)
    right = np.ascontiguousarray(np.exp(-np.abs(np.diff(light, axis=1)) / EDGE).T)
    return down, down, right, right


def _walls(ink: Array) -> _Gates:
    """Gates that close where ink gets lighter, and are open where it gets darker."""

    def gate(drop: Array) -> Array:
        return np.asarray(np.exp(-WALL * np.maximum(drop - NOISE, 0)), np.float32)

    rows, columns = np.diff(ink, axis=0), np.ascontiguousarray(np.diff(ink, axis=1).T)
    return gate(-rows), gate(rows), gate(-columns), gate(columns)


def _enlarged(field: Array, trust: Array, gates: _Gates, sigma: float, gain: float) -> Array:
    """Cubic enlargement, spread within the gates where it is not trusted, and corrected once.

    The correction adds what the mean over each cell lacks of the cell's color, which gives small regions their full
    color. It is limited to the range of the neighbors, and to pixels that no trusted color reaches.
    """
    shape, square = trust.shape, np.ones((3, 3), np.uint8)
    low = resized(np.asarray(cv2.erode(field, square), np.float32).reshape(field.shape), shape)
    high = resized(np.asarray(cv2.dilate(field, square), np.float32).reshape(field.shape), shape)
    doubt = (1 - np.where(trust > DOUBT, trust, 0))[..., None]
    base = resized(field, shape, cv2.INTER_CUBIC)
    weighted = np.concatenate([base * trust[..., None], trust[..., None]], 2)
    spread = _spread(weighted, gates, sigma)
    result = base + doubt * (spread[..., :-1] / spread[..., -1:] - base)
    result = np.clip(result, low, high)
    lack = resized(field - resized(result, field.shape, cv2.INTER_AREA), shape)
    doubt *= 1 - np.minimum(spread[..., -1:] / ENOUGH, 1)
    result += gain * doubt * _spread(lack * doubt, gates, sigma / 2)
    return np.asarray(np.clip(result, low, high), np.float32)


def _spread(picture: Array, gates: _Gates, sigma: float) -> Array:
    """Smooth by recursion along columns and rows, but not through closed gates: (H, W, C)."""
    down, up, right, left = gates
    lines = _turned([np.asarray(one) for one in cv2.split(picture)])  # (W, C, H)
    for turn in range(PASSES):
        width = sigma * math.sqrt(3) * 2 ** (PASSES - 1 - turn) / math.sqrt(4**PASSES - 1)
        keep = np.float32(math.exp(-math.sqrt(2) / width))
        _sweep(lines, right * keep, left * keep)
        lines = _turned(lines.swapaxes(0, 1))  # (H, C, W)
        _sweep(lines, down * keep, up * keep)
        if turn < PASSES - 1:
            lines = _turned(lines.swapaxes(0, 1))
    return np.asarray(cv2.merge(list(lines.swapaxes(0, 1))), np.float32).reshape(picture.shape)


def _turned(planes: Sequence[np.ndarray] | Array) -> Array:
    """C planes (n, m), transposed as lines (m, C, n); several times as fast as NumPy's copy of all at once."""
    height, width = planes[0].shape
    lines = np.empty((width, len(planes), height), np.float32)
    for at, plane in enumerate(planes):
        cv2.transpose(plane, lines[:, at])
    return lines


def _sweep(lines: Array, forth: Array, back: Array) -> None:
    """Mix every line (n, C, m) with the one before it, then with the one after it, in place."""
    step = np.empty_like(lines[0])
    order = [(at - 1, at, forth[at - 1]) for at in range(1, len(lines))]
    order += [(at + 1, at, back[at]) for at in reversed(range(len(lines) - 1))]
    for source, target, gate in order:
        np.subtract(lines[source], lines[target], out=step)
        step *= gate
        lines[target] += step
