"""Cut drawings and gray pictures into regions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:  # see `image`
    from torch import Tensor

Mask = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.int64]
Labels = npt.NDArray[np.int32]
Array = npt.NDArray[np.float32]
Pull = Callable[[Array, Array, Array], np.ndarray]

T = TypeVar("T", bound=np.generic)

BALLS = (24 / 1024, 12 / 1024, 6 / 1024, 3 / 1024, 1.5 / 1024)  # radii, of the longer side


def balls(gap: float | None) -> tuple[float, ...]:
    """Return radii for `trapped` that close gaps of lines up to a share of the longer side; None: up to 48/1024."""
    if gap is None:
        return BALLS
    return (gap / 2, *(ball for ball in BALLS if ball < gap / 2)) if gap > 0 else ()


def nearest_region(mask: Mask) -> Numbers:
    """Return for every pixel the flat index of the nearest pixel of a mask, (H, W)."""
    return _nearest(mask, np.flatnonzero(mask))[0]


def trapped(paper: Mask, balls: Sequence[float] = BALLS) -> Labels:
    """Number the regions of paper 1, 2, ...; 0 is ink. (H, W).

    paper: (H, W), True where there is no ink. balls: radii as shares of the longer side, from large to small.
    Trapped-ball segmentation (Zhang et al. 2009): a ball does not pass an opening narrower than itself, so a large area
    keeps together and ends at gaps of its lines; smaller balls then number what is left, and pieces too thin for any
    ball get a number each. The border is a wall, too: lines often end a little before it.
    """
    free, labels = paper.copy(), np.zeros(paper.shape, np.int32)
    for share in balls:
        radius = share * max(paper.shape)
        walled = np.pad(free, 1).astype(np.uint8)  # the border is a wall, too
        inside = np.asarray(cv2.distanceTransform(walled, cv2.DIST_L2, 5)[1:-1, 1:-1]) > radius
        if not inside.any():
            continue
        cores = cv2.connectedComponents(inside.astype(np.uint8), connectivity=4)[1]
        core, distance = _nearest(inside, cores[inside])
        ball = free & (distance <= radius)
        labels[ball] = core[ball] + labels.max()
        free &= ~ball
    thin = cv2.connectedComponents(free.astype(np.uint8), connectivity=4)[1]
    labels[free] = thin[free] + labels.max()
    return labels


BAND, REACH = 2_000_000, 128  # pixels grown at once, of a picture of any size; rows above and below that are looked at


def grown(labels: npt.NDArray[T]) -> npt.NDArray[T]:
    """Return labels in which every 0 has the number of the nearest other pixel; all 0 stays so."""
    if not labels.any():
        return labels
    result, height, step = np.empty_like(labels), len(labels), max(1, BAND // labels.shape[1])
    for start in range(0, height, step):
        stop, reach, far = min(start + step, height), REACH, True
        while far:
            top, bottom = max(0, start - reach), min(height, stop + reach)
            part = labels[top:bottom]
            found, distance = _nearest(part != 0, part[part != 0])
            inner = slice(start - top, stop - top)
            far = bottom - top < height and float(distance[inner].max()) >= reach  # the nearest may be in other rows
            reach *= 4
        result[start:stop] = found[inner]
    return result


LEVELS = (0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)  # shares of paper, filled in this order
STEPS = 2  # pixels that labels advance at every level but the first
SMOOTH = 5  # pixels a side of the majority at every doubling: no stairs where no line hides them
CLEAR = 5  # pixels a side of a small drawing around a place that is far from ink


def raised(labels: Labels, paper: np.ndarray, white: np.float32 | float = 1.0) -> Labels:
    """Return labels at the size of the paper, none of them 0, that change under the lines only.

    labels: (h, w), 0 on ink, as many as 65535. paper: (H, W), not smaller, the brightness, `white` or more without ink.
    Sure pixels take the label of their place. The others are reached from them, bright pixels before dark ones, so that
    two regions meet where the line between them is darkest. Where regions meet on open paper, the border between them
    is smooth.
    """
    (height, width), plain, square = paper.shape, grown(labels).astype(np.uint16), np.ones((3, 3), np.uint8)
    far = ~cv2.dilate((labels == 0).astype(np.uint8), np.ones((CLEAR, CLEAR), np.uint8)).astype(bool)
    values = labels.astype(np.float32)  # sure: all around is of one region; or the best there is
    inner = (cv2.erode(values, square) == cv2.dilate(values, square)) & (labels > 0)
    sure = inner | ((labels > 0) & ~cv2.dilate(inner.astype(np.uint8), square).astype(bool))
    steps = [2 * round(max(paper.shape) / max(labels.shape)) + 2, *[STEPS] * (len(LEVELS) - 1)]
    smooth, full = _doubled(plain, (height, width)), np.empty((height, width), np.uint16)
    down = _at_size(np.arange(len(labels), dtype=np.uint16)[:, None], (height, 1))
    across = _at_size(np.arange(labels.shape[1], dtype=np.uint16)[None], (1, width))
    for start in range(0, height, rows := max(sum(steps), BAND // width)):
        top, end = max(0, start - sum(steps)), start + rows + sum(steps)  # labels come from no farther
        place, share = (down[top:end], across), paper[top:end] / np.float32(white)
        part = np.where(far[place], smooth[top:end], plain[place])
        part[~((sure | far)[place] & (share >= LEVELS[0]))] = 0
        for level, count in zip(LEVELS, steps, strict=True):
            for _ in range(count):
                np.copyto(part, cv2.dilate(part, square), where=(part == 0) & (share >= level))
        full[start : start + rows] = part[start - top :][:rows]
    del smooth
    full = grown(full)
    return full.astype(np.int32) if full.any() else np.ones(full.shape, np.int32)


def _at_size(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Values at another size, each pixel that of its place."""
    kind = values.astype(np.uint8) if values.dtype == bool else values
    result = cv2.resize(kind, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    return result.astype(values.dtype, copy=False)


def _doubled(labels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Labels enlarged by doublings, each followed by the median, which is the majority of two."""
    while max(labels.shape) < max(size):
        scale = min(2.0, max(size) / max(labels.shape))
        now = tuple(min(full, round(side * scale)) for side, full in zip(labels.shape, size, strict=True))
        now = size if scale < 2 else now
        labels = cv2.medianBlur(_at_size(labels, (now[0], now[1])), SMOOTH)
    return labels if labels.shape == size else _at_size(labels, size)


def merged(labels: Labels, color: Array, pull: Pull) -> Labels:
    """Join regions with the larger neighbor that pulls them most, until none pulls at all.

    labels: (H, W), 0 is ink. color: (H, W, C), say Lab. pull(far, share, area) says how much each pair of neighbors
    attracts, not at all at 0 or below. far: distance of their mean colors, (P,). share: how much of the outline of the
    smaller one they have in common. area: pixels of the smaller one. Returns labels with the numbers of the larger
    ones.
    """
    count, starts, lengths = int(labels.max()) + 1, *_runs(labels)
    which, totals = labels.ravel()[starts], np.add.reduceat(color.reshape(labels.size, -1), starts, dtype=np.float64)
    area: npt.NDArray[np.float64] = np.bincount(which, lengths, count).astype(np.float64)
    sums = np.stack([np.bincount(which, one, count) for one in totals.T], 1)
    small, large, contact = _contacts(labels, count)
    now = np.arange(count)  # the number that each region has become
    for _ in range(12):  # of merging; each joins regions with the best of their neighbors
        mean = (sums / np.maximum(area, 1)[:, None]).astype(np.float32)
        rim = np.bincount(small, contact, count)
        far = np.asarray(np.linalg.norm(mean[small] - mean[large], axis=1), np.float32)
        share = np.asarray(contact / np.maximum(rim[small], 1), np.float32)
        strength = np.asarray(pull(far, share, area[small].astype(np.float32)), np.float32)
        rank = np.lexsort((np.arange(count), area)).argsort()
        fits = (small > 0) & (large > 0) & (rank[small] < rank[large]) & (strength > 0)
        if not fits.any():
            break
        order = np.flatnonzero(fits)[strength[fits].argsort(kind="stable")]  # the last written is the strongest
        target = np.arange(count)
        target[small[order]] = large[order]
        while (target[target] != target).any():  # to the end of each chain of larger neighbors
            target = target[target]
        now = target[now]
        area = np.asarray(np.bincount(target, area, count), np.float64)
        sums = np.stack([np.bincount(target, one, count) for one in sums.T], 1)
        small, large, contact = _summed(target[small], target[large], contact, count)
    return now.astype(np.int32)[labels]


def _contacts(labels: Labels, count: int) -> tuple[Numbers, Numbers, Numbers]:
    """Pairs of touching numbers below `count`, each both ways, and along how many pixels they touch: (P,) each."""
    pairs = []
    for one, other in ((labels[1:], labels[:-1]), (labels[:, 1:], labels[:, :-1])):
        differ = one != other
        pairs.append(np.stack([one[differ], other[differ]]).astype(np.int64))
    first, second = np.concatenate(pairs, 1)
    both = np.concatenate([first, second]), np.concatenate([second, first])
    return _summed(*both, np.ones(2 * len(first), np.int64), count)


def _summed(first: Numbers, second: Numbers, contact: Numbers, count: int) -> tuple[Numbers, Numbers, Numbers]:
    """Pairs of different numbers, each once, with the sum of their contacts."""
    codes, where = np.unique((first * count + second)[first != second], return_inverse=True)
    total = np.bincount(where.ravel(), contact[first != second], len(codes)).astype(np.int64)
    return codes // count, codes % count, total


def renumbered(codes: Numbers) -> tuple[Numbers, Labels]:
    """Return the codes that occur, with 0 in any case, in ascending order, and the place of each pixel's (H, W)."""
    starts, lengths = _runs(codes)
    used, place = np.unique(np.append(codes.ravel()[starts], 0), return_inverse=True)
    return used, np.repeat(place.ravel()[:-1].astype(np.int32), lengths).reshape(codes.shape)


def _runs(codes: npt.NDArray[np.integer]) -> tuple[Numbers, Numbers]:
    """Starts and lengths of runs of one number in reading order, which are far fewer than pixels."""
    flat = codes.ravel()
    starts = np.append(0, np.flatnonzero(flat[1:] != flat[:-1]) + 1)
    return starts, np.diff(np.append(starts, len(flat)))


def _nearest(mask: Mask, values: npt.NDArray[T]) -> tuple[npt.NDArray[T], Array]:
    """For every pixel the value of the nearest pixel of a mask, and its distance: (H, W) each.

    values: of the pixels of the mask, in reading order.
    """
    distance, found = cv2.distanceTransformWithLabels(
        (~mask).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    if not len(values):
        return np.zeros(mask.shape, values.dtype), np.asarray(distance, np.float32)
    result = np.empty(mask.shape, values.dtype)
    for row, numbers in zip(result, found, strict=True):  # OpenCV numbers the mask's pixels in reading order from 1
        np.take(values, numbers - 1, out=row)
    return result, np.asarray(distance, np.float32)


SHARE = 0.14  # of the darkest ink; what is darker than that is a line, or the edge of one
DARKEST = 0.97  # quantile of the inked pixels that counts as the darkest ink
TINT = 0.4  # ink of the darkest paper
FAINTEST = 0.3  # ink that the darkest lines have at least, lest the paper's grain become lines
CUT_BALLS = (48 / 1024, *BALLS)  # large ones keep figures with open outlines from leaking
WIDE = 0.8  # times the thickness of a region, from which an opening is a passage and no gap
EDGE = 0.16  # in [-1, 1]; neighbors in a gray picture that differ by more have a wall between them


def cut(line: Tensor, most: int, step: int = 2) -> Tensor:
    """Number the regions of line art (B, 1, H, W) in [-1, 1] at 1 / step of its size, larger ones first.

    Returns (B, ceil(H / step), ceil(W / step)), from 0 to `most` - 1 at the highest; pixels of ink and of smaller
    regions belong to the nearest region that is numbered.
    """
    import torch
    import torch.nn.functional as F

    ink = (1 - line.float()) / 2
    if step > 1:
        ink = F.max_pool2d(ink, step, ceil_mode=True)
    cuts = []
    for plane in ink[:, 0].numpy():
        labels = trapped(~inked(plane), CUT_BALLS)
        labels = grown(labels) if labels.any() else np.ones_like(labels)
        numbers, place, count = np.unique(labels, return_inverse=True, return_counts=True)
        rank = np.empty(len(numbers), np.int64)
        rank[np.argsort(-count, kind="stable")] = np.arange(len(numbers))
        ranked = rank[place].reshape(labels.shape)
        if len(numbers) > most:
            ranked = ranked.ravel()[nearest_region(ranked < most)]
        cuts.append(torch.from_numpy(ranked))
    return torch.stack(cuts)


def walls(gray: Tensor) -> Tensor:
    """What lines are to line art, for gray pictures (B, 1, H, W): -1 where the gray changes, 1 elsewhere."""
    import torch
    import torch.nn.functional as F

    down = F.pad((gray[:, :, 1:] - gray[:, :, :-1]).abs(), (0, 0, 0, 1))
    right = F.pad((gray[..., 1:] - gray[..., :-1]).abs(), (0, 1))
    return torch.where(torch.maximum(down, right) > EDGE, -1.0, 1.0)


def inked(ink: Array) -> Mask:
    """Which pixels (H, W) are lines; ink from 0 to 1. Pencil and gray ink count by what is darkest in them."""
    ink = ink - min(float(np.median(ink)), TINT)  # the paper may be gray
    some = ink[ink > 0.1]
    darkest = float(np.quantile(some, DARKEST)) if some.size else 1.0
    return ink >= SHARE * max(darkest, FAINTEST)


def passages(labels: npt.NDArray[np.integer], clear: Mask) -> Numbers:
    """Join regions that open widely into each other; a gap of a line stays closed.

    labels: (H, W) from 0. clear: (H, W), pixels without ink. An opening is wide if it is at least WIDE times as long as
    the smaller one of both regions is thick. Returns for each region the number of what it belongs to.
    """
    first, second, length, thick = _openings(labels, clear)
    parent = np.arange(len(thick))
    wide = length >= WIDE * np.minimum(thick[first], thick[second])
    for pair in zip(first[wide], second[wide], strict=True):
        ends = parent[list(pair)]
        parent[parent == ends.max()] = ends.min()
    return parent


def opened(labels: Labels, clear: Mask) -> Labels:
    """Labels in which regions are one that open widely into each other, see `passages`; 0 is ink.

    Each joins the thicker one that it opens into most widely, again and again; crumbs in a gap of a line so fall to one
    of its sides and do not join both.
    """
    if not labels.any():
        return labels
    first, second, length, thick = _openings(grown(labels), clear)
    now = np.arange(len(thick))  # the number that each region has become
    for _ in range(12):  # of joining
        thin = thick[first] < thick[second]
        small, large = np.where(thin, first, second), np.where(thin, second, first)
        wide = np.flatnonzero(length >= WIDE * thick[small])
        if not wide.size:
            break
        order = wide[length[wide].argsort(kind="stable")]
        target = np.arange(len(thick))
        target[small[order]] = large[order]  # the last written is the widest
        while (target[target] != target).any():
            target = target[target]
        now = target[now]
        ends = np.sort(np.stack([target[first], target[second]]), axis=0)
        first, second, length = _summed(ends[0], ends[1], length, len(thick))
    return np.where(labels > 0, now[labels], 0).astype(np.int32)


def _openings(labels: npt.NDArray[np.integer], clear: Mask) -> tuple[Numbers, Numbers, Numbers, Array]:
    """Pairs of regions that open into each other, over how many pixels, and how thick every region is."""
    count, pairs = int(labels.max()) + 1, []
    edge = np.zeros(labels.shape, bool)
    for one, other, free in (
        (labels[1:], labels[:-1], clear[1:] & clear[:-1]),
        (labels[:, 1:], labels[:, :-1], clear[:, 1:] & clear[:, :-1]),
    ):
        differ = one != other
        edge[: differ.shape[0], : differ.shape[1]] |= differ
        both = np.stack([one[differ & free], other[differ & free]])
        pairs.append(np.sort(both, axis=0))
    both = np.concatenate(pairs, 1).astype(np.int64)
    codes, length = np.unique(both[0] * count + both[1], return_counts=True)
    room = np.pad(clear & ~edge, 1, constant_values=False).astype(np.uint8)
    thick = np.zeros(count, np.float32)  # of the type of the distances, or `maximum.at` takes ten times as long
    np.maximum.at(thick, labels.ravel(), 2 * cv2.distanceTransform(room, cv2.DIST_L2, 5)[1:-1, 1:-1].ravel())
    return codes // count, codes % count, length, thick
