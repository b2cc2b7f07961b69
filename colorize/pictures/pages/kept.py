"""Find what of a page no color may touch: gutters and bubbles, up to the ink around them. Knows nothing of colors."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from colorize.pictures.pages.panels import Panel
from colorize.pictures.pages.sheet import BLACK, INK, PAPER, Gray, Mask

REACH = (
    0.005  # of the page's longer side: so much gutter or bubble may lie inside of what was found
)
SOFT = 2  # pixels where paper turns into ink, lighter than it, and darker; they are half of both
ISLAND = 64  # pixels; what is no larger and lies in the ink beside what was found belongs to it
EMPTY = 0.996  # of a panel that is paper if there is nothing in it to color
INSET = 0.9  # of a panel's width and height that is looked at for this, without its frame

Bools = np.ndarray


def kept(gray: Gray, panels: Sequence[Panel], bubbles: Bools) -> Bools:
    """Return where a page (H, W) stays as it is, (H, W): outside of its panels, and in its bubbles.

    Both are followed a little further, over paper and the ink around it, so that no color is left
    between a gutter and its frame, or between a bubble and its outline.
    """
    gutters = np.ones(gray.shape, np.uint8)
    for panel in panels:
        cv2.fillPoly(gutters, [corners(panel)], 0)
    share, side = gray / white(gray), max(gray.shape)
    light = (share > INK).astype(np.uint8)
    reach = max(2, round(REACH * side))
    paper, black = (one.astype(np.uint8) for one in (share > PAPER, share < BLACK))
    ways = (paper, reach), (light, SOFT), (1 - light, SOFT), (black, reach)
    if 2 * int((gutters & light).sum()) < int(gutters.sum()):  # the gutters are black
        sure = cv2.erode(gutters, np.ones((reach + 1,) * 2, np.uint8), borderValue=1)
        gutters = np.maximum(sure, gutters & (1 - light)).astype(np.uint8)
    else:
        gutters = _grown(gutters, ways)
    return np.asarray(_grown(bubbles.astype(np.uint8), ways) | gutters) > 0


def _grown(free: Mask, ways: Sequence[tuple[Mask, int]]) -> Mask:
    """What is free, and what is joined to it over each of the ways in turn, so many pixels far."""
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    for way, far in ways:
        for _ in range(far):
            free = np.maximum(free, cv2.dilate(free, cross) & way).astype(np.uint8)
    rest = (1 - free) & (1 - ways[-1][0])
    count, labels, stats, _ = cv2.connectedComponentsWithStats(rest, connectivity=4)
    island = np.zeros(count, np.uint8)
    island[np.unique(labels[cv2.dilate(free, cross) > 0])] = 1
    island &= stats[:, cv2.CC_STAT_AREA] <= ISLAND
    return np.asarray(free | island[labels], np.uint8)


def corners(panel: Panel) -> np.ndarray:
    """The corners of a panel as OpenCV draws them."""
    return np.asarray(np.floor(panel.polygon), np.int32)


def inside(panel: Panel, share: float = 1.0) -> Bools:
    """Which pixels of a panel's box are in it, (h, w); share: of its width and height, around its middle."""
    left, top, right, bottom = panel.box
    middle = panel.polygon.mean(0)
    polygon = middle + (panel.polygon - middle) * share - (left, top)
    mask: Mask = np.zeros((bottom - top, right - left), np.uint8)
    cv2.fillPoly(mask, [np.floor(polygon).astype(np.int32)], 1)
    return np.asarray(mask > 0)


def empty(gray: Gray, panel: Panel, kept: Bools) -> bool:
    """Whether nothing but paper and what is kept is in a panel of a page (H, W)."""
    left, top, right, bottom = panel.box
    where = slice(top, bottom), slice(left, right)
    seen = gray[where][inside(panel, INSET) & ~kept[where]]
    return bool((seen > PAPER * white(gray)).sum() >= EMPTY * len(seen))


def white(gray: Gray) -> float:
    """The level of a page's paper."""
    return float(np.quantile(gray[::8, ::8], 0.95))
