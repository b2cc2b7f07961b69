"""Turn a folder of pictures into repeatable tasks: what the user gives, and what should come out.

Knows nothing of scores, models or baselines.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torch import Generator, Tensor
from torch.nn import functional as F

from colorize.errors import ColorizeError, nearest
from colorize.pictures import color, files, folder, lines, strokes, warp

Kind = Literal["line", "gray"]
MODES: dict[str, str] = {  # name -> what is given beside the drawing
    "same": "the true picture, warped, as reference",
    "cross": "another picture of the same group as reference",
    "hints": "scattered dots of the true colors",
    "none": "nothing but the drawing",
}
WARP = 0.05  # standard deviation of the control points, as a fraction of the side
HINT_SHARE = 0.005  # share of the pixels whose color the hints tell
SAME_FRAME = 0.02  # by how much the aspect ratio of a line drawing may miss its picture's


@dataclass(frozen=True)
class Protocol:
    """What makes scores comparable: two may stand in one table only if all of it agrees.

    size: pixels of the square every picture is fitted into. hint_share: 0 unless the mode is hints.
    data: name, number and fingerprint of the pictures.
    """

    mode: str
    size: int
    kind: Kind
    seed: int
    hint_share: float
    data: str


@dataclass(frozen=True)
class Sample:
    """One picture to color: what the user gives, and what the true picture is.

    truth: (1, 3, S, S). drawing: (1, 1, S, S), line art (paper +1, ink -1) or the gray picture.
    reference: (1, 3, S, S) or None. hints: (1, 4, S, S), RGB and mask, or None. All in [-1, 1].
    """

    file: str
    set: str
    kind: Kind
    truth: Tensor
    drawing: Tensor
    reference: Tensor | None = None
    hints: Tensor | None = None


@dataclass(frozen=True)
class Task:
    """The files behind one sample; `reference` is another picture, in mode `cross` only."""

    name: str
    row: folder.Row
    reference: Path | None = None


@dataclass(frozen=True)
class Samples:
    """The samples of one protocol; every pass over them gives the same tensors again.

    left_out: rows that have no other picture of their group, which mode `cross` cannot use.
    """

    protocol: Protocol
    tasks: tuple[Task, ...]
    left_out: int

    def __len__(self) -> int:
        return len(self.tasks)

    def __iter__(self) -> Iterator[Sample]:
        return (_sample(task, self.protocol) for task in self.tasks)


def samples(
    root: Path, mode: str, size: int = 256, seed: int = 0, kind: Kind = "line", limit: int = 0
) -> Samples:
    """Return the samples of `root/validation`, or of `root` itself if it has no splits.

    size: pictures are fitted into size x size pixels and padded white. kind: line art (the true
    line where the row names one, else XDoG of the picture) or the gray picture. limit: use only so
    many pictures, spread evenly over the folder; 0 uses all. In mode `cross` the reference is the
    first of the row's `reference_file_names`, or a picture of the same set and group; rows that
    have neither are left out and counted.

    Raises ColorizeError for an unknown mode, a broken row or a folder that leaves nothing to score.
    """
    if mode not in MODES:
        raise ColorizeError(f"there is no mode `{mode}`", nearest(mode, MODES), code=2)
    rows = folder.read_folder(root, "validation")
    base = folder.splits(root).get("validation", root)
    tasks = [Task(row.file.relative_to(base).as_posix(), row) for row in rows]
    if mode == "cross":
        tasks = _crossed(tasks, seed)
    if not tasks:
        raise ColorizeError(
            f"no picture of `{root}` has another picture of its group to serve as reference",
            "add the column `group` or `reference_file_names`, or use the mode same, hints or none",
        )
    left_out = len(rows) - len(tasks)
    if 0 < limit < len(tasks):
        tasks = [tasks[index * len(tasks) // limit] for index in range(limit)]
    data = f"{base.resolve().name}, {len(tasks)} pictures, {_fingerprint(tasks)}"
    share = HINT_SHARE if mode == "hints" else 0.0
    return Samples(Protocol(mode, size, kind, seed, share, data), tuple(tasks), left_out)


def fit(picture: Tensor, size: int) -> Tensor:
    """Resize a picture so that its longer side is `size`, and pad it white to a square.

    picture: (1, C, H, W) in [-1, 1]. Returns (1, C, size, size).
    """
    height, width = picture.shape[-2:]
    scale = size / max(height, width)
    new = max(round(height * scale), 1), max(round(width * scale), 1)
    if new != (height, width):
        picture = F.interpolate(picture, new, mode="bicubic", antialias=True).clamp(-1, 1)
    top, left = (size - new[0]) // 2, (size - new[1]) // 2
    around = (left, size - new[1] - left, top, size - new[0] - top)
    return F.pad(picture, around, value=1.0)


def _sample(task: Task, protocol: Protocol) -> Sample:
    picture = _read(task.row.file)
    truth = fit(picture, protocol.size)
    seed = _seed(protocol.seed, task.name)
    drawing = color.luminance(truth) if protocol.kind == "gray" else _line(task, picture, truth)
    reference = hints = None
    if task.reference is not None:
        reference = fit(_read(task.reference), protocol.size)
    elif protocol.mode == "same":
        reference = warp.warp(truth, WARP, Generator().manual_seed(seed))
    elif protocol.mode == "hints":
        hints = strokes.scatter(truth, protocol.hint_share, seed)
    return Sample(task.name, task.row.set, protocol.kind, truth, drawing, reference, hints)


def _line(task: Task, picture: Tensor, truth: Tensor) -> Tensor:
    """Return the true line drawing fitted as its picture was, or XDoG lines of the picture."""
    if task.row.line is None:
        return lines.xdog(truth)
    drawing = color.luminance(_read(task.row.line))
    (height, width), (tall, wide) = drawing.shape[-2:], picture.shape[-2:]
    if abs(height * wide - width * tall) > SAME_FRAME * tall * width:
        raise ColorizeError(
            f"the line drawing of `{task.name}` has {height} x {width} pixels and its picture "
            f"{tall} x {wide}; they cannot show the same frame",
            "make the folder again with `colorize prepare-data`",
        )
    return fit(drawing, truth.shape[-1])


def _read(path: Path) -> Tensor:
    return files.read(path).tensor()


def _fingerprint(tasks: list[Task]) -> str:
    """Return twelve digits that change with any file of any task, or with its name."""
    digest = hashlib.sha256()
    for task in tasks:
        digest.update(task.name.encode("utf-8", "surrogateescape"))
        for path in (task.row.file, task.row.line, task.reference):
            if path is None:
                digest.update(b"none")
                continue
            try:
                digest.update(hashlib.sha256(path.read_bytes()).digest())
            except OSError as error:
                raise ColorizeError(f"`{path}` cannot be read: {error.strerror}") from error
    return digest.hexdigest()[:12]


def _seed(seed: int, name: str) -> int:
    """Return a seed for one picture, which depends neither on its place nor on its neighbors."""
    return int.from_bytes(
        hashlib.sha256(f"{seed}:{name}".encode("utf-8", "surrogateescape")).digest()[:7], "big"
    )


def _crossed(tasks: list[Task], seed: int) -> list[Task]:
    """Give every task the picture it must take its colors from; drop those that have none."""
    groups: dict[tuple[str, str], list[Path]] = defaultdict(list)
    for task in tasks:
        groups[task.row.set, task.row.group].append(task.row.file)
    crossed = []
    for task in tasks:
        own = task.row.file.resolve()
        stored = [path for path in task.row.references if path.resolve() != own]
        mates = sorted(
            {path for path in groups[task.row.set, task.row.group] if path.resolve() != own}
        )
        if stored or mates:
            other = stored[0] if stored else mates[_seed(seed, task.name) % len(mates)]
            crossed.append(Task(task.name, task.row, other))
    return crossed
