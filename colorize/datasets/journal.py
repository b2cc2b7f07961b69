"""Remember which pictures of a folder are made, so that a stopped run can go on.

Knows nothing of pictures or what is made of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from colorize.errors import ColorizeError
from colorize.images.dataset_folder import JOURNAL, METADATA, splits

UNDONE = re.compile(r"\.[0-9a-f]{16}\.(png|jsonl)")  # what `files.atomic` leaves when it is killed
VERSION = 2  # counts up when the same settings give other pictures
Settings = Mapping[str, object]


@dataclass(frozen=True)
class Entry:
    """One finished picture. key: what it was made of and for; files: what was written, or ()."""

    key: str
    files: tuple[str, ...]
    hash: str = ""
    skipped: str = ""


class Journal:
    """A text file in the target: a line of settings, then a line per finished picture.

    A line is written after its files are complete, so that a run may be killed at any time.
    """

    def __init__(self, target: Path, stream: BinaryIO, entries: Iterable[Entry]) -> None:
        self.target = target
        self.stream = stream
        self.entries: dict[str, Entry] = {}  # by key
        self.owners: dict[str, str] = {}  # by file: the key of the entry that wrote it last
        for entry in entries:
            self._note(entry)

    def find(self, key: str) -> Entry | None:
        """Return the entry of a picture if it is finished and its files are still there."""
        entry = self.entries.get(key)
        if entry is None:
            return None
        ours = all(self.owners[file] == key for file in entry.files)  # not written over since
        return entry if ours and all(_filled(self.target / file) for file in entry.files) else None

    def add(self, entry: Entry) -> None:
        """Write down a finished picture."""
        self.stream.write(_line(vars(entry)))
        self.stream.flush()
        self._note(entry)

    def _note(self, entry: Entry) -> None:
        self.entries[entry.key] = entry
        self.owners |= dict.fromkeys(entry.files, entry.key)

    def clean(self, wanted: set[str]) -> None:
        """Remove every file we made that is not wanted, half-written ones, and emptied folders."""
        _remove(self.target, self.owners.keys() - wanted)
        for path in self.target.glob("*/**/.*"):
            if UNDONE.fullmatch(path.name):
                path.unlink()

    def close(self) -> None:
        """Close the file."""
        self.stream.close()


def open_journal(target: Path, settings: Settings, overwrite: bool) -> Journal:
    """Return the journal of a target folder, which is made if it does not exist.

    settings: what the result depends on. overwrite: remove what
    an earlier run made, and begin anew.

    Raises ColorizeError for a folder that holds something else, or was made with other settings.
    """
    path = target / JOURNAL
    visible = target.is_dir() and any(not each.name.startswith(".") for each in target.iterdir())
    if visible and not path.is_file():
        raise ColorizeError(
            f"`{target}` is not empty, and was not made by `colorize prepare-data`",
            "choose another folder; nothing that is not ours is ever overwritten",
        )
    head, entries = _read(path) if path.is_file() else (None, [])
    ours = json.loads(json.dumps({"version": VERSION, **settings}))
    if head is not None and overwrite:
        _forget(target, entries)
        head, entries = None, []
    if head is not None and head != ours:
        raise _other(target, head, ours)
    target.mkdir(parents=True, exist_ok=True)
    if head is None:
        path.write_bytes(_line(ours))
    return Journal(target, path.open("ab"), entries)


def _read(path: Path) -> tuple[dict[str, object] | None, list[Entry]]:
    """Settings, if they were written, and entries; a last line that was cut off is removed."""
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        with path.open("r+b") as stream:
            stream.truncate(whole)
    try:
        lines = [json.loads(line) for line in data[:whole].splitlines()]
        entries = [Entry(**{**values, "files": _below(values["files"])}) for values in lines[1:]]
    except (ValueError, TypeError, KeyError):
        raise ColorizeError(
            f"`{path}` is damaged, so that the run cannot be continued",
            f"remove the folder `{path.parent}`, or choose another one",
        ) from None
    return lines[0] if lines else None, entries


def _below(files: list[str]) -> tuple[str, ...]:
    """Refuse to name, and so to remove, what lies outside of the target."""
    if any(Path(file).is_absolute() or ".." in Path(file).parts for file in files):
        raise ValueError(files)
    return tuple(files)


def _other(target: Path, before: Mapping[str, object], now: Mapping[str, object]) -> ColorizeError:
    changed = [name for name in now if before.get(name) != now[name]]
    what = ", ".join(
        f"`{name}` {before.get(name)} instead of {now[name]}" for name in changed if name not in ("source", "version")
    )
    if "source" in changed:
        what = "another source" + (f" and {what}" if what else "")
    return ColorizeError(
        f"`{target}` was made with {what or 'another version of colorize'}",
        "add `--overwrite` to make it again, or choose another folder",
    )


def _forget(target: Path, entries: list[Entry]) -> None:
    """Remove what an earlier run made: pictures first, the journal last."""
    _remove(target, {file for entry in entries for file in entry.files})
    for folder in splits(target).values():
        _remove(target, {f"{folder.name}/{METADATA}"})
    (target / JOURNAL).unlink()


def _remove(target: Path, files: AbstractSet[str]) -> None:
    for file in files:
        (target / file).unlink(missing_ok=True)
    parents = {parent for file in files for parent in Path(file).parents if parent != Path()}
    for folder in sorted(parents, key=lambda path: len(path.parts), reverse=True):
        if (target / folder).is_dir() and not any((target / folder).iterdir()):
            (target / folder).rmdir()


def _filled(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0


def _line(values: Mapping[str, object]) -> bytes:
    return json.dumps(values).encode() + b"\n"
