"""Cut drawings and gray pictures into regions, and choose one flat color for every region of a drawing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

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

BALLS = (24 / 1024, 12 / 1024, 6 / 1024, 3 / 1024, 1.5 / 1024)  # radii, of the longer side


def balls(gap: float | None) -> tuple[float, ...]:
    """Return radii for `trapped` that close gaps of lines up to a share of the longer side; None: up to 48/1024."""
    if gap is None:
        return BALLS
    return (gap / 2, *(ball for ball in BALLS if ball < gap / 2)) if gap > 0 else ()


def nearest_region(mask: Mask) -> Numbers:
    """Return for every pixel the flat index of the nearest pixel of a mask, (H, W)."""
    return _nearest(mask)[0]


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
        source, distance = _nearest(inside)
        ball = free & (distance <= radius)
        labels[ball] = cores.ravel()[source[ball]] + labels.max()
        free &= ~ball
    thin = cv2.connectedComponents(free.astype(np.uint8), connectivity=4)[1]
    labels[free] = thin[free] + labels.max()
    return labels


def grown(labels: Labels) -> Labels:
    """Return labels in which every 0 has the number of the nearest other pixel; all 0 stays so."""
    return labels.ravel()[nearest_region(labels > 0)] if labels.any() else labels


def merged(labels: Labels, color: Array, pull: Pull) -> Labels:
    """Join regions with the larger neighbor that pulls them most, until none pulls at all.

    labels: (H, W), 0 is ink. color: (H, W, C), say Lab. pull(far, share, area) says how much each pair of neighbors
    attracts, not at all at 0 or below. far: distance of their mean colors, (P,). share: how much of the outline of the
    smaller one they have in common. area: pixels of the smaller one. Returns labels with the numbers of the larger
    ones.
    """
    count, flat = int(labels.max()) + 1, labels.ravel()
    area = np.bincount(flat, minlength=count).astype(np.float64)
    sums = np.stack([np.bincount(flat, plane.ravel(), count) for plane in np.moveaxis(color, 2, 0)], 1)
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
        area = np.bincount(target, area, count)
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


def _nearest(mask: Mask) -> tuple[Numbers, Array]:
    """For every pixel the flat index of the nearest pixel of a mask, and its distance: (H, W) each."""
    distance, found = cv2.distanceTransformWithLabels(
        (~mask).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    table: Numbers = np.zeros(int(found.max()) + 1, np.int64)
    table[found[mask]] = np.flatnonzero(mask)
    return table[found], np.asarray(distance, np.float32)


ALIKE = 10.0  # Lab units; regions that touch without ink between them are one if no farther apart
OPEN = 60.0  # Lab units more for a region all of whose outline is open
VARIED = ((0.8, 14.0), (0.985, 35.0))  # shares of a scene, and Lab units from the median that the rest exceeds
CLOSE = 7.0  # Lab units from its flat, within which four fifths of a scene come
CALM = 1 / 100  # blur before posterizing, of the longer side
NEAR = 12.0  # Lab units; hints in one region that are nearer to each other are one color
CLEAR = 0.8  # share of paper of a pixel that is no ink
TINY = 5e-5  # share of the picture; smaller regions take the color of a neighbor
HELD = 0.25  # share of a hint that lies in a region it is meant for


class Flats(NamedTuple):
    """labels: regions (h, w), from 1; 0 is ink. table: (N, 3) in [0, 1], the color of each number."""

    labels: Labels
    table: Array


def flats(field: Array, paper: Array, hints: Array | None = None, gap: float | None = None) -> Flats:
    """Return the regions of a drawing and the median color of each.

    field: (h, w, 3) in [0, 1], the color under the ink. paper: (h, w) in [0, 1], 1 without ink. hints: (h, w, 4), RGB
    in [0, 1] and a mask, above 0 where a user's hint lies; its color replaces that of its region, all of it. Without
    hints, a large region open to the border whose colors vary is divided into a few flats. Nearly white regions become
    exactly white.
    """
    clear = paper >= CLEAR
    lab = _lab(field)
    tiny = _tiny(TINY * clear.size)
    labels = merged(trapped(clear, balls(gap)), lab, lambda far, share, _: ALIKE + OPEN * share - far)
    labels = merged(labels, lab, tiny)
    labels, groups = _posterized(labels, lab, hints)
    if labels.any():  # regions that are too small join a neighbor even through ink
        labels = np.where(labels > 0, merged(grown(labels), lab, tiny), 0).astype(np.int32)
    table = _medians(groups[labels], field, len(groups))[groups]
    table[table.min(1) >= 0.92] = 1  # a flat whose darkest channel is lighter is paper
    if hints is not None:
        labels, table = _hinted(labels, table, hints)
    return Flats(labels, table)


def closed(paper: Array, gap: float | None = None) -> Labels:
    """Number what lines close off, (h, w) from 1; 0 is ink. paper, gap: as `flats` takes them."""
    clear = paper >= CLEAR
    labels = opened(trapped(clear, balls(gap)), clear)
    if labels.any():
        even = np.zeros((*labels.shape, 1), np.float32)
        labels = np.where(labels > 0, merged(grown(labels), even, _tiny(TINY * clear.size)), 0).astype(np.int32)
    return labels


def opened(labels: Labels, clear: Mask) -> Labels:
    """Labels in which regions are one that open widely into each other, see `passages`; 0 is ink."""
    if not labels.any():
        return labels
    parent = passages(grown(labels).astype(np.int64), clear)
    return np.where(labels > 0, parent[labels], 0).astype(np.int32)


def _tiny(least: float) -> Pull:
    """All neighbors pull regions of fewer pixels, the most similar one most."""
    return lambda far, _, area: (area < least) / (1 + far)


def _posterized(labels: Labels, lab: Array, hints: Array | None) -> tuple[Labels, Numbers]:
    """Divide scenes into patches; return labels and the group, of one color, of each number.

    Regions that hints are meant for stay whole.
    """
    hinted: Numbers = np.zeros(0, np.int64)
    if hints is not None:
        whole = grown(labels)
        hinted = np.unique(whole[_meant(hints[..., 3] > 0, whole)]).astype(np.int64)
    tiny = _tiny(2e-3 * labels.size)  # the same for the patches of a posterized scene
    count = int(labels.max()) + 1
    groups = list(range(count))
    border = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    for number in np.setdiff1d(border[border > 0], hinted):
        inside = labels == number
        if inside.mean() < 0.05:  # share of the picture from which a region open to the border may be a scene
            continue
        far = np.linalg.norm(lab[inside] - np.median(lab[inside], 0), axis=1)
        if not any(np.quantile(far, share) > limit for share, limit in VARIED):  # many a little, or a few a lot
            continue
        shades = _shades(inside, lab)
        pieces = np.zeros_like(shades)  # connected ones of every shade
        for shade in range(1, int(shades.max()) + 1):
            part = cv2.connectedComponents((shades == shade).astype(np.uint8), connectivity=4)[1]
            pieces[part > 0] = part[part > 0] + pieces.max()
        # Patches join those like them, small ones any: no outlines of pale halos.
        patches = merged(pieces, lab, lambda far, share, area: np.maximum(ALIKE - far, tiny(far, share, area)))
        found: dict[int, int] = {}
        for at in np.unique(patches[inside]):
            where = patches == at
            shade = int(np.bincount(shades[where]).argmax())
            labels = np.where(where, len(groups), labels).astype(np.int32)
            groups.append(found.setdefault(shade, len(groups)))
    return labels, np.array(groups)


def _lab(rgb: Array) -> Array:
    """(h, w, 3) in [0, 1] as CIE L*a*b*, L* from 0 to 100."""
    lab = cv2.cvtColor(np.ascontiguousarray(rgb, np.float32), cv2.COLOR_RGB2LAB)
    return np.asarray(lab, np.float32)


def lab_of(colors: Array) -> Array:
    """Colors (N, 3) in [0, 1] as CIE L*a*b*."""
    return _lab(colors[None])[0] if len(colors) else colors


def _shades(inside: Mask, lab: Array) -> Labels:
    """Number the few colors of a region 1, 2, ...; 0 outside. K-means in Lab, the same every time."""
    sigma = CALM * max(inside.shape)
    weight = inside.astype(np.float32)
    calm = cv2.GaussianBlur(lab * weight[..., None], (0, 0), sigma)
    points = (calm / cv2.GaussianBlur(weight, (0, 0), sigma).clip(1e-6)[..., None])[inside]
    sample = np.ascontiguousarray(points[:: max(1, len(points) // 20_000)])
    centers = np.median(sample, 0)[None]
    stop = (cv2.TERM_CRITERIA_MAX_ITER | cv2.TERM_CRITERIA_EPS, 20, 0.5)
    (most, _), (nearly, strong) = VARIED
    while len(centers) < 6:  # flats of a scene at most
        far = _distance(sample, centers).min(1)
        if np.quantile(far, most) < CLOSE and np.quantile(far, nearly) < strong:
            break
        centers = np.vstack([centers, sample[far.argsort()[int(nearly * len(far))]]])
        start = _distance(sample, centers).argmin(1).astype(np.int32)[:, None]
        centers = cv2.kmeans(sample, len(centers), start, stop, 1, cv2.KMEANS_USE_INITIAL_LABELS)[2]
    result = np.zeros(inside.shape, np.int32)
    result[inside] = _distance(points, centers).argmin(1) + 1
    return result


def _distance(points: Array, centers: Array) -> Array:
    """Distances (n, k) of points (n, 3) from centers (k, 3)."""
    return np.stack([np.linalg.norm(points - one, axis=1) for one in centers], 1)


def _medians(labels: npt.NDArray[np.integer], field: Array, count: int) -> Array:
    """The median color of every number below `count`, white if it has no pixels: (count, 3)."""
    flat, values = labels.ravel(), field.reshape(-1, 3)
    order = flat.argsort(kind="stable")
    ends = np.searchsorted(flat[order], np.arange(count + 1))
    table = np.ones((count, 3), np.float32)
    for at, (start, end) in enumerate(pairwise(ends)):
        if end > start:
            table[at] = np.median(values[order[start:end]], 0)
    return table


def _hinted(labels: Labels, table: Array, hints: Array) -> tuple[Labels, Array]:
    """Give regions the colors of their hints; one with hints of several colors is divided.

    Its pixels then take the color of the nearest of its hints.
    """
    whole = grown(labels)
    mask = _meant(hints[..., 3] > 0, whole)
    rows = list(table)
    for number in np.unique(whole[mask]):
        inside, held = whole == number, mask & (whole == number)
        rgb = hints[held][:, :3]
        lab = lab_of(rgb)
        centers = lab[:1]
        while (far := _distance(lab, centers).min(1)).max() > NEAR:  # colors that are alike are one
            centers = np.vstack([centers, lab[far.argmax()][None]])
        which = _distance(lab, centers).argmin(1)
        marks = np.zeros(labels.shape, np.int32)
        marks[held] = which + len(rows)
        rows.extend(np.median(rgb[which == at], 0) for at in range(len(centers)))
        take = inside & (labels > 0)
        labels = np.where(take, grown(marks), labels).astype(np.int32)
    return labels, np.array(rows, np.float32)


def _meant(mask: Mask, labels: Labels) -> Mask:
    """A hint mask without what strokes only graze: less than a share of a stroke, and not its most."""
    count, strokes = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    kept = np.zeros_like(mask)
    for stroke in range(1, count):
        inside = strokes == stroke
        numbers, pixels = np.unique(labels[inside], return_counts=True)
        meant = numbers[(pixels >= HELD * pixels.sum()) | (pixels == pixels.max())]
        kept |= inside & np.isin(labels, meant)
    return kept


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


def passages(labels: Numbers, clear: Mask) -> Numbers:
    """Join regions that open widely into each other; a gap of a line stays closed.

    labels: (H, W) from 0. clear: (H, W), pixels without ink. An opening is wide if it is at least WIDE times as long as
    the smaller one of both regions is thick. Returns for each region the number of what it belongs to.
    """
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
    codes, length = np.unique(np.concatenate(pairs, 1).T @ (count, 1), return_counts=True)
    room = np.pad(clear & ~edge, 1, constant_values=False).astype(np.uint8)
    thick = np.zeros(count)
    np.maximum.at(thick, labels.ravel(), 2 * cv2.distanceTransform(room, cv2.DIST_L2, 5)[1:-1, 1:-1].ravel())
    parent = np.arange(count)
    for code in codes[length >= WIDE * np.minimum(thick[codes // count], thick[codes % count])]:
        ends = parent[[code // count, code % count]]
        parent[parent == ends.max()] = ends.min()
    return parent
