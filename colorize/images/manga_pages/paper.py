"""Tell paper from ink on a scanned page, and find what stays uncolored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from colorize.images.resize import fit_size

if TYPE_CHECKING:
    from colorize.images.manga_pages.panels import Panel

Gray = np.ndarray  # (H, W): uint8, uint16, or float in [0, 1]
Mask = np.ndarray  # (h, w) uint8

PAPER = 0.87  # of the paper's brightness; what is lighter is paper
INK = 0.55  # what is darker is ink, also a thin line that went pale by shrinking
BLACK = 0.2  # what is darker is solid black, as between the panels of some pages
OUTLINE = 7  # pixels, twice the width of a bubble's outline
LITTLE = 0.4  # of the best seen row; a row of which less is seen counts for less
WINDOW = 0.15  # of the longer side; shadows on scans are wider than this
DULLEST = 0.8  # of the brightest paper; what is darker everywhere around is no paper in shadow


@dataclass(frozen=True)
class PageMasks:
    """A page at working size: masks (h, w) of 0 and 255, and how much larger the page is, as (down, across).

    seen: what is no bubble. bare: how much of a gutter's length is paper at least; bubbles and figures cross
    gutters. narrowest: share of the longer side that gutters are wide at least.
    """

    paper: Mask
    ink: Mask
    black: Mask
    seen: Mask
    scale: tuple[float, float]
    bare: float = 0.8
    narrowest: float = 0.0

    @property
    def layers(self) -> np.ndarray:
        """Paper and ink outside of bubbles, and what is outside of bubbles: (h, w, 3)."""
        return np.asarray(np.dstack((self.paper & self.seen, self.ink & self.seen, self.seen)))


def shares(layers: np.ndarray) -> np.ndarray:
    """Share of paper, of ink, and of all but paper in what is seen, (n, 3) in [0, 1], of means (n, 3) of layers."""
    paper, ink, seen = layers.T
    enough = np.maximum(seen, LITTLE * max(float(seen.max(initial=0)), 1e-6))
    return np.asarray(np.stack((paper, ink, seen - paper), 1) / enough[:, None])


def page_masks(gray: Gray, side: int, bubbles: np.ndarray) -> PageMasks:
    """Return the masks of a page (H, W), whose longer side is at most `side` in them.

    gray: uint8, uint16, or float in [0, 1]; brightness is measured beside the paper around a place,
    so that dull paper and shadows do no harm.
    """
    height, width = gray.shape
    small = reduced(gray, side)
    share = small / brightness(small)
    levels = share > PAPER, share < INK, share < BLACK
    paper, ink, black = (np.where(at, 255, 0).astype(np.uint8) for at in levels)
    covered = cv2.resize(bubbles.astype(np.uint8), small.shape[::-1], interpolation=cv2.INTER_NEAREST)
    seen = np.where(cv2.dilate(covered, np.ones((OUTLINE, OUTLINE), np.uint8)) > 0, 0, 255)
    return PageMasks(paper, ink, black, seen.astype(np.uint8), (height / small.shape[0], width / small.shape[1]))


def reduced(gray: Gray, side: int) -> np.ndarray:
    """A page in [0, 1] whose longer side is at most `side`: (h, w)."""
    peak = 1.0 if gray.dtype.kind == "f" else float(np.iinfo(gray.dtype).max)
    size = fit_size(gray.shape, side, enlarge=False)
    small = gray if size == gray.shape else cv2.resize(gray, size[::-1], interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32) / np.float32(peak)


def brightness(small: np.ndarray) -> np.ndarray:
    """Brightness of the paper everywhere on a page in [0, 1]: (h, w), smooth, above 0."""
    best = max(float(np.quantile(small, 0.98)), 0.05)
    tiny = [max(1, side // 6) for side in small.shape]
    calm = cv2.resize(cv2.GaussianBlur(small, (0, 0), 1.0), tiny[::-1], interpolation=cv2.INTER_AREA)
    reach = max(3, round(WINDOW * max(tiny)) | 1)
    local = cv2.blur(cv2.dilate(calm, np.ones((reach, reach), np.uint8)), (reach, reach))
    local = np.clip(local, DULLEST * best, best).astype(np.float32)
    return np.asarray(cv2.resize(local, small.shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32)


REACH = 0.005  # of the page's longer side: so much gutter or bubble may lie inside of what was found
SOFT_EDGE = 2  # pixels where paper turns into ink, lighter than it, and darker; they are half of both
ISLAND = 64  # pixels; what is no larger and lies in the ink beside what was found belongs to it
EMPTY = 0.996  # of a panel that is paper if there is nothing in it to color
INSET = 0.9  # of a panel's width and height that is looked at for this, without its frame


def keep_mask(gray: Gray, panels: Sequence[Panel], bubbles: np.ndarray) -> np.ndarray:
    """Return where a page (H, W) stays as it is, (H, W): outside of its panels, and in its bubbles.

    Both are followed a little further, over paper and the ink around it, so that no color is left
    between a gutter and its frame, or between a bubble and its outline.
    """
    gutters = np.ones(gray.shape, np.uint8)
    for panel in panels:
        cv2.fillPoly(gutters, [np.floor(panel.polygon).astype(np.int32)], 0)
    share, side = gray / paper_level(gray), max(gray.shape)
    light = (share > INK).astype(np.uint8)
    reach = max(2, round(REACH * side))
    paper, black = (one.astype(np.uint8) for one in (share > PAPER, share < BLACK))
    ways = (paper, reach), (light, SOFT_EDGE), (1 - light, SOFT_EDGE), (black, reach)
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


def panel_mask(panel: Panel, share: float = 1.0) -> np.ndarray:
    """Which pixels of a panel's box are in it, (h, w); share: of its width and height, around its middle."""
    left, top, right, bottom = panel.box
    middle = panel.polygon.mean(0)
    polygon = middle + (panel.polygon - middle) * share - (left, top)
    mask: Mask = np.zeros((bottom - top, right - left), np.uint8)
    cv2.fillPoly(mask, [np.floor(polygon).astype(np.int32)], 1)
    return np.asarray(mask > 0)


def is_empty(gray: Gray, panel: Panel, kept: np.ndarray) -> bool:
    """Whether nothing but paper and what is kept is in a panel of a page (H, W)."""
    left, top, right, bottom = panel.box
    where = slice(top, bottom), slice(left, right)
    seen = gray[where][panel_mask(panel, INSET) & ~kept[where]]
    return bool((seen > PAPER * paper_level(gray)).sum() >= EMPTY * len(seen))


def paper_level(gray: Gray) -> float:
    """The level of a page's paper."""
    return float(np.quantile(gray[::8, ::8], 0.95))
