"""Turn color pictures or pairs into training data. Knows nothing of networks."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, astuple, dataclass
from pathlib import Path

import cv2
import torch

from colorize.datasets.crop import STYLES, Made, cut, number
from colorize.datasets.duplicates import BITS, twins
from colorize.datasets.folders import Found, Item
from colorize.datasets.job import SMALLEST, Job
from colorize.datasets.journal import Entry, Journal, open_journal
from colorize.datasets.sources import apart, filled, local, look, root
from colorize.datasets.zip import holder
from colorize.errors import ColorizeError, nearest
from colorize.images.dataset_folder import METADATA
from colorize.images.files import atomic

LINES = ("mix", *STYLES)
SIDES = ("color", "line", "hints")  # folders of a split
CHOICES = {
    "layout": ("auto", "pictures", "side-by-side", "pairs", "parquet", "zip", "celeba"),
    "order": ("auto", "color-line", "line-color"),
    "crop": ("fit", "square", "subject"),
    "group": ("folder", "name", "none"),
}


@dataclass(frozen=True)
class Prepare:
    """How to prepare a folder; refuses impossible values when it is made."""

    size: int = 256  # pixels of the longer side
    layout: str = "auto"  # pictures: color only; side-by-side: two halves; pairs: two folders
    order: str = "auto"  # of a pair side by side; auto: the half with more chroma is the color
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
        for name, known in CHOICES.items():
            if (value := getattr(self, name)) not in known:
                raise ColorizeError(f"`{value}` is no {name}", nearest(value, known), code=2)
        for style in self.styles or ("",):
            if style not in LINES:
                raise ColorizeError(f"`{style}` is no line style", nearest(style, LINES), code=2)
        if self.near >= BITS:
            raise ColorizeError(f"near={self.near} makes all pictures equal", "give 6", code=2)
        if self.size < SMALLEST:
            raise ColorizeError(f"a size of {self.size} is below {SMALLEST} pixels", code=2)
        if min(self.validation, self.test) < 0 or self.validation + self.test >= 1:
            what = f"shares of {self.validation} and {self.test} leave nothing to train on"
            raise ColorizeError(what, "give shares such as 0.05", code=2)


@dataclass(frozen=True)
class Summary:
    """What a run made.

    counts: pictures per split. skipped: (file, sentence on why). duplicates: (file dropped, file of
    another split that it repeats). notes: sentences worth telling.
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
    """One more picture is done, or `skipped` says why not; the last event carries the summary."""

    done: int
    total: int
    file: str
    skipped: str = ""
    summary: Summary | None = None


def prepare(source: Path | str, target: Path, settings: Prepare | None = None) -> Iterator[Event]:
    """Make TARGET/train, validation and test of a source, and tell of every picture.

    source: a folder, a Parquet file, a zip archive, or `hub:OWNER/NAME[@REVISION]`.

    Each split holds color/ and line/ (PNG), hints/ (transparent PNG) where the source has some, and
    `metadata.jsonl` in the `imagefolder` convention, readable by `read_folder`. The result depends
    on the pictures and the settings alone, not on `workers`, and not on how often the run was
    stopped: it goes on where it stopped. A picture that cannot be used is skipped.

    Raises ColorizeError if no picture can be used, for folders that contain each other, for a
    target made by something else or by other settings, and for a full disk.
    """
    settings = settings or Prepare()
    started = time.monotonic()
    source = local(source)
    apart(source, target)
    with one_thread_each():
        found = look(source, settings.layout, settings.order, settings.group)
    with _writing(target):
        journal = open_journal(target, _identity(source, settings), settings.overwrite)
        try:
            total = len(found.items) + len(found.lost)
            entries: dict[Item, tuple[str, Entry]] = {}
            for done, (path, reason) in enumerate(found.lost, start=1):
                yield Event(done, total, path, reason)
            for item, split, entry in _entries(root(source), found, settings, journal):
                entries[item] = split, entry
                done = len(found.lost) + len(entries)
                yield Event(done, total, item.color, entry.skipped)
            summary = _finish(found, entries, settings, journal, started)
        finally:
            journal.close()
    yield Event(total, total, "", summary=summary)


def report(events: Iterable[Event]) -> Summary:
    """Run `prepare` to its end and return its summary."""
    *_, last = events
    assert last.summary is not None
    return last.summary


def _identity(source: Path, settings: Prepare) -> dict[str, object]:
    """What the result depends on, for the journal; of the source a mark that does not show it."""
    values = {k: v for k, v in asdict(settings).items() if k not in ("workers", "overwrite")}
    return {"source": _mark(os.fspath(source.resolve())), **values}


def _mark(*values: object) -> str:
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:32]


@contextmanager
def _writing(target: Path) -> Iterator[None]:
    """Turn the errors of a full or forbidden disk into sentences."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ColorizeError(
                f"the disk of `{target}` is full",
                "make room and give the same command again; it goes on where it stopped",
            ) from error
        raise ColorizeError(f"`{target}` cannot be written: {error}") from error


def _entries(source: Path, found: Found, settings: Prepare, journal: Journal) -> Iterator[tuple[Item, str, Entry]]:
    """Every item with its split and result: first those finished before, then the others."""
    shares = {"test": settings.test, "validation": settings.validation}
    splits = assign(found.items, shares, settings.seed)
    jobs: list[tuple[str, str, Job]] = []
    for item, split in zip(found.items, splits, strict=True):
        key = _mark(split, astuple(item), *_stamp(source, item))
        if (entry := journal.find(key)) is not None:
            yield item, split, entry
            continue
        color, line, hint = (journal.target / split / side / f"{item.name}.png" for side in SIDES)
        style = settings.styles[number(f"{settings.seed}/{item.color}") % len(settings.styles)]
        how = settings.size, settings.crop, style, settings.seed
        job = Job(source, item, color, line, hint, *how)
        jobs.append((key, split, job))
    made = cut_all(filled(job for *_, job in jobs), settings.workers or os.cpu_count() or 1)
    for (key, split, job), result in zip(jobs, made, strict=True):
        written = () if result.skipped else (job.color, job.line, job.hint)[: 2 + result.hinted]
        names = tuple(file.relative_to(journal.target).as_posix() for file in written)
        entry = Entry(key, names, result.hash, result.skipped)
        journal.add(entry)
        yield job.item, split, entry


def _stamp(source: Path, item: Item) -> list[tuple[int, int]]:
    """Sizes and times of the files of an item: a changed file is prepared again."""
    try:
        other = holder(source, item.line) if item.table else item.line
        paths = (item.table or item.color, other)
        states = [(source / path).stat() for path in paths if path]
    except OSError:  # gone since the folder was read; the job will say so
        return []
    return [(state.st_size, state.st_mtime_ns) for state in states]


def _finish(
    found: Found, entries: dict[Item, tuple[str, Entry]], settings: Prepare, journal: Journal, started: float
) -> Summary:
    """Drop what occurs in two splits, write the metadata, and remove files that are not in it."""
    usable = [(item, *entries[item]) for item in found.items if not entries[item][1].skipped]
    skipped = [(i.color, entries[i][1].skipped) for i in found.items if entries[i][1].skipped]
    if not usable:
        raise ColorizeError(
            f"none of the {len(found.items)} pictures can be used", "; ".join(reason for _, reason in skipped[:3])
        )
    repeats = twins([s for _, s, _ in usable], [e.hash for *_, e in usable], settings.near)
    kept = [
        Kept(item, split, *entry.files) for index, (item, split, entry) in enumerate(usable) if index not in repeats
    ]
    write_rows(journal.target, kept)
    journal.clean({file for one in kept for file in (one.color, one.line, one.hint) if file})
    counts = Counter(one.split for one in kept)
    return Summary(
        counts={split: counts[split] for split in ("train", "validation", "test")},
        skipped=(*found.lost, *skipped),
        duplicates=tuple((usable[a][0].color, usable[b][0].color) for a, b in repeats.items()),
        groups=len({one.item.group for one in kept}),
        seconds=time.monotonic() - started,
        layout=found.layout,
        order=found.order,
        notes=(*found.notes, *_notes(found, counts, settings)),
    )


def _notes(found: Found, counts: Counter[str], settings: Prepare) -> tuple[str, ...]:
    if any(item.split for item in found.items):
        return ("the splits are the source's own",)
    return tuple(
        f"no group is left for {split}; `--group none` splits picture by picture"
        for split, share in (("validation", settings.validation), ("test", settings.test))
        if share > 0 and not counts[split]
    )


AHEAD = 4  # jobs waiting for each worker, so that none is idle and few results wait


def cut_all(jobs: Iterable[Job], workers: int) -> Iterator[Made]:
    """Results in the order of the jobs, which are taken as they are needed."""
    with one_thread_each(), ThreadPoolExecutor(workers) as pool:
        waiting: deque[Future[Made]] = deque()
        try:
            for job in jobs:
                waiting.append(pool.submit(cut, job))
                if len(waiting) > AHEAD * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


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


REFERENCES = 4  # other pictures of the group named in a row


@dataclass(frozen=True)
class Kept:
    """A picture of the result: what it came from, its split, and its files below the target."""

    item: Item
    split: str
    color: str
    line: str
    hint: str = ""


def assign(items: Sequence[Item], shares: Mapping[str, float], seed: int) -> list[str]:
    """Return the split of every item: what its folder says, or else whole groups by a seeded draw.

    shares: the share of the pictures each split but train is to have, {"test": 0.05, ...}. A share
    above 0 gets one picture at least, if there are groups enough; it is only exceeded if no group
    is small enough.
    """
    groups = Counter(item.group for item in items if not item.split)
    order = sorted(groups, key=lambda group: (number(f"{seed}/{group}"), group))
    chosen: dict[str, str] = {}
    for split, share in shares.items():
        wanted = max(1, round(share * groups.total())) if share > 0 else 0
        free = [group for group in order if group not in chosen]
        for group in _fill(free, groups, wanted):
            chosen[group] = split
    return [item.split or chosen.get(item.group, "train") for item in items]


def _fill(free: Sequence[str], groups: Mapping[str, int], wanted: int) -> list[str]:
    """Groups of `wanted` pictures together at most, never the last one; or the smallest group."""
    taken: list[str] = []
    left = wanted
    for group in free[:-1] if wanted else ():
        if groups[group] <= left:
            taken.append(group)
            left -= groups[group]
    if wanted and not taken and len(free) > 1:
        taken = [min(free, key=lambda group: groups[group])]
    return taken


def write_rows(target: Path, kept: Sequence[Kept]) -> None:
    """Write `metadata.jsonl` of every split, each at once or not at all, and remove older ones.

    A row names the next pictures of its group in its split as references, in a circle, so that
    each picture serves as often as any other. The column is left out, since `group` says the same,
    if some split has only empty lists: Hugging Face datasets wants lists of one type everywhere.
    """
    groups: dict[tuple[str, str], list[Kept]] = defaultdict(list)
    splits: dict[str, list[Kept]] = defaultdict(list)
    for one in kept:
        groups[one.split, one.item.group].append(one)
        splits[one.split].append(one)
    hinted = any(one.hint for one in kept)
    paired = {split for (split, _), group in groups.items() if len(group) > 1} == splits.keys()
    place = {id(one): index for group in groups.values() for index, one in enumerate(group)}
    for split in ("train", "validation", "test"):
        path = target / split / METADATA
        if split not in splits:
            path.unlink(missing_ok=True)
            continue
        rows = []
        for one in splits[split]:
            group, index = groups[split, one.item.group], place[id(one)]
            steps = range(1, min(REFERENCES, len(group) - 1) + 1)
            others = [group[(index + step) % len(group)].color for step in steps]
            rows.append(_row(one, others if paired else None, hinted))
        with atomic(path) as temporary:
            temporary.write_text("".join(rows), encoding="utf-8", newline="\n")


def _row(one: Kept, references: list[str] | None, hinted: bool) -> str:
    def below(file: str) -> str:
        return file.removeprefix(f"{one.split}/")

    row: dict[str, str | list[str] | None] = {"file_name": below(one.color), "line_file_name": below(one.line)}
    if hinted:
        row["hint_file_name"] = below(one.hint) or None
    if references is not None:
        row["reference_file_names"] = [below(file) for file in references]
    for column, text in (("group", one.item.group), ("source", one.item.color)):
        row[column] = text.encode(errors="backslashreplace").decode()  # names need not be Unicode
    return json.dumps(row, ensure_ascii=False) + "\n"
