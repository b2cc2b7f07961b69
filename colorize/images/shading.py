"""Find light and shade in pictures, and screentone, by brightness alone."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from colorize.images.image import Picture

SIDE = 512  # longest side looked at: there fine screentone is gray and fine lines still show
STROKE = 7 / 256  # strokes of pencils and pens are narrower than this share of the longest side
INK, PAPER = 0.12, 0.93  # shades lie between these shares of the paper's brightness
SHADED = 0.011  # share of the picture that wide shades cover: 99 % of line art has less
FADED = 0.75  # paper in shadow keeps at least this share of its brightness


def is_shaded(gray: np.ndarray) -> bool:
    """Whether light and shade cover a picture: brightness (H, W) in [0, 1], a longer side of about SIDE pixels."""
    share = gray / paper_brightness(gray)
    return widest((share > INK) & (share < PAPER)) > SHADED


def widest(mask: np.ndarray) -> float:
    """Share of the picture left of a mask when all that is narrower than a stroke is removed."""
    width = max(3, round(STROKE * max(mask.shape)) | 1)
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width))
    left = cv2.erode(mask.astype(np.uint8), disk, borderType=cv2.BORDER_REPLICATE)
    return float(left.mean())


def paper_brightness(gray: np.ndarray, faded: float = FADED) -> np.ndarray:
    """Brightness of the empty paper everywhere: a smooth surface on top of the brightest pixels.

    gray: (H, W) in [0, 1]. faded: share of the brightness that paper in shadow keeps. Returns (H, W): a square
    polynomial, which can follow a shadow across a scan but not the outline of a light gray area.
    """
    calm = cv2.GaussianBlur(gray, (0, 0), 2.0)  # or noise would pass for brighter paper
    coarse = cv2.resize(cv2.dilate(calm, np.ones((9, 9), np.uint8)), (48, 48))
    rows, columns = np.mgrid[-1:1:48j, -1:1:48j]
    terms = np.stack([np.ones_like(rows), rows, columns, rows * columns, rows**2, columns**2], -1)
    level = np.full((48, 48), np.quantile(coarse[coarse > 0], 0.9) if coarse.any() else 0.0)
    for _ in range(6):
        inside = coarse > level - 0.03
        found, *_ = np.linalg.lstsq(terms[inside], coarse[inside], rcond=None)
        level = np.clip(terms @ found, faded * coarse.max(), 1)
    return np.asarray(np.maximum(cv2.resize(level, gray.shape[::-1]), 0.05))


PATCH = 7  # pixels a side in which a shade is even, where dots and strokes are not
EVEN = 0.05  # standard deviation of brightness there; grain of scans is less
PRINT_SEEN = 2048  # pixels a side that are looked at


def is_printed(picture: Picture) -> bool:
    """Tell whether a picture, at its full size, is lines, black areas and screentone on paper.

    Its brightness then has nothing to say about colors: paper between the dots of screentone is as white as any. Of a
    large picture the middle is looked at.
    """
    high, wide = (slice(max(0, (side - PRINT_SEEN) // 2), (side + PRINT_SEEN) // 2) for side in picture.size)
    alpha = None if picture.alpha is None else picture.alpha[high, wide]
    middle = replace(picture, pixels=picture.pixels[high, wide], alpha=alpha).on_white()
    gray = middle.pixels.mean(2, dtype=np.float32) / middle.peak
    level = max(float(np.quantile(gray[::4, ::4], 0.95)), 1e-3)
    share = np.asarray(gray / level, np.float32)
    if float((share > PAPER).mean()) < 0.3:  # of a printed page is paper, at least, counted between dots, too
        return False
    mean = cv2.blur(share, (PATCH, PATCH))
    spread = cv2.blur(share * share, (PATCH, PATCH)) - mean * mean
    even = (mean > INK) & (mean < PAPER) & (spread < EVEN**2)
    return float(even.mean()) < SHADED  # a printed page has less
