"""Find out how a folder of color pictures and drawings is laid out. Knows nothing of the result."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from torch import Tensor

from colorize.errors import ColorizeError
from colorize.images.dataset_folder import SPLITS
from colorize.images.files import read, shown
from colorize.images.listing import find

COLOR = frozenset({"color", "colors", "colour", "colours", "reference", "references"})
LINE = frozenset({"line", "lines", "lineart", "sketch", "sketches", "condition", "conditions"})
MASK = frozenset({"mask", "masks"})  # of the foreground, beside the other two
SAMPLE = 24  # pictures looked at to tell pictures from pairs side by side
MOST = 0.8  # of the sample are pairs in a folder of pairs; others are reported one by one
GRAY = 3.0  # chroma, 0..255, that a lossy format leaves in a gray drawing
UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"|?*\\\ud800-\udfff]')  # not allowed in some file system
RESERVED = frozenset({"CON", "PRN", "AUX", "NUL", *(f"{p}{n}" for p in ("COM", "LPT") for n in "123456789")})
LONGEST = 120  # bytes of one part of a name; file systems allow 255, and we add to it


@dataclass(frozen=True)
class Item:
    """One picture to prepare; paths are relative to the source and written with `/`.

    name: where it goes, without suffix; unique in its split and safe on every file system.
    line: the drawing of the pair, or "" to extract one. half: "left" or "right", where the color is
    in a pair side by side, or "". split: what its folder says, or "". merged: the drawing with
    color hints painted over it, or "". table: the Parquet file that holds the pictures, which are
    then called TABLE:ROW:COLUMN, or "". row: counts from 0.
    """

    name: str
    color: str
    line: str
    half: str
    group: str
    split: str
    merged: str = ""
    table: str = ""
    row: int = 0


@dataclass(frozen=True)
class Found:
    """What a source holds. lost: (path, sentence) of pictures that belong to no pair. notes: sentences."""

    layout: str
    order: str
    items: tuple[Item, ...]
    lost: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Place:
    """A path without the folders that only say which side or split it is on."""

    path: str
    side: str  # "color", "line" or ""
    split: str
    parts: tuple[str, ...]

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return PurePosixPath(self.parts[-1]).stem

    @property
    def key(self) -> tuple[str, ...]:
        """What a color picture and its drawing have in common."""
        return (self.split, *self.parts[:-1], self.stem)


def survey(source: Path, layout: str = "auto", order: str = "auto", group: str = "folder") -> Found:
    """Return the pictures of a folder, in a fixed order, with what their folders say about them.

    layout: "pictures", "side-by-side", "pairs" or "auto"; order: which half of a pair side by side
    is the color one, "color-line", "line-color" or "auto"; group: "folder", "name" or "none".
    A folder named train, val, test ... counts as a split only if there are two or more of them.

    Raises ColorizeError if there is no picture, or no pair where pairs are asked for.
    """
    paths = [found.relative.as_posix() for found in find([f"{source}{os.sep}"])]
    places = [place(path) for path in paths]
    if layout == "pairs" or (layout == "auto" and {"color", "line"} <= {p.side for p in places}):
        return pairs(source, places, group)
    if layout != "pictures" and "auto" in (layout, order):
        votes = _look(source, paths)
        if layout == "auto" and not votes.paired:
            layout = "pictures"
        order = votes.order if order == "auto" else order
    if layout == "pictures":
        # Without pairs a folder `reference` is only a name: keep it in the name and the group.
        return Found(layout, "", items_of([(place(path, sides=False), "") for path in paths], group))
    half = "left" if order == "color-line" else "right"
    return Found("side-by-side", order, items_of([(p, "") for p in places], group, half))


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
    if how == "folder" and folders:
        return "/".join(folders)
    return "/".join((*folders, stem))


def chroma(color: Tensor) -> float:
    """Mean distance between the strongest and weakest of R, G and B; 0 gray .. 255."""
    return float((color.amax(1) - color.amin(1)).mean()) * 127.5


def place(path: str, sides: bool = True) -> Place:
    """Return a path without the folders that only say something; sides: color or line is such a thing."""
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
    return Place(path, side, split, (*kept, name))


def pairs(source: Path, places: Sequence[Place], group: str, alone: AbstractSet[str] = frozenset()) -> Found:
    """Pair what lies in a color folder with what has the same name in a drawing folder.

    alone: paths of color pictures whose drawing is to be extracted if there is none. Masks are left out.
    """
    known = [each for each in places if each.side or not MASK & set(map(str.lower, each.parts[:-1]))]
    sides: dict[str, dict[tuple[str, ...], Place]] = {"color": {}, "line": {}}
    lost: list[tuple[str, str]] = []
    for each in known:
        if not each.side:
            lost.append((each.path, "lies neither in a folder of color pictures nor in one of drawings"))
        elif (first := sides[each.side].setdefault(each.key, each)) is not each:
            lost.append((each.path, f"has the same name as `{shown(first.path)}`"))
    colors, lines = sides["color"], sides["line"]
    bare = {key for key in colors.keys() - lines if colors[key].path not in alone}
    lost += [(colors[key].path, "has no drawing of its name") for key in bare]
    lost += [(lines[key].path, "has no color picture of its name") for key in lines.keys() - colors]
    drawn = {key: one.path for key, one in lines.items()}
    both = [(colors[key], drawn.get(key, "")) for key in colors if key not in bare]
    if not both:
        raise ColorizeError(
            f"`{source}` holds no pairs of a color picture and a drawing",
            "put them into `color/` and `line/` with equal names, or choose another layout",
        )
    told = tuple((path, f"`{shown(path)}` {reason}") for path, reason in sorted(lost))
    masks = len(places) - len(known)
    notes = (f"masks are left out ({masks}); nothing here learns from them",) if masks else ()
    return Found("pairs", "", items_of(both, group), told, notes)


@dataclass(frozen=True)
class _Votes:
    """What a sample says. paired: the pictures are pairs side by side."""

    paired: bool
    order: str


def _look(source: Path, paths: Sequence[str]) -> _Votes:
    """Look at a sample of pictures: are they 2:1, one half gray, and which half has the color?"""
    step = max(1, len(paths) // SAMPLE)
    seen = paired = left = 0
    for path in paths[::step][:SAMPLE]:
        try:
            picture = read(source / path).tensor()  # (1, 3, H, W)
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
    return _Votes(paired > MOST * seen, "color-line" if left >= 0 else "line-color")


def items_of(pairs: Sequence[tuple[Place, str]], group: str, half: str = "") -> tuple[Item, ...]:
    """Return items with their final names: equal names get a mark of their path."""
    respected = len({place.split for place, _ in pairs} - {""}) > 1
    names = ["/".join(map(_safe, (*place.parts[:-1], place.stem))) for place, _ in pairs]
    splits = [(place.split or "train") if respected else "" for place, _ in pairs]
    times = Counter(zip(splits, map(str.casefold, names), strict=True))
    return tuple(
        Item(
            name=name + (f"-{_mark(place.path)}" if times[split, name.casefold()] > 1 else ""),
            color=place.path,
            line=line,
            half=half,
            group=group_of(place.parts, group),
            split=split,
        )
        for (place, line), name, split in zip(pairs, names, splits, strict=True)
    )


def _safe(part: str) -> str:
    """A name that every file system takes: composed Unicode, no reserved signs, not too long."""
    name = UNSAFE.sub("_", unicodedata.normalize("NFC", part)).rstrip(". ")
    name = f"_{name}" if not name or name[0] == "." or name.upper() in RESERVED else name
    return name.encode()[:LONGEST].decode(errors="ignore")


def _mark(path: str) -> str:
    """Eight hexadecimal digits that tell two paths apart."""
    return hashlib.sha256(path.encode(errors="surrogateescape")).hexdigest()[:8]
