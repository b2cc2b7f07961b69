"""Choose one flat color for every region of a drawing."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from colorize.images.flat_regions import (
    Array,
    Labels,
    Mask,
    Numbers,
    Pull,
    balls,
    grown,
    merged,
    opened,
    renumbered,
    trapped,
)

ALIKE = 10.0  # Lab units; regions that touch without ink between them are one if no farther apart
OPEN = 60.0  # Lab units more for a region all of whose outline is open
VARIED = ((0.8, 14.0), (0.985, 35.0))  # shares of a scene, and Lab units from the median that the rest exceeds
CLOSE = 7.0  # Lab units from its flat, within which four fifths of a scene come
CALM = 1 / 100  # blur before posterizing, of the longer side
NEAR = 12.0  # Lab units; hints in one region that are nearer to each other are one color
CLEAR = 0.8  # share of paper of a pixel that is no ink
WHITE = 0.92  # a flat whose darkest channel is lighter is paper
TINY = 5e-5  # share of the picture; smaller regions take the color of a neighbor
HELD = 0.25  # share of a hint that lies in a region it is meant for


class Flats(NamedTuple):
    """labels: regions (h, w), from 1; 0 is ink. table: (N, 3) in [0, 1], the color of each number."""

    labels: Labels
    table: Array


def flats(
    field: Array,
    paper: Array,
    hints: Array | None = None,
    gap: float | None = None,
    whole: bool = False,
    scenes: bool = True,
) -> Flats:
    """Return the regions of a drawing and a flat color for each.

    field: (h, w, 3) in [0, 1], the color under the ink. paper: (h, w) in [0, 1], 1 without ink. hints: (h, w, 4), RGB
    in [0, 1] and a mask, above 0 where a user's hint lies; its color replaces that of its region, all of it. gap: the
    widest gap of a line that counts as closed, as a share of the longer side; None: 48/1024. whole: what lines close
    off is one region, of the color of its largest part; parts of different colors are regions only where they lie on
    white paper that is open to the border. Otherwise they are everywhere. scenes: without hints, divide a large region
    open to the border whose colors vary into a few flats. Nearly white regions become exactly white.
    """
    clear = paper >= CLEAR
    lab = _lab(field)
    tiny = _tiny(TINY * clear.size)
    pieces = trapped(clear, balls(gap))
    areas = opened(pieces, clear)
    parts = merged(merged(pieces, lab, lambda far, share, _: ALIKE + OPEN * share - far), lab, tiny)
    parts, groups = _posterized(parts, lab, hints) if scenes else (parts, np.arange(int(parts.max()) + 1))
    table = _medians(groups[parts], field, len(groups))[groups]
    table[table.min(1) >= WHITE] = 1
    main = _largest(parts, areas)
    divided = np.full(len(main), not whole)
    border = np.unique(np.concatenate([areas[0], areas[-1], areas[:, 0], areas[:, -1]]))
    divided[border] |= (table[main[border]] == 1).all(1) | (main[border] > pieces.max())
    number = np.arange(len(main), dtype=np.int64)
    white = border[(border > 0) & (table[main[border]] == 1).all(1)]
    number[white] = white.min(initial=len(main))  # paper at the border is one, though narrow beside a figure
    codes = np.where(divided[areas], parts, main[areas]) + number[areas] * len(table)
    used, labels = renumbered(codes)
    table = table[used % len(table)]
    if labels.any():  # regions that are too small join a neighbor even through ink
        labels = np.where(labels > 0, merged(grown(labels), lab, tiny), 0).astype(np.int32)
    return Flats(labels, table) if hints is None else Flats(*_hinted(labels, table, hints))


def _largest(parts: Labels, areas: Labels) -> Labels:
    """For every number of an area the number of the part that covers most of it."""
    count = int(parts.max()) + 1
    codes, place = renumbered(areas.astype(np.int64) * count + parts)
    pixels = np.bincount(place.ravel(), minlength=len(codes))
    order = pixels.argsort(kind="stable")
    found = np.zeros(int(areas.max()) + 1, np.int32)
    found[codes[order] // count] = codes[order] % count  # the last written is the largest
    return found


def closed(paper: Array, gap: float | None = None) -> Labels:
    """Number what lines close off, (h, w) from 1; 0 is ink. paper, gap: as `flats` takes them."""
    clear = paper >= CLEAR
    labels, even = opened(trapped(clear, balls(gap)), clear), np.zeros((*clear.shape, 1), np.float32)
    if labels.any():
        labels = np.where(labels > 0, merged(grown(labels), even, _tiny(TINY * clear.size)), 0).astype(np.int32)
    return labels


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
