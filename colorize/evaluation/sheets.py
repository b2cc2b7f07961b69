"""Show pictures small and side by side: contact sheets of many, and the best, median and worst of a mode."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn import functional as F

from colorize.evaluation.baselines import BASELINES
from colorize.evaluation.samples import Sample, Samples
from colorize.evaluation.score import Entry, Row
from colorize.images.encode import encode
from colorize.images.image import Picture, from_tensor

GUTTER, CAPTION = 6, 16  # pixels between pictures, and for a line of text
SINGLE = 12  # rows of a sheet at full size in one block; more rows make several blocks of small pictures
CELL = 128  # pixels a side of a picture where there are several blocks
SHAPE = 4 / 3  # width to height that several blocks come near to
EACH = 3  # pictures each of the best, the median and the worst
SIDE = 192  # pixels, at most, of a picture on a page
QUALITY = 80  # of WebP; about 5 kB a picture
ORDER = "delta_e"  # the metric by which pictures are ranked


def contact_sheet(rows: Sequence[Sequence[Tensor]], titles: Sequence[str]) -> Picture:
    """Return one picture of many: a line per row, captions above the columns.

    rows: each has one (1, 1 or 3, S, S) picture in [-1, 1] per title. All are shown at the size of
    the first one. More than 12 rows become blocks side by side, read from top to bottom and then to
    the right, of pictures at most 128 px wide, in a shape near 4:3.
    """
    assert rows, "a contact sheet needs at least one row"
    assert all(len(row) == len(titles) for row in rows), "one picture per title"
    size = cell(len(rows), rows[0][0].shape[-1])
    step = size + GUTTER
    block = step * len(titles) + 2 * GUTTER  # blocks stand three gutters apart

    def shape(blocks: int) -> tuple[int, int]:
        """Height and width of a sheet of so many blocks."""
        return CAPTION + step * -(-len(rows) // blocks), block * blocks - 3 * GUTTER

    shapes = {blocks: shape(blocks) for blocks in (range(1, len(rows) + 1) if len(rows) > SINGLE else (1,))}
    blocks = min(shapes, key=lambda blocks: abs(math.log(shapes[blocks][1] / shapes[blocks][0] / SHAPE)))
    tall = -(-len(rows) // blocks)
    blocks = -(-len(rows) // tall)
    sheet = torch.ones(1, 3, *shape(blocks))
    for at, row in enumerate(rows):
        for right, picture in enumerate(row):
            top, left = CAPTION + at % tall * step, at // tall * block + right * step
            sheet[..., top : top + size, left : left + size] = resized(picture, size)
    pixels = Image.fromarray(from_tensor(sheet).pixels)
    draw, font = ImageDraw.Draw(pixels), ImageFont.load_default()
    for start in range(0, blocks * block, block):
        for right, title in enumerate(titles):
            while title and font.getlength(title) > size - 4:  # cut off where the column ends
                title = title[:-1]
            draw.text((start + right * step + 2, 2), title, fill=(0, 0, 0), font=font)
    return Picture(np.array(pixels))


def cell(rows: int, size: int) -> int:
    """Return the side of a picture on a sheet of so many rows, in pixels; `size` is its own."""
    return min(size, CELL) if rows > SINGLE else size


def sheet_row(sample: Sample, result: Tensor, size: int) -> list[Tensor]:
    """Return drawing, what was given with it (white if nothing), result and truth, (1, 1 or 3, size, size) each."""
    given = given_picture(sample)
    blank = torch.ones_like(sample.truth)
    pictures = (sample.drawing, blank if given is None else given, result, sample.truth)
    return [resized(picture, size) for picture in pictures]


def resized(picture: Tensor, size: int) -> Tensor:
    """Return a square picture (1, C, S, S) at another size, on the CPU and within [-1, 1]."""
    picture = picture.detach().float().cpu().clamp(-1, 1)
    if picture.shape[-1] <= size:  # squares of a palette stay squares
        return F.interpolate(picture, (size, size), mode="nearest")
    return F.interpolate(picture, (size, size), mode="bicubic", antialias=True).clamp(-1, 1)


def given_picture(sample: Sample) -> Tensor | None:
    """Return what was given with the drawing as a picture, (1, 3, h, w), hints on white paper."""
    if sample.hints is not None:
        return torch.where(sample.hints[:, 3:] > 0, sample.hints[:, :3], 1.0)
    return sample.reference


def thumbnail(picture: Tensor) -> bytes:
    """Return a square picture, (1, 1 or 3, S, S) in [-1, 1], as WebP of at most 192 px a side."""
    size = min(SIDE, picture.shape[-1])
    return encode(from_tensor(resized(picture, size)), ".webp", quality=QUALITY)


@dataclass(frozen=True)
class Example:
    """One picture as it came out: its rank, and captions with small WebP files in base64, left to right.

    rank: "best", "median" or "worst". scores: ΔE of the model and of the best baseline, by name.
    """

    rank: str
    file: str
    scores: Mapping[str, float]
    pictures: tuple[tuple[str, str], ...]


def ranked(rows: Sequence[Row]) -> list[tuple[str, Row]]:
    """Return the best, the median and the worst pictures, each once, the best first of each.

    Of fewer than nine pictures as many are taken as keep the ranks apart.
    """
    order = sorted(rows, key=lambda row: (row.scores[ORDER], row.file))
    count = max(1, min(EACH, len(order) // 3))
    worst = max(count, len(order) - count)  # of two pictures one is the worst
    middle = max(count, (len(order) - count) // 2)
    parts = {"best": order[:count], "median": order[middle : min(middle + count, worst)], "worst": order[worst:]}
    return [(rank, row) for rank, some in parts.items() for row in some]


def examples(samples: Samples, entries: Sequence[Entry], results: Mapping[str, bytes]) -> tuple[Example, ...]:
    """Return the pictures of one mode that are worth a look; the best baseline paints them anew.

    entries: the model's first. results: a thumbnail of the model's result by file.
    """
    model = entries[0]
    baselines = [entry for entry in entries[1:] if entry.name in BASELINES]
    rival = min(baselines, key=lambda entry: entry.means[ORDER].mean, default=None)
    places = {task.name: at for at, task in enumerate(samples.tasks)}
    found = []
    for rank, row in ranked(model.rows):
        sample = samples[places[row.file]]
        given = given_picture(sample)
        pictures = [("drawing", thumbnail(sample.drawing))]
        if given is not None:
            pictures.append(("given", thumbnail(resized(given, sample.truth.shape[-1]))))
        pictures.append((model.name, results[row.file]))
        scores = {model.name: row.scores[ORDER]}
        if rival is not None:
            with torch.inference_mode():
                pictures.append((rival.name, thumbnail(BASELINES[rival.name].paint(sample))))
            scores[rival.name] = next(other.scores[ORDER] for other in rival.rows if other.file == row.file)
        pictures.append(("truth", thumbnail(sample.truth)))
        encoded = tuple((caption, base64.b64encode(data).decode()) for caption, data in pictures)
        found.append(Example(rank, row.file, scores, encoded))
    return tuple(found)
