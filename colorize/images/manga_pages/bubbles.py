"""Find speech bubbles: closed areas of paper with lettering inside.

Letters are many small spots of ink in the middle of such an area; a face has few, a room large ones.
"""

from __future__ import annotations

import cv2
import numpy as np

from colorize.images.manga_pages.paper import PAPER, Gray, Mask, brightness, reduced

SIDE = 1200  # pixels of a page's longer side while bubbles are sought
GAPS = 3  # pixels; openings of an outline up to this are taken for closed
AREA = (0.0015, 0.15)  # share of the page that a bubble covers
INKED = (0.02, 0.4)  # share of a bubble that letters cover
SOLID = 0.78  # of the bubble's convex hull that it fills; spikes and tails cost a little
LETTER = (0.003, 0.04)  # of the page's longer side that letters are high and wide
LETTERS = 4  # spots at least; eyes and a mouth are fewer
BOXED, HOLLOW = 0.85, 0.7  # a window fills its rectangle at least so far, and is ink at most so far
WINDOWS = 0.4  # share of letters that may look like windows
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


def _filled(area: np.ndarray) -> Mask:
    """The area without holes, 0 and 1."""
    outlines, _ = cv2.findContours(area.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = np.zeros(area.shape, np.uint8)
    cv2.drawContours(filled, outlines, -1, 1, cv2.FILLED)
    return filled


def _bubble(area: Mask, paper: Mask, side: int, page: int) -> bool:
    """Whether a filled area of a page with `page` pixels is round, white, and has letters in its middle."""
    pixels = int(area.sum())
    outline = np.argwhere(area > 0)[:, ::-1].astype(np.int32)
    hull = float(cv2.contourArea(cv2.convexHull(outline)))
    if not AREA[0] * page <= pixels <= AREA[1] * page or pixels < SOLID * hull:
        return False
    ink = area & (1 - paper)
    amount = int(ink.sum())
    if not INKED[0] * pixels <= amount <= INKED[1] * pixels:
        return False
    margin = max(3, 2 * round(MARGIN * min(area.shape)) + 1)
    square = np.ones((margin, margin), np.uint8)
    inner = cv2.erode(area, square, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    if ink[(area > 0) & (inner == 0)].mean() / ink[area > 0].mean() > FREE:  # about 1 for textures
        return False
    return _lettered(ink, area, side)


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
    paper = gray > PAPER * float(np.quantile(gray[inside], 0.9))
    bubbles = inside | (around & paper)
    return np.asarray(bubbles | _tips(bubbles, paper))


def _tips(bubbles: np.ndarray, paper: np.ndarray) -> np.ndarray:
    """The paper (H, W) that goes on from bubbles and ends near them, as in a spike; none that leads out of one."""
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
    return np.asarray(ends[labels])
