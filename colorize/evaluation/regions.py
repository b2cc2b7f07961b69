"""Find the regions that the lines of a drawing enclose, and colors that run over those lines."""

from __future__ import annotations

from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt
from torch import Tensor

from colorize.images import color
from colorize.images.flat_regions import nearest_region

Mask = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.int64]
Plane = TypeVar("Plane", Mask, Labels)

PAPER = 0.6  # in [-1, 1]; lighter pixels of line art are paper, so thin gray lines still separate
GAP = 6 / 256  # of the side; openings of a line up to this width are taken for closed
WHITE = 0.94  # in [-1, 1]; a color is white if no channel is darker

NEAR = 4 / 256  # of the side; paper this far from a line still counts as next to it,
NEXT = 1.5  # as do the pixels adjacent to it, however small the picture
THICK = 12 / 256  # of the side; a wider line separates its regions too well to be judged
APART = 15.0  # ab units; regions whose colors are nearer than this cannot leak visibly
# Of the way from the own color to the one across the line. Blur goes at most halfway at a straight
# line, so a rule of "nearer to which color" would forgive it.
LEAKED = 1 / 3
SMALL = 32 / 256**2  # of the pixels; a smaller region has no color of its own
FEWEST = 64 / 256**2  # of the pixels; a share of fewer pixels next to lines means nothing
# Paper next to lines: regions (H, W), and per pixel (N,) its flat index, own region and the one across.
_Strip = tuple[Labels, Labels, Labels, Labels]


def connected(mask: Mask) -> Labels:
    """Number the 4-connected parts of a mask 1, 2, ...; 0 is outside. (H, W)."""
    return cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)[1].astype(np.int64)


def enclosed(drawing: Tensor) -> Labels:
    """Number the regions of paper that ink encloses, small gaps taken for closed; 0 is ink.

    drawing: (1, 1, H, W) in [-1, 1]. Returns (H, W).
    """
    paper = drawing[0, 0].numpy() >= PAPER
    reach = max(1, round(GAP * max(paper.shape) / 2))
    ball = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    core = cv2.erode(paper.astype(np.uint8), ball, borderType=cv2.BORDER_CONSTANT, borderValue=1)
    whole, cores = connected(paper), connected(core > 0)
    lost = ~np.isin(whole, whole[core > 0]) & paper  # too thin for the ball: a number of its own
    numbers: Labels = np.where(lost, whole + cores.max() + 1, cores)
    if numbers.any():  # the rest of the paper belongs to the region nearest to it
        numbers = np.where(paper, numbers.ravel()[nearest_region(numbers > 0)], 0)
    return numbers


def frame(values: Plane) -> Plane:
    """Return the pixels along the four sides, (4 S,)."""
    return np.concatenate([values[0], values[-1], values[:, 0], values[:, -1]])


def open_to_border(regions: Labels) -> Mask:
    """Return where regions reach the border of the picture; ink (0) never does. (H, W)."""
    reaches = np.zeros(regions.max() + 1, bool)
    reaches[frame(regions)] = True
    reaches[0] = False
    return reaches[regions]


def white_around(picture: Tensor) -> Mask:
    """Return the white of a color picture (1, 3, H, W) that is connected to its border, (H, W)."""
    return open_to_border(connected((picture[0].amin(dim=0) >= WHITE).numpy()))


def leak(result: Tensor, truth: Tensor, drawing: Tensor | None) -> float | None:
    """Return the share of paper next to lines that has a color from the region across the line.

    result, truth: (1, 3, H, W), drawing: (1, 1, H, W), line art, all in [-1, 1]. Returns 0 to 1, lower is better; None
    without a drawing, or if too few places can be judged. Let m and n be the median chroma ab of a pixel's own region
    (`enclosed`) and of the one across the nearest line, in the result. A pixel of chroma c leaks if <c - m, n - m> > |n
    - m|^2 / 3: it has gone a third of the way. Judged is paper within 4/256 of the side from ink, where |n - m| is 15
    or more, unless the truth leaks there, too: then the line separates no colors. Only chroma counts, since ink darkens
    the paper next to it. Flat regions score 0, and so does the truth.
    """
    strip = None if drawing is None else _next_to_lines(drawing)
    if strip is None:
        return None
    wrong, judged = _strayed(result, strip)
    judged &= ~_strayed(truth, strip)[0]
    if judged.sum() < max(1, FEWEST * strip[0].size):
        return None
    return float((wrong & judged).sum() / judged.sum())


def _next_to_lines(drawing: Tensor) -> _Strip | None:
    """Find the paper next to lines between two regions; None if no line separates any."""
    regions = enclosed(drawing)
    ink = regions == 0
    if ink.all() or not ink.any():
        return None
    side = max(regions.shape)
    cells: Labels = regions.ravel()[nearest_region(~ink)]  # ink belongs to the nearest region
    border, beyond = np.zeros(cells.shape, bool), np.zeros_like(cells)  # where cells meet inside the ink
    padded, (height, width) = np.pad(cells, 1, mode="edge"), cells.shape
    for down, right in ((1, 2), (2, 1), (1, 0), (0, 1)):  # the four neighbors
        neighbor = padded[down : down + height, right : right + width]
        meets = (cells != neighbor) & ink
        border |= meets
        beyond[meets] = neighbor[meets]
    if not border.any():
        return None
    middle = nearest_region(border)  # where two regions meet inside the nearest line
    met = cells.ravel()[middle]
    across = np.where(met == regions, beyond.ravel()[middle], met)
    near = max(NEXT, NEAR * side)
    strip = (_distance(nearest_region(ink)) <= near) & (regions > 0) & (across != regions)
    strip &= _distance(middle) <= near + THICK / 2 * side
    return regions, np.flatnonzero(strip), regions[strip], across[strip]


def _distance(places: Labels) -> npt.NDArray[np.float64]:
    """Return how many pixels each pixel lies from the one of this flat index, (H, W)."""
    down, right = np.indices(places.shape)
    distance: npt.NDArray[np.float64] = np.hypot(down - places // places.shape[1], right - places % places.shape[1])
    return distance


def _strayed(picture: Tensor, strip: _Strip) -> tuple[Mask, Mask]:
    """Return which pixels have the color from across, and which have two colors to choose from, (N,)."""
    regions, at, own, across = strip
    lab = color.rgb_to_lab(picture.detach().cpu().float().clamp(-1, 1))
    ab = lab[0, 1:].flatten(1).T.numpy()  # (H * W, 2)
    medians = np.full((regions.max() + 1, 2), np.nan, np.float32)
    order = np.argsort(regions, axis=None, kind="stable")
    ends = np.bincount(regions.ravel()).cumsum()
    for number in np.unique([own, across]):  # 0 is ink and has no strip
        inside = order[ends[number - 1] : ends[number]]
        if len(inside) >= SMALL * order.size:
            medians[number] = np.median(ab[inside], axis=0)
    here, there = medians[own], medians[across]
    apart = np.linalg.norm(here - there, axis=1)
    way = ((ab[at] - here) * (there - here)).sum(axis=1)
    # Regions too small for a color of their own are nan, and no comparison with nan is true.
    return way > LEAKED * apart**2, apart >= APART
