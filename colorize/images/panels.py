"""Cut a manga page into its panels along its gutters.

A page is cut along its surest gutter, and so is each part, until none is left (recursive X-Y cut, Nagy and Seth 1984,
with gutters that may lean). A part is a quadrilateral; drawn as a rectangle, its straight gutters stay straight, and
become rows after shearing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal, NamedTuple

import cv2
import numpy as np

from colorize.images.page_masks import Gray, PageMasks, find_bubbles, page_masks, shares

Points = np.ndarray  # float32 (4, 2): x, y, from the upper left corner with the clock

SIDE = 900  # pixels of a page's longer side while its panels are sought
MOST = 24  # panels; more are rows of something else
STROKE = 0.007  # of the longer side; what is black and narrower is a pen's line and no gutter
CROSSED = 0.62  # of a black gutter's length that is black at least; white bubbles cross it
WIDENED = 1.5  # pixels by which panels on black are made larger
EDGE = 0.015  # of the longer side: the rim by which black gutters are recognized
DARK, PALE = (0.9, 0.8)  # of a rim that is black, or of what follows that is paper, if it is called so
SOFT = 2  # pixels where such a rim turns into paper
BAND = 0.08  # of a side, how far a scanner's black edge reaches at most
SURER = 0.07  # of a score; a gutter so much surer than one across it is cut first
WIDER = 1.3  # an upright gutter so much wider than a level one is cut first: columns of four panels
FULL = 0.55  # of the page that all panels cover together
EXTENT = 0.6  # of the page's height and width that they span

LEAN = 0.3  # a gutter rises or falls by at most this share of its area's width
LEANS = 41  # so many slopes are tried; odd, so that level is one of them
NEARBY = (-0.5, -0.25, 0.25, 0.5)  # of the way to the next slope; tried around the best ones
TRIED = 3  # so many of them
FRAMED = 0.58  # of its length that runs along a frame or another sharp edge, on either side
LOOSE = 0.3  # the same on one side, if both sides together have BOTH and the gutter is CLEAN; frames may be missing
BOTH, CLEAN = 1.0, 0.97
ALONE = 0.85  # of its length where something lies beside it, if that is on one side only, as beside white
SPOTLESS = 0.99  # of its length that is paper then
TEXTURE = 8  # rows beside a gutter in which a texture shows itself
SPECK = 0.2  # of a place that is no paper, if there is something
FAINT = 0.6  # what such a gutter's length counts
RELAXED = 0.6  # of FRAMED, for slopes that are only nearly right
OPEN = 0.015  # of its length at each end, where a gutter goes on and an area's frame would stop it
HIDDEN = 0.6  # what a bubble there counts
WIDEST, LEAST = (0.065, 0.07)  # share of the page that gutters are wide, and areas are high, at most and at least
FAINTER = 0.9  # worth of an edge that is no line of ink
LINE = 3  # rows beside a gutter in which its frame's line lies

FRAME = 0.5  # of a side's length that is ink, or at least no paper, where its panel begins
BEFORE = 0.97  # of the area before it that is paper
WHOLE, CROWDED = 0.8, 0.72  # the same for a frame that no figure hides: more may lie before it
DEEP = 0.08  # of the page's longer side, how far inside a frame is sought
SPOTTED = 0.02  # of a side's length that is not paper where a panel without a frame begins
RIM = 4  # pixels inside of an outline in which its frame lies
SLIVER = 0.05  # of the page's longer side that a panel measures

STRIP = 3.0  # height of a strip over its width, at least; it is looked at band by band
NARROW = 200  # pixels; a strip of less has nothing to tell apart
BAND_HEIGHTS = (0.7, 2.0)  # of the width; how high a band is at least and at most
EVEN = 0.04  # of the range from black to white, how far a row between bands may vary


@dataclass(frozen=True)
class Panel:
    """Where a panel is on its page, in pixels.

    polygon: (N, 2), x and y of its corners with the clock, frame included. box: left, top, right and bottom of the
    pixels that hold it, inside of the page, right and bottom excluded.
    """

    polygon: np.ndarray
    box: tuple[int, int, int, int]

    @property
    def area(self) -> float:
        """Pixels inside the polygon."""
        return float(cv2.contourArea(self.polygon))

    def lower(self, rows: int) -> Panel:
        """The panel, so many rows further down."""
        left, top, right, bottom = self.box
        return Panel(self.polygon + np.array((0, rows), np.float32), (left, top + rows, right, bottom + rows))


def bands(gray: Gray) -> list[slice]:
    """Cut a strip, as webtoons come, between its pictures: rows of bands no higher than a page.

    gray: (H, W), uint8, uint16 or float in [0, 1]. Returns one band for what is no strip.
    """
    height, width = gray.shape
    if height < STRIP * width or width < NARROW:
        return [slice(0, height)]
    peak = 1.0 if gray.dtype.kind == "f" else float(np.iinfo(gray.dtype).max)
    small = np.asarray(cv2.resize(gray, (min(width, 200), height), interpolation=cv2.INTER_AREA), np.float32)
    even = np.ptp(small, axis=1) <= EVEN * peak
    least, most = (max(1, round(share * width)) for share in BAND_HEIGHTS)
    cuts = [0]
    while height - cuts[-1] > most:
        low, high = cuts[-1] + least, min(cuts[-1] + most, height - least)
        ends = np.flatnonzero(np.diff(np.concatenate(([False], even[low:high], [False])).astype(np.int8)))
        gaps = ends.reshape(-1, 2)  # first row, and the one after the last
        middle = int(gaps[np.ptp(gaps, axis=1).argmax()].mean()) + low if len(gaps) else high
        cuts.append(min(middle, height - 1))
    return [slice(low, high) for low, high in pairwise([*cuts, height])]


def find_panels(
    gray: Gray, order: Literal["right", "left"] = "right", bubbles: np.ndarray | None = None, least: int = 2
) -> tuple[Panel, ...]:
    """Return the panels of a page in reading order, or one that is the whole page.

    gray: (H, W), uint8, uint16 or float in [0, 1]. order: the side that rows are read from. bubbles: (H, W), what
    `find_bubbles` returns, if it is known; they hide the gutters that they cross. least: number of panels; a page of
    fewer is whole. A splash page, a single drawing and a photo are one panel, and so is a page whose panels no gutter
    parts.
    """
    height, width = gray.shape
    whole = _panel(_corners(0, 0, width, height), (height, width))
    if min(height, width) < 64:  # pixels of a page's shorter side; below there is nothing to cut
        return (whole,)
    page = page_masks(gray, SIDE, find_bubbles(gray) if bubbles is None else bubbles)
    inside = _trimmed(page)
    black = inside is None
    if inside is None:
        page = replace(page, paper=page.black, ink=cv2.bitwise_not(page.black), bare=CROSSED, narrowest=STROKE)
        inside = _corners(0, 0, *page.paper.shape[::-1])
    areas = list(_parts(inside, page, order == "right"))
    if not least <= len(areas) <= MOST or not _fills(areas, page):
        return (whole,)
    if black:  # no frame hides a rim that is left white
        for area in areas:
            legs = (area - np.roll(area, step, 0) for step in (1, -1))
            area += WIDENED * sum(leg / np.maximum(np.linalg.norm(leg, axis=1, keepdims=True), 1) for leg in legs)
    zoom = np.array(page.scale[::-1], np.float32)
    return tuple(_panel(area * zoom, (height, width)) for area in areas)


def _trimmed(page: PageMasks) -> Points | None:
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


def _parts(given: Points, page: PageMasks, from_right: bool) -> Iterator[Points]:
    """The panels of an area in reading order."""
    area = _fitted(given, page)
    if area is None:
        return
    turned = np.roll(area, -1, 0)  # its right side is up: rows become columns, from the right
    level, upright = _best_cut(page, area), _best_cut(page, turned)
    by_row = upright is None  # where both cuts are possible, the surer one counts, else the wider one
    if level is not None and upright is not None:
        surer = level.score - upright.score
        by_row = surer > 0 if abs(surer) > SURER else upright.width <= WIDER * level.width
    if level is not None and by_row:
        halves = _halves(area, level)
    elif upright is not None:
        right, left = (np.roll(half, 1, 0) for half in _halves(turned, upright))
        halves = (right, left) if from_right else (left, right)
    else:
        yield area
        return
    for half in halves:
        yield from _parts(half, page, from_right)


def _halves(area: Points, cut: _Cut) -> tuple[Points, Points]:
    """What is above and below a gutter."""
    height, width = _extent(area)
    back = cv2.getPerspectiveTransform(_corners(0, 0, width, height), area)
    ends = [(x, y * height) for edge in cut.edges for x, y in zip((0, width), edge, strict=True)]
    a, b, c, d = cv2.perspectiveTransform(np.array([ends], np.float32), back)[0]
    return np.array((area[0], area[1], b, a), np.float32), np.array((c, d, area[2], area[3]), np.float32)


def _fills(areas: list[Points], page: PageMasks) -> bool:
    """Whether panels cover most of a page, and most of them have frames, as those of pages do."""
    size = page.paper.shape
    sizes = np.array([cv2.contourArea(area) for area in areas])
    extent = np.ptp(np.concatenate(areas), axis=0) / size[::-1]
    frames = []  # how much of each outline lies along ink, or at least along no paper
    for area in areas:
        turned = [np.roll(area, -side, 0) for side in range(4)]
        lengths = [float(np.linalg.norm(one[1] - one[0])) for one in turned]
        found = [length * float(_rows(one, page)[:RIM, 1:].max()) for one, length in zip(turned, lengths, strict=True)]
        frames.append(sum(found) / sum(lengths))
    framed = (np.array(frames) * sizes).sum() >= 0.56 * sizes.sum()  # of all outlines
    return bool(framed and sizes.sum() >= FULL * size[0] * size[1] and extent.min() >= EXTENT)


def _panel(polygon: Points, size: tuple[int, int]) -> Panel:
    """A panel inside of a page (H, W)."""
    limit = np.array(size[::-1], np.float32)
    polygon = np.clip(polygon, 0, limit).astype(np.float32)
    low, high = np.floor(polygon.min(0)), np.ceil(polygon.max(0))
    return Panel(polygon, (int(low[0]), int(low[1]), int(high[0]), int(high[1])))


class _Cut(NamedTuple):
    """A gutter from the left to the right of a rectangle."""

    edges: tuple[np.ndarray, np.ndarray]  # the upper and the lower one, each y at the left and right, of the height
    width: float  # pixels
    score: float  # how sure it is


def _best_cut(page: PageMasks, area: Points) -> _Cut | None:
    """The best gutter from the left to the right side of an area of a page, or None."""
    longer = max(page.paper.shape)
    height, width = _extent(area)
    if height < 2 * LEAST * longer or width < LEAST * longer:
        return None
    across = min(160, width)  # that an area's width is shrunk to; sums along rows need no more
    turn = cv2.getPerspectiveTransform(area, _corners(0, 0, width, height))
    seen = cv2.warpPerspective(page.layers, turn, (width, height), flags=cv2.INTER_LINEAR)
    small = np.asarray(cv2.resize(seen, (across, height), interpolation=cv2.INTER_AREA), np.float32) / 255
    level = _level(small, 0, page, 1.0)
    if any(one.score > 0.8 for one in level):  # a score that needs no comparison
        return max(level, key=lambda one: one.score)  # most gutters are level
    coarse = np.asarray(cv2.resize(small, (max(2, across // 3), height), interpolation=cv2.INTER_AREA))
    step = 2 * LEAN / (LEANS - 1)
    leans = np.linspace(-LEAN, LEAN, LEANS)
    rough = [(one.score, lean) for lean in leans for one in _level(coarse, lean * width, page, RELAXED)]
    tried = {lean for _, lean in sorted(rough)[-TRIED:]}
    near = {lean + step * part for lean in tried for part in (0, *NEARBY)}
    fine = [one for lean in sorted(near) for one in _level(small, lean * width, page, 1.0)]
    return max((*level, *fine), key=lambda one: one.score, default=None)


def _extent(area: Points) -> tuple[int, int]:
    """Height and width of an area in pixels, each the mean of two sides."""
    sides = np.linalg.norm(area - np.roll(area, -1, 0), axis=1)
    return max(2, round(float(sides[1] + sides[3]) / 2)), max(2, round(float(sides[0] + sides[2]) / 2))


def _level(seen: np.ndarray, rise: float, page: PageMasks, share: float) -> list[_Cut]:
    """The gutters of an area, drawn as a rectangle (h, w, 3), that fall by `rise` pixels from left to right.

    share: of the frames that are asked for.
    """
    height, width = seen.shape[:2]
    longer = max(page.paper.shape)
    if rise:
        shear = np.array([[1, 0, 0], [-rise / width, 1, rise / 2]], np.float32)
        seen = np.asarray(cv2.warpAffine(seen, shear, (width, height), flags=cv2.INTER_LINEAR))
    rows = shares(cv2.reduce(seen, 1, cv2.REDUCE_AVG)[:, 0])
    end = max(2, round(OPEN * width))
    least = LEAST * longer - abs(rise) / 2
    cuts = []
    for low, high, spotless in _strips(rows, page):
        wide = page.narrowest * longer <= high - low <= WIDEST * longer
        if low < least or high > height - least or not wide:
            continue
        columns = seen[low:high, :, 0].mean(0) + HIDDEN * (1 - seen[low:high, :, 2].mean(0))
        opened = float(columns[:end].min() + columns[-end:].min()) / 2  # the ends are paper, so that no frame stops it
        score = _score(seen, rows, low, high, None if spotless else share)
        if score > 0 and opened >= 0.5:  # of both ends that is open
            lean = np.array((-rise / 2, rise / 2))
            cuts.append(_Cut(((low + lean) / height, (high + lean) / height), high - low, score))
    return cuts


def _strips(rows: np.ndarray, page: PageMasks) -> Iterator[tuple[int, int, bool]]:
    """Where rows (n, 3) are paper: first and last, excluded, and whether without a speck."""
    for least in (page.bare, SPOTLESS):
        steps = np.diff(np.concatenate(([0], rows[:, 0] >= least, [0])).astype(np.int8))
        for low, high in zip(np.flatnonzero(steps == 1), np.flatnonzero(steps == -1), strict=True):
            yield int(low), int(high), least == SPOTLESS


def _score(seen: np.ndarray, rows: np.ndarray, low: int, high: int, share: float | None) -> float:
    """How sure a strip of paper between two rows is a gutter; 0 if it is none.

    share: of the frames that are asked for; None for a strip without a speck, where one side suffices as the end of a
    panel.
    """
    sides = rows[max(0, low - LINE) : low], rows[high : high + LINE]
    most = (side.max(0, initial=0) for side in sides)  # how much of a row beside it is frame, or at least no paper
    weak, strong = sorted(max(float(ink), FAINTER * float(other)) for _, ink, other in most)
    if share is not None:
        bare = float(rows[low:high, 0].max())
        loose = weak >= share * LOOSE and weak + strong >= BOTH and bare >= CLEAN
        return (weak + strong + bare) / 3 if weak >= share * FRAMED or loose else 0.0
    if strong >= ALONE:
        return (weak + strong + 1) / 3
    textures = seen[max(0, low - TEXTURE) : low], seen[high : high + TEXTURE]
    covered = [((one[..., 2] - one[..., 0]).max(0, initial=0) > SPECK).mean() for one in textures]
    return FAINT * float(max(covered)) if max(covered) >= ALONE else 0.0


def _fitted(area: Points, page: PageMasks) -> Points | None:
    """Return the outline of what is in an area, or None for bare paper and slivers.

    A side lies on the first line inside of it that is mostly ink, else where paper ends.
    """
    for side in range(4):
        moved = _moved(np.roll(area, -side, 0), page)
        if moved is None:
            return None
        area = np.roll(moved, side, 0)
    sides = np.linalg.norm(area - np.roll(area, 1, 0), axis=1)
    return None if sides.min() < SLIVER * max(page.paper.shape) else area


def _moved(area: Points, page: PageMasks) -> Points | None:
    """The area with its first side, from corner 0 to 1, moved inside."""
    rows = _rows(area, page)
    spotted = np.flatnonzero(rows[:, 2] > SPOTTED)
    if not len(spotted):
        return None
    deep = max(2, round(DEEP * max(page.paper.shape)))
    at = int(spotted[0]) if spotted[0] <= deep else 0
    before = np.cumsum(rows[:deep, 0])
    deeps = np.arange(len(before))
    bare = np.where(rows[:deep, 1] >= WHOLE, CROWDED, BEFORE) * deeps
    found = np.flatnonzero((rows[:deep, 1:].max(1) >= FRAME) & (before >= bare))
    at = int(found[0]) if len(found) else at
    _, inward = _axes(area)
    legs = (area[0], area[3] - area[0]), (area[1], area[2] - area[1])  # the sides that the first one's ends move along
    ends = (start + at / max(float(leg @ inward), 1.0) * leg for start, leg in legs)
    return np.array([*ends, area[2], area[3]], np.float32)


def _axes(area: Points) -> tuple[np.ndarray, np.ndarray]:
    """Directions along the first side of an area, and from it inward."""
    along = (area[1] - area[0]) / np.linalg.norm(area[1] - area[0])
    return along, np.array((-along[1], along[0]), np.float32)


def _rows(area: Points, page: PageMasks) -> Points:
    """Shares of paper and ink along lines parallel to the first side, from it inward: (n, 3) in [0, 1]."""
    height, width = _extent(area)
    along, inward = _axes(area)
    begin = area[0] + (along + inward - 1) / 2  # the middle of the first pixel
    turn = np.column_stack((along, inward, begin)).astype(np.float32)
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    both = cv2.warpAffine(page.layers, turn, (width, height), flags=how, borderMode=cv2.BORDER_REPLICATE)
    return shares(cv2.reduce(both, 1, cv2.REDUCE_AVG, dtype=cv2.CV_32F)[:, 0])
