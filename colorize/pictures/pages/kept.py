"""Find what of a page no color may touch: gutters and bubbles, up to the ink around them. Knows nothing of colors."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from colorize.pictures.pages.panels import Panel
from colorize.pictures.pages.sheet import INK, PAPER, Gray, Mask

REACH = (
    0.003  # of the page's longer side: so much gutter or bubble may lie inside of what was found
)
EDGE = 2  # pixels of ink around gutters and bubbles that stay, too; the outermost are half paper
EMPTY = 0.996  # of a panel that is paper if there is nothing in it to color
INSET = 0.9  # of a panel's width and height that is looked at for this, without its frame

Bools = np.ndarray


def kept(gray: Gray, panels: Sequence[Panel], bubbles: Bools) -> Bools:
    """Return where a page (H, W) stays as it is, (H, W): outside of its panels, and in its bubbles.

    Both are followed a little further, through all that is lighter than ink, so that no color
    is left between a gutter and its frame, or between a bubble and its outline.
    """
    gutters = np.ones(gray.shape, np.uint8)
    for panel in panels:
        cv2.fillPoly(gutters, [corners(panel)], 0)
    reach = max(2, round(REACH * max(gray.shape)))
    light = (gray > INK * white(gray)).astype(np.uint8)
    if 2 * int((gutters & light).sum()) < int(gutters.sum()):  # the gutters are black
        sure = cv2.erode(gutters, np.ones((2 * reach + 1,) * 2, np.uint8), borderValue=1)
        gutters = np.maximum(sure, gutters & (1 - light)).astype(np.uint8)
        return np.asarray(_grown(bubbles.astype(np.uint8), light, reach) | gutters) > 0
    return _grown(np.where(bubbles, 1, gutters).astype(np.uint8), light, reach) > 0


def _grown(free: Mask, light: Mask, reach: int) -> Mask:
    """What is free, what is light and joined to it by light pixels, so many at most, and the edge of the ink around."""
    cross, open_ = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3)), np.maximum(light, free)
    for _ in range(reach):
        free = np.minimum(cv2.dilate(free, cross), open_).astype(np.uint8)
    for _ in range(EDGE):
        free = np.maximum(free, cv2.dilate(free, cross) & (1 - light)).astype(np.uint8)
    return free


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
