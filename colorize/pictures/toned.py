"""Tell gray pictures with a tint, such as sepia prints and cyanotypes, from color pictures.

In a toned picture the tint depends on lightness alone: (a, b) = f(L) with a smooth f, so that two
pixels of one lightness have one color. Knows nothing of files, or of what is done with a picture.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch.nn.functional as F
from torch import Tensor

from colorize.pictures.color import rgb_to_lab

SIDE = 80  # longest side looked at: most of what JPEG does to colors is gone there
STEEP = 4.0  # Lab units of lightness between neighbors; along steeper edges colors are mixed
CALM = 0.25  # share of the picture that counts as calm in any case, the least steep
BLACK, WHITE = 4.0, 95.0  # tints are cut off beyond these lightnesses
FEWEST = 64  # calm pixels from which anything can be told
KNOTS = 5  # of f, which is linear between them
STIFF = 0.05  # weight of the bends of f, so that it is told where it is seen nowhere
FAINT, DEEP = 1.5, 45.0  # mean chroma of a tint at least; chroma of 99 % of the pixels at most
NEAR, FAR = 4.5, 6.5  # Lab units that 95 and 99 % of the calm pixels are off f at most
ANYWHERE = 0.7  # of the chroma of a tint, by which 98 % of all pixels are off f at most
BINS, SEEN, LEVELS = 40, 0.003, 5  # so many lightnesses of 40 are seen: hold this share of pixels
ONE_HUE, GRAY = 0.6, 8.0  # mean direction of chroma, 1 if all hues are equal; less chroma has none
LOW_KEY, BLUE = (
    42.0,
    -8.0,
)  # lightness that a tenth of a dark picture is above; mean b of a blue one


def toned(color: Tensor) -> bool:
    """Whether a picture is gray but for a tint that depends on lightness alone.

    color: (1, 3, H, W) in [-1, 1]. False for pictures without any tint, for those of a few flat
    areas, which have one color per lightness whatever they show, and for dark blue ones, which are
    rather taken at night or under water than cyanotypes.
    """
    height, width = color.shape[-2:]
    scale = min(1.0, SIDE / max(height, width))
    size = max(1, round(height * scale)), max(1, round(width * scale))
    lab = rgb_to_lab(F.interpolate(color, size, mode="area"))[0].cpu().double().numpy()
    light = lab[0]
    steep = cv2.dilate(light, np.ones((3, 3))) - cv2.erode(light, np.ones((3, 3)))
    inside = (light > BLACK) & (light < WHITE)
    calm = lab[:, inside & (steep <= max(STEEP, float(np.quantile(steep, CALM))))]
    if calm.shape[1] < FEWEST or not _tinted(calm):
        return False
    if np.quantile(light, 0.9) < LOW_KEY and calm[2].mean() < BLUE:
        return False
    tints = _curve(calm)
    near, far = np.quantile(_off(calm, tints), (0.95, 0.99))
    anywhere = np.quantile(_off(lab[:, inside], tints), 0.98)
    depth = np.quantile(np.hypot(calm[1], calm[2]), 0.99)
    return bool(near <= NEAR and far <= FAR and anywhere <= max(FAR, ANYWHERE * depth))


def _tinted(calm: np.ndarray) -> bool:
    """Whether pixels (3, N) have the chroma of a tint, about one hue, and many lightnesses."""
    chroma = calm[1] + 1j * calm[2]
    strength = np.abs(chroma)
    strong = chroma[strength > GRAY]
    counts = np.bincount((calm[0] * (BINS / 100)).astype(int), minlength=BINS)
    return bool(
        strength.mean() >= FAINT
        and np.quantile(strength, 0.99) <= DEEP
        and np.abs(strong.sum()) >= ONE_HUE * np.abs(strong).sum()
        and (counts > SEEN * calm.shape[1]).sum() >= LEVELS
    )


def _curve(calm: np.ndarray) -> np.ndarray:
    """The f that fits pixels (3, N) best, least squares: a and b at its knots, (KNOTS, 2)."""
    bends = np.diff(np.eye(KNOTS), 2, axis=0) * STIFF * np.sqrt(calm.shape[1])
    equations = np.vstack([_basis(calm[0]), bends])
    wanted = np.vstack([calm[1:].T, np.zeros((len(bends), 2))])
    return np.asarray(np.linalg.lstsq(equations, wanted, rcond=None)[0])


def _off(pixels: np.ndarray, tints: np.ndarray) -> np.ndarray:
    """Distance in Lab units of pixels (3, N) from the tint of their lightness, (N,)."""
    return np.asarray(np.hypot(*(pixels[1:] - (_basis(pixels[0]) @ tints).T)))


def _basis(light: np.ndarray) -> np.ndarray:
    """How much each knot says at a lightness, (N, KNOTS)."""
    knots = np.linspace(0, 100, KNOTS)
    return np.stack([np.interp(light, knots, row) for row in np.eye(KNOTS)], axis=1)
