"""Pictures in zip archives, as the folders they would be unpacked to; none of them is. Knows nothing of pixels."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import groupby
from pathlib import Path, PurePosixPath

from colorize.datasets import folders
from colorize.datasets.folders import Found, Place
from colorize.datasets.job import Job
from colorize.errors import ColorizeError
from colorize.images import archives
from colorize.images.files import shown
from colorize.images.listing import natural

SUFFIX = ".zip"
INDEX = "image_list*.json"  # beside the archives; which pictures have a drawing


def zip_files(source: Path) -> list[Path]:
    """Return a zip archive, or those in a folder and below, by name; hidden ones are skipped."""
    if source.is_file():
        return [source] if source.suffix.lower() == SUFFIX else []
    found = [path for path in source.rglob("*") if path.suffix.lower() == SUFFIX]
    seen = [path for path in found if not any(p[0] == "." for p in path.relative_to(source).parts)]
    return sorted((path for path in seen if path.is_file()), key=natural)


def survey(root: Path, files: Sequence[Path], layout: str = "auto", group: str = "folder") -> Found:
    """Return the pictures in zip archives below `root`; an archive counts as a folder of its name.

    layout: "pictures", "pairs", or what the names of folders and archives tell: `color/1.zip` and
    `sketch/1.zip` with equal names inside are pairs. An archive alone makes no group. An index
    says by `exist_sketch` which pictures of a pair are to get a drawing extracted.

    Raises ColorizeError for what is no archive, for bombs, a damaged index, or without pictures.
    """
    lost: list[tuple[str, str]] = []
    members: list[tuple[str, str]] = []  # name of the archive, path inside
    for file in files:
        name = file.relative_to(root).as_posix()
        for path, reason in archives.list_pictures(file, name):
            if reason:
                lost.append((f"{name}/{path}", f"`{shown(f'{name}/{path}')}` {reason}"))
            else:
                members.append((name, path))
    if not members:
        told = "; ".join(reason for _, reason in lost[:3]) or "put pictures into them"
        raise ColorizeError(f"the zip archives of `{shown(root)}` hold no pictures", told)
    sided = {folders.place(_folder(*each)).side for each in members}
    paired = layout == "pairs" or (layout != "pictures" and {"color", "line"} <= sided)
    places = [_place(*each, sides=paired) for each in members]
    if paired:
        undrawn, notes = _index(root)
        without = frozenset(place.path for place in places if place.parts in undrawn)
        found = folders.pairs(root, places, "none", without)
        found = replace(found, notes=(*found.notes, *notes))
    else:
        found = Found("pictures", "", folders.items_of([(place, "") for place in places], "none"))
    tables = {place.path: name for (name, _), place in zip(members, places, strict=True)}
    parts = {name: folders.place(_folder(name, "x"), paired).parts for name in set(tables.values())}
    groups = {place.path: _group(place, len(parts[tables[place.path]]), group) for place in places}
    items = tuple(replace(item, group=groups[item.color], table=tables[item.color]) for item in found.items)
    return replace(found, layout=f"{found.layout} in zip", items=items, lost=(*lost, *found.lost))


def filled(jobs: Iterable[Job]) -> Iterator[Job]:
    """The same jobs with the bytes of their pictures; what cannot be read is left out."""
    for _, group in groupby(jobs, key=lambda job: job.item.table):
        with ExitStack() as stack:
            known: dict[str, archives.Reader] = {}
            for job in group:
                pictures = {}
                for path in filter(None, (job.item.color, job.item.line)):
                    name = holder(job.source, path)
                    if name and name not in known:
                        known[name] = stack.enter_context(archives.Reader(job.source / name))
                    if name and (data := known[name].read(path.removeprefix(f"{name}/"))):
                        pictures[path] = data
                yield replace(job, pictures=pictures)


def holder(source: Path, path: str) -> str:
    """Return the archive of a path like `color/1.zip/a.png`, relative to the source; "" if there is none."""
    parents = (parent.as_posix() for parent in PurePosixPath(path).parents)
    return next((each for each in parents if (source / each).is_file()), "")


def _folder(name: str, path: str) -> str:
    """The path that a picture would have if its archive were a folder."""
    return f"{name[: -len(SUFFIX)]}/{path}"


def _place(name: str, path: str, sides: bool) -> Place:
    return replace(folders.place(_folder(name, path), sides), path=f"{name}/{path}")


def _group(place: Place, outside: int, how: str) -> str:
    """The group of a picture; only folders inside an archive make one, archives are mere parcels.

    outside: how many parts the place has if the picture lies in no folder inside.
    """
    alone = how == "folder" and len(place.parts) <= outside
    return folders.group_of(place.parts, "none" if alone else how)


def _index(root: Path) -> tuple[set[tuple[str, ...]], list[str]]:
    """Parts of the places without a drawing, and what to tell of the indices."""
    undrawn: set[tuple[str, ...]] = set()
    notes = []
    for path in sorted(root.glob(INDEX)):
        try:
            listed = json.loads(path.read_bytes())
            without = [name for name, entry in listed.items() if not entry.get("exist_sketch", True)]
        except (OSError, ValueError, RecursionError, AttributeError) as error:
            raise ColorizeError(
                f"`{shown(path.name)}` is no index of pictures",
                'write {"1.zip/a.png": {"exist_sketch": true}}, or rename the file',
            ) from error
        for name in without:
            folder = re.sub(rf"\{SUFFIX}/", "/", name, flags=re.IGNORECASE)
            undrawn.add(folders.place(folder).parts)
        notes.append(f"`{shown(path.name)}` tells which drawings exist; its scores and resolutions chose nothing")
    return undrawn, notes
