"""Find the color hints in a copy of the drawing that was painted over: where it differs, it is a hint.

Knows nothing of files: it is given pictures.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from colorize.errors import ColorizeError
from colorize.pictures import marks
from colorize.pictures.enlarge import Array, resized
from colorize.pictures.picture import Picture
from colorize.pictures.scribbles import check_size

NEAR = 2  # pixels around one whose colors its copy may have: JPEG and scaling blur lines
NOISE = 0.12  # of [0, 1], the largest channel; JPEG alone changes paper near lines by less
SURE = 0.2  # a stroke differs by this at some pixel
CORE = 0.92  # of the largest difference nearby; less is the soft edge of a stroke
SOFT = 1 / 96  # width of soft edges, as a share of the shorter side
SPECK = 6  # pixels; smaller differences are noise
EDGE = 0.2  # of [0, 1]; lines and outlines are stronger edges
EDGES = 0.05  # share of the picture that counts as its edges at least
FOUND = 0.6  # share of its edges that a copy of the drawing still shows; others show less than half


def parse(copy: Picture, drawing: Picture) -> Tensor:
    """Return the hint map (1, 4, H, W) of a drawing from a copy of it that was painted over.

    The copy may be of another size, if its proportions are the drawing's, may have been saved as a
    JPEG, and painted with soft brushes. What is as light as the drawing and as gray is no hint, nor
    is the drawing's own ink. Raises ColorizeError for other proportions, if nothing differs, and if
    the picture is no copy of the drawing.
    """
    check_size(copy.size, drawing.size)
    own, painted = _rgb(drawing), _sized(_rgb(copy), drawing.size)
    near = NEAR + round(max(drawing.size[0] / copy.size[0], copy.size[0] / drawing.size[0]) - 1)
    _check(painted, _sized(_sized(own, copy.size), drawing.size), near)
    held = _cores(_difference(painted, own, near))
    if not held.any():
        raise ColorizeError(
            "the hints do not differ from the drawing: nothing was painted over it",
            "paint on a copy of the drawing in strong colors, or on a transparent layer above it",
        )
    return marks.hint_map(torch.from_numpy(painted * 2 - 1), torch.from_numpy(held))


def _rgb(picture: Picture) -> Array:
    """Colors (H, W, 3) in [0, 1] on white."""
    flat = picture.on_white()
    values = np.broadcast_to(flat.pixels, (*flat.size, 3)).astype(np.float32) / flat.peak
    return np.ascontiguousarray(values)


def _sized(picture: Array, size: tuple[int, int]) -> Array:
    """A picture (h, w, 3) at another size (H, W, 3)."""
    if picture.shape[:2] == size:
        return picture
    how = cv2.INTER_AREA if picture.shape[0] > size[0] else cv2.INTER_LINEAR
    return resized(picture, size, how)


def _check(painted: Array, own: Array, near: int) -> None:
    """Refuse a picture that does not show the edges of the drawing, seen as sharply as the picture is."""
    strength = _range(own, 1)
    strong = strength > min(EDGE, float(np.quantile(strength, 1 - EDGES)))
    found = (
        float((_range(painted, near)[strong] > strength[strong] / 2).mean()) if strong.any() else 1
    )
    if found < FOUND:
        raise ColorizeError(
            "the hints differ from the drawing nearly everywhere:"
            f" only {100 * found:.0f} % of its lines and outlines are in them",
            "give a copy of this drawing, painted over, or a PNG that is transparent except for the hints",
        )


def _range(picture: Array, near: int) -> Array:
    """How far brightness changes around each pixel: (H, W) in [0, 1]."""
    light = picture.mean(2)
    square = np.ones((2 * near + 1, 2 * near + 1), np.uint8)
    return np.asarray(cv2.dilate(light, square) - cv2.erode(light, square), np.float32)


def _difference(painted: Array, own: Array, near: int) -> Array:
    """How far each pixel is from all colors around it in the drawing: (H, W) in [0, 1], 0 for noise."""
    square = np.ones((2 * near + 1, 2 * near + 1), np.uint8)
    low, high = cv2.erode(own, square), cv2.dilate(own, square)
    apart = np.maximum(low - painted, painted - high).max(2)
    gray = np.ptp(own, axis=2)
    tinted = np.ptp(painted, axis=2) - cv2.dilate(gray, square)  # color that gray lines do not hide
    most = np.maximum(apart, tinted)
    return np.asarray(np.where(most > NOISE, most, 0), np.float32)


def _cores(apart: Array) -> np.ndarray:
    """The pixels (H, W) that show the full color of a stroke: neither its soft edge, nor noise."""
    wide = 2 * max(2, round(SOFT * min(apart.shape))) + 1
    most = cv2.dilate(apart, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (wide, wide)))
    core = ((apart > 0) & (apart >= CORE * most)).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(core, connectivity=8)
    strongest = np.zeros(count, np.float32)
    np.maximum.at(strongest, np.asarray(labels.ravel(), np.intp), apart.ravel())
    kept = (stats[:, cv2.CC_STAT_AREA] >= SPECK) & (strongest > SURE)
    kept[0] = False
    return np.asarray(kept[labels], bool)
