"""Turn a folder of pictures into repeatable samples: what the user gives, and what should come out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

import numpy as np
import torch.nn.functional as F
from torch import Generator, Tensor

from colorize.errors import ColorizeError, nearest
from colorize.images import augment, color, color_hints, dataset_folder, files, hint_files, lines, palettes
from colorize.images.listing import real
from colorize.images.resize import centered, crop, fit_size, letterbox

Kind = Literal["line", "gray"]
Item = TypeVar("Item")
CACHE = 2**28  # bytes of fitted pictures that are kept; about 250 with their drawings at 256 px
SAME_FRAME = 0.02  # by how much the aspect ratio of a line drawing may miss its picture's
COARSE = 128  # pixels a side at which colors of pictures are compared
WARP = 0.05  # standard deviation of the control points, as a fraction of the side
FLIPPED_WARP = 0.06  # the same for flipped references
CROPPED = 0.08  # of a side, cut off of flipped references at each border
HINT_SHARE = 0.005  # share of the pixels that hints cover


class Mode(NamedTuple):
    """What a mode gives with the drawing, as which hint of a recipe, and what a picture may lack for it."""

    help: str
    needs: str = ""
    lacks: str = ""
    advice: str = ""  # if every picture lacks it


MODES: dict[str, Mode] = {
    "same": Mode("the true picture, warped, as reference", "reference"),
    "flip": Mode("the true picture, mirrored, bent and cropped, as reference", "reference"),
    "cross": Mode(
        "another picture of the same group as reference",
        "reference",
        "another picture of the same group as reference",
        "add the column `group` or `reference_file_names`, or use the mode same, hints or none",
    ),
    "shuffled": Mode(
        "a picture that has nothing to do with it as reference",
        "reference",
        "a picture of another set and group as reference",
        "add the columns `set` and `group`, or use another mode",
    ),
    "palette": Mode("the palette of the true picture as reference", "reference"),
    "hints": Mode("scattered dots of the true colors", "hints"),
    "stored": Mode(
        "the color hints that the folder stores",
        "hints",
        "hints of its own",
        "add the column `hint_file_name`, or use the mode hints",
    ),
    "none": Mode("nothing but the drawing"),
}


@dataclass(frozen=True)
class Protocol:
    """What makes scores comparable: two may stand in one table only if all of it agrees.

    size: pixels of the square every picture is fitted into. hint_share: share of the pixels that
    hints cover, 0 unless the mode is hints. alike: share of a picture's colors that its reference has
    at least, 0 unless the mode is cross. data: name, number and fingerprint of the pictures.
    """

    mode: str
    size: int
    kind: Kind
    seed: int
    hint_share: float
    data: str
    alike: float = 0.0

    def __str__(self) -> str:
        """The mode, with its share where dots are scattered."""
        return self.mode + (f" {self.hint_share * 100:g} %" if self.hint_share else "")


@dataclass(frozen=True)
class Sample:
    """One picture to color: what the user gives, and what the true picture is.

    truth: (1, 3, S, S). drawing: (1, 1, S, S), line art (paper +1, ink -1) or the gray picture. reference: (1, 3, h, w)
    or None. hints: (1, 4, S, S), RGB and mask, or None. All in [-1, 1]. mode: which of `MODES` it belongs to. drawn:
    whether the line art is a drawing of its own, and not extracted from the truth.
    """

    file: str
    set: str
    kind: Kind
    truth: Tensor
    drawing: Tensor
    reference: Tensor | None = None
    hints: Tensor | None = None
    mode: str = ""
    drawn: bool = False


class Task(NamedTuple):
    """The files behind one sample; `reference` is another picture, in modes `cross` and `shuffled`."""

    name: str
    row: dataset_folder.Row
    reference: Path | None = None


class Dataset:
    """The rows of `root/validation`, or of `root` itself if it has no splits, and their pictures.

    Every file is read and hashed once, however many modes look at it. Raises ColorizeError as `read_folder` does.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        rows = dataset_folder.read_folder(root, "validation")
        self.base = dataset_folder.splits(root).get("validation", root)
        self.tasks = [Task(row.file.relative_to(self.base).as_posix(), row) for row in rows]
        self._sizes: dict[Path, tuple[int, int]] = {}  # height and width of the files
        self._digests: dict[Path, bytes] = {}
        self._cache: dict[tuple[str, Path, int], Tensor] = {}
        self._room = CACHE

    def truth(self, file: Path, size: int) -> Tensor:
        """Return a picture fitted into a square, (1, 3, size, size) in [-1, 1]."""
        return self._cached(("truth", file, size), lambda: letterbox(self._read(file), size, "bicubic"))

    def shared(self, file: Path, other: Path) -> float:
        """Return the share of a picture's colors that another one has; 0 if one of them cannot be read."""
        try:
            return float(palettes.shared(self.truth(file, COARSE), self.truth(other, COARSE)))
        except ColorizeError:
            return 0.0

    def drawing(self, task: Task, size: int, kind: Kind) -> Tensor:
        """Return what is to be colored, (1, 1, size, size) in [-1, 1]: line art or the gray picture.

        Line art is the true line where the row names one, else XDoG of the picture. Raises
        ColorizeError if the line and its picture cannot show the same frame.
        """
        if kind == "gray":
            return color.luminance(self.truth(task.row.file, size))
        return self._cached(("line", task.row.file, size), lambda: self._line(task, size))

    def hints(self, task: Task, size: int) -> Tensor:
        """Return the hints that a row stores, (1, 4, size, size); raises ColorizeError if they are not transparent."""
        assert task.row.hint is not None, task
        picture = files.read(task.row.hint)
        if picture.alpha is None:
            hint = "make the folder again with `colorize prepare-data`"
            raise ColorizeError(f"the hints of `{task.name}` are not transparent between the strokes", hint)
        rgb = np.broadcast_to(picture.pixels, (*picture.size, 3))
        hints = hint_files.parse(np.dstack([rgb, picture.alpha]), picture.size)
        box = centered(fit_size(hints.shape[-2:], size), (size, size))
        result = color_hints.blank(hints.new_empty(1, 3, size, size))
        crop(result, box).copy_(hint_files.resize(hints, (box.height, box.width)))
        return result

    def fingerprint(self, tasks: list[Task], mode: str) -> str:
        """Return twelve digits that change with any file or name of these tasks."""
        parts: list[str | bytes | Path] = []
        for task in tasks:
            stored = [task.row.hint] if mode == "stored" else []
            paths = (task.row.file, task.row.line, task.reference, *stored)
            for path in paths:
                if path is not None and path not in self._digests:
                    with suppress(OSError):  # whoever reads the picture says so
                        self._digests[path] = bytes.fromhex(files.sha256(path))
            parts += [task.name, *("none" if path is None else self._digests.get(path, "unread") for path in paths)]
        return files.sha256(parts)[:12]

    def _line(self, task: Task, size: int) -> Tensor:
        truth = self.truth(task.row.file, size)
        if task.row.line is None:
            return lines.xdog(truth)
        drawing = color.luminance(self._read(task.row.line))
        (height, width), (tall, wide) = drawing.shape[-2:], self._sizes[task.row.file]
        if abs(height * wide - width * tall) > SAME_FRAME * tall * width:
            raise ColorizeError(
                f"the line drawing of `{task.name}` has {height} x {width} pixels and its "
                f"picture {tall} x {wide}; they cannot show the same frame",
                "make the folder again with `colorize prepare-data`",
            )
        return letterbox(drawing, size, "bicubic")

    def _read(self, path: Path) -> Tensor:
        picture = files.read(path).tensor()
        self._sizes[path] = (picture.shape[-2], picture.shape[-1])
        return picture

    def _cached(self, key: tuple[str, Path, int], make: Callable[[], Tensor]) -> Tensor:
        """Make a tensor or take the kept one; the first ones are kept, since every mode comes along in order."""
        if key in self._cache:
            return self._cache[key]
        made = make()
        if made.nbytes <= self._room:
            self._cache[key] = made
            self._room -= made.nbytes
        return made


@dataclass(frozen=True)
class Samples:
    """The samples of one protocol; every pass over them gives the same tensors again.

    left_out: how many rows lack what the mode needs, as a sentence; empty for none.
    """

    protocol: Protocol
    tasks: list[Task]
    left_out: str
    dataset: Dataset = field(repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.tasks)

    def __iter__(self) -> Iterator[Sample]:
        return (self[at] for at in range(len(self)))

    def readable(self, unread: dict[str, str]) -> Iterator[tuple[int, Sample]]:
        """Yield samples with their place; of those that cannot be read only say why, in `unread` by name."""
        for at, task in enumerate(self.tasks):
            try:
                yield at, self[at]
            except ColorizeError as error:
                unread[task.name] = error.message

    def __getitem__(self, at: int) -> Sample:
        task, protocol = self.tasks[at], self.protocol
        mode, size = protocol.mode, protocol.size
        truth = self.dataset.truth(task.row.file, size)
        drawing = self.dataset.drawing(task, size, protocol.kind)
        seed = _seed(protocol.seed, task.name)
        reference = hints = None
        if task.reference is not None:
            reference = self.dataset.truth(task.reference, size)
        elif mode == "same":
            reference = augment.warp(truth, WARP, Generator().manual_seed(seed))
        elif mode == "palette":
            reference = palettes.swatches(palettes.dominant(truth))
        elif mode == "flip":  # another view: turned, bent, zoomed, mirrored, and less of it
            bent = augment.reference(truth, Generator().manual_seed(seed), FLIPPED_WARP).flip(3)
            edge = round(CROPPED * size)
            inner = bent[..., edge : size - edge, edge : size - edge]
            reference = F.interpolate(inner, (size, size), mode="bilinear", antialias=True).clamp(-1, 1)
        elif mode == "stored":
            hints = self.dataset.hints(task, size)
        elif mode == "hints":
            hints = color_hints.scatter(truth, protocol.hint_share, seed)
        drawn = task.row.line is not None
        return Sample(task.name, task.row.set, protocol.kind, truth, drawing, reference, hints, mode, drawn)


def samples(
    source: Path | Dataset,
    mode: str,
    size: int = 256,
    seed: int = 0,
    kind: Kind = "line",
    limit: int = 0,
    share: float = HINT_SHARE,
    alike: float = 0.0,
) -> Samples:
    """Return the samples of a folder, or of its `Dataset`, which several modes may share.

    size: pictures are fitted into size x size pixels and padded white. limit: use only so many pictures, spread evenly
    over the folder; 0 uses all. share: of the pixels that hints cover, 0 to 1; the dots of a smaller share are among
    those of a larger one. In mode `cross` the reference is the first of the row's `reference_file_names`, or a picture
    of the same set and group; alike: share of the row's colors that it must have, see `palettes.shared`. Raises
    ColorizeError for an unknown mode, a share out of range, a broken row or a folder that leaves nothing to score.
    """
    if mode not in MODES:
        raise ColorizeError(f"unknown mode `{mode}`", nearest(mode, MODES), code=2)
    if not 0 < share <= 1:
        raise ColorizeError(f"hints cannot cover {share * 100:g} % of the pixels", "choose 0.05 to 100 %", code=2)
    data = source if isinstance(source, Dataset) else Dataset(source)
    alike = alike if mode == "cross" else 0.0
    tasks = _equipped(data, mode, seed, alike)
    lacks, advice = MODES[mode].lacks, MODES[mode].advice
    if alike:
        lacks, advice = "a picture of its group that shares enough colors", "lower --alike"
    if not tasks:
        raise ColorizeError(f"no picture of `{data.root}` has {lacks}", advice)
    missing = len(data.tasks) - len(tasks)
    left_out = f"left out {missing} {'picture' if missing == 1 else 'pictures'} without {lacks}" if missing else ""
    if 0 < limit < len(tasks):
        tasks = [tasks[index * len(tasks) // limit] for index in range(limit)]
    name = f"{data.base.resolve().name}, {len(tasks)} pictures, {data.fingerprint(tasks, mode)}"
    protocol = Protocol(mode, size, kind, seed, share if mode == "hints" else 0.0, name, alike)
    return Samples(protocol, tasks, left_out, data)


def _equipped(data: Dataset, mode: str, seed: int, alike: float) -> list[Task]:
    """Return the tasks that have what the mode needs, with another picture as reference where it gives one."""
    if mode == "stored":
        return [task for task in data.tasks if task.row.hint]
    if mode not in ("cross", "shuffled"):
        return data.tasks
    groups: dict[tuple[str, str], list[Path]] = defaultdict(list)
    for task in data.tasks:
        groups[task.row.set, task.row.group].append(task.row.file)
    order = sorted(data.tasks, key=lambda task: (task.row.set, task.name))
    strangers = {name: [task for task in order if task.row.set != name] for name, _ in groups}
    partners = []
    for name, row, _ in data.tasks:
        start = _seed(seed, name)
        if mode == "cross":  # the stored references, or else the pictures of the group, from a random one on
            own, group = real(row.file), groups[row.set, row.group]
            stored: Iterable[Path] = [path for path in row.references if real(path) != own]
            others = stored or _rotated(sorted({path for path in group if real(path) != own}), start)
            fitting = (path for path in others if not alike or data.shared(row.file, path) >= alike)
        else:  # the first one will do, unless the group spans sets
            unlike = _rotated(strangers[row.set], start)
            fitting = (task.row.file for task in unlike if task.row.group != row.group)
        partners.append(next(fitting, None))
    return [task._replace(reference=one) for task, one in zip(data.tasks, partners, strict=True) if one]


def _rotated(items: Sequence[Item], start: int) -> Iterator[Item]:
    return (items[(start + turn) % len(items)] for turn in range(len(items)))


def _seed(seed: int, name: str) -> int:
    """Return a seed for one picture, which depends neither on its place nor on its neighbors."""
    return int(files.sha256(f"{seed}:{name}")[:14], 16)
