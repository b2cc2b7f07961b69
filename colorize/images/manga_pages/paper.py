"""See a scanned page as paper, ink and what lies between. Knows nothing of panels."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

Gray = np.ndarray  # (H, W): uint8, uint16, or float in [0, 1]
Mask = np.ndarray  # (h, w) uint8

PAPER = 0.87  # of the paper's brightness; what is lighter is paper
INK = 0.55  # what is darker is ink, also a thin line that went pale by shrinking
BLACK = 0.2  # what is darker is solid black, as between the panels of some pages
OUTLINE = 7  # pixels, twice the width of a bubble's outline
LITTLE = 0.4  # of the best seen row; a row of which less is seen counts for less
WINDOW = 0.15  # of the longer side; shadows on scans are wider than this
DULLEST = 0.8  # of the brightest paper; what is darker everywhere around is no paper in shadow


@dataclass(frozen=True)
class Sheet:
    """A page at working size: masks (h, w) of 0 and 255, and how much larger the page is, as (down, across).

    seen: what is no bubble. bare: how much of a gutter's length is paper at least; bubbles and figures cross
    gutters. narrowest: share of the longer side that gutters are wide at least.
    """

    paper: Mask
    ink: Mask
    black: Mask
    seen: Mask
    scale: tuple[float, float]
    bare: float = 0.8
    narrowest: float = 0.0

    @property
    def layers(self) -> np.ndarray:
        """Paper and ink outside of bubbles, and what is outside of bubbles: (h, w, 3)."""
        return np.asarray(np.dstack((self.paper & self.seen, self.ink & self.seen, self.seen)))


def shares(layers: np.ndarray) -> np.ndarray:
    """Share of paper, of ink, and of all but paper in what is seen, (n, 3) in [0, 1], of means (n, 3) of layers."""
    paper, ink, seen = layers.T
    enough = np.maximum(seen, LITTLE * max(float(seen.max(initial=0)), 1e-6))
    return np.asarray(np.stack((paper, ink, seen - paper), 1) / enough[:, None])


def sheet(gray: Gray, side: int, bubbles: np.ndarray) -> Sheet:
    """Return the masks of a page (H, W), whose longer side is at most `side` in them.

    gray: uint8, uint16, or float in [0, 1]; brightness is measured beside the paper around a place,
    so that dull paper and shadows do no harm.
    """
    height, width = gray.shape
    small = reduced(gray, side)
    share = small / brightness(small)
    levels = share > PAPER, share < INK, share < BLACK
    paper, ink, black = (np.where(at, 255, 0).astype(np.uint8) for at in levels)
    covered = cv2.resize(bubbles.astype(np.uint8), small.shape[::-1], interpolation=cv2.INTER_NEAREST)
    seen = np.where(cv2.dilate(covered, np.ones((OUTLINE, OUTLINE), np.uint8)) > 0, 0, 255)
    return Sheet(paper, ink, black, seen.astype(np.uint8), (height / small.shape[0], width / small.shape[1]))


def reduced(gray: Gray, side: int) -> np.ndarray:
    """A page in [0, 1] whose longer side is at most `side`: (h, w)."""
    peak = peak_of(gray)
    scale = min(1.0, side / max(gray.shape))
    size = [max(1, round(one * scale)) for one in gray.shape]
    small = cv2.resize(gray, size[::-1], interpolation=cv2.INTER_AREA) if scale < 1 else gray
    return np.asarray(small, np.float32) / np.float32(peak)


def peak_of(gray: Gray) -> float:
    """The value of white."""
    return 1.0 if gray.dtype.kind == "f" else float(np.iinfo(gray.dtype).max)


def brightness(small: np.ndarray) -> np.ndarray:
    """Brightness of the paper everywhere on a page in [0, 1]: (h, w), smooth, above 0."""
    best = max(float(np.quantile(small, 0.98)), 0.05)
    tiny = [max(1, side // 6) for side in small.shape]
    calm = cv2.resize(cv2.GaussianBlur(small, (0, 0), 1.0), tiny[::-1], interpolation=cv2.INTER_AREA)
    reach = max(3, round(WINDOW * max(tiny)) | 1)
    local = cv2.blur(cv2.dilate(calm, np.ones((reach, reach), np.uint8)), (reach, reach))
    local = np.clip(local, DULLEST * best, best).astype(np.float32)
    return np.asarray(cv2.resize(local, small.shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32)
