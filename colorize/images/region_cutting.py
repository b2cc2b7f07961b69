"""Cut drawings and gray pictures into regions for networks: closed between lines, or of one gray."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from colorize.images import flat_regions

SHARE = 0.14  # of the darkest ink; what is darker than that is a line, or the edge of one
DARKEST = 0.97  # quantile of the inked pixels that counts as the darkest ink
TINT = 0.4  # ink of the darkest paper
FAINTEST = 0.3  # ink that the darkest lines have at least, lest the paper's grain become lines
BALLS = (48 / 1024, *flat_regions.BALLS)  # large ones keep figures with open outlines from leaking
WIDE = 0.8  # times the thickness of a region, from which an opening is a passage and no gap
EDGE = 0.16  # in [-1, 1]; neighbors in a gray picture that differ by more have a wall between them


def cut(line: Tensor, most: int, step: int = 2) -> Tensor:
    """Number the regions of line art (B, 1, H, W) in [-1, 1] at 1 / step of its size, larger ones first.

    Returns (B, ceil(H / step), ceil(W / step)), from 0 to `most` - 1 at the highest; pixels of ink and of smaller
    regions belong to the nearest region that is numbered.
    """
    ink = (1 - line.float()) / 2
    if step > 1:
        ink = F.max_pool2d(ink, step, ceil_mode=True)
    return torch.stack([torch.from_numpy(_numbered(plane, most)) for plane in ink[:, 0].numpy()])


def walls(gray: Tensor) -> Tensor:
    """What lines are to line art, for gray pictures (B, 1, H, W): -1 where the gray changes, 1 elsewhere."""
    down = F.pad((gray[:, :, 1:] - gray[:, :, :-1]).abs(), (0, 0, 0, 1))
    right = F.pad((gray[..., 1:] - gray[..., :-1]).abs(), (0, 1))
    return torch.where(torch.maximum(down, right) > EDGE, -1.0, 1.0)


def inked(ink: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Which pixels (H, W) are lines; ink from 0 to 1. Pencil and gray ink count by what is darkest in them."""
    ink = ink - min(float(np.median(ink)), TINT)  # the paper may be gray
    some = ink[ink > 0.1]
    darkest = float(np.quantile(some, DARKEST)) if some.size else 1.0
    return ink >= SHARE * max(darkest, FAINTEST)


def passages(labels: npt.NDArray[np.int64], clear: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Join regions that open widely into each other; a gap of a line stays closed.

    labels: (H, W) from 0. clear: (H, W), pixels without ink. An opening is wide if it is at least WIDE times as long
    as the smaller one of both regions is thick. Returns for each region the number of what it belongs to.
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
        ends = _root(parent, code // count), _root(parent, code % count)
        parent[max(ends)] = min(ends)
    return np.array([_root(parent, at) for at in range(count)])


def _root(parent: npt.NDArray[np.int64], at: int) -> int:
    while parent[at] != at:
        at = int(parent[at])
    return at


def _numbered(ink: npt.NDArray[np.float32], most: int) -> npt.NDArray[np.int64]:
    """Regions of one plane of ink, the larger the lower the number."""
    labels = flat_regions.trapped(~inked(ink), BALLS)
    labels = flat_regions.grown(labels) if labels.any() else np.ones_like(labels)
    numbers, place, count = np.unique(labels, return_inverse=True, return_counts=True)
    rank = np.empty(len(numbers), np.int64)
    rank[np.argsort(-count, kind="stable")] = np.arange(len(numbers))
    ranked = rank[place].reshape(labels.shape)
    if len(numbers) > most:
        ranked = ranked.ravel()[flat_regions.nearest_region(ranked < most)].reshape(labels.shape)
    return np.asarray(ranked, np.int64)
