"""Read a folder of training pictures and its `metadata.jsonl`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath, PureWindowsPath

from colorize.errors import ColorizeError
from colorize.images.files import is_file, lines
from colorize.images.listing import find

METADATA = "metadata.jsonl"
JOURNAL = ".prepare.jsonl"  # of `prepare-data`, in the folder of the splits
SPLITS = {  # folder name in lower case -> what we call the split
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
TEXTS = ("file_name", "line_file_name", "reference_file_name", "hint_file_name", "group", "set", "text")
AGAIN = "fix that row, or make the folder again with `colorize prepare-data`"


@dataclass(frozen=True)
class Row:
    """One training picture and what belongs to it; every path exists and lies inside its folder.

    group: pictures of one group show the same thing and may serve each other as references; a row whose metadata names
    no group is alone in its own. set: the collection it comes from, or "". text: a caption, or "". split: "train",
    "validation", "test", or "" for a folder without splits.
    """

    file: Path
    line: Path | None = None
    references: tuple[Path, ...] = ()
    hint: Path | None = None
    group: str = ""
    set: str = ""
    text: str = ""
    split: str = ""


def read_folder(root: Path, split: str | None = None) -> list[Row]:
    """Return the rows of a prepared folder, of its split alone, or of any folder of pictures.

    root: DATA with train/, validation/ and test/ (also spelt val/, valid/), or one such folder, in which case `split`
    changes nothing. Without `metadata.jsonl` every picture becomes a row.

    Raises ColorizeError for a missing folder or split, a folder without pictures, and a row that is no JSON, misses its
    file or points out of its folder; the text names file and row number.
    """
    if not root.is_dir():
        raise ColorizeError(f"there is no folder `{root}`", "make one with `colorize prepare-data SOURCE DATA`")
    if split is not None and split.lower() not in SPLITS:
        raise ColorizeError(f"unknown split `{split}`", "known: train, validation, test", code=2)
    wanted = None if split is None else SPLITS[split.lower()]
    found = {} if (root / METADATA).is_file() else splits(root)
    if found and wanted is not None and wanted not in found:
        raise ColorizeError(f"`{root}` has no split `{split}`", "it has: " + ", ".join(f"`{name}`" for name in found))
    folders = {name: path for name, path in found.items() if wanted in (None, name)}
    if not folders:
        folders = {SPLITS.get(root.resolve().name.lower(), ""): root}
    rows = [row for name, folder in folders.items() for row in _rows(folder, name)]
    if (root / METADATA).is_file() and wanted is not None and splits(root):
        rows = [row for row in rows if row.split == wanted]
    if not rows:
        raise ColorizeError(
            f"`{root}` holds no pictures" + (f" of the split `{split}`" if split else ""),
            "give a folder made by `colorize prepare-data`, or any folder of color pictures",
        )
    return rows


def splits(root: Path) -> dict[str, Path]:
    """Return the folders of the splits directly below a folder: train, validation, test.

    Of two spellings of one split the one whose name sorts last is taken: `validation` before `val`.
    """
    folders = [entry for entry in sorted(root.iterdir()) if entry.name.lower() in SPLITS and entry.is_dir()]
    found = {SPLITS[folder.name.lower()]: folder for folder in folders}
    return {name: found[name] for name in dict.fromkeys(SPLITS.values()) if name in found}


def _rows(folder: Path, split: str) -> Iterator[Row]:
    metadata = folder / METADATA
    if not metadata.is_file():
        if (folder.parent / JOURNAL).is_file():
            raise ColorizeError(f"`{folder.parent}` is unfinished", "run the same `colorize prepare-data` again")
        for found in find([f"{folder}{os.sep}"]):  # a folder may be named `-`
            assert found.path is not None
            yield Row(found.path, group=found.relative.as_posix(), split=split)
        return
    real = Path(os.path.realpath(folder))
    parent_inside = cache(lambda parent: parent.resolve().is_relative_to(real))  # resolves each parent only once

    def is_inside(path: Path) -> bool:
        return parent_inside(path.parent) and not (path.is_symlink() and not path.resolve().is_relative_to(real))

    for number, line in enumerate(lines(metadata), start=1):
        if line.strip():
            yield _Parser(metadata, number, is_inside).row(line, split)


@dataclass(frozen=True)
class _Parser:
    """One line of `metadata.jsonl`, with its number for error messages."""

    metadata: Path
    number: int
    is_inside: Callable[[Path], bool]

    def row(self, line: bytes, split: str) -> Row:
        try:
            values = json.loads(line)
        except (ValueError, RecursionError) as error:  # ValueError: bad JSON, bad UTF-8
            raise self.error(f"is not valid JSON: {error}") from None
        if not isinstance(values, dict):
            raise self.error("is not a JSON object like {" + '"file_name": "a.png"}')
        text = {name: self.text(values, name) for name in TEXTS}
        if not (name := text["file_name"]):
            raise self.error("has no `file_name`")
        references = values.get("reference_file_names") or []
        if not isinstance(references, list) or not all(isinstance(each, str) for each in references):
            raise self.error("has `reference_file_names` that are not a list of file names")
        if text["reference_file_name"]:
            references = [text["reference_file_name"], *references]
        return Row(
            file=self.path(name),
            line=self.path(text["line_file_name"]) if text["line_file_name"] else None,
            references=tuple(self.path(each) for each in references),
            hint=self.path(text["hint_file_name"]) if text["hint_file_name"] else None,
            group=text["group"] or name,
            set=text["set"],
            text=text["text"],
            split=split or SPLITS.get(PurePosixPath(name).parts[0].lower(), ""),
        )

    def error(self, what: str) -> ColorizeError:
        printable = what.encode("utf-8", "backslashreplace").decode()  # lone surrogates cannot print
        return ColorizeError(f"row {self.number} of `{self.metadata}` {printable}", AGAIN)

    def text(self, values: dict[str, object], column: str) -> str:
        value = values.get(column)
        if isinstance(value, int | float) and not isinstance(value, bool):
            value = str(value)  # a group may be a bare number
        if value is not None and not isinstance(value, str):
            raise self.error(f"has a `{column}` that is not text: {json.dumps(value)[:60]}")
        return value or ""

    def path(self, name: str) -> Path:
        """Return the file of a name written with `/`; refused unless it exists in the folder."""
        parts = PurePosixPath(name).parts
        rooted = name.startswith(("/", "\\")) or bool(PureWindowsPath(name).drive)
        if not parts or "\0" in name:
            raise self.error(f"names the invalid file {json.dumps(name)}")
        if rooted or ".." in parts or ".." in PureWindowsPath(name).parts:
            raise self.error(f"names `{name}`, which lies outside of its folder")
        path = self.metadata.parent.joinpath(*parts)
        if not is_file(path):
            raise self.error(f"names `{name[:200]}`, which does not exist")
        if not self.is_inside(path):
            raise self.error(f"names `{name}`, a link to something outside of its folder")
        return path
