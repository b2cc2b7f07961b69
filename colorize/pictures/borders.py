"""Bring the regions of a small drawing up to its full size, along its lines. Knows nothing of colors."""

from __future__ import annotations

import cv2
import numpy as np

from colorize.pictures.regions import Array, Labels, Mask, grown

LEVELS = (
    0.95,
    0.9,
    0.8,
    0.7,
    0.6,
    0.5,
    0.4,
    0.3,
    0.2,
    0.1,
)  # shares of paper, filled in this order
STEPS = 2  # pixels that labels advance at every level but the first
SMOOTH = 5  # pixels a side of the majority at every doubling: no stairs where no line hides them
CLEAR = 5  # pixels a side of a small drawing around a place that is far from ink


def raised(labels: Labels, paper: Array) -> Labels:
    """Return labels at the size of the paper, none of them 0, that change under the lines only.

    labels: (h, w), 0 on ink, as many as 65535. paper: (H, W) in [0, 1], not smaller, 1 without ink.
    Sure pixels take the label of their place. The others are reached from them, bright pixels
    before dark ones, so that two regions meet where the line between them is darkest. Where
    regions meet on open paper, the border between them is smooth.
    """
    size, plain = paper.shape, grown(labels).astype(np.uint16)
    inked = (labels == 0).astype(np.uint8)
    far = ~cv2.dilate(inked, np.ones((CLEAR, CLEAR), np.uint8)).astype(bool)
    start = np.where(_nearest(far, size), _doubled(plain, size), _nearest(plain, size))
    start[~(_nearest(_sure(labels) | far, size) & (paper >= LEVELS[0]))] = 0
    steps = 2 * round(max(size) / max(labels.shape)) + 2
    for level in LEVELS:
        start = _filled(start, paper >= level, steps)
        steps = STEPS
    full = grown(start.astype(np.int32))
    return full if full.any() else np.ones_like(full)


def _sure(labels: Labels) -> Mask:
    """Pixels that no line crosses: all around them is of one region; or the best there are near."""
    values = labels.astype(np.float32)
    square = np.ones((3, 3), np.uint8)
    inner = (cv2.erode(values, square) == cv2.dilate(values, square)) & (labels > 0)
    near = cv2.dilate(inner.astype(np.uint8), square).astype(bool)
    return np.asarray(inner | ((labels > 0) & ~near), bool)


def _nearest(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Values at another size, each pixel that of its place."""
    kind = values.astype(np.uint8) if values.dtype == bool else values
    result = cv2.resize(kind, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    return result.astype(values.dtype)


def _doubled(labels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Labels enlarged by doublings, each followed by the median, which is the majority of two."""
    while max(labels.shape) < max(size):
        scale = min(2.0, max(size) / max(labels.shape))
        now = tuple(
            min(full, round(side * scale)) for side, full in zip(labels.shape, size, strict=True)
        )
        now = size if scale < 2 else now
        labels = cv2.medianBlur(_nearest(labels, (now[0], now[1])), SMOOTH)
    return _nearest(labels, size)


def _filled(start: np.ndarray, clear: Mask, reach: int) -> np.ndarray:
    """Labels grown over the paper by so many pixels, 0 where nothing arrives."""
    square = np.ones((3, 3), np.uint8)
    for _ in range(reach):
        empty = (start == 0) & clear
        start = np.where(empty, cv2.dilate(start, square), start)
    return start
