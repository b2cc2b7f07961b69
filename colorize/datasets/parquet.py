"""Find the pictures to prepare in Parquet files, also of data sets on the Hub, and read them row by row.

pyarrow, which comes with the package datasets, reads the files; datasets itself would first copy the
whole data set into a cache of its own.
"""

from __future__ import annotations

import re
import sys
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from colorize.checkpoints import hub
from colorize.datasets.sources import Item, Source, name_items, packed_files
from colorize.errors import ColorizeError
from colorize.images.dataset_folder import SPLITS
from colorize.images.files import shown

if TYPE_CHECKING:
    from pyarrow import DataType
    from pyarrow.parquet import ParquetFile

    from colorize.datasets.prepare import PrepareOptions

SUFFIX = ".parquet"
COLOR = ("full_colour", "full_color", "colour", "color", "image", "img", "picture", "target")
LINE = ("sketch", "line", "lineart", "line_art", "condition", "conditioning_image")
MERGED = ("sketch_and_scribbles_merged", "merged")
AT_ONCE = 4  # rows read together: a few megabytes each
BUFFER = 1 << 20  # bytes of a column read together; without it a whole row group is read
MOST = 10_000_000  # rows of a data set
LEAST = 8  # bytes of a file for each row at least; its header may claim any number
UNPACKED, RATIO = 2**30, 200  # bytes that a column of a group of rows may unpack to, or times its own
SHARD = re.compile(r"(.*)-(\d{5})-of-(\d{5})")  # as in train-00000-of-00012
HUB = "hub:"


@dataclass(frozen=True)
class ParquetSource(Source):
    """Rows of Parquet files, each in a group of its own; a picture's path is FILE:ROW:COLUMN."""

    @classmethod
    def open(cls, path: Path, options: PrepareOptions) -> Source | None:
        """Return the rows of Parquet files; None if there are no such files.

        The split comes from the file's name (`train-00000-of-00001.parquet`) or its folder's. Raises ColorizeError
        without pyarrow, for files that are not Parquet, lack a column of pictures, or have no rows, and for a set of
        numbered files of which one is missing.
        """
        files = packed_files(path, SUFFIX, options.layout == "parquet", "Parquet files")
        if not files:
            return None
        check_pyarrow()
        root = path if path.is_dir() else path.parent
        found = {file.relative_to(root).with_suffix("").as_posix() for file in files}
        for shard in filter(None, map(SHARD.fullmatch, sorted(found))):  # one is missing where a download was cut off
            if missing := sorted({f"{shard[1]}-{n:05d}-of-{shard[3]}" for n in range(int(shard[3]))} - found):
                number = f"{len(missing)} of {int(shard[3])}"
                message = f"`{shown(root)}` lacks {number} Parquet files, such as `{shown(missing[0])}{SUFFIX}`"
                raise ColorizeError(message, "download the data set again, or name a single file")
        items: list[Item] = []
        for file in (each.relative_to(root).as_posix() for each in files):
            columns, count = _columns(root / file, file)
            if len(items) + count > MOST:
                raise ColorizeError(f"`{shown(file)}` has {count} rows", f"at most {MOST} can be read")
            parts = PurePosixPath(file).with_suffix("").parts
            words = [re.split(r"[-._]", part.lower())[0] for part in PurePosixPath(file).parts]
            split = next((SPLITS[word] for word in words if word in SPLITS), "")
            for row in range(count):
                color, line, merged = (f"{file}:{row}:{column}" if column else "" for column in columns)
                merged = merged if line else ""  # only the drawing tells hints from lines
                name = (*parts, f"{row:06d}")
                items.append(Item(color, name, "", split, line, merged=merged, container=file, row=row))
        if not items:
            raise ColorizeError(f"`{shown(root)}` has no rows in its Parquet files", "give another")
        return cls(root, "parquet", name_items(items, "none"))

    def read(self, items: Iterable[Item]) -> Iterator[Mapping[str, Path | bytes]]:
        """Yield the bytes of each item's pictures, a few rows in memory at a time; see `Source`."""
        for _, group in groupby(items, key=lambda item: item.container):
            wanted = list(group)
            rows = _rows(self.root, wanted)  # end early where a file is damaged
            row = -1
            for item in wanted:
                while row < item.row:
                    row, pictures = next(rows, (sys.maxsize, {}))
                yield pictures if row == item.row else {}

    def files(self, item: Item) -> list[Path]:
        """Return the file that holds an item."""
        return [self.root / item.container]


def fetch(address: str) -> Path:
    """Bring the Parquet files of `hub:OWNER/NAME[@REVISION]` into the cache; return the folder of their commit.

    Raises ColorizeError for all that can go wrong on the way.
    """
    data = hub.parse_address(address.removeprefix(HUB))
    if data is None or data.file:
        way_out = "write it as hub:OWNER/NAME or hub:OWNER/NAME@REVISION"
        raise ColorizeError(f"`{address}` is not the name of a data set on the Hub", way_out, code=2)
    check_pyarrow()
    folder = hub.fetch_dataset(data, f"*{SUFFIX}")
    if not any(folder.rglob(f"*{SUFFIX}")):
        hint = f"try {HUB}{data.name}@refs/convert/parquet, where the Hub puts copies in Parquet"
        raise ColorizeError(f"the data set `{data}` has no Parquet files", hint)
    return folder


def check_pyarrow() -> None:
    """Raise ColorizeError if pyarrow is not installed; it is not imported yet."""
    if find_spec("pyarrow") is None:
        hint = "install it with pip install datasets"
        raise ColorizeError("reading Parquet files needs the package datasets, which is not installed", hint)


def _columns(path: Path, name: str) -> tuple[list[str], int]:
    """Return the columns of color, lines and both merged, "" for none, and the number of rows."""
    import pyarrow as pa

    try:
        with _open(path) as file:
            types = {str(column.name): column.type for column in file.schema_arrow}
            count, groups = int(file.metadata.num_rows), range(file.num_row_groups)
            parts = [
                group.column(at) for group in map(file.metadata.row_group, groups) for at in range(group.num_columns)
            ]
            if count * LEAST > (size := path.stat().st_size):
                raise ValueError(f"it claims {count} rows in {size} bytes")
            if any(one.total_uncompressed_size > max(UNPACKED, RATIO * one.total_compressed_size) for one in parts):
                raise ValueError(f"it would unpack to more than {RATIO} times its size")
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        message = f"`{shown(name)}` cannot be read as Parquet: {shown(reason)}"
        raise ColorizeError(message, "download it again") from error
    usable = {column.lower(): column for column, kind in types.items() if _holds_files(kind)}
    columns = [next((usable[word] for word in words if word in usable), "") for words in (COLOR, LINE, MERGED)]
    if not columns[0]:
        listed = ", ".join(f"`{shown(column)}`" for column in list(types)[:20]) or "none"
        hint = f"name the color pictures {', '.join(COLOR)}, and the drawings {', '.join(LINE)}"
        raise ColorizeError(f"`{shown(name)}` has no column of color pictures; its columns are {listed}", hint)
    return columns, count


def _holds_files(kind: DataType) -> bool:
    """Whether a column is binary, or has the shape that datasets gives pictures: bytes and path."""
    from pyarrow import null, types

    if types.is_struct(kind):
        kind = {column.name: column.type for column in kind}.get("bytes", null())
    return bool(types.is_binary(kind) or types.is_large_binary(kind))


def _rows(root: Path, items: Sequence[Item]) -> Iterator[tuple[int, dict[str, Path | bytes]]]:
    """Yield rows and their pictures by path, of the row groups of a file that hold a row of the items."""
    import pyarrow as pa

    name, wanted = items[0].container, [item.row for item in items]
    columns = [path.rpartition(":")[2] for path in items[0].paths]
    first = 0
    try:
        with _open(root / name) as file:
            for number in range(file.num_row_groups):
                row, first = first, first + file.metadata.row_group(number).num_rows
                if bisect_left(wanted, row) == bisect_left(wanted, first):
                    continue
                for batch in file.iter_batches(AT_ONCE, [number], columns, use_threads=False):
                    for cells in batch.to_pylist():
                        held = {f"{name}:{row}:{column}": _bytes(cells.get(column)) for column in columns}
                        yield row, {path: data for path, data in held.items() if data}
                        row += 1
    except (pa.ArrowException, OSError, ValueError):
        pass  # the rest of the file is lost, and each item of it says so


def _open(path: Path) -> ParquetFile:
    from pyarrow.parquet import ParquetFile

    return ParquetFile(path, buffer_size=BUFFER, pre_buffer=False)


def _bytes(cell: Any) -> bytes:
    """The file in a cell; nothing if it only names one that lies elsewhere."""
    held = cell.get("bytes") if isinstance(cell, dict) else cell
    return held if isinstance(held, bytes) else b""
