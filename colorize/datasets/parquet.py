"""Pictures in Parquet files, as data sets are published: which rows there are, and their bytes.

Files are read by pyarrow, which comes with the package datasets; that itself would first copy the
whole data set into a cache of its own. Knows nothing of pixels.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from colorize.datasets.folders import Found, Item, Place, items_of
from colorize.datasets.job import Job
from colorize.errors import ColorizeError
from colorize.images.dataset_folder import SPLITS
from colorize.images.files import shown
from colorize.images.listing import natural

if TYPE_CHECKING:
    from pyarrow import DataType
    from pyarrow.parquet import ParquetFile

SUFFIX = ".parquet"
COLOR = ("full_colour", "full_color", "colour", "color", "image", "img", "picture", "target")
LINE = ("sketch", "line", "lineart", "line_art", "condition", "conditioning_image")
MERGED = ("sketch_and_scribbles_merged", "merged")
AT_ONCE = 4  # rows read together: a few megabytes each
BUFFER = 1 << 20  # bytes of a column read together; without it a whole row group is read
MOST = 10_000_000  # rows of a data set; the header of a file may claim any number
SHARD = re.compile(r"(.*)-(\d{5})-of-(\d{5})")  # as in train-00000-of-00012


@dataclass(frozen=True)
class _Columns:
    """Names of the columns of a file; "" for one that it does not have."""

    color: str
    line: str
    merged: str


def tables(source: Path) -> list[Path]:
    """Return a Parquet file, or those in a folder and below, by name; hidden ones are skipped."""
    if source.is_file():
        return [source] if source.suffix.lower() == SUFFIX else []
    found = [path for path in source.rglob("*") if path.suffix.lower() == SUFFIX]
    seen = [path for path in found if not any(p[0] == "." for p in path.relative_to(source).parts)]
    return sorted((path for path in seen if path.is_file()), key=natural)


def survey(root: Path, files: Sequence[Path]) -> Found:
    """Return the rows of Parquet files below `root` as items, every one in a group of its own.

    The split comes from the file's name (`train-00000-of-00001.parquet`) or its folder's.

    Raises ColorizeError without pyarrow, for files that are no Parquet, lack a column of pictures,
    or have no rows, and for a set of numbered files of which one is missing.
    """
    check()
    _complete(root, files)
    rows: list[tuple[Place, _Columns, str, int]] = []
    for path in files:
        table = path.relative_to(root).as_posix()
        columns, count = _head(path, table)
        if len(rows) + count > MOST:
            raise ColorizeError(f"`{shown(table)}` has {count} rows", f"at most {MOST} can be read")
        split, folders = _split(table), PurePosixPath(table).with_suffix("").parts
        for row in range(count):
            place = Place(f"{table}:{row}:{columns.color}", "", split, (*folders, f"{row:06d}"))
            rows.append((place, columns, table, row))
    if not rows:
        raise ColorizeError(f"`{shown(root)}` has no rows in its Parquet files", "give another")
    items = items_of([(place, "") for place, *_ in rows], "none")
    return Found(
        "parquet",
        "",
        tuple(_item(item, columns, table, row) for item, (_, columns, table, row) in zip(items, rows, strict=True)),
    )


def filled(jobs: Iterable[Job]) -> Iterator[Job]:
    """The same jobs; those whose pictures lie in a Parquet file get the bytes, a few rows at a time.

    A row that cannot be read gets none, so that its job says so.
    """
    for table, group in groupby(jobs, key=lambda job: job.item.table):
        if table:
            yield from _streamed(list(group))
        else:
            yield from group


def check() -> None:
    """Raise ColorizeError if pyarrow is not installed; it is not imported yet."""
    if find_spec("pyarrow") is None:
        raise ColorizeError(
            "reading Parquet files needs the package datasets, which is not installed",
            'install it with pip install "colorize[parquet]"',
        )


def _item(item: Item, columns: _Columns, table: str, row: int) -> Item:
    def cell(column: str) -> str:
        return f"{table}:{row}:{column}" if column else ""

    # Without the drawing alone there is nothing to tell the hints from.
    merged = cell(columns.merged) if columns.line else ""
    return replace(item, line=cell(columns.line), merged=merged, table=table, row=row)


def _split(table: str) -> str:
    """What the first part of a path that begins with the name of a split says, or ""."""
    words = [re.split(r"[-._]", part.lower())[0] for part in PurePosixPath(table).parts]
    return next((SPLITS[word] for word in words if word in SPLITS), "")


def _complete(root: Path, files: Sequence[Path]) -> None:
    """Refuse a data set of which a numbered file is missing: a download that was cut off."""
    there = {path.relative_to(root).with_suffix("").as_posix() for path in files}
    for name in sorted(there):
        found = SHARD.fullmatch(name)
        count = int(found[3]) if found else 0
        expected = {f"{found[1]}-{n:05d}-of-{found[3]}" for n in range(count)} if found else set()
        if missing := sorted(expected - there):
            raise ColorizeError(
                f"`{shown(root)}` lacks {len(missing)} of {count} Parquet files, such as `{shown(missing[0])}{SUFFIX}`",
                "download the data set again, or name a single file",
            )


def _head(path: Path, table: str) -> tuple[_Columns, int]:
    """Which columns a file has, and how many rows."""
    import pyarrow as pa

    try:
        with _opened(path) as file:
            schema, count = file.schema_arrow, int(file.metadata.num_rows)
            kinds = {str(name): schema.field(i).type for i, name in enumerate(schema.names)}
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise ColorizeError(
            f"`{shown(table)}` cannot be read as Parquet: {shown(reason)}", "download it again"
        ) from error
    columns = _Columns(*(_pick(kinds, known) for known in (COLOR, LINE, MERGED)))
    if not columns.color:
        told = ", ".join(f"`{shown(name)}`" for name in list(kinds)[:20]) or "none"
        raise ColorizeError(
            f"`{shown(table)}` has no column of color pictures; its columns are {told}",
            f"name the color pictures {', '.join(COLOR)}, and the drawings {', '.join(LINE)}",
        )
    return columns, count


def _pick(kinds: Mapping[str, DataType], known: Sequence[str]) -> str:
    """The first of the known names that a column has whose cells hold files."""
    names = {name.lower(): name for name in kinds}
    there = [names[name] for name in known if name in names]
    return next((name for name in there if _holds_files(kinds[name])), "")


def _holds_files(kind: DataType) -> bool:
    """Whether a column is binary, or has the shape that datasets gives pictures: bytes and path."""
    from pyarrow import types

    if types.is_struct(kind):
        fields = {kind.field(i).name: kind.field(i).type for i in range(kind.num_fields)}
        return "bytes" in fields and _holds_files(fields["bytes"])
    return bool(types.is_binary(kind) or types.is_large_binary(kind))


def _streamed(jobs: Sequence[Job]) -> Iterator[Job]:
    """Jobs of one file, in the order of its rows, with their bytes."""
    import pyarrow as pa

    done = 0
    try:
        for row, pictures in _rows(jobs):
            while done < len(jobs) and jobs[done].item.row < row:
                yield replace(jobs[done], pictures={})
                done += 1
            if done < len(jobs) and jobs[done].item.row == row:
                yield replace(jobs[done], pictures=pictures)
                done += 1
    except (pa.ArrowException, OSError, ValueError):
        pass  # the rest of the file is lost, and each job of it says so
    for job in jobs[done:]:
        yield replace(job, pictures={})


def _rows(jobs: Sequence[Job]) -> Iterator[tuple[int, dict[str, bytes]]]:
    """Row numbers and {TABLE:ROW:COLUMN: bytes}, of the row groups that have a row of the jobs."""
    item, wanted = jobs[0].item, [job.item.row for job in jobs]
    names = [name.rpartition(":")[2] for name in (item.color, item.line, item.merged) if name]
    with _opened(jobs[0].source / item.table) as file:
        first = 0
        for number in range(file.num_row_groups):
            last = first + file.metadata.row_group(number).num_rows
            if any(first <= row < last for row in wanted):
                row = first
                for batch in file.iter_batches(AT_ONCE, [number], names, use_threads=False):
                    for cells in batch.to_pylist():
                        found = {name: _bytes(cells.get(name)) for name in names}
                        yield row, {f"{item.table}:{row}:{k}": v for k, v in found.items() if v}
                        row += 1
            first = last


def _opened(path: Path) -> ParquetFile:
    from pyarrow.parquet import ParquetFile

    return ParquetFile(path, buffer_size=BUFFER, pre_buffer=False)


def _bytes(cell: Any) -> bytes:
    """The file in a cell; nothing if it only names one that lies elsewhere."""
    held = cell.get("bytes") if isinstance(cell, dict) else cell
    return held if isinstance(held, bytes) else b""
