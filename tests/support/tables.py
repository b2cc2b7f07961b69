"""Parquet data sets as they are published, made on the spot."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageDraw
from sources import colored

SIDE = 96
BLOB = (20, 60, 50, 90)  # left, top, right, bottom of the hint


def encoded(pixels: np.ndarray, form: str = "PNG", quality: int = 75) -> bytes:
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, form, quality=quality)
    return stream.getvalue()


def sketch(seed: int) -> np.ndarray:
    """Black lines on white."""
    sheet = Image.new("RGB", (SIDE, SIDE), "white")
    ends = np.random.default_rng(seed).integers(0, SIDE, (12, 2)).tolist()
    ImageDraw.Draw(sheet).line([tuple(end) for end in ends], "black", 2)
    return np.asarray(sheet)


def scribbled(seed: int) -> np.ndarray:
    """The sketch with a piece of the color picture on it, lines and all covered."""
    both, color = sketch(seed).copy(), colored(seed, SIDE)
    left, top, right, bottom = BLOB
    both[top:bottom, left:right] = color[top:bottom, left:right]
    return both


def row(seed: int, form: str = "PNG") -> dict[str, object]:
    pictures = {
        "full_colour": colored(seed, SIDE),
        "sketch": sketch(seed),
        "sketch_and_scribbles_merged": scribbled(seed),
    }
    return {name: {"bytes": encoded(pixels, form), "path": f"{seed}.png"} for name, pixels in pictures.items()}


def table(path: Path, rows: list[dict[str, object]], group: int = 2) -> Path:
    """Write rows to a file, `group` of them to a row group."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=group)
    return path


def published(root: Path) -> Path:
    """A data set of twelve rows: eight to train, in two files, two to validate, two to test."""
    names = ("train-00000-of-00002", "train-00001-of-00002")
    for number, name in enumerate(names):
        table(root / f"data/{name}.parquet", [row(4 * number + at) for at in range(4)])
    table(root / "data/validation-00000-of-00001.parquet", [row(8), row(9)])
    table(root / "data/test-00000-of-00001.parquet", [row(10), row(11)])
    return root
