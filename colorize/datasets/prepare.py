"""Turn color pictures or pairs into a folder of training data."""

from __future__ import annotations

import json
import os
import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import torch

from colorize.datasets import parquet
from colorize.datasets.celeba import CelebASource
from colorize.datasets.crop import BITS, SMALLEST, STYLES, duplicates, make_pair
from colorize.datasets.journal import Entry, Journal
from colorize.datasets.parquet import ParquetSource
from colorize.datasets.sources import ZIP, FolderSource, Item, Source, ZipSource
from colorize.errors import ColorizeError, nearest
from colorize.images.dataset_folder import METADATA
from colorize.images.files import atomic, sha256

AHEAD = 4  # pictures waiting for each worker, so that none is idle and few results wait
REFERENCES = 4  # other pictures of the group named in a row of the metadata
SOURCES: dict[type[Source], tuple[str, ...]] = {  # by layout; of several the first that finds something
    CelebASource: ("auto", "celeba"),
    ParquetSource: ("auto", "parquet"),
    ZipSource: ("auto", "zip", "pictures", "pairs"),
    FolderSource: ("auto", "pictures", "side-by-side", "pairs"),
}
CHOICES = {
    "layout": ("auto", "pictures", "side-by-side", "pairs", "parquet", "zip", "celeba"),
    "order": ("auto", "color-line", "line-color"),
    "crop": ("fit", "square", "subject"),
    "group": ("folder", "name", "none"),
}


@dataclass(frozen=True)
class PrepareOptions:
    """How to prepare a folder; refuses impossible values when it is made."""

    size: int = 256  # pixels of the longer side
    layout: str = "auto"  # pictures: color only; side-by-side: two halves; pairs: two folders
    order: str = "auto"  # of a side-by-side pair; auto: the half with more chroma is the color
    styles: tuple[str, ...] = ("mix",)  # of extracted line art, one of them per picture
    crop: str = "fit"  # fit: all of it, square: the middle, subject: a square on the subject
    validation: float = 0.05  # share of the pictures, in whole groups
    test: float = 0.05
    seed: int = 0
    workers: int = 0  # pictures at once; 0: as many as there are cores
    group: str = "folder"  # what belongs together: a folder, the start of the name, or nothing
    near: int = 6  # of 144 bits two pictures may differ in to be the same; -1: keep all
    overwrite: bool = False  # remove what an earlier run made

    def __post_init__(self) -> None:
        chosen = [(name, getattr(self, name), known) for name, known in CHOICES.items()]
        chosen += [("line style", style, ("mix", *STYLES)) for style in self.styles or ("",)]
        for name, value, known in chosen:
            if value not in known:
                raise ColorizeError(f"unknown {name} `{value}`", nearest(value, known), code=2)
        if self.near >= BITS:
            raise ColorizeError(f"near={self.near} makes all pictures equal", "give 6", code=2)
        if self.size < SMALLEST:
            raise ColorizeError(f"a size of {self.size} is below {SMALLEST} pixels", code=2)
        if min(self.validation, self.test) < 0 or self.validation + self.test >= 1:
            what = f"shares of {self.validation} and {self.test} leave nothing to train on"
            raise ColorizeError(what, "choose shares such as 0.05", code=2)


@dataclass(frozen=True)
class Summary:
    """What a run made.

    counts: pictures per split. skipped: (file, sentence on why). duplicates: (file dropped, file of
    another split that it repeats). notes: sentences.
    """

    counts: dict[str, int]
    skipped: tuple[tuple[str, str], ...]
    duplicates: tuple[tuple[str, str], ...]
    groups: int
    seconds: float
    layout: str
    order: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Event:
    """So many pictures of a total are done; the last event has the summary."""

    done: int
    total: int
    summary: Summary | None = None


@dataclass(frozen=True)
class Result:
    """What became of an item."""

    item: Item
    split: str
    entry: Entry


def prepare(source: Path | str, target: Path, options: PrepareOptions | None = None) -> Iterator[Event]:
    """Make TARGET/train, validation and test of a source; yield an event after every picture.

    source: a folder, a Parquet file, a zip archive, or `hub:OWNER/NAME[@REVISION]`. Each split holds color/ and line/
    (PNG), hints/ (transparent PNG) where the source has some, and `metadata.jsonl` in the `imagefolder` convention,
    readable by `read_folder`. The result depends on the pictures and the options alone, not on `workers`, and not on
    how often the run was stopped: it goes on where it stopped. A picture that cannot be used is skipped. Raises
    ColorizeError if no picture can be used, for folders that contain each other, for a target made by something else or
    by other options, and for a full disk.
    """
    options = options or PrepareOptions()
    started = time.monotonic()
    path = locate(source)
    real, other = path.resolve(), target.resolve()
    if real.is_relative_to(other) or other.is_relative_to(real):
        raise ColorizeError(f"`{path}` and `{target}` contain each other", "choose a target outside the source")
    if target.exists() and not target.is_dir():
        raise ColorizeError(f"`{target}` is a file, not a folder", "choose another target")
    with one_thread_each():
        found = open_source(path, options)
    identity = {"source": sha256(json.dumps([str(real)]))[:32]}  # a digest, so as not to tell where it is
    identity |= {name: value for name, value in asdict(options).items() if name not in ("workers", "overwrite")}
    journal = Journal(target, identity, options.overwrite)
    total = len(found.items)
    results: dict[str, Result] = {}
    for result in _results(found, options, journal):
        results[result.item.color] = result
        yield Event(len(results), total)
    summary = _finish(found, [results[item.color] for item in found.items], options, journal, started)
    yield Event(total, total, summary)


def locate(source: Path | str) -> Path:
    """Return the folder or file of a source; `hub:OWNER/NAME[@REVISION]` is fetched into the cache.

    Raises ColorizeError for a source that does not exist or cannot be fetched.
    """
    path = Path(source)
    if str(source).startswith(parquet.HUB) and not path.exists():
        return parquet.fetch(str(source))
    if not path.is_dir() and not (path.is_file() and path.suffix.lower() in (parquet.SUFFIX, ZIP)):
        what = f"`{path}` is not a folder" if path.exists() else f"there is no folder `{path}`"
        raise ColorizeError(what, "give the folder of your pictures, a .parquet or .zip file, or hub:OWNER/NAME")
    return path


def open_source(path: Path, options: PrepareOptions) -> Source:
    """Return the pictures of a folder or file, by the first of `SOURCES` that knows its layout.

    CelebA is recognized by the names of its files; Parquet files and zip archives by their suffix, if no pictures lie
    next to them. Raises ColorizeError if there is nothing of the layout, or it is incomplete.
    """
    kinds = (kind for kind, layouts in SOURCES.items() if options.layout in layouts)
    return next(filter(None, (kind.open(path, options) for kind in kinds)))


def _results(source: Source, options: PrepareOptions, journal: Journal) -> Iterator[Result]:
    """Every item with its result: first those finished before, then the others, by several workers."""
    todo: list[tuple[str, str, Item]] = []
    for item, split in zip(source.items, assign_splits(source.items, options), strict=True):
        try:
            states = [(state.st_size, state.st_mtime_ns) for state in map(Path.stat, source.files(item))]
        except OSError:  # gone since the folder was read; reading it will say so
            states = []
        key = sha256(json.dumps([split, item.identity, *states]))[:32]
        if (entry := journal.find(key)) is not None:
            yield Result(item, split, entry)
        else:
            todo.append((key, split, item))
    workers = options.workers or os.cpu_count() or 1
    waiting: deque[tuple[str, str, Item, Future[Entry]]] = deque()

    def finished() -> Result:
        key, split, item, future = waiting.popleft()
        entry = future.result()
        journal.add(key, entry)
        return Result(item, split, entry)

    with one_thread_each(), ThreadPoolExecutor(workers) as pool:
        try:
            contents = source.read(item for *_, item in todo)
            for (key, split, item), pictures in zip(todo, contents, strict=True):
                seed = _seed(f"{options.seed}/{item.color}")
                how = options.size, options.crop, options.styles[seed % len(options.styles)], seed
                waiting.append((key, split, item, pool.submit(make_pair, item, pictures, journal.target / split, *how)))
                if len(waiting) > AHEAD * workers:
                    yield finished()
            while waiting:
                yield finished()
        finally:
            pool.shutdown(cancel_futures=True)


def _finish(
    source: Source, results: Sequence[Result], options: PrepareOptions, journal: Journal, started: float
) -> Summary:
    """Drop what occurs in two splits, write the metadata, and remove files that are not in it."""
    usable = [result for result in results if not result.entry.skipped]
    skipped = [(result.item.color, result.entry.skipped) for result in results if result.entry.skipped]
    if not usable:
        reasons = "; ".join(reason for _, reason in skipped[:3])
        raise ColorizeError(f"none of the {len(results)} pictures can be used", reasons)
    repeats = duplicates([one.split for one in usable], [one.entry.hash for one in usable], options.near)
    kept = [result for index, result in enumerate(usable) if index not in repeats]
    write_metadata(journal.target, kept)
    journal.clean({file for result in kept for file in result.entry.files})
    counts = {split: sum(one.split == split for one in kept) for split in ("train", "validation", "test")}
    notes = list(source.notes)
    if any(item.split for item in source.items):
        notes.append("the splits are the source's own")
    else:
        for split, share in (("validation", options.validation), ("test", options.test)):
            if share > 0 and not counts[split]:
                notes.append(f"no group is left for {split}; `--group none` splits picture by picture")
    return Summary(
        counts=counts,
        skipped=(*source.skipped, *skipped),
        duplicates=tuple((usable[a].item.color, usable[b].item.color) for a, b in repeats.items()),
        groups=len({one.item.group for one in kept}),
        seconds=time.monotonic() - started,
        layout=source.layout,
        order=source.order,
        notes=tuple(notes),
    )


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Let torch and OpenCV use one thread per worker: every core has a picture of its own."""
    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])


def _seed(text: str) -> int:
    """A whole number below 2^63 that depends on a text alone, the same on every machine."""
    return int(sha256(text)[:16], 16) >> 1


def assign_splits(items: Sequence[Item], options: PrepareOptions) -> list[str]:
    """Return the split of every item: what its folder says, or else whole groups by a seeded draw.

    A split with a share above 0 gets one picture at least, if there are groups enough; its share is
    only exceeded if no group is small enough.
    """
    groups = Counter(item.group for item in items if not item.split)
    free = sorted(groups, key=lambda group: (_seed(f"{options.seed}/{group}"), group))
    chosen: dict[str, str] = {}
    for split, share in (("test", options.test), ("validation", options.validation)):
        left = wanted = max(1, round(share * groups.total())) if share > 0 else 0
        taken: list[str] = []
        for group in free[:-1] if wanted else ():  # one group at least is to train on
            if groups[group] <= left:
                taken.append(group)
                left -= groups[group]
        if wanted and not taken and len(free) > 1:
            taken = [min(free, key=lambda group: groups[group])]
        chosen |= dict.fromkeys(taken, split)
        free = [group for group in free if group not in chosen]
    return [item.split or chosen.get(item.group, "train") for item in items]


def write_metadata(target: Path, kept: Sequence[Result]) -> None:
    """Write `metadata.jsonl` of every split, each at once or not at all, and remove older ones.

    A row names the next pictures of its group in its split as references, in a circle, so that
    each picture serves as often as any other. The column is left out, since `group` says the same,
    if some split has only empty lists: Hugging Face datasets wants lists of one type everywhere.
    """
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)  # color pictures
    for one in kept:
        groups[one.split, one.item.group].append(one.entry.files[0].removeprefix(f"{one.split}/"))
    hinted = any(len(one.entry.files) > 2 for one in kept)
    paired = {split for (split, _), group in groups.items() if len(group) > 1} == {one.split for one in kept}
    places = {(split, file): place for (split, _), files in groups.items() for place, file in enumerate(files)}
    rows: dict[str, list[str]] = {split: [] for split in ("train", "validation", "test")}
    for one in kept:
        files = [file.removeprefix(f"{one.split}/") for file in one.entry.files]
        row: dict[str, str | list[str] | None] = {"file_name": files[0], "line_file_name": files[1]}
        if hinted:
            row["hint_file_name"] = files[2] if len(files) > 2 else None
        if paired:
            group, place = groups[one.split, one.item.group], places[one.split, files[0]]
            steps = range(1, min(REFERENCES, len(group) - 1) + 1)
            row["reference_file_names"] = [group[(place + step) % len(group)] for step in steps]
        for column, text in (("group", one.item.group), ("source", one.item.color)):
            row[column] = text.encode(errors="backslashreplace").decode()  # names need not be Unicode
        rows[one.split].append(json.dumps(row, ensure_ascii=False) + "\n")
    for split, texts in rows.items():
        path = target / split / METADATA
        if not texts:
            path.unlink(missing_ok=True)
            continue
        with atomic(path) as temporary:
            temporary.write_text("".join(texts), encoding="utf-8", newline="\n")
