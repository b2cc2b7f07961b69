"""Tell printed sheets, all ink and paper, from pictures with shades of their own. Knows nothing of files."""

from __future__ import annotations

import cv2
import numpy as np

from colorize.pictures.picture import Picture

PAPER, INK = 0.93, 0.12  # shades lie between these shares of the paper's brightness
WHITE = 0.3  # of a printed sheet is paper, at least, counted between dots, too
PATCH = 7  # pixels a side in which a shade is even, where dots and strokes are not
EVEN = 0.05  # standard deviation of brightness there; grain of scans is less
SEEN = 2048  # pixels a side that are looked at
SHADED = 0.011  # of a sheet that even shades cover; a printed one has less


def printed(picture: Picture) -> bool:
    """Tell whether a picture, at its full size, is lines, black areas and screentone on paper.

    Its brightness then has nothing to say about colors: paper between the dots of a tone is as white as any.
    Of a large picture the middle is looked at.
    """
    high, wide = (slice(max(0, (side - SEEN) // 2), (side + SEEN) // 2) for side in picture.size)
    alpha = None if picture.alpha is None else picture.alpha[high, wide]
    middle = picture.replaced(picture.pixels[high, wide], alpha).on_white()
    gray = middle.pixels.mean(2, dtype=np.float32) / middle.peak
    level = max(float(np.quantile(gray[::4, ::4], 0.95)), 1e-3)
    tone = np.asarray(gray / level, np.float32)
    if float((tone > PAPER).mean()) < WHITE:
        return False
    size = (PATCH, PATCH)
    mean = cv2.blur(tone, size)
    spread = cv2.blur(tone * tone, size) - mean * mean
    even = (mean > INK) & (mean < PAPER) & (spread < EVEN**2)
    return float(even.mean()) < SHADED
