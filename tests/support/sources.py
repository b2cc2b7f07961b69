"""Small folders of pictures to prepare."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from colorize.datasets.prepare import PrepareOptions, Summary, open_source, prepare
from colorize.datasets.sources import Source

SIDE = 48
SMALL = {"size": SIDE, "styles": ("xdog",), "workers": 1}
PAPER = np.full((SIDE, SIDE, 3), 255, np.uint8)


def colored(seed: int, side: int = SIDE) -> np.ndarray:
    """Six by six patches of random colors, unlike those of any other seed."""
    patches = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return patches.repeat(side // 6, 0).repeat(side // 6, 1)


def drawing(seed: int) -> np.ndarray:
    """A tenth of the pixels is black ink, strewn at random."""
    ink = np.random.default_rng(seed).random((SIDE, SIDE, 1)) < 0.1
    return np.where(ink, 0, PAPER).astype(np.uint8)


def save(pixels: np.ndarray, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def stories(root: Path) -> Path:
    """Twelve color pictures in four folders."""
    for number in range(12):
        save(colored(number), root / f"story{number // 3}/page{number}.png")
    return root


def run(source: Path | str, target: Path, **values: object) -> Summary:
    *_, last = prepare(source, target, PrepareOptions(**(SMALL | values)))
    assert last.summary is not None
    return last.summary


def look(source: Path, layout: str = "auto") -> Source:
    """What a folder or file holds."""
    return open_source(source, PrepareOptions(layout=layout))


def contents(folder: Path) -> dict[str, bytes]:
    """Every file but the journal, whose lines stand in the order of the work."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files if path.name != ".prepare.jsonl"}


def side_by_side(root: Path, color_left: bool) -> Path:
    for number in range(4):
        halves = [colored(number), drawing(number)]
        save(np.concatenate(halves if color_left else halves[::-1], 1), root / f"{number}.png")
    return root
