"""Show pictures side by side, as one picture, or one after the other, as a GIF."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from colorize.images import files
from colorize.images.image import Picture

CELL = 1024  # pixels of a grid's cells at most
GAP = 8  # white pixels between cells
TOTAL = 3000  # milliseconds of all frames of a film but the last, within the limits of a frame
FRAME = (40, 300)  # milliseconds; browsers show frames below 20 ms slowly
LAST = 1500  # milliseconds of the last frame


def grid(pictures: Sequence[Picture], columns: int | None = None) -> Picture:
    """Return pictures in reading order on white, in cells of the first one's size or CELL pixels.

    Pictures of other sizes are scaled into their cell; depth becomes 8 bits. The result has the
    texts of the last picture. columns: as many as make it about as high as wide if None.
    """
    scale = min(1.0, CELL / max(pictures[0].size))
    height, width = (max(1, round(side * scale)) for side in pictures[0].size)
    columns = columns or min(len(pictures), max(round(math.sqrt(len(pictures) * height / width)), 2))
    rows = math.ceil(len(pictures) / columns)
    down, across = height + GAP, width + GAP
    whole = np.full((rows * down + GAP, columns * across + GAP, 3), 255, np.uint8)
    for at, picture in enumerate(pictures):
        cell = _fitted(picture, height, width)
        top = GAP + at // columns * down + (height - cell.shape[0]) // 2
        left = GAP + at % columns * across + (width - cell.shape[1]) // 2
        whole[top : top + cell.shape[0], left : left + cell.shape[1]] = cell
    return Picture(whole, text=pictures[-1].text)


def write_film(frames: Sequence[Picture], path: Path) -> None:
    """Write frames as a GIF of about three seconds that repeats, whole or not at all.

    Raises ColorizeError for what `files.atomic` refuses.
    """
    images = [Image.fromarray(_fitted(one, *frames[0].size)).quantize(256) for one in frames]
    times = [min(max(TOTAL // len(images), FRAME[0]), FRAME[1])] * (len(images) - 1) + [LAST]
    with files.atomic(path) as temporary:
        images[0].save(temporary, "GIF", save_all=True, append_images=images[1:], duration=times, loop=0)


def _fitted(picture: Picture, height: int, width: int) -> np.ndarray:
    """A picture on white as (h, w, 3) uint8, scaled to fit into height x width."""
    flat = picture.on_white().eight_bit()
    scale = min(height / flat.size[0], width / flat.size[1])
    new = tuple(max(1, round(side * scale)) for side in flat.size)
    rgb = np.ascontiguousarray(np.broadcast_to(flat.pixels, (*flat.size, 3)))
    if new == flat.size:
        return rgb
    return cv2.resize(rgb, new[::-1], interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
