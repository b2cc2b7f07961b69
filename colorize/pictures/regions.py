"""Divide a drawing into the regions between its lines, gaps taken for closed. Knows nothing of what fills them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.int64]
Labels = npt.NDArray[np.int32]
Array = npt.NDArray[np.float32]
Pull = Callable[["Graph", Numbers, Numbers, Array], Array]

BALLS = (24 / 1024, 12 / 1024, 6 / 1024, 3 / 1024, 1.5 / 1024)  # radii, of the longer side
ROUNDS = 12  # of merging; each joins regions with the best of their neighbors


def nearest(mask: Mask) -> Numbers:
    """Return for every pixel the flat index of the nearest pixel of a mask, (H, W)."""
    return _nearest(mask)[0]


def trapped(paper: Mask, balls: Sequence[float] = BALLS) -> Labels:
    """Number the regions of paper 1, 2, ...; 0 is ink. (H, W).

    paper: (H, W), True where there is no ink. balls: radii as shares of the longer side, from large
    to small. Trapped-ball segmentation (Zhang et al. 2009): a ball does not pass an opening narrower
    than itself, so a large area keeps together and ends at gaps of its lines; smaller balls then
    number what is left, and pieces too thin for any ball get a number each. The border is a wall, too:
    lines often end a little before it.
    """
    free, labels = paper.copy(), np.zeros(paper.shape, np.int32)
    for share in balls:
        radius = share * max(paper.shape)
        inside = _room(free) > radius
        if not inside.any():
            continue
        cores = cv2.connectedComponents(inside.astype(np.uint8), connectivity=4)[1]
        source, distance = _nearest(inside)
        ball = free & (distance <= radius)
        labels[ball] = cores.ravel()[source[ball]] + labels.max()
        free &= ~ball
    thin = cv2.connectedComponents(free.astype(np.uint8), connectivity=4)[1]
    labels[free] = thin[free] + labels.max()
    return labels


def grown(labels: Labels) -> Labels:
    """Return labels in which every 0 has the number of the nearest other pixel; all 0 stays so."""
    return labels.ravel()[nearest(labels > 0)] if labels.any() else labels


@dataclass(frozen=True)
class Graph:
    """Regions 0 to N - 1 and which of them touch; 0 is ink.

    area: pixels of each, (N,). color: mean of each, (N, C). pairs: (P, 2), each pair both ways.
    touch: pixels along which each pair touches, (P,). rim: pixels of each region's outline, (N,).
    """

    area: Array
    color: Array
    pairs: Numbers
    touch: Array
    rim: Array


def graph(labels: Labels, color: Array) -> Graph:
    """Measure regions and their contacts. labels: (H, W). color: (H, W, C), say Lab."""
    count, flat = int(labels.max()) + 1, labels.ravel()
    area = np.bincount(flat, minlength=count).astype(np.float32)
    sums = [np.bincount(flat, plane.ravel(), count) for plane in np.moveaxis(color, 2, 0)]
    first, second = (
        np.concatenate([one.ravel(), other.ravel()]).astype(np.int64)
        for one, other in ((labels[1:], labels[:, 1:]), (labels[:-1], labels[:, :-1]))
    )
    differ = first != second
    codes = np.concatenate([first * count + second, second * count + first])[np.tile(differ, 2)]
    codes, touch = np.unique(codes, return_counts=True)
    pairs = np.stack([codes // count, codes % count], 1)
    rim = np.bincount(pairs[:, 0], touch, count)
    mean = np.stack(sums, 1) / np.maximum(area, 1)[:, None]
    return Graph(
        area, mean.astype(np.float32), pairs, touch.astype(np.float32), rim.astype(np.float32)
    )


def merged(labels: Labels, color: Array, pull: Pull) -> Labels:
    """Join regions with the larger neighbor that pulls them most, until none pulls at all.

    pull(graph, small, large, share) tells how much each region of `large` (P,) pulls its neighbor
    in `small` (P,); not at all at 0 or below. share: how much of the outline of the small one the
    two have in common. Returns labels (H, W) with the numbers of the larger ones.
    """
    for _ in range(ROUNDS):
        known = graph(labels, color)
        small, large = known.pairs.T
        rank = np.lexsort((np.arange(len(known.area)), known.area)).argsort()
        strength = pull(known, small, large, known.touch / np.maximum(known.rim[small], 1))
        fits = (small > 0) & (large > 0) & (rank[small] < rank[large]) & (strength > 0)
        if not fits.any():
            break
        labels = _ends(len(known.area), small[fits], large[fits], strength[fits])[labels]
    return labels


def apart(known: Graph, one: Numbers, other: Numbers) -> Array:
    """Distance of the mean colors of regions, (P,)."""
    return np.asarray(np.linalg.norm(known.color[one] - known.color[other], axis=1), np.float32)


def _ends(count: int, small: Numbers, large: Numbers, strength: Array) -> Labels:
    """What number each region gets: of the end of its chain of strongest larger neighbors."""
    target = np.arange(count, dtype=np.int32)
    order = strength.argsort(kind="stable")  # the last written is the strongest
    target[small[order]] = large[order]
    while (target[target] != target).any():
        target = target[target]
    return target


def _room(free: Mask) -> Array:
    """Distance of every pixel to the nearest that is not free, or to the border."""
    walled = np.pad(free, 1).astype(np.uint8)
    return np.asarray(cv2.distanceTransform(walled, cv2.DIST_L2, 5)[1:-1, 1:-1], np.float32)


def _nearest(mask: Mask) -> tuple[Numbers, Array]:
    """The nearest pixels of a mask and their distances."""
    distance, found = cv2.distanceTransformWithLabels(
        (~mask).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    table: Numbers = np.zeros(int(found.max()) + 1, np.int64)
    table[found[mask]] = np.flatnonzero(mask)
    pixels: Numbers = table[found]
    return pixels, np.asarray(distance, np.float32)
