"""Find the gutter that cuts an area of a page in two. Knows nothing of what is cut then.

An area is a quadrilateral; drawn as a rectangle, its straight gutters stay straight, and become
rows after shearing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from colorize.images.manga_pages.paper import Sheet, shares

Points = np.ndarray  # float32 (4, 2): x, y, from the upper left corner with the clock
Profile = np.ndarray

LEAN = 0.3  # a gutter rises or falls by at most this share of its area's width
LEANS = 41  # so many slopes are tried; odd, so that level is one of them
NEARBY = (-0.5, -0.25, 0.25, 0.5)  # of the way to the next slope; tried around the best ones
TRIED = 3  # so many of them
COLUMNS = 160  # that an area's width is shrunk to; sums along rows need no more
FRAMED = 0.58  # of its length that runs along a frame or another sharp edge, on either side
LOOSE = 0.3  # the same on one side, if both sides together have BOTH and the gutter is CLEAN; frames may be missing
BOTH, CLEAN = 1.0, 0.97
ALONE = 0.85  # of its length where something lies beside it, if that is on one side only, as beside white
SPOTLESS = 0.99  # of its length that is paper then
TEXTURE = 8  # rows beside a gutter in which a texture shows itself
SPECK = 0.2  # of a place that is no paper, if there is something
FAINT = 0.6  # what such a gutter's length counts
SURE = 0.8  # a score that needs no comparison
RELAXED = 0.6  # of FRAMED, for slopes that are only nearly right
OPEN = 0.015  # of its length at each end, where a gutter goes on and an area's frame would stop it
OPENED = 0.5  # of both ends that is open
HIDDEN = 0.6  # what a bubble there counts
WIDEST, LEAST = (0.065, 0.07)  # share of the page that gutters are wide, and areas are high, at most and at least
FAINTER = 0.9  # worth of an edge that is no line of ink
LINE = 3  # rows beside a gutter in which its frame's line lies


@dataclass(frozen=True)
class Cut:
    """A gutter from the left to the right of a rectangle.

    above, below: (y at the left, y at the right) of its edges, as shares of the height. width: its
    height in pixels. score: how sure it is.
    """

    above: tuple[float, float]
    below: tuple[float, float]
    width: float
    score: float


def best(page: Sheet, area: Points) -> Cut | None:
    """The best gutter from the left to the right side of an area of a page, or None."""
    longer = max(page.paper.shape)
    height, width = extent(area)
    if height < 2 * LEAST * longer or width < LEAST * longer:
        return None
    across = min(COLUMNS, width)
    seen = rectified(page.layers, area, (height, width))
    small = np.asarray(cv2.resize(seen, (across, height), interpolation=cv2.INTER_AREA), np.float32) / 255
    level = _level(small, 0, page, 1.0)
    if any(one.score > SURE for one in level):
        return max(level, key=lambda one: one.score)  # most gutters are level
    coarse = np.asarray(cv2.resize(small, (max(2, across // 3), height), interpolation=cv2.INTER_AREA))
    step = 2 * LEAN / (LEANS - 1)
    rough = [
        (one.score, lean)
        for lean in np.linspace(-LEAN, LEAN, LEANS)
        for one in _level(coarse, lean * width, page, RELAXED)
    ]
    tried = {lean for _, lean in sorted(rough)[-TRIED:]}
    near = {lean + step * part for lean in tried for part in (0, *NEARBY)}
    fine = [one for lean in sorted(near) for one in _level(small, lean * width, page, 1.0)]
    return max((*level, *fine), key=lambda one: one.score, default=None)


def extent(area: Points) -> tuple[int, int]:
    """Height and width of an area in pixels, each the mean of two sides."""
    sides = np.linalg.norm(area - np.roll(area, -1, 0), axis=1)
    return max(2, round(float(sides[1] + sides[3]) / 2)), max(2, round(float(sides[0] + sides[2]) / 2))


def rectified(seen: np.ndarray, area: Points, size: tuple[int, int]) -> np.ndarray:
    """An area of a picture drawn as a rectangle (h, w, C)."""
    height, width = size
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    turn = cv2.getPerspectiveTransform(area, corners)
    return np.asarray(cv2.warpPerspective(seen, turn, (width, height), flags=cv2.INTER_LINEAR), np.uint8)


def _level(seen: np.ndarray, rise: float, page: Sheet, share: float) -> list[Cut]:
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
        score = _one_sided(seen, rows, low, high) if spotless else _score(rows, low, high, share)
        if score > 0 and _opened(seen[low:high], end) >= OPENED:
            lean = np.array((-rise / 2, rise / 2))
            above, below = ((at + lean) / height for at in (low, high))
            cuts.append(Cut((above[0], above[1]), (below[0], below[1]), high - low, score))
    return cuts


def _strips(rows: Profile, page: Sheet) -> Iterator[tuple[int, int, bool]]:
    """Where rows (n, 3) are paper: first and last, excluded, and whether without a speck."""
    for least in (page.bare, SPOTLESS):
        steps = np.diff(np.concatenate(([0], rows[:, 0] >= least, [0])).astype(np.int8))
        for low, high in zip(np.flatnonzero(steps == 1), np.flatnonzero(steps == -1), strict=True):
            yield int(low), int(high), least == SPOTLESS


def _opened(strip: Profile, end: int) -> float:
    """How far the ends of a strip (n, w, 3) are paper all the way, so that no frame stops it."""
    columns = strip[..., 0].mean(0) + HIDDEN * (1 - strip[..., 2].mean(0))
    return float(columns[:end].min() + columns[-end:].min()) / 2


def _score(rows: Profile, low: int, high: int, share: float) -> float:
    """How sure a strip of paper between two rows is a gutter; 0 if it is none."""
    bare = float(rows[low:high, 0].max())
    sides = rows[max(0, low - LINE) : low], rows[high : high + LINE]
    weak, strong = sorted(_edge(side) for side in sides)
    loose = weak >= share * LOOSE and weak + strong >= BOTH and bare >= CLEAN
    return (weak + strong + bare) / 3 if weak >= share * FRAMED or loose else 0.0


def _one_sided(seen: np.ndarray, rows: Profile, low: int, high: int) -> float:
    """The same for a strip without a speck, of which one side alone tells that a panel ends there."""
    sides = rows[max(0, low - LINE) : low], rows[high : high + LINE]
    weak, strong = sorted(_edge(side) for side in sides)
    if strong >= ALONE:
        return (weak + strong + 1) / 3
    textures = seen[max(0, low - TEXTURE) : low], seen[high : high + TEXTURE]
    covered = [((one[..., 2] - one[..., 0]).max(0, initial=0) > SPECK).mean() for one in textures]
    return FAINT * float(max(covered)) if max(covered) >= ALONE else 0.0


def _edge(rows: Profile) -> float:
    """How much of a row beside a strip is frame, or at least no paper."""
    return max(float(rows[:, 1].max(initial=0)), FAINTER * float(rows[:, 2].max(initial=0)))


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
