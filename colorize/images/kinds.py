"""Tell line art, gray pictures, color pictures and blank pages apart, and find tints."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
import torch.nn.functional as F
from torch import Tensor

from colorize.images.color import luminance, rgb_to_lab
from colorize.images.resize import fit_size
from colorize.images.shading import SIDE, is_shaded, paper_brightness, widest

Kind = Literal["line", "gray", "color", "blank"]


FLAT = 0.06  # a picture whose luminance and chroma vary less than this is blank; JPEG noise is less
SMOOTH = 1 / 512  # blur against noise and screentone, as a share of the longest side

TINT = 8.0  # Lab units off the tint that all pixels of one lightness share
COLORED = 0.01  # share of pixels with a color of their own in a color picture
PENCIL = 0.12  # distance in [0, 1] RGB from the straight line between paper and one pigment
FILLED = 0.1  # share of the picture that wide areas of a pencil's color may cover
BLACK_INK, PALE, BARE = 45.0, 85.0, 0.6  # L* of ink at most and of paper at least; share of paper around pencils
TRACE, LOST = 0.004, 0.0005  # share of the picture that strokes cover at least, and wide areas beside them at most
DARK, LIGHT, NIGHT = 0.2, 0.6, 0.7  # brightness of a black ground and of lines on it; share of the ground
FILLS = 0.04  # share of the picture that wide light areas cover at most there; scenes at night have more
PRINT, LETTER, LETTERS = 0.7, (0.003, 0.06), 100  # of the paper's brightness; size by the longer side; their number
PURE_TEXT, LEADING = 0.97, 0.15  # share of the ink that letters are; share of the rows between lines of text
ONE_HUE = 0.97  # mean direction of the chroma of tinted pictures; 1 if all hues are equal


def kind(picture: Tensor) -> Kind:
    """What a picture is, for choosing a model and the way its colors are put back.

    picture: (1, 3, H, W) in [-1, 1], alpha composed on white. "line": dark strokes and areas on paper, which may be
    yellow, shaded or noisy, and strokes of one colored pencil. "gray": wide gray areas or fine screentone, also tinted
    such as sepia. "color": chroma beyond a tint. "blank": nearly one color.
    """
    small = _small(picture)
    gray = ((luminance(small) + 1) / 2)[0, 0].numpy()
    lab = rgb_to_lab(small)[0].numpy()
    if np.ptp(gray) < FLAT and max(np.ptp(lab[1]), np.ptp(lab[2])) < 100 * FLAT:
        return "blank"
    if _colored(lab) and not (_colored_pencil(small, lab) or _under_ink(lab) or has_tint(picture)):
        return "color"
    return "gray" if is_shaded(gray) else "line"


def _small(picture: Tensor) -> Tensor:
    """A picture as its kind is told: small, and without noise and JPEG blocks."""
    size = fit_size(picture.shape[-2:], SIDE, enlarge=False)
    small = picture if size == picture.shape[-2:] else F.interpolate(picture, size, mode="area")
    blurred = cv2.GaussianBlur(small[0].permute(1, 2, 0).cpu().numpy(), (0, 0), max(SMOOTH * max(size), 0.3))
    return Tensor(blurred.transpose(2, 0, 1)[None].copy())


def has_construction(picture: Tensor) -> bool:
    """Whether a picture (1, 3, H, W) in [-1, 1] is black ink on paper over strokes of colored pencils."""
    if float((picture.amax(1) - picture.amin(1)).max()) < FLAT:  # gray, as most are
        return False
    lab = rgb_to_lab(_small(picture))[0].numpy()
    return _colored(lab) and _under_ink(lab)


def is_inverted(picture: Tensor) -> bool:
    """Whether a picture (1, 3, H, W) in [-1, 1] is white lines on black, without wide light areas."""
    if float(picture.mean()) > 0:  # bright, as most are
        return False
    gray = ((luminance(_small(picture)) + 1) / 2)[0, 0].numpy()
    dark, light = gray < DARK, gray > LIGHT
    return bool(dark.mean() > NIGHT and light.mean() > TRACE and widest(~dark) < FILLS and kind(-picture) == "line")


def is_text(picture: Tensor) -> bool:
    """Whether all ink of a picture (1, 3, H, W) in [-1, 1] is letters in rows."""
    gray = ((luminance(picture) + 1) / 2)[0, 0].numpy()
    ink = (gray / paper_brightness(gray) < PRINT).astype(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(ink, connectivity=8)
    high, size = stats[:, 3] / max(gray.shape), stats[:, 2:4].max(1) / max(gray.shape)
    letters = (high > LETTER[0]) & (size < LETTER[1])
    letters[0] = False
    if letters.sum() < LETTERS or stats[letters, 4].sum() < PURE_TEXT * stats[1:, 4].sum():
        return False
    rows = (letters[labels]).sum(1).astype(np.float32)
    where = np.flatnonzero(rows)
    rows = rows[where[0] : where[-1] + 1]
    return bool((rows < 0.1 * np.quantile(rows, 0.9)).mean() > LEADING)


def _colored(lab: np.ndarray) -> bool:
    """Whether enough pixels differ from the one tint that paper, toner or sepia would give them.

    lab: (3, H, W). A tint depends on lightness alone; pixels of one lightness and two colors are color. The brightest
    pixels are left out: their tint is cut off at white.
    """
    if (np.hypot(lab[1], lab[2]) > 35.0).mean() > COLORED:  # chroma that neither old paper nor sepia reaches
        return True
    off = (_off_tint(lab) > TINT) & (lab[0] < 96)
    tinted_paper = np.hypot(*np.median(lab[1:, lab[0] >= np.quantile(lab[0], 0.95)], 1)) > 5
    return bool(off.mean() > COLORED) and not (tinted_paper and _mean_direction(lab[1] + 1j * lab[2], TINT) >= ONE_HUE)


def _off_tint(lab: np.ndarray) -> np.ndarray:
    """Distance in Lab units from the mean chroma of the pixels that are as light: (H, W)."""
    bins = 50
    place = np.clip(lab[0] * (bins / 100) - 0.5, 0, bins - 1.001).ravel()
    low = place.astype(int)
    part = place - low

    def spread(values: np.ndarray) -> np.ndarray:  # sums into the two bins next to each pixel's lightness
        return np.bincount(low, values * (1 - part), bins) + np.bincount(low + 1, values * part, bins)

    count = spread(np.ones_like(part))
    seen = np.flatnonzero(count > 1)
    means = [np.interp(place, seen, (spread(c.ravel()) / count.clip(1e-6))[seen]) for c in lab[1:]]
    off = np.hypot(*(lab[1:].reshape(2, -1) - means))
    return np.asarray(off).reshape(lab.shape[1:])


def _mean_direction(chroma: np.ndarray, least: float) -> float:
    """Mean direction of complex chroma stronger than `least`, by its strength: 1 if all hues are equal, 1 for none."""
    strong = chroma[np.abs(chroma) > least]
    total = float(np.abs(strong).sum())
    return float(np.abs(strong.sum())) / total if total else 1.0


def _under_ink(lab: np.ndarray) -> bool:
    """Whether all color lies in strokes on light paper, among strokes of black ink."""
    chroma = np.hypot(lab[1], lab[2])
    black, paper = (lab[0] < BLACK_INK) & (chroma < GRAY), (lab[0] > PALE) & (chroma < GRAY)
    return bool(black.mean() > TRACE and paper.mean() > BARE and widest(chroma > TINT) < LOST)


def _colored_pencil(small: Tensor, lab: np.ndarray) -> bool:
    """Whether all color lies on one line from paper to a pigment, and in strokes, not areas."""
    missing = (0.5 - small[0].numpy().reshape(3, -1) / 2).astype(np.float64)  # 0 is white
    values, axes = np.linalg.eigh(missing @ missing.T)
    pigment = axes[:, values.argmax()]
    off = np.linalg.norm(missing - np.outer(pigment, pigment @ missing), axis=0) > PENCIL
    wide = widest(np.hypot(lab[1], lab[2]) > TINT)
    return bool(off.mean() < COLORED / 2) and wide < FILLED


TINT_SIDE = 80  # longest side looked at: most of what JPEG does to colors is gone there
STEEP = 4.0  # Lab units of lightness between neighbors; along steeper edges colors are mixed
CALM = 0.25  # share of the picture that counts as calm in any case, the least steep
BLACK, TINT_WHITE = 4.0, 95.0  # tints are cut off beyond these lightnesses
KNOTS = 5  # of f, which is linear between them
STIFF = 0.05  # weight of the bends of f, which fill lightnesses that no pixel has
FAINT, DEEP = 1.5, 45.0  # mean chroma of a tint at least; chroma of 99 % of the pixels at most
NEAR, FAR = 4.5, 6.5  # Lab units that 95 and 99 % of the calm pixels are off f at most
ANYWHERE = 0.7  # of the chroma of a tint, by which 98 % of all pixels are off f at most
BINS, TINT_SEEN, LEVELS = 40, 0.003, 5  # so many lightnesses of 40 are seen: hold this share of pixels
TINT_HUE, GRAY = 0.6, 8.0  # mean direction of chroma, 1 if all hues are equal; less chroma has none
LOW_KEY, BLUE = (42.0, -8.0)  # lightness that a tenth of a dark picture is above; mean b of a blue one


def has_tint(color: Tensor) -> bool:
    """Whether a picture is gray but for a tint that depends on lightness alone.

    color: (1, 3, H, W) in [-1, 1]. False for pictures without any tint, for those of a few flat areas, which have one
    color per lightness whatever they show, and for dark blue ones, which are rather taken at night or under water than
    cyanotypes.
    """
    size = fit_size(color.shape[-2:], TINT_SIDE, enlarge=False)
    lab = rgb_to_lab(F.interpolate(color, size, mode="area"))[0].cpu().double().numpy()
    light = lab[0]
    steep = cv2.dilate(light, np.ones((3, 3))) - cv2.erode(light, np.ones((3, 3)))
    inside = (light > BLACK) & (light < TINT_WHITE)
    calm = lab[:, inside & (steep <= max(STEEP, float(np.quantile(steep, CALM))))]
    if calm.shape[1] < 64 or not _tinted(calm):  # calm pixels from which a tint can be found
        return False
    if np.quantile(light, 0.9) < LOW_KEY and calm[2].mean() < BLUE:
        return False
    # f, chroma by lightness at its knots (KNOTS, 2), that fits the calm pixels best: least squares
    bends = np.diff(np.eye(KNOTS), 2, axis=0) * STIFF * np.sqrt(calm.shape[1])
    equations = np.vstack([_basis(calm[0]), bends])
    wanted = np.vstack([calm[1:].T, np.zeros((len(bends), 2))])
    tints = np.linalg.lstsq(equations, wanted, rcond=None)[0]
    some, all_ = (np.hypot(*(one[1:] - (_basis(one[0]) @ tints).T)) for one in (calm, lab[:, inside]))
    near, far = np.quantile(some, (0.95, 0.99))
    anywhere = np.quantile(all_, 0.98)
    depth = np.quantile(np.hypot(calm[1], calm[2]), 0.99)
    return bool(near <= NEAR and far <= FAR and anywhere <= max(FAR, ANYWHERE * depth))


def _tinted(calm: np.ndarray) -> bool:
    """Whether pixels (3, N) have the chroma of a tint, about one hue, and many lightnesses."""
    chroma = calm[1] + 1j * calm[2]
    strength = np.abs(chroma)
    counts = np.bincount((calm[0] * (BINS / 100)).astype(int), minlength=BINS)
    return bool(
        strength.mean() >= FAINT
        and np.quantile(strength, 0.99) <= DEEP
        and _mean_direction(chroma, GRAY) >= TINT_HUE
        and (counts > TINT_SEEN * calm.shape[1]).sum() >= LEVELS
    )


def _basis(light: np.ndarray) -> np.ndarray:
    """How much each knot says at a lightness, (N, KNOTS)."""
    knots = np.linspace(0, 100, KNOTS)
    return np.stack([np.interp(light, knots, row) for row in np.eye(KNOTS)], axis=1)
