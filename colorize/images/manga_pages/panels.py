"""Cut a manga page into its panels along its gutters. Knows nothing of colors or of files.

A page is cut along its surest gutter, and so is each part, until none is left (recursive X-Y cut,
Nagy and Seth 1984, with gutters that may lean).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np

from colorize.images.manga_pages import cuts
from colorize.images.manga_pages.bubbles import find_bubbles
from colorize.images.manga_pages.cuts import Cut, Points, fitted, support
from colorize.images.manga_pages.paper import BLACK, INK, PAPER, Gray, Mask, Sheet, sheet

SIDE = 900  # pixels of a page's longer side while its panels are looked for
SMALLEST = 64  # pixels of a page's shorter side; below there is nothing to cut
MOST = 24  # panels; more are rows of something else
STROKE = 0.007  # of the longer side; what is black and narrower is a pen's line and no gutter
CROSSED = 0.62  # of a black gutter's length that is black at least; white bubbles cross it
WIDENED = 1.5  # pixels by which panels on black are made larger
EDGE = 0.015  # of the longer side: the rim by which black gutters are told
DARK, PALE = (0.9, 0.8)  # of a rim that is black, or of what follows that is paper, if it is called so
SOFT = 2  # pixels where such a rim turns into paper
BAND = 0.08  # of a side, how far a scanner's black edge reaches at most
SURER = 0.07  # of a score; a gutter so much surer than one across it is cut first
WIDER = 1.3  # an upright gutter so much wider than a level one is cut first: columns of four panels
SUPPORT = 0.56  # of the panels' outlines that are frames, or at least edges
FULL = 0.55  # of the page that all panels cover together
EXTENT = 0.6  # of the page's height and width that they span


@dataclass(frozen=True)
class Panel:
    """Where a panel is on its page, in pixels.

    polygon: (N, 2), x and y of its corners with the clock, frame included. box: left, top, right and
    bottom of the pixels that hold it, inside of the page, right and bottom excluded.
    """

    polygon: np.ndarray
    box: tuple[int, int, int, int]

    @property
    def area(self) -> float:
        """Pixels inside the polygon."""
        return float(cv2.contourArea(self.polygon))


def find_panels(
    gray: Gray, order: Literal["right", "left"] = "right", bubbles: np.ndarray | None = None
) -> tuple[Panel, ...]:
    """Return the panels of a page in reading order, or one that is the whole page.

    gray: (H, W), uint8, uint16 or float in [0, 1]. order: the side that rows are read from. bubbles:
    (H, W), what `find_bubbles` returns, if it is known; they hide the gutters that they cross. A splash
    page, a single drawing and a photo are one panel, and so is a page whose panels no gutter parts.
    """
    height, width = gray.shape
    whole = _panel(_corners(0, 0, width, height), (height, width))
    if min(height, width) < SMALLEST:
        return (whole,)
    page = sheet(gray, SIDE, find_bubbles(gray) if bubbles is None else bubbles)
    inside = _trimmed(page)
    black = inside is None
    if inside is None:
        page = replace(page, paper=page.black, ink=cv2.bitwise_not(page.black), bare=CROSSED, narrowest=STROKE)
        inside = _corners(0, 0, *page.paper.shape[::-1])
    areas = list(_parts(inside, page, order == "right"))
    if not 2 <= len(areas) <= MOST or not _fills(areas, page):
        return (whole,)
    if black:  # no frame hides a rim that is left white
        areas = [_widened(area) for area in areas]
    zoom = np.array(page.scale[::-1], np.float32)
    return tuple(_panel(area * zoom, (height, width)) for area in areas)


def _trimmed(page: Sheet) -> Points | None:
    """The page without black edges that a scanner left around its paper, or None if it is black between its panels.

    A page is black between its panels if its rim is black, unless paper lies inside of it on all four sides.
    """
    rim = max(2, round(EDGE * max(page.black.shape)))
    bands, black = [], []
    for turns in range(1, 5):  # right, bottom, left and top side come first
        dark, paper = (np.rot90(one, turns) / 255 for one in (page.black, page.paper))
        rows = dark.mean(1) > DARK
        band = int(np.argmin(rows)) + SOFT if rows[0] and not rows.all() else 0
        around = paper[band : band + rim, band : -band or None]
        edge = 0 < band < BAND * len(rows) and float(around.mean()) > PALE
        bands.append(band if edge else 0)
        black.append(float(dark[:rim].mean()) > DARK)
    if all(black) and not all(bands):
        return None
    height, width = page.paper.shape
    right, bottom, left, top = bands
    return _corners(left, top, width - right, height - bottom)


def _corners(left: float, top: float, right: float, bottom: float) -> Points:
    """The corners of a rectangle, from the upper left with the clock."""
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.float32)


def _parts(given: Points, page: Sheet, from_right: bool) -> Iterator[Points]:
    """The panels of an area in reading order."""
    area = fitted(given, page)
    if area is None:
        return
    turned = np.roll(area, -1, 0)  # its right side is up: rows become columns, from the right
    level, upright = cuts.best(page, area), cuts.best(page, turned)
    if level is not None and (upright is None or _before(level, upright)):
        halves = _halves(area, level)
    elif upright is not None:
        right, left = (np.roll(half, 1, 0) for half in _halves(turned, upright))
        halves = (right, left) if from_right else (left, right)
    else:
        yield area
        return
    for half in halves:
        yield from _parts(half, page, from_right)


def _before(level: Cut, upright: Cut) -> bool:
    """Whether a page is read row by row where both cuts are possible: the surer one, else the wider one counts."""
    if abs(level.score - upright.score) > SURER:
        return level.score > upright.score
    return upright.width <= WIDER * level.width


def _halves(area: Points, cut: Cut) -> tuple[Points, Points]:
    """What is above and below a gutter."""
    height, width = cuts.extent(area)
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    back = cv2.getPerspectiveTransform(corners, area)
    ends = [(x, y * height) for edge in (cut.above, cut.below) for x, y in zip((0, width), edge, strict=True)]
    a, b, c, d = cv2.perspectiveTransform(np.array([ends], np.float32), back)[0]
    above, below = (area[0], area[1], b, a), (c, d, area[2], area[3])
    return np.array(above, np.float32), np.array(below, np.float32)


def _widened(area: Points) -> Points:
    """The area with each side WIDENED pixels further outside."""
    before, after = (area - np.roll(area, step, 0) for step in (1, -1))
    outward = [leg / np.maximum(np.linalg.norm(leg, axis=1, keepdims=True), 1) for leg in (before, after)]
    return np.asarray(area + WIDENED * (outward[0] + outward[1]), np.float32)


def _fills(areas: list[Points], page: Sheet) -> bool:
    """Whether panels cover most of a page, and most of them have frames, as those of pages do."""
    size = page.paper.shape
    sizes = np.array([cv2.contourArea(area) for area in areas])
    corners = np.concatenate(areas)
    extent = (corners.max(0) - corners.min(0)) / size[::-1]
    frames = np.array([support(area, page) for area in areas])
    framed = (frames * sizes).sum() >= SUPPORT * sizes.sum()
    return bool(framed and sizes.sum() >= FULL * size[0] * size[1] and extent.min() >= EXTENT)


def _panel(polygon: Points, size: tuple[int, int]) -> Panel:
    """A panel inside of a page (H, W)."""
    limit = np.array(size[::-1], np.float32)
    polygon = np.clip(polygon, 0, limit).astype(np.float32)
    low, high = np.floor(polygon.min(0)), np.ceil(polygon.max(0))
    return Panel(polygon, (int(low[0]), int(low[1]), int(high[0]), int(high[1])))


REACH = 0.005  # of the page's longer side: so much gutter or bubble may lie inside of what was found
SOFT_EDGE = 2  # pixels where paper turns into ink, lighter than it, and darker; they are half of both
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
