"""Find the pictures to prepare in folders and zip archives, and read them."""

from __future__ import annotations

import json
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from torch import Tensor

from colorize.errors import ColorizeError
from colorize.images import archives
from colorize.images.dataset_folder import SPLITS
from colorize.images.files import content, read, sha256, shown
from colorize.images.listing import find, natural

if TYPE_CHECKING:
    from colorize.datasets.prepare import PrepareOptions

COLOR = frozenset({"color", "colors", "colour", "colours", "reference", "references"})
LINE = frozenset({"line", "lines", "lineart", "sketch", "sketches", "condition", "conditions"})
MASK = frozenset({"mask", "masks"})  # of the foreground
SAMPLE = 24  # pictures decoded to tell pictures from side-by-side pairs
MOST = 0.8  # share of the sample that must be pairs; the others are reported one by one
GRAY = 3.0  # chroma, 0..255, that a lossy format leaves in a gray drawing
UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"|?*\\\ud800-\udfff]')  # not allowed in some file system
RESERVED = frozenset({"CON", "PRN", "AUX", "NUL", *(f"{p}{n}" for p in ("COM", "LPT") for n in "123456789")})
LONGEST = 120  # bytes of one part of a name; file systems allow 255, and we add to it
ZIP = ".zip"
INDEX_BYTES = 64 * 2**20  # of an index; a million pictures need about this
INDEX = "image_list*.json"  # next to zip archives: which pictures have a drawing


@dataclass(frozen=True)
class Item:
    """One picture to prepare; paths are relative to the source and use `/`.

    color: its path. parts: folders and name, without those that say its side ("color", "line" or "") or split
    ("" for none). line: the drawing, or "" to extract one. half: "left" or "right", where the color is in a
    side-by-side pair, or "". merged: the drawing with color hints painted over it, or "". container: the
    Parquet file or zip archive that holds it, or "". row: counts from 0. name: of the result, without suffix;
    unique in its split and safe on every file system. group: see `group_of`.
    """

    color: str
    parts: tuple[str, ...]
    side: str = ""
    split: str = ""
    line: str = ""
    half: str = ""
    merged: str = ""
    container: str = ""
    row: int = 0
    name: str = ""
    group: str = ""

    @property
    def identity(self) -> tuple[str | int, ...]:
        """What its result depends on."""
        origin = self.merged, self.container, self.row
        return (self.name, self.color, self.line, self.half, self.group, self.split, *origin)

    @property
    def paths(self) -> list[str]:
        """Its pictures."""
        return [path for path in (self.color, self.line, self.merged) if path]


@dataclass(frozen=True)
class Source:
    """Pictures to prepare and how to read them; this class reads files below `root`.

    order: of the halves of side-by-side pairs. skipped: (path, sentence). notes: sentences.
    """

    root: Path
    layout: str
    items: tuple[Item, ...]
    order: str = ""
    skipped: Sequence[tuple[str, str]] = ()
    notes: Sequence[str] = ()

    @classmethod
    def open(cls, path: Path, options: PrepareOptions) -> Source | None:
        """Return what a folder or file holds; None if that is nothing for this class.

        Raises ColorizeError for what is incomplete or damaged.
        """
        raise NotImplementedError

    def read(self, items: Iterable[Item]) -> Iterator[Mapping[str, Path | bytes]]:
        """Yield the pictures of each item by path, in order and only when needed; unreadable ones are missing."""
        for item in items:
            yield {path: self.root / path for path in item.paths}

    def files(self, item: Item) -> list[Path]:
        """Return the files that hold an item."""
        return [self.root / path for path in item.paths]


@dataclass(frozen=True)
class FolderSource(Source):
    """Pictures in a folder and below."""

    @classmethod
    def open(cls, path: Path, options: PrepareOptions) -> Source | None:
        """Return the pictures of a folder; folders named train, val ... are splits if there are two or more.

        Raises ColorizeError if there is no picture, or no pair where pairs are asked for.
        """
        layout, order, group = options.layout, options.order, options.group
        if path.is_file():
            raise ColorizeError(f"`{path}` is not a folder", "leave out --layout for a file")
        names = [found.relative.as_posix() for found in find([f"{path}{os.sep}"])]
        items = [parse_path(name) for name in names]
        if layout == "pairs" or (layout == "auto" and {"color", "line"} <= {item.side for item in items}):
            items, skipped, notes = _pair(path, items)
            return cls(path, "pairs", name_items(items, group), "", skipped, notes)
        if layout != "pictures" and "auto" in (layout, order):
            paired, seen = _inspect(path, names)
            if layout == "auto" and not paired:
                layout = "pictures"
            order = seen if order == "auto" else order
        if layout == "pictures":
            # Without pairs `reference` is an ordinary folder: keep it in the name and the group.
            return cls(path, layout, name_items([parse_path(name, sides=False) for name in names], group))
        half = "left" if order == "color-line" else "right"
        return cls(path, "side-by-side", name_items([replace(item, half=half) for item in items], group), order)


@dataclass(frozen=True)
class ZipSource(Source):
    """Pictures in zip archives. archives: the archive of each picture, by path."""

    archives: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def open(cls, path: Path, options: PrepareOptions) -> Source | None:
        """Return the pictures in zip archives, which are never unpacked; None if there are none.

        An archive counts as a folder of its name, but alone makes no group: `color/1.zip` and `sketch/1.zip` hold
        pairs. `exist_sketch` in an index says which of these get a drawing extracted. Raises ColorizeError for broken
        archives, bombs, a damaged index, and archives without pictures.
        """
        files = packed_files(path, ZIP, options.layout == "zip", "zip archives")
        if not files:
            return None
        root = path if path.is_dir() else path.parent
        skipped: list[tuple[str, str]] = []
        members: list[tuple[str, str]] = []  # name of the archive, path inside
        for name in (file.relative_to(root).as_posix() for file in files):
            for inside, reason in archives.list_pictures(root / name, name):
                if reason:
                    skipped.append((f"{name}/{inside}", f"`{shown(f'{name}/{inside}')}` {reason}"))
                else:
                    members.append((name, inside))
        if not members:
            why = "; ".join(reason for _, reason in skipped[:3]) or "put pictures into them"
            raise ColorizeError(f"the zip archives of `{shown(root)}` hold no pictures", why)
        sides = {_parse_zip_path(*member).side for member in members}
        paired = options.layout == "pairs" or (options.layout != "pictures" and {"color", "line"} <= sides)
        items = [_parse_zip_path(*member, sides=paired) for member in members]
        names = {item.color: item.container for item in items}
        notes: list[str] = []
        if paired:
            undrawn, index_notes = _read_index(root)
            items, lone, notes = _pair(root, items, {item.color for item in items if item.parts in undrawn})
            skipped += lone
            notes += index_notes
        depth = {name: len(_parse_zip_path(name, "x", sides=paired).parts) for name in set(names.values())}

        def group_in(item: Item) -> str:
            alone = options.group == "folder" and len(item.parts) <= depth[item.container]
            return group_of(item.parts, "none" if alone else options.group)

        layout = f"{'pairs' if paired else 'pictures'} in zip"
        return cls(root, layout, name_items(items, group_in), "", skipped, notes, names)

    def read(self, items: Iterable[Item]) -> Iterator[Mapping[str, Path | bytes]]:
        """Yield the bytes of each item's pictures; see `Source`."""
        for _, group in groupby(items, key=lambda item: item.container):
            with ExitStack() as stack:
                readers: dict[str, archives.Reader] = {}
                for item in group:
                    found: dict[str, Path | bytes] = {}
                    for path in item.paths:
                        name = self.archives[path]
                        if name not in readers:
                            readers[name] = stack.enter_context(archives.Reader(self.root / name))
                        if data := readers[name].read(path.removeprefix(f"{name}/")):
                            found[path] = data
                    yield found

    def files(self, item: Item) -> list[Path]:
        """Return the archives that hold an item."""
        return [self.root / self.archives[path] for path in item.paths]


def packed_files(path: Path, suffix: str, asked: bool, what: str) -> list[Path]:
    """Return a file of a suffix, or those in a folder and below, by name; hidden ones are skipped.

    asked: the user wants these; else a folder that holds pictures, too, is one of pictures.
    Raises ColorizeError if they are asked for and there are none; what: how the error calls them.
    """
    files = [path] if path.is_file() else path.rglob("*")
    files = [file for file in files if file.suffix.lower() == suffix and file.is_file()]
    files = [file for file in files if not any(part[0] == "." for part in file.relative_to(path).parts)]
    if asked and not files:
        raise ColorizeError(f"`{path}` holds no {what}", "choose another layout")
    if not asked and files and path.is_dir():
        try:
            find([f"{path}/"])
            return []
        except ColorizeError:  # no pictures
            pass
    return sorted(files, key=natural)


def group_of(parts: Sequence[str], how: str) -> str:
    """Return the group of a picture: its folder, its folder and the start of its name, or itself.

    parts: folders and name. how: "folder" (a picture in no folder is alone), "name" (`miku` of
    `miku_smile`, `miku-02` or `miku12`), "none" (every picture is alone).
    """
    *folders, name = parts
    stem = PurePosixPath(name).stem
    if how == "name":
        start = stem.rpartition("_")[0] or stem.rstrip("0123456789").rstrip(" -.(")
        return "/".join((*folders, start or stem))
    return "/".join(folders if how == "folder" and folders else (*folders, stem))


def chroma(color: Tensor) -> float:
    """Mean distance between the strongest and weakest of R, G and B; 0 gray .. 255."""
    return float((color.amax(1) - color.amin(1)).mean()) * 127.5


def parse_path(path: str, sides: bool = True) -> Item:
    """Take the folders that name a split or, with `sides`, color or line out of a path."""
    *folders, name = path.split("/")
    side = split = ""
    kept: list[str] = []
    for folder in folders:
        word = folder.lower()
        if sides and not side and word in COLOR | LINE:
            side = "color" if word in COLOR else "line"
        elif not split and not kept and word in SPLITS:
            split = SPLITS[word]
        else:
            kept.append(folder)
    return Item(path, (*kept, name), side, split)


def name_items(items: Sequence[Item], group: str | Callable[[Item], str]) -> tuple[Item, ...]:
    """Set the names, groups and splits of items; equal names get a hash of their paths.

    group: how `group_of` finds it, or a function that returns it.
    """
    respected = len({item.split for item in items} - {""}) > 1
    splits = [(item.split or "train") if respected else "" for item in items]
    names = ["/".join(map(_safe_name, (*item.parts[:-1], PurePosixPath(item.parts[-1]).stem))) for item in items]
    counts = Counter(zip(splits, map(str.casefold, names), strict=True))
    named = []
    for item, name, split in zip(items, names, splits, strict=True):
        if counts[split, name.casefold()] > 1:
            name += f"-{sha256(item.color)[:8]}"
        own = group_of(item.parts, group) if isinstance(group, str) else group(item)
        named.append(replace(item, name=name, group=own, split=split))
    return tuple(named)


def _safe_name(part: str) -> str:
    """A name that every file system takes: composed Unicode, no reserved signs, not too long."""
    name = UNSAFE.sub("_", unicodedata.normalize("NFC", part)).rstrip(". ")
    name = f"_{name}" if not name or name[0] == "." or name.upper() in RESERVED else name
    return name.encode()[:LONGEST].decode(errors="ignore")


def _pair(
    root: Path, items: Sequence[Item], undrawn: Collection[str] = ()
) -> tuple[list[Item], list[tuple[str, str]], list[str]]:
    """Pair color pictures with the drawings of their names; return pairs, skipped pictures and notes.

    undrawn: paths of color pictures that need no drawing. Masks are left out.
    """
    known = [item for item in items if item.side or not MASK & set(map(str.lower, item.parts[:-1]))]
    sides: dict[str, dict[tuple[str, ...], Item]] = {"color": {}, "line": {}}
    lone: list[tuple[str, str]] = []
    for item in known:
        key = (item.split, *item.parts[:-1], PurePosixPath(item.parts[-1]).stem)
        if not item.side:
            lone.append((item.color, "is in neither a folder of color pictures nor one of drawings"))
        elif (first := sides[item.side].setdefault(key, item)) is not item:
            lone.append((item.color, f"has the same name as `{shown(first.color)}`"))
    pairs, lines = [], sides["line"]
    for key, item in sides["color"].items():
        if key in lines:
            pairs.append(replace(item, line=lines.pop(key).color))
        elif item.color in undrawn:
            pairs.append(item)
        else:
            lone.append((item.color, "has no drawing of the same name"))
    lone += [(item.color, "has no color picture of the same name") for item in lines.values()]
    if not pairs:
        hint = "put them into `color/` and `line/` with equal names, or choose another layout"
        raise ColorizeError(f"`{root}` holds no pairs of a color picture and a drawing", hint)
    masks = len(items) - len(known)
    notes = [f"masks are left out ({masks}); training does not use them"] if masks else []
    return pairs, [(path, f"`{shown(path)}` {reason}") for path, reason in sorted(lone)], notes


def _inspect(root: Path, paths: Sequence[str]) -> tuple[bool, str]:
    """Decode a sample of pictures: are they 2:1 with one gray half, and in which order?"""
    seen = paired = left = 0
    for path in paths[:: max(1, len(paths) // SAMPLE)][:SAMPLE]:
        try:
            picture = read(root / path).tensor()  # (1, 3, H, W)
        except (ColorizeError, OSError):
            continue  # reported when its turn comes
        height, width = picture.shape[-2:]
        first, second = chroma(picture[..., : width // 2]), chroma(picture[..., width // 2 :])
        low, high = sorted((first, second))
        seen += 1
        paired += width == 2 * height and low < GRAY and high > 3 * low
        left += 1 if first > second else -1
        if seen - paired > SAMPLE * (1 - MOST):
            break  # no need to decode more photographs
    return paired > MOST * seen, "color-line" if left >= 0 else "line-color"


def _parse_zip_path(archive: str, path: str, sides: bool = True) -> Item:
    """Parse a path as if its archive were a folder."""
    return replace(parse_path(f"{archive[: -len(ZIP)]}/{path}", sides), color=f"{archive}/{path}", container=archive)


def _read_index(root: Path) -> tuple[set[tuple[str, ...]], list[str]]:
    """Parts of the paths without a drawing, and notes on the indices."""
    undrawn: set[tuple[str, ...]] = set()
    notes = []
    for path in sorted(root.glob(INDEX)):
        try:
            entries = json.loads(content(path, INDEX_BYTES))
            without = [name for name, entry in entries.items() if not entry.get("exist_sketch", True)]
        except (OSError, ValueError, RecursionError, AttributeError) as error:
            hint = 'write {"1.zip/a.png": {"exist_sketch": true}}, or rename the file'
            raise ColorizeError(f"`{shown(path.name)}` is not an index of pictures", hint) from error
        folders = (re.sub(rf"\{ZIP}/", "/", name, flags=re.IGNORECASE) for name in without)
        undrawn |= {parse_path(folder).parts for folder in folders}
        notes.append(f"`{shown(path.name)}` says which drawings exist; its scores and resolutions are ignored")
    return undrawn, notes
