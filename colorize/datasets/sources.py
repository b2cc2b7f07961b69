"""Which layout a source has, and what it holds; fetches it first if it lies on the Hub.

Knows nothing of the result.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

from colorize.checkpoints import hub
from colorize.datasets import celeba, folders, parquet, zip
from colorize.datasets.folders import Found
from colorize.datasets.job import Job
from colorize.errors import ColorizeError
from colorize.images.listing import find

HUB = "hub:"
ZIPPED = ("auto", "zip", "pictures", "pairs")  # layouts that archives may have


def local(source: Path | str) -> Path:
    """Return the folder or file of a source; `hub:OWNER/NAME[@REVISION]` is fetched into the cache.

    All files are of one commit, whose name is that of the folder. Raises ColorizeError for a
    source that does not exist and for all that can go wrong on the way.
    """
    text = str(source)
    if not text.startswith(HUB) or Path(text).exists():
        path = Path(source)
        packed = path.is_file() and bool(parquet.tables(path) or zip.zip_files(path))
        if not path.is_dir() and not packed:
            what = f"`{path}` is no folder" if path.exists() else f"there is no folder `{path}`"
            raise ColorizeError(what, "give the folder of your pictures, a .parquet or .zip file, or hub:OWNER/NAME")
        return path
    data = hub.parse_address(text.removeprefix(HUB))
    if data is None or data.file:
        raise ColorizeError(
            f"`{text}` names no data set on the Hub", "write it as hub:OWNER/NAME or hub:OWNER/NAME@REVISION", code=2
        )
    parquet.check()
    folder = hub.fetch_dataset(data, f"*{parquet.SUFFIX}")
    if not parquet.tables(folder):
        raise ColorizeError(
            f"the data set `{data}` has no Parquet files",
            f"try {HUB}{data.name}@refs/convert/parquet, where the Hub puts copies in Parquet",
        )
    return folder


def look(source: Path, layout: str = "auto", order: str = "auto", group: str = "folder") -> Found:
    """Return what a source holds; see `layouts.survey`, which does this for folders of pictures.

    layout: also "parquet", "zip" and "celeba"; "auto" takes CelebA by the names of its files, and
    Parquet and zip where there are no pictures beside it.

    Raises ColorizeError if there is nothing of the layout, or it is incomplete.
    """
    if layout in ("auto", "celeba") and source.is_dir():
        base = celeba.folder(source)
        if base is not None:
            return celeba.survey(source, base, group)
    if layout == "celeba":
        raise ColorizeError(
            f"`{source}` holds neither `{celeba.PARTITION}` nor `{celeba.PICTURES}`",
            f"give the folder that holds them, or the one above it, with `{celeba.BASE}/` in it",
        )
    found = _packed(source, layout, group)
    if found is not None:
        return found
    if source.is_file():
        raise ColorizeError(f"`{source}` is no folder", "leave out --layout for a file")
    return folders.survey(source, layout, order, group)


def root(source: Path) -> Path:
    """Return the folder to which the paths of a source are relative."""
    return source if source.is_dir() else source.parent


def filled(jobs: Iterable[Job]) -> Iterator[Job]:
    """The same jobs; those whose pictures lie in Parquet files or zip archives get their bytes."""
    for packed, group in groupby(jobs, key=lambda job: job.item.table.lower().endswith(".zip")):
        yield from (zip.filled if packed else parquet.filled)(group)


def apart(source: Path, target: Path) -> None:
    """Refuse a target that is a file, and folders that contain each other: ColorizeError."""
    one, other = source.resolve(), target.resolve()
    if one.is_relative_to(other) or other.is_relative_to(one):
        raise ColorizeError(f"`{source}` and `{target}` contain each other", "choose a target outside of the source")
    if target.exists() and not target.is_dir():
        raise ColorizeError(f"`{target}` is a file, not a folder", "choose another target")


def _packed(source: Path, layout: str, group: str) -> Found | None:
    """What Parquet files or archives hold, if the layout means these."""
    tables = parquet.tables(source) if layout in ("auto", "parquet") else []
    zips = zip.zip_files(source) if layout in ZIPPED else []
    told = source.is_file() or layout in ("parquet", "zip")
    if not told and (tables or zips) and _pictures(source):
        return None
    if tables:
        return parquet.survey(root(source), tables)
    if zips:
        return zip.survey(root(source), zips, layout, group)
    if layout in ("parquet", "zip"):
        what = "Parquet files" if layout == "parquet" else "zip archives"
        raise ColorizeError(f"`{source}` holds no {what}", "choose another layout")
    return None


def _pictures(source: Path) -> bool:
    """Whether a folder holds pictures as files."""
    try:
        return bool(find([f"{source}/"]))
    except ColorizeError:
        return False
