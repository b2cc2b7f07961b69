"""What to make of one item, and the pictures to make it of. Knows nothing of what becomes of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor
from torch.nn import functional

from colorize.datasets.folders import Item
from colorize.images import hint_files
from colorize.images.files import read, shown
from colorize.images.hint_files import resize

SMALLEST = 32  # pixels of the shorter side, before and after scaling
SHAPE = 0.02  # a drawing may differ from its picture by so much in width over height


@dataclass(frozen=True)
class Job:
    """What to make of one item. color, line, hint: files to write. size: pixels of the longer side.

    pictures: by path, the bytes of what does not lie in files below the source.
    """

    source: Path
    item: Item
    color: Path
    line: Path
    hint: Path
    size: int
    crop: str
    style: str
    seed: int
    pictures: Mapping[str, bytes] | None = None


class Unfit(Exception):
    """Why a picture that could be read is of no use."""


def load(job: Job) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Return color (1, 3, H, W), its drawing or None if it must be extracted, its hint map or None.

    All are of the same height and width. Raises ColorizeError for a picture that cannot be read, and
    Unfit for pictures that are tiny or do not belong together.
    """
    color = _read(job, job.item.color)
    if min(color.shape[-2:]) < SMALLEST:
        height, width = color.shape[-2:]
        raise Unfit(f"is {width} x {height} pixels; {SMALLEST} x {SMALLEST} are needed")
    if job.item.half:
        return *_halves(color, job.item.half), None
    if not job.item.line:
        return color, None, None
    line = _read(job, job.item.line)
    _same_shape(line, color, job.item.line)
    height, width = color.shape[-2:]
    if not job.item.merged:
        return color, fitted(line, (height, width)), None
    both = _read(job, job.item.merged)
    _same_shape(both, color, job.item.merged)
    tall, wide = line.shape[-2:]
    given = hint_files.from_painted(fitted(both, (tall, wide)), line)  # before scaling blurs the lines
    hinted = bool((given[:, 3] > 0).any())
    hint = resize(given, (height, width)) if hinted else None
    return color, fitted(line, (height, width)), hint


def _read(job: Job, name: str) -> Tensor:
    """A picture of the source, (1, 3, H, W)."""
    if job.pictures is None:
        return read(job.source / name, shown(name)).tensor()
    if name not in job.pictures:
        raise Unfit(f"cannot be read: `{shown(name)}` holds no picture")
    return read(job.pictures[name], shown(name)).tensor()


def _same_shape(drawing: Tensor, color: Tensor, name: str) -> None:
    ratios = [picture.shape[-1] / picture.shape[-2] for picture in (color, drawing)]
    if abs(ratios[0] / ratios[1] - 1) > SHAPE:
        raise Unfit(f"has another shape than its drawing `{shown(name)}`")


def fitted(picture: Tensor, size: tuple[int, int]) -> Tensor:
    """Scale a picture to a height and width, without aliasing."""
    if tuple(picture.shape[-2:]) == size:
        return picture
    scaled = functional.interpolate(picture, size, mode="bicubic", antialias=True)
    return scaled.clamp(-1, 1)


def _halves(both: Tensor, half: str) -> tuple[Tensor, Tensor]:
    middle, odd = divmod(both.shape[-1], 2)
    if odd or middle < SMALLEST:
        raise Unfit(f"is {both.shape[-1]} pixels wide, which makes no two halves")
    left, right = both[..., :middle], both[..., middle:]
    return (left, right) if half == "left" else (right, left)
