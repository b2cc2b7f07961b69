"""Draw an area of a page tight around the panel in it. Knows nothing of how it was found."""

from __future__ import annotations

import cv2
import numpy as np

from colorize.pictures.pages.cuts import Points, extent
from colorize.pictures.pages.sheet import Sheet, shares

FRAME = 0.5  # of a side's length that is ink, or at least no paper, where its panel begins
BEFORE = 0.97  # of the area before it that is paper
WHOLE, CROSSED = 0.8, 0.72  # the same for a frame that no figure hides: more may lie before it
DEEP = 0.08  # of the page's longer side, how far inside a frame is looked for
SPOTTED = 0.02  # of a side's length that is not paper where a panel without a frame begins
RIM = 4  # pixels inside of an outline in which its frame lies
SMALLEST = 0.05  # of the page's longer side that a panel measures


def fitted(area: Points, page: Sheet) -> Points | None:
    """Return the outline of what is in an area, or None for bare paper and slivers.

    A side lies on the first line inside of it that is mostly ink, else where paper ends.
    """
    for side in range(4):
        moved = _moved(np.roll(area, -side, 0), page)
        if moved is None:
            return None
        area = np.roll(moved, side, 0)
    sides = np.linalg.norm(area - np.roll(area, 1, 0), axis=1)
    return None if sides.min() < SMALLEST * max(page.paper.shape) else area


def support(area: Points, page: Sheet) -> float:
    """How much of an outline lies along ink, or at least along no paper, 0 to 1."""
    found, lengths = 0.0, 0.0
    for side in range(4):
        turned = np.roll(area, -side, 0)
        rows, length = _rows(turned, page)[:RIM], float(np.linalg.norm(turned[1] - turned[0]))
        found += length * max(float(rows[:, 1].max()), float(rows[:, 2].max()))
        lengths += length
    return found / lengths


def _moved(area: Points, page: Sheet) -> Points | None:
    """The area with its first side, from corner 0 to 1, moved inside."""
    rows = _rows(area, page)
    spotted = np.flatnonzero(rows[:, 2] > SPOTTED)
    if not len(spotted):
        return None
    deep = max(2, round(DEEP * max(page.paper.shape)))
    at = int(spotted[0]) if spotted[0] <= deep else 0
    before = np.cumsum(rows[:deep, 0])
    deeps = np.arange(len(before))
    edges = (rows[:deep, 1] >= FRAME) | (rows[:deep, 2] >= FRAME)
    bare = np.where(rows[:deep, 1] >= WHOLE, CROSSED, BEFORE) * deeps
    found = np.flatnonzero(edges & (before >= bare))
    if len(found):
        at = int(found[0])
    along = (area[1] - area[0]) / np.linalg.norm(area[1] - area[0])
    inward = np.array((-along[1], along[0]), np.float32)
    ends = (area[start] + at / max(float(leg @ inward), 1.0) * leg for start, leg in _legs(area))
    return np.array([*ends, area[2], area[3]], np.float32)


def _legs(area: Points) -> tuple[tuple[int, Points], tuple[int, Points]]:
    """The sides that the first side's ends move along."""
    return (0, area[3] - area[0]), (1, area[2] - area[1])


def _rows(area: Points, page: Sheet) -> Points:
    """Share of paper and of ink along lines parallel to the first side, from it inward: (n, 2) in [0, 1]."""
    height, width = extent(area)
    along = (area[1] - area[0]) / np.linalg.norm(area[1] - area[0])
    inward = np.array((-along[1], along[0]), np.float32)
    begin = area[0] + (along + inward - 1) / 2  # the middle of the first pixel
    turn = np.column_stack((along, inward, begin)).astype(np.float32)
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    masks = page.layers
    both = cv2.warpAffine(masks, turn, (width, height), flags=how, borderMode=cv2.BORDER_REPLICATE)
    return shares(cv2.reduce(both, 1, cv2.REDUCE_AVG, dtype=cv2.CV_32F)[:, 0])
