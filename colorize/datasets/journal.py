"""Remember which pictures of a folder are prepared, so that a stopped run can go on."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from colorize.errors import ColorizeError
from colorize.images import json_lines
from colorize.images.dataset_folder import JOURNAL, METADATA, splits
from colorize.images.files import lines as content_lines
from colorize.images.files import refuse_links

UNDONE = re.compile(r"\.(colorize-.*-)?[0-9a-f]{16}\.(png|jsonl)")  # what `files.atomic` leaves when it is killed
NAME, PATH = 255, 1024  # bytes of a file's name on most disks, and of a path below the target
VERSION = 2  # counts up when the same settings give other pictures


@dataclass(frozen=True)
class Entry:
    """The result of one picture. files: color, line and hints below the target; hash: see `duplicates`.

    skipped: a sentence on why it cannot be used, or "".
    """

    files: tuple[str, ...] = ()
    hash: str = ""
    skipped: str = ""


def _entry(key: str, files: list[str], hash: str, skipped: str) -> tuple[str, Entry]:
    """The entry of a line; raises TypeError or ValueError for values that this program does not write."""
    for file in files:
        parts = Path(file).parts
        far = "\0" in file or ".." in parts or Path(file).is_absolute() or len(parts) < 2  # than the target's splits
        if far or len(os.fsencode(file)) > PATH or max(map(len, map(os.fsencode, parts))) > NAME:
            raise ValueError(file)
    if (
        not isinstance(files, list)
        or not (skipped or (len(files) > 1 and hash))
        or not all(isinstance(one, str) for one in (key, skipped))
    ):
        raise ValueError(key)
    bytes.fromhex(hash)
    return key, Entry(tuple(files), hash, skipped)


class Journal:
    """A text file in the target: a line of settings, then a line per finished picture.

    A line is written after its files are complete, so that a run may be killed at any time.
    """

    def __init__(self, target: Path, settings: Mapping[str, object], overwrite: bool = False) -> None:
        """Open the journal of a folder, which is made if it does not exist.

        settings: what the result depends on, with its `source`. overwrite: remove what an earlier run made.

        Raises ColorizeError for a folder that holds something else, was made with other settings, or holds a link to a
        folder, through which files elsewhere would be changed.
        """
        self.target = target
        self.entries: dict[str, Entry] = {}  # by key: a digest of what it was made of and for
        self.owners: dict[str, str] = {}  # by file: the key of the entry that wrote it last
        self.path = path = target / JOURNAL
        for folder, names, _ in os.walk(target):
            refuse_links(Path(folder), names)
        refuse_links(target, [JOURNAL])
        if not path.is_file() and target.is_dir() and any(each.name[0] != "." for each in target.iterdir()):
            raise ColorizeError(
                f"`{target}` is not empty, and was not made by `colorize prepare-data`",
                "choose another folder; `colorize` only overwrites what it made itself",
            )
        before = self._load(path) if path.is_file() else None
        if before is not None and overwrite:
            self._remove(self.owners)
            self._remove([f"{folder.name}/{METADATA}" for folder in splits(target).values()])
            path.unlink()
            before, self.entries, self.owners = None, {}, {}
        now = json.loads(json.dumps({"version": VERSION, **settings}))
        if before is not None and before != now:
            names = [name for name in now if before.get(name) != now[name] and name not in ("source", "version")]
            changes = ["another source"] if before.get("source") != now["source"] else []
            changes += [f"`{name}` {before.get(name)} instead of {now[name]}" for name in names]
            raise ColorizeError(
                f"`{target}` was made with {', '.join(changes) or 'another version of colorize'}",
                "add `--overwrite` to make it again, or choose another folder",
            )
        if before is None:
            json_lines.replace(path, [now])

    def find(self, key: str) -> Entry | None:
        """Return the entry of a picture if its files are still there and no other picture wrote over them."""
        entry = self.entries.get(key)
        if entry is None or any(self.owners[file] != key for file in entry.files):
            return None
        paths = [self.target / file for file in entry.files]
        return entry if all(path.is_file() and path.stat().st_size > 0 for path in paths) else None

    def add(self, key: str, entry: Entry) -> None:
        """Write down a finished picture."""
        json_lines.append(self.path, {"key": key, **vars(entry)})
        self._note(key, entry)

    def clean(self, wanted: set[str]) -> None:
        """Remove every file we made that is not wanted, half-written ones, and emptied folders."""
        self._remove(self.owners.keys() - wanted)
        for path in self.target.glob("**/.*"):
            if UNDONE.fullmatch(path.name):
                path.unlink()

    def _load(self, path: Path) -> dict[str, object] | None:
        """Read the entries and return the settings, None if not even these were written; drop half a last line."""
        lines, count, last = json_lines.read(path), 0, b"\n"
        for last in content_lines(path):
            count += last.endswith(b"\n")
        try:
            if len(lines) < count:  # one of the whole lines is no JSON
                raise ValueError(path)
            if not last.endswith(b"\n"):
                json_lines.replace(path, lines)
            settings: dict[str, object] | None = lines.pop(0) if lines else None
            for line in lines:
                self._note(*_entry(**line))
        except (ValueError, TypeError):
            raise ColorizeError(
                f"`{path}` is damaged, so the run cannot continue",
                f"remove the folder `{path.parent}`, or choose another one",
            ) from None
        return settings

    def _note(self, key: str, entry: Entry) -> None:
        self.entries[key] = entry
        self.owners |= dict.fromkeys(entry.files, key)

    def _remove(self, files: Collection[str]) -> None:
        """Remove files of the target, and the folders that this empties."""
        for file in files:
            (self.target / file).unlink(missing_ok=True)
        parents = {parent for file in files for parent in Path(file).parents if parent != Path()}
        for folder in sorted(parents, key=lambda path: len(path.parts), reverse=True):
            if (self.target / folder).is_dir() and not any((self.target / folder).iterdir()):
                (self.target / folder).rmdir()
