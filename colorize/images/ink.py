"""Tell a drawing's ink from its paper, and lay colors under its ink, some rows at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from colorize.images.flat_regions import Labels, nearest_region
from colorize.images.image import Picture, Pixels, row_strips
from colorize.images.resize import Array, resized

GAP = 0.004  # of the longer side; half of a gap in the lines around transparent paper
SHOWN = 0.01  # share of a drawing that is visible and light where alpha is not just the ink
COLORS = 32  # of hints in flats, at most
TINY = 12  # pixels; fewer of one color are no region


@dataclass(frozen=True)
class HintPixels:
    """The hinted pixels of a picture, which get exactly their hints' colors.

    place: (N,) pixel numbers in reading order, ascending. color: (N, C), the hints' colors. strength: how far pixels go
    from their own color to that, 0 to 1.
    """

    place: npt.NDArray[np.intp]
    color: Array
    strength: float = 1.0
    whole: npt.NDArray[np.bool_] | None = None

    def obeyed(self, labels: Labels, table: Array) -> tuple[Labels, Array]:
        """Let whole pixels belong to the nearest region of their color, or to a new one.

        labels: (H, W), the region of each pixel. table: (N, 3) in [0, 1], their colors. Returns both, changed.
        """
        if self.whole is None:
            return labels, table
        labels, rows = labels.copy(), list(table)
        place, wanted = self.place[self.whole], np.rint((self.color[self.whole] / 2 + 0.5) * 255)
        wrong = np.abs(wanted - np.rint(table[labels.ravel()[place]] * 255)).max(1) > 1
        colors, which, count = np.unique(wanted[wrong], axis=0, return_inverse=True, return_counts=True)
        for at in np.argsort(-count, kind="stable")[:COLORS]:  # of a soft brush only the most frequent colors
            right = np.zeros(labels.shape, bool)
            right.ravel()[place[~wrong & (np.abs(wanted - colors[at]).max(1) <= 1)]] = True
            mine = place[wrong][which.ravel() == at]
            if right.any():
                labels.ravel()[mine] = labels.ravel()[nearest_region(right).ravel()[mine]]
            elif count[at] >= TINY:
                labels.ravel()[mine] = len(rows)
                rows.append(np.asarray(colors[at] / 255, np.float32))
        return labels, np.array(rows, np.float32)


def on_paper(drawing: Picture) -> Picture:
    """The drawing on white where its transparency is paper, or colors laid there would be invisible.

    That is all of it if nothing that is visible is light, and else what lines enclose, unless most of the paper that
    they enclose is opaque: then a transparent place among it is a hole.
    """
    if drawing.alpha is None or drawing.alpha.min() == drawing.peak:
        return drawing
    light = drawing.pixels.min(2) > drawing.peak // 2
    shown = drawing.alpha > drawing.peak // 2
    if (light & shown).mean() <= SHOWN:
        return drawing.on_white()
    inside = ~shown & ~_outside(~shown)
    core = cv2.erode(inside.astype(np.uint8), np.ones((5, 5), np.uint8), borderValue=0)
    if core.mean() < SHOWN or inside.sum() < (light & shown & ~_outside(light & shown)).sum():
        return drawing
    soft = cv2.dilate(inside.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0  # and the edges of lines beside it
    paper = soft & ~_outside(~shown)
    white = drawing.on_white().pixels
    pixels = np.where(paper[..., None], white, drawing.pixels)
    return replace(drawing, pixels=pixels, alpha=np.where(paper, drawing.peak, drawing.alpha))


def _outside(mask: np.ndarray) -> np.ndarray:
    """What of a mask (H, W) is joined to the picture's border, not through the gaps of lines."""
    gap = 2 * max(1, round(GAP * max(mask.shape))) + 1
    square = np.ones((gap, gap), np.uint8)
    wide = cv2.erode(mask.astype(np.uint8), square, borderValue=1)
    labels = cv2.connectedComponents(np.pad(wide, 1, constant_values=1), connectivity=4)[1]
    found = (labels == labels[0, 0])[1:-1, 1:-1].astype(np.uint8)
    return np.asarray((cv2.dilate(found, square) > 0) & mask)


def paper_share(drawing: Picture, size: tuple[int, int]) -> Array:
    """Brightness of a drawing on white relative to its own paper: (H, W) in [0, 1]."""
    small, white = brightness(drawing, size)
    share = np.asarray(small, np.float32)
    share /= white
    return np.minimum(share, 1, out=share)


def brightness(drawing: Picture, size: tuple[int, int]) -> tuple[Pixels, np.float32]:
    """Brightness of a drawing on white, (H, W) of the drawing's depth, and that of its own paper."""
    light = drawing.pixels.min(2)
    if drawing.alpha is not None:
        for rows in row_strips(drawing.size):
            cover = drawing.alpha[rows].astype(np.uint32)
            light[rows] = (light[rows] * cover + drawing.peak * (drawing.peak - cover)) // drawing.peak
    small = cv2.resize(light, size[::-1], interpolation=cv2.INTER_AREA)
    del light
    return small, np.float32(max(float(np.quantile(small, 0.95)), 0.5 * drawing.peak))  # of yellow or gray paper


def strips(field: Array, size: tuple[int, int]) -> Iterator[tuple[slice, Array]]:
    """Enlarge a field bilinearly to a size, some rows at a time: (rows, (n, W, C))."""
    height, width = size
    for at in row_strips(size):
        place = (np.arange(at.start, at.stop, dtype=np.float32) + 0.5) * (len(field) / height)
        place = np.clip(place - 0.5, 0, len(field) - 1)
        low = place.astype(np.intp)
        part = (place - low)[:, None, None].astype(np.float32)
        high = np.minimum(low + 1, len(field) - 1)
        mixed = field[low] * (1 - part) + field[high] * part
        yield at, resized(mixed, (at.stop - at.start, width))


def colored_strips(field: Array, size: tuple[int, int], exact: HintPixels | None) -> Iterator[tuple[slice, Array]]:
    """Enlarge colors in [0, 1] as `strips` does, and set the hinted pixels."""
    share = exact and replace(exact, color=np.asarray(exact.color / 2 + 0.5, np.float32))
    return set_exact(strips(field, size), share)


def set_exact(colors: Iterable[tuple[slice, Array]], exact: HintPixels | None) -> Iterator[tuple[slice, Array]]:
    """Set the hinted pixels of a picture that comes in strips: rows and their colors (n, W, C)."""
    for at, color in colors:
        if exact is not None and exact.strength > 0:
            begin, end = at.start * color.shape[1], at.stop * color.shape[1]
            some = slice(*np.searchsorted(exact.place, (begin, end)))
            flat, where = color.reshape(-1, color.shape[2]), exact.place[some] - begin
            flat[where] += exact.strength * (exact.color[some] - flat[where])
            color = flat.reshape(color.shape)
        yield at, color


def painted(drawing: Picture, colors: Iterable[tuple[slice, Array]]) -> Pixels:
    """O - min(O) (1 - U): the paper's share of each pixel takes the color U, the ink stays.

    colors: rows and the color under the ink in them, (n, W, 3) in [0, 1], as `strips` yields them.
    """
    result = np.empty((*drawing.size, 3), drawing.pixels.dtype)
    for at, color in colors:
        old = drawing.pixels[at]
        paper = old.min(2, keepdims=True)
        taken = np.rint(paper * (1 - color)).astype(old.dtype)  # float32 holds 16 bits exactly
        result[at] = old - np.minimum(taken, paper)
    return result
