"""Pick the best, the median and the worst pictures, and show them small. Knows nothing of pages or models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn import functional as F

from colorize.evaluation import baselines
from colorize.evaluation.report import Entry
from colorize.evaluation.samples import Sample, Samples
from colorize.evaluation.score import Row, summary
from colorize.images.encode import encode
from colorize.images.image import Picture, from_tensor

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
    places = [(b * block + right * step, title) for b in range(blocks) for right, title in enumerate(titles)]
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


EACH = 3  # pictures of each place
SIDE = 192  # pixels, at most, of a picture on a page
QUALITY = 80  # of WebP; about 5 kB a picture
ORDER = "delta_e"  # the metric that says which picture is better


@dataclass(frozen=True)
class Shot:
    """One picture as it came out: how it ranks, and captions with small WebP files, left to right."""

    place: str  # "best", "median" or "worst"
    file: str
    scores: Mapping[str, float]  # ORDER of the model and of the best baseline, by name
    pictures: tuple[tuple[str, bytes], ...]


def given(sample: Sample) -> Tensor | None:
    """Return what was given beside the drawing as a picture, (1, 3, h, w), hints on white paper."""
    if sample.hints is not None:
        return torch.where(sample.hints[:, 3:] > 0, sample.hints[:, :3], 1.0)
    return sample.reference


def thumbnail(picture: Tensor) -> bytes:
    """Return a square picture, (1, 1 or 3, S, S) in [-1, 1], as WebP of at most 192 px a side."""
    size = min(SIDE, picture.shape[-1])
    return encode(from_tensor(resized(picture, size)), ".webp", quality=QUALITY)


def places(rows: Sequence[Row], each: int = EACH) -> list[tuple[str, Row]]:
    """Return the best, the median and the worst pictures, each once, the best first of each.

    Of fewer than three times `each` pictures as many are taken as keep the places apart.
    """
    order = sorted(rows, key=lambda row: (row.scores[ORDER], row.file))
    count = max(1, min(each, len(order) // 3))
    middle = max(0, (len(order) - count) // 2)
    parts = {"best": order[:count], "median": order[middle : middle + count], "worst": order[-count:]}
    taken: set[int] = set()
    found = []
    for place in ("best", "worst", "median"):  # so that of two pictures one is the worst
        fresh = [row for row in parts[place] if id(row) not in taken]
        taken |= {id(row) for row in fresh}
        found += [(place, row) for row in fresh]
    return sorted(found, key=lambda pair: list(parts).index(pair[0]))


def rival(entries: Sequence[Entry]) -> Entry | None:
    """Return the best baseline by its mean score, or None; the first entry is the model."""
    others = [entry for entry in entries[1:] if entry.name in baselines.BASELINES]
    return min(others, key=lambda entry: summary(entry.rows).scores[ORDER].mean, default=None)


def shots(task: Samples, entries: Sequence[Entry], results: Mapping[str, bytes]) -> list[Shot]:
    """Return the pictures worth a look of one mode; the best baseline paints them anew.

    entries: the model's first. results: a thumbnail of the model's result by file.
    """
    model, other = entries[0], rival(entries)
    where = {one.name: at for at, one in enumerate(task.tasks)}
    theirs = {row.file: row.scores[ORDER] for row in other.rows} if other else {}
    found = []
    for place, row in places(model.rows):
        sample = task[where[row.file]]
        beside = given(sample)
        pictures = [("drawing", thumbnail(sample.drawing))]
        if beside is not None:
            pictures.append(("given", thumbnail(resized(beside, sample.truth.shape[-1]))))
        pictures.append((model.name, results[row.file]))
        scores = {model.name: row.scores[ORDER]}
        if other is not None:
            with torch.inference_mode():
                painted = thumbnail(baselines.find(other.name).paint(sample))
            pictures.append((other.name, painted))
            scores[other.name] = theirs[row.file]
        pictures.append(("truth", thumbnail(sample.truth)))
        found.append(Shot(place, row.file, scores, tuple(pictures)))
    return found
