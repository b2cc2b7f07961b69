"""Lay many pictures out as one, in blocks of rows. Knows nothing of scores or of what the pictures show."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn import functional as F

from colorize.pictures.files import Picture, from_tensor

GUTTER, CAPTION = 6, 16  # pixels between pictures, and for a line of text
TALL = 12  # rows of a block; more rows make a second block beside it
WIDE = 8  # blocks side by side, at most; beyond that all grow taller
CELL = 112  # pixels a side of a picture where there are several blocks


def contact_sheet(rows: Sequence[Sequence[Tensor]], titles: Sequence[str]) -> Picture:
    """Return one picture of many: a line per row, captions above the columns.

    rows: each has one (1, 1 or 3, S, S) picture in [-1, 1] per title. All are shown at the size of
    the first one. More than 12 rows become blocks of up to 12 beside each other, read from top to
    bottom and then to the right, their pictures at most 112 px wide.
    """
    assert rows, "a contact sheet needs at least one row"
    assert all(len(row) == len(titles) for row in rows), "one picture per title"
    blocks = min(WIDE, -(-len(rows) // TALL))
    tall = -(-len(rows) // blocks)
    size = cell(len(rows), rows[0][0].shape[-1])
    step = size + GUTTER
    block = step * len(titles) + 2 * GUTTER  # blocks stand three gutters apart
    blocks = -(-len(rows) // tall)
    sheet = torch.ones(1, 3, CAPTION + step * tall, block * blocks - 3 * GUTTER)
    for at, row in enumerate(rows):
        for right, picture in enumerate(row):
            top, left = CAPTION + at % tall * step, at // tall * block + right * step
            sheet[..., top : top + size, left : left + size] = resized(picture, size)
    places = [
        (b * block + right * step, title)
        for b in range(blocks)
        for right, title in enumerate(titles)
    ]
    return _captioned(sheet, places, size)


def cell(rows: int, size: int) -> int:
    """Return the side of a picture on a sheet of so many rows, in pixels; `size` is its own."""
    return min(size, CELL) if rows > TALL else size


def resized(picture: Tensor, size: int) -> Tensor:
    """Return a square picture (1, C, S, S) at another size, on the CPU and within [-1, 1]."""
    picture = picture.detach().float().cpu().clamp(-1, 1)
    if picture.shape[-1] == size:
        return picture
    if picture.shape[-1] < size:  # squares of a palette stay squares
        return F.interpolate(picture, (size, size), mode="nearest")
    small = F.interpolate(picture, (size, size), mode="bicubic", antialias=True)
    return small.clamp(-1, 1)


def _captioned(sheet: Tensor, places: Sequence[tuple[int, str]], width: int) -> Picture:
    """Write captions at places from the left, in pixels, above columns of a width."""
    pixels = Image.fromarray(from_tensor(sheet).pixels)
    draw, font = ImageDraw.Draw(pixels), ImageFont.load_default()
    for left, title in places:
        draw.text((left + 2, 2), _short(title, font, width), fill=(0, 0, 0), font=font)
    return Picture(np.array(pixels))


def _short(title: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """Cut a caption off where its column ends."""
    while title and font.getlength(title) > width - 4:
        title = title[:-1]
    return title
