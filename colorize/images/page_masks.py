"""Tell paper, ink and speech bubbles of a scanned page apart, and find what stays uncolored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from colorize.images.flat_regions import nearest_region
from colorize.images.ink import strips
from colorize.images.resize import fit_size

if TYPE_CHECKING:
    from colorize.images.panels import Panel

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

    seen: what is no bubble. bare: how much of a gutter's length is paper at least; bubbles and figures cross gutters.
    narrowest: share of the longer side that gutters are wide at least.
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

    gray: uint8, uint16, or float in [0, 1]; brightness is measured beside the paper around a place, so that dull paper
    and shadows do no harm.
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
BAND = 2_000_000  # pixels whose islands are sought at a time
ISLAND = 64  # pixels; what is no larger and lies in the ink beside what was found belongs to it
EMPTY = 0.996  # of a panel that is paper if there is nothing in it to color
INSET = 0.9  # of a panel's width and height that is looked at for this, without its frame


def keep_mask(gray: Gray, panels: Sequence[Panel], bubbles: np.ndarray) -> np.ndarray:
    """Return where a page (H, W) stays as it is, (H, W): outside of its panels, and in its bubbles.

    Both are followed a little further, over paper and the ink around it, so that no color is left between a gutter and
    its frame, or between a bubble and its outline.
    """
    gutters = np.ones(gray.shape, np.uint8)
    for panel in panels:
        cv2.fillPoly(gutters, [np.floor(panel.polygon).astype(np.int32)], 0)
    seen = tones(gray)
    reach = max(2, round(REACH * max(gray.shape)))
    if 2 * np.count_nonzero(seen[gutters > 0] >= LIGHT) < np.count_nonzero(gutters):  # the gutters are black
        sure = cv2.erode(gutters, np.ones((reach + 1,) * 2, np.uint8), borderValue=1)
        gutters = np.maximum(sure, gutters & (seen < LIGHT)).astype(np.uint8)
    else:
        gutters = _grown(gutters, seen, reach)
    return np.asarray(_grown(bubbles.astype(np.uint8), seen, reach) | gutters) > 0


def _grown(free: Mask, seen: Mask, reach: int) -> Mask:
    """What is free, and what is joined to it over paper, soft edges from light to dark, and black, in turn.

    seen: see `tones`. reach: how many pixels far over paper and over black.
    """
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    ways = ((WHITE, WHITE), reach), ((LIGHT, LIGHT), SOFT_EDGE), ((SOLID_BLACK, DARK), SOFT_EDGE)
    for (low, high), far in (*ways, ((SOLID_BLACK, SOLID_BLACK), reach)):
        way = cv2.inRange(seen, low, high)
        for _ in range(far):
            wider = cv2.dilate(free, cross)
            cv2.bitwise_and(wider, way, dst=wider)
            free = np.maximum(free, wider, out=wider)
    del way, wider
    near, grown, step = cv2.dilate(free, cross), free.copy(), max(1, BAND // free.shape[1])
    for start in range(0, len(free), step):  # numbers take many times the memory of a mask
        rows = slice(max(0, start - ISLAND), start + step + ISLAND)  # none that is small enough goes further
        rest = (1 - free[rows]) & (seen[rows] != SOLID_BLACK)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(rest, connectivity=4)
        island = np.zeros(count, np.uint8)
        island[labels[near[rows] > 0]] = 1
        island &= stats[:, cv2.CC_STAT_AREA] <= ISLAND
        grown[start : start + step] |= island[labels[start - rows.start :][:step]]
    return np.asarray(grown, np.uint8)


def panel_mask(panel: Panel, share: float = 1.0) -> np.ndarray:
    """Which pixels of a panel's box are in it, (h, w); share: of its width and height, around its middle."""
    left, top, right, bottom = panel.box
    middle = panel.polygon.mean(0)
    polygon = middle + (panel.polygon - middle) * share - (left, top)
    mask: Mask = np.zeros((bottom - top, right - left), np.uint8)
    cv2.fillPoly(mask, [np.floor(polygon).astype(np.int32)], 1)
    return np.asarray(mask > 0)


def is_empty(seen: Mask, panel: Panel, kept: np.ndarray) -> bool:
    """Whether nothing but paper and what is kept is in a panel of a page (H, W), see `tones`."""
    left, top, right, bottom = panel.box
    where = slice(top, bottom), slice(left, right)
    inner = seen[where][panel_mask(panel, INSET) & ~kept[where]]
    return bool((inner == WHITE).sum() >= EMPTY * len(inner))


SOLID_BLACK, DARK, LIGHT, WHITE = 0, 1, 2, 3  # tones: below BLACK, up to INK, up to PAPER, and above


def tones(gray: Gray) -> Mask:
    """Brightness of a page beside that of the paper around each place, in four steps from black to paper: (H, W)."""
    peak = 1.0 if gray.dtype.kind == "f" else float(np.iinfo(gray.dtype).max)
    level = brightness(reduced(gray, SIDE)) * np.float32(peak)
    seen = np.empty(gray.shape, np.uint8)
    for rows, paper in strips(level[..., None], gray.shape):
        share = gray[rows] / paper[..., 0]
        seen[rows] = (share >= BLACK) + (share > INK).astype(np.uint8) + (share > PAPER)
    return seen


POCKET = 0.012  # of the page's longer side, how near a pocket lies to a bubble and to its panel's frame
CLOSED = 0.25  # of an area that is pocket, from which it is closed off, and stays as the page
SEEDS = 32  # pixels of an area outside of its pockets, at least, to take their color from


def pockets(
    seen: Mask, mask: np.ndarray, bubbles: np.ndarray, inside: np.ndarray, side: int
) -> tuple[np.ndarray | None, np.ndarray]:
    """Return for the pockets between a panel's frame and its bubbles whose color they take, and which are closed off.

    seen, mask, bubbles, inside: (h, w) of a panel's box: see `tones`, what is colored, bubbles, and the
    panel. side: the page's longer one. The first is (h, w), for each pixel the flat number of another, or -1; None if
    there are none.
    """
    reach = 2 * max(2, round(POCKET * side)) + 1
    square = np.ones((reach, reach), np.uint8)
    near_frame, near_bubble = (
        cv2.dilate(one.astype(np.uint8), square, borderType=cv2.BORDER_CONSTANT, borderValue=value) > 0
        for one, value in ((~inside, 1), (bubbles, 0))
    )
    closed = np.zeros(mask.shape, bool)
    narrow = near_frame & near_bubble & mask
    if not narrow.any():
        return None, closed
    light = mask & (seen >= LIGHT)
    count, labels = cv2.connectedComponents(light.astype(np.uint8), connectivity=4)
    size, part = (np.bincount(labels[one], minlength=count) for one in (light, light & narrow))
    source = np.full(mask.shape, -1)
    for label in range(1, count):
        if part[label] > CLOSED * size[label] or size[label] - part[label] < SEEDS:
            closed |= (labels == label) & bool(part[label])
        elif part[label]:
            here = labels == label
            source[here & narrow] = nearest_region(here & ~narrow)[here & narrow]
    return source, closed


SIDE = 1200  # pixels of a page's longer side while bubbles are sought
GAPS = 3  # pixels; openings of an outline up to this are taken for closed
AREA = (0.0015, 0.15)  # share of the page that a bubble covers
INKED = (0.02, 0.4)  # share of a bubble that letters cover
SOLID = 0.78  # of the bubble's convex hull that it fills; spikes and tails cost a little
LETTER = (0.003, 0.04)  # of the page's longer side that letters are high and wide
LETTERS = 4  # spots at least; eyes and a mouth are fewer
BOXED, HOLLOW = 0.85, 0.7  # a window fills its rectangle at least so far, and is ink at most so far
WINDOWS = 0.4  # share of letters that may look like windows
ROW = 0.2  # of a letter's height, how far it stands off its row
NEAR = 2.1  # letters' sizes from one letter to the next
BESIDE = 0.5  # share of letters that have another one so near
MARGIN = 0.05  # of a bubble's width, its margin
FREE = 0.3  # of the ink elsewhere in a bubble that its margin may have; textures have as much
TIP = 0.025  # of the page's longer side that spikes go beyond what was found, at most
MOST = 1000  # letters; more are a texture
SMALL = 0.75  # of the ink inside that belongs to spots of a letter's size
MIDDLE = 0.6  # of half the width and height, how far the ink's center may be off a bubble's middle


def find_bubbles(gray: Gray) -> np.ndarray:
    """Return where a page's bubbles are, with the lettering in them and without their outlines: (H, W).

    gray: (H, W), uint8, uint16 or float in [0, 1].
    """
    small = reduced(gray, SIDE)
    share = small / brightness(small)
    paper = (share > PAPER).astype(np.uint8)
    core = cv2.erode(paper, np.ones((GAPS, GAPS), np.uint8), borderValue=1)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(core, connectivity=4)
    found = np.zeros(paper.shape, np.uint8)
    for label in range(1, count):
        left, top, width, height = stats[label, :4].tolist()
        large = AREA[0] * paper.size <= width * height <= 2 * AREA[1] * paper.size
        free = left > 0 and top > 0 and left + width < paper.shape[1] and top + height < paper.shape[0]
        if not (large and free and max(width, height) < 6 * min(width, height)):
            continue
        frame = (slice(max(0, top - GAPS), top + height + GAPS), slice(max(0, left - GAPS), left + width + GAPS))
        area = _filled(labels[frame] == label)
        if _bubble(area, paper[frame], max(paper.shape), paper.size):
            around, inside = (one(area, np.ones((GAPS, GAPS), np.uint8)) for one in (cv2.dilate, cv2.erode))
            found[frame] |= around & np.maximum(paper[frame], inside)
    return _enlarged(found, gray)


def find_captions(gray: Gray) -> np.ndarray:
    """Return where a page's tinted captions are, boxes of an even tone with letters in them: (H, W)."""
    small = reduced(gray, SIDE)
    share = small / brightness(small)
    soft = cv2.blur(share, (3, 3))  # without the paper's grain
    tone = ((soft > INK) & (soft <= PAPER)).astype(np.uint8)
    core = cv2.erode(tone, np.ones((GAPS, GAPS), np.uint8), borderValue=0)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(core, connectivity=4)
    found = np.zeros(tone.shape, np.uint8)
    for label in range(1, count):
        left, top, width, height, pixels = stats[label].tolist()
        box = slice(top, top + height), slice(left, left + width)
        if not AREA[0] * tone.size <= width * height <= AREA[1] * tone.size or pixels < width * height / 2:
            continue
        area = _filled(labels[box] == label)
        ink = (share[box] < INK).astype(np.uint8)
        if area.sum() >= BOXED * area.size and _bubble(area, 1 - ink, max(tone.shape), tone.size):
            found[box] |= area
    return np.asarray(cv2.resize(found, gray.shape[::-1], interpolation=cv2.INTER_NEAREST) > 0)


def find_lettering(gray: Gray, kept: np.ndarray) -> np.ndarray:
    """Return where letters stand outside of bubbles, in rows or columns, with what they enclose: (H, W).

    kept: (H, W), where they are of no interest.
    """
    small = reduced(gray, SIDE)
    ink = (small / brightness(small) < INK).astype(np.uint8)
    ink &= cv2.resize(kept.astype(np.uint8), small.shape[::-1], interpolation=cv2.INTER_NEAREST) == 0
    count, labels, stats, _ = cv2.connectedComponentsWithStats(ink, connectivity=8)
    large = stats[:, 2:4].max(1)
    low, high = (share * max(small.shape) for share in LETTER)
    (some,) = np.nonzero((large >= 2 * low) & (large <= 1.5 * high) & (np.arange(count) > 0))
    found = np.zeros(count, np.uint8)
    if LETTERS <= len(some) <= MOST:
        for along in (0, 1):
            found[some[_in_rows(stats[some][:, [along, 1 - along, 2 + along, 3 - along]])]] = 1
    around = cv2.dilate(_filled(found[labels]), np.ones((5, 5), np.uint8))
    return np.asarray(cv2.resize(around, gray.shape[::-1], interpolation=cv2.INTER_NEAREST) > 0)


def _in_rows(boxes: np.ndarray) -> np.ndarray:
    """Which boxes (n, 4) of start and top, length and height stand in rows of letters: (n,) bool."""
    start, top, length, height = boxes.T.astype(np.float32)
    end, bottom = start + length, top + height
    taller = np.maximum(height[:, None], height)
    level = (np.abs(top[:, None] - top) < ROW * taller) & (np.abs(bottom[:, None] - bottom) < ROW * taller)
    gap = np.maximum(start[:, None], start) - np.minimum(end[:, None], end)
    beside = level & (gap > -ROW * taller) & (gap < taller) | np.eye(len(boxes), dtype=bool)
    group = np.arange(len(boxes))
    for _ in range(len(boxes)):
        new = np.where(beside, group, len(boxes)).min(1)
        if (new == group).all():
            break
        group = new
    return np.asarray(np.bincount(group, minlength=len(boxes))[group] >= LETTERS)


def _filled(area: np.ndarray) -> Mask:
    """The area without holes, 0 and 1."""
    outlines, _ = cv2.findContours(area.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = np.zeros(area.shape, np.uint8)
    cv2.drawContours(filled, outlines, -1, 1, cv2.FILLED)
    return filled


def _bubble(area: Mask, paper: Mask, side: int, page: int) -> bool:
    """Whether a filled area of a page with `page` pixels is round, white, and has letters in its middle."""
    pixels = int(area.sum())
    hull = float(cv2.contourArea(cv2.convexHull(np.argwhere(area > 0)[:, ::-1].astype(np.int32))))
    if not AREA[0] * page <= pixels <= AREA[1] * page or pixels < SOLID * hull:
        return False
    ink = area & (1 - paper)
    amount = int(ink.sum())
    if not INKED[0] * pixels <= amount <= INKED[1] * pixels:
        return False
    margin = max(3, 2 * round(MARGIN * min(area.shape)) + 1)
    square = np.ones((margin, margin), np.uint8)
    inner = cv2.erode(area, square, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    textured = ink[(area > 0) & (inner == 0)].mean() / ink[area > 0].mean() > FREE  # about 1 for textures
    return not textured and _lettered(ink, area, side)


def _lettered(ink: Mask, area: Mask, side: int) -> bool:
    """Whether most of the ink in an area are spots of a letter's size, and many, around its middle."""
    solid = _filled(ink > 0)  # so that an eye is one spot
    count, labels, stats, places = cv2.connectedComponentsWithStats(solid, connectivity=8)
    amounts = np.bincount(labels[ink > 0], minlength=count)
    hollow = (stats[:, 4] >= BOXED * stats[:, 2] * stats[:, 3]) & (amounts < HOLLOW * stats[:, 4])  # empty boxes
    larger, pixels = stats[1:, 2:4].max(1, initial=0), stats[1:, 4]
    letters = (larger >= LETTER[0] * side) & (larger <= LETTER[1] * side)
    if not LETTERS <= letters.sum() <= MOST or hollow[1:][letters].mean() > WINDOWS:
        return False
    spots = places[1:][letters]
    apart = np.linalg.norm(spots[:, None] - spots[None], axis=2) + np.diag(np.full(len(spots), np.inf))
    if (apart.min(1) <= NEAR * np.median(larger[letters])).mean() < BESIDE:  # the eyes of a face lie apart
        return False
    small = int(pixels[larger <= LETTER[1] * side].sum())
    where = np.argwhere(area > 0)
    off = np.abs(np.argwhere(ink > 0).mean(0) - where.mean(0)) / (np.ptp(where, axis=0) / 2 + 1)
    return small >= SMALL * int(pixels.sum()) and bool(off.max() <= MIDDLE)


def _enlarged(found: Mask, gray: Gray) -> np.ndarray:
    """The bubbles at the page's own size: their border follows the page's own paper, into spikes and tails."""
    height, width = gray.shape
    square = np.ones((1, 1) if found.shape == gray.shape else (3, 3), np.uint8)
    sure_maybe = cv2.erode(found, square), cv2.dilate(found, square)
    inside, around = (cv2.resize(one, (width, height), interpolation=cv2.INTER_NEAREST) > 0 for one in sure_maybe)
    if not inside.any():
        return np.asarray(inside)
    paper = tones(gray) == WHITE
    _, parts = cv2.connectedComponents((inside | (around & paper)).astype(np.uint8), connectivity=4)
    bubbles = np.isin(parts, np.unique(parts[inside]))  # not what lies behind a thin outline
    # With the paper that goes on from bubbles and ends near them, as in a spike; none that leads out of one.
    reach = max(3, 2 * round(TIP * max(paper.shape)) + 1)
    near = cv2.dilate(bubbles.astype(np.uint8), np.ones((reach, reach), np.uint8))
    more = (paper & ~bubbles & (near > 0)).astype(np.uint8)
    count, labels = cv2.connectedComponents(more, connectivity=4)
    touching = cv2.dilate(bubbles.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3)))
    rim = near - cv2.erode(near, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0)
    ends = np.zeros(count, bool)
    ends[np.unique(labels[touching > 0])] = True
    ends[np.unique(labels[rim > 0])] = False
    ends[0] = False
    return np.asarray(bubbles | ends[labels])
