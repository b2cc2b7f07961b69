"""Turn a folder of pictures into repeatable tasks: what the user gives, and what should come out.

Knows nothing of scores, models or baselines.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch.nn.functional as F
from torch import Generator, Tensor

from colorize.errors import ColorizeError, nearest
from colorize.evaluation.pictures import Kind, Store
from colorize.images import augment, dataset_folder, palettes, simulated_hints

MODES: dict[str, str] = {  # name -> what is given beside the drawing
    "same": "the true picture, warped, as reference",
    "flip": "the true picture, mirrored, bent and cropped, as reference",
    "cross": "another picture of the same group as reference",
    "shuffled": "a picture that has nothing to do with it as reference",
    "palette": "the palette of the true picture as reference",
    "hints": "scattered dots of the true colors",
    "stored": "the color hints that the folder stores",
    "none": "nothing but the drawing",
}
COARSE = 128  # pixels a side at which colors of pictures are compared
WARP = 0.05  # standard deviation of the control points, as a fraction of the side
FLIPPED_WARP = 0.06  # the same for flipped references
CROPPED = 0.08  # of a side, cut off of flipped references at each border
HINT_SHARE = 0.005  # share of the pixels whose color the hints tell
LONELY = {  # mode -> why no picture of a folder can have it, and how to go on
    "cross": (
        "no picture of `{}` has another picture of its group to serve as reference",
        "add the column `group` or `reference_file_names`, or use the mode same, hints or none",
    ),
    "shuffled": (
        "no picture of `{}` has a picture of another set and group to be misled by",
        "add the columns `set` and `group`, or use another mode",
    ),
    "stored": ("no picture of `{}` has hints of its own", "add the column `hint_file_name`, or use the mode hints"),
}
ALIKE = ("no picture of `{}` has one of its group that shares so many colors", "ask for less with --alike")


@dataclass(frozen=True)
class Protocol:
    """What makes scores comparable: two may stand in one table only if all of it agrees.

    size: pixels of the square every picture is fitted into. hint_share: share of the pixels that
    are told, 0 unless the mode is hints. alike: share of a picture's colors that its reference has at
    least, 0 unless the mode is cross. data: name, number and fingerprint of the pictures.
    """

    mode: str
    size: int
    kind: Kind
    seed: int
    hint_share: float
    data: str
    alike: float = 0.0


@dataclass(frozen=True)
class Sample:
    """One picture to color: what the user gives, and what the true picture is.

    truth: (1, 3, S, S). drawing: (1, 1, S, S), line art (paper +1, ink -1) or the gray picture.
    reference: (1, 3, h, w) or None. hints: (1, 4, S, S), RGB and mask, or None. All in [-1, 1].
    mode: which of `MODES` it belongs to.
    """

    file: str
    set: str
    kind: Kind
    truth: Tensor
    drawing: Tensor
    reference: Tensor | None = None
    hints: Tensor | None = None
    mode: str = ""


@dataclass(frozen=True)
class Samples:
    """The samples of one protocol; every pass over them gives the same tensors again.

    left_out: rows that have no picture to serve as reference, which `cross` and `shuffled` need.
    """

    protocol: Protocol
    tasks: tuple[Task, ...]
    left_out: int
    store: Store = field(repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.tasks)

    def __iter__(self) -> Iterator[Sample]:
        return (self[at] for at in range(len(self)))

    def __getitem__(self, at: int) -> Sample:
        return _sample(self.tasks[at], self.protocol, self.store)


def samples(
    source: Path | Store,
    mode: str,
    size: int = 256,
    seed: int = 0,
    kind: Kind = "line",
    limit: int = 0,
    share: float = HINT_SHARE,
    alike: float = 0.0,
) -> Samples:
    """Return the samples of `root/validation`, or of `root` itself if it has no splits.

    source: a folder, or its `Store`, which several modes may share. size: pictures are fitted into
    size x size pixels and padded white. kind: line art (the true line where the row names one, else
    XDoG of the picture) or the gray picture. limit: use only so many pictures, spread evenly over
    the folder; 0 uses all. share: of the pixels that hints tell, 0 to 1; the dots of a smaller
    share are among those of a larger one. In mode `cross` the reference is the first of the row's
    `reference_file_names`, or a picture of the same set and group, in `shuffled` one of another set
    and group; rows that have none are left out and counted. alike: in mode `cross`, only a picture
    that has this share of the row's colors will do, see `palettes.shared`.

    Raises ColorizeError for an unknown mode, a share out of range, a broken row or a folder that
    leaves nothing to score.
    """
    if mode not in MODES:
        raise ColorizeError(f"there is no mode `{mode}`", nearest(mode, MODES), code=2)
    if not 0 < share <= 1:
        raise ColorizeError(f"hints cannot tell {share * 100:g} % of the pixels", "take 0.05 to 100 %", code=2)
    store = source if isinstance(source, Store) else Store(source)
    tasks = [Task(store.name(row), row) for row in store.rows]
    if mode in LONELY:
        tasks = _partnered(tasks, mode, seed, alike, store)
    if not tasks:
        message, hint = ALIKE if alike and mode == "cross" else LONELY[mode]
        raise ColorizeError(message.format(store.root), hint)
    left_out = len(store.rows) - len(tasks)
    if 0 < limit < len(tasks):
        tasks = [tasks[index * len(tasks) // limit] for index in range(limit)]
    data = f"{store.base.resolve().name}, {len(tasks)} pictures, {_fingerprint(tasks, store, mode)}"
    told = share if mode == "hints" else 0.0
    least = alike if mode == "cross" else 0.0
    protocol = Protocol(mode, size, kind, seed, told, data, least)
    return Samples(protocol, tuple(tasks), left_out, store)


def _partnered(tasks: list[Task], mode: str, seed: int, alike: float, store: Store) -> list[Task]:
    """Give tasks what their mode asks of the folder, and leave out those that cannot have it."""

    def fits(task: Task, other: Path) -> bool:
        here, there = (store.truth(path, COARSE) for path in (task.row.file, other))
        return float(palettes.shared(here, there)) >= alike

    if mode == "stored":
        return [task for task in tasks if task.row.hint]
    if mode == "shuffled":
        return shuffled(tasks, seed)
    return crossed(tasks, seed, fits if alike else None)


def _sample(task: Task, protocol: Protocol, store: Store) -> Sample:
    mode, size = protocol.mode, protocol.size
    truth = store.truth(task.row.file, size)
    drawing = store.drawing(task.row, size, protocol.kind)
    seed = seed_of(protocol.seed, task.name)
    reference = hints = None
    if task.reference is not None:
        reference = store.truth(task.reference, size)
    elif mode == "same":
        reference = augment.warp(truth, WARP, Generator().manual_seed(seed))
    elif mode == "palette":
        reference = palettes.swatches(palettes.dominant(truth))
    elif mode == "flip":
        reference = _flipped(truth, seed)
    elif mode == "stored":
        hints = store.hints(task.row, size)
    elif mode == "hints":
        hints = simulated_hints.scatter(truth, protocol.hint_share, seed)
    return Sample(task.name, task.row.set, protocol.kind, truth, drawing, reference, hints, protocol.mode)


def _flipped(truth: Tensor, seed: int) -> Tensor:
    """Another view of a picture (1, 3, S, S): turned, bent, zoomed, mirrored, and less of it."""
    bent = augment.reference(truth, Generator().manual_seed(seed), FLIPPED_WARP).flip(3)
    size, edge = truth.shape[-1], round(CROPPED * truth.shape[-1])
    inner = bent[..., edge : size - edge, edge : size - edge]
    return F.interpolate(inner, (size, size), mode="bilinear", antialias=True).clamp(-1, 1)


def _fingerprint(tasks: list[Task], store: Store, mode: str) -> str:
    """Return twelve digits that change with any file of any task, or with its name."""
    digest = hashlib.sha256()
    for task in tasks:
        digest.update(task.name.encode("utf-8", "surrogateescape"))
        told = task.row.hint if mode == "stored" else None
        for path in (task.row.file, task.row.line, task.reference, *([told] if told else [])):
            digest.update(store.digest(path))
    return digest.hexdigest()[:12]


@dataclass(frozen=True)
class Task:
    """The files behind one sample; `reference` is another picture, in modes `cross` and `shuffled`."""

    name: str
    row: dataset_folder.Row
    reference: Path | None = None


def crossed(tasks: list[Task], seed: int, fits: Callable[[Task, Path], bool] | None = None) -> list[Task]:
    """Give every task the picture it must take its colors from; drop those that have none.

    fits: says which pictures may serve; None lets all of the group.
    """
    groups: dict[tuple[str, str], list[Path]] = defaultdict(list)
    for task in tasks:
        groups[task.row.set, task.row.group].append(task.row.file)
    found = []
    for task in tasks:
        own = task.row.file.resolve()
        stored = [path for path in task.row.references if path.resolve() != own]
        mates = sorted({path for path in groups[task.row.set, task.row.group] if path.resolve() != own})
        first = seed_of(seed, task.name) % max(1, len(mates))
        choice = stored or mates[first:] + mates[:first]
        other = next((path for path in choice if fits is None or fits(task, path)), None)
        if other is not None:
            found.append(Task(task.name, task.row, other))
    return found


def shuffled(tasks: list[Task], seed: int) -> list[Task]:
    """Give every task a picture of another set and group; drop those that have none."""
    order = sorted(tasks, key=lambda task: (task.row.set, task.name))
    sets = [task.row.set for task in order]
    found = []
    for task in tasks:
        start, end = bisect_left(sets, task.row.set), bisect_right(sets, task.row.set)
        strangers = len(order) - (end - start)
        first = seed_of(seed, task.name) % max(1, strangers)
        for turn in range(strangers):  # the first one will do, unless the group spans sets
            at = (first + turn) % strangers
            other = order[at if at < start else at + end - start].row
            if other.group != task.row.group:
                found.append(Task(task.name, task.row, other.file))
                break
    return found


def seed_of(seed: int, name: str) -> int:
    """Return a seed for one picture, which depends neither on its place nor on its neighbors."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode("utf-8", "surrogateescape")).digest()[:7], "big")
