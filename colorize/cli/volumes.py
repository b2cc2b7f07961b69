"""Volumes under way: which pages are done, where they wait, the archive made of them. Knows nothing of models.

Finished pages wait in a hidden folder beside the result, with a list of what became of each page. A line is added
for every page, so that a run that was killed goes on, whatever it was doing, and repeats none.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from colorize.cli.outputs import Place
from colorize.cli.outputs import suffix as suffix_of
from colorize.errors import ColorizeError

if TYPE_CHECKING:
    from colorize.cli.progress import Show

State = Literal["colored", "kept", "failed"]
LONG = 200  # bytes of a name; most systems allow 255
LIST = "pages.jsonl"  # the first line tells of which run it is, the others of one page each, or are:
BOUND: dict[str, object] = {"bound": True}  # all pages so far are in the result


@dataclass(frozen=True)
class Fate:
    """What became of a page: colored into a file of the folder, of so many bytes, kept as it is, or failed; and why."""

    state: State
    file: str = ""
    why: str = ""
    size: int = 0


class Book:
    """One volume on its way into another."""

    def __init__(self, place: Place, stamp: str, alone: bool, dry: bool = False) -> None:
        """Open a volume and take up what an earlier run of the same stamp left.

        alone: whether hints for its pages need no folder of the volume's name. dry: only look. Raises
        ColorizeError for what is no volume, and if another process is at it.
        """
        from colorize.images.archives import open_volume
        from colorize.training.lock import Lock

        assert place.path is not None
        assert place.result is not None
        self.place, self.result, self.alone = place, place.result, alone
        self.volume = open_volume(place.path)
        self.folder = waiting(place.result)
        self.lock: Lock | None = None
        self.changed = True  # whether pages have come that the result does not hold
        head = {"volume": self.volume.fingerprint, "settings": stamp, "pages": len(self.volume.pages)}
        self.dropped = 0  # pages that a run with other options had finished
        if not dry:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                why = f"`{self.folder}` cannot be made: {error.strerror}"
                raise ColorizeError(why, "check the folder, or choose another --out") from error
            self.lock = Lock(self.folder, "another process")
        self.fates = self._taken_up(head, dry)
        self.changed |= not self.result.exists()
        self.left = {page for page in self.volume.pages if self._is_open(page)}

    def pages(self) -> list[Place]:
        """All pages, each as the place of a drawing."""
        return [self._page(at, page) for at, page in enumerate(self.volume.pages, 1)]

    def is_left(self, page: Place) -> bool:
        """Whether a page is still to be done."""
        return page.inside in self.left

    def note(self, page: Place, state: State, why: str = "") -> None:
        """Write down what became of a page, to the disk."""
        assert page.result is not None
        fate = Fate(state, why=why)
        if state == "colored":
            fate = Fate(state, page.result.name, why, page.result.stat().st_size)
        self._add({"page": page.inside, **vars(fate)})
        self.fates[page.inside] = fate
        self.changed |= state == "colored"
        self.left.discard(page.inside)

    def finish(self, show: Show) -> None:
        """Make the volume, see `_bind`; where that fails, other volumes go on."""
        try:
            self._bind(show)
        except ColorizeError as error:
            if self.alone:
                raise
            show.failed(self.place.name, error)

    def _bind(self, show: Show) -> None:
        """Make the volume of the pages, tell of it, and remove what waited; failed pages may be tried again."""
        from colorize.images.archives import write_volume
        from colorize.images.files import shown

        colored = {p: self.folder / f.file for p, f in self.fates.items() if f.state == "colored"}
        failed = [page for page, fate in self.fates.items() if fate.state == "failed"]
        if colored and self.changed:
            damaged = write_volume(self.volume, colored, self.result)
            self._add(BOUND)
            show.volume(self.result)
            for name in (*self.volume.notes, *(self._damage(name) for name in damaged)):
                show.note(name)
        elif not colored:
            self._unbound(show, bool(failed))
        if failed and colored:
            count = f"{len(failed)} of the pages of" if len(failed) > 1 else "a page of"
            show.note(f"{count} `{shown(self.result)}` stayed as before; the same command tries again")
            return
        self._free()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _unbound(self, show: Show, failed: bool) -> None:
        """Tell why there is no new volume; one that stays as it is is copied where results are to be complete."""
        from colorize.images import files

        why = "no page of it could be colored" if failed else "all its pages stay as they are"
        path, copy = self.place.path, self.place.unchanged
        if failed or path is None or copy is None or copy.exists():
            show.note(f"there is no new volume of `{self.place.name}`: {why}")
            return
        files.copy(path, copy)
        show.volume(copy)
        show.note(f"`{self.place.name}` is copied unchanged: {why}")

    def close(self) -> None:
        """Let other processes have it; an empty folder goes."""
        self._free()
        if not any(fate.state == "colored" for fate in self.fates.values()):
            with suppress(OSError):
                (self.folder / LIST).unlink(missing_ok=True)
                self.folder.rmdir()

    def _free(self) -> None:
        if self.lock is not None:
            self.lock.free()

    def _page(self, at: int, page: str) -> Place:
        assert self.place.path is not None
        result = self.folder / f"{at:05}{suffix_of(Path(page))}"
        relative = Path(page) if self.alone else self.place.relative.with_suffix("") / page
        read = partial(self.volume.read, page)
        return Place(None, self.volume.name(page), relative, result, self, page, read)

    def _is_open(self, page: str) -> bool:
        fate = self.fates.get(page)
        if fate is None or fate.state == "failed":
            return True
        if fate.state == "kept":
            return False
        with suppress(OSError):
            return (self.folder / fate.file).stat().st_size != fate.size
        return True

    def _taken_up(self, head: dict[str, object], dry: bool) -> dict[str, Fate]:
        """What is known of the pages; begin a new list if there is none of this run."""
        lines = _lines(self.folder / LIST)
        if lines and lines[0] == head:
            fates: dict[str, Fate] = {}
            for line in lines[1:]:
                if line == BOUND:
                    self.changed = False
                    continue
                page = str(line.pop("page"))
                fates[page] = Fate(**line)  # type: ignore[arg-type]
                self.changed |= fates[page].state == "colored"
            return fates
        if dry:
            return {}
        self.dropped = sum(line.get("state") == "colored" for line in lines)
        for path in self.folder.iterdir():
            if path.name != ".lock" and path.is_file():
                path.unlink()
        self._add(head)
        return {}

    def _add(self, line: dict[str, object]) -> None:
        """Add a line, behind any half one, and bring it to the disk."""
        try:
            with (self.folder / LIST).open("a+b") as stream:
                stream.seek(0, os.SEEK_END)
                if stream.tell():
                    stream.seek(-1, os.SEEK_END)
                    if stream.read(1) != b"\n":
                        stream.write(b"\n")
                stream.write(json.dumps(line).encode() + b"\n")
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise ColorizeError(
                f"`{self.folder}` cannot be written: {error.strerror}",
                "make room, and give the same command again to go on",
            ) from error

    def _damage(self, name: str) -> str:
        return f"`{self.volume.name(name)}` is damaged; the new volume has what could be read of it"


def waiting(result: Path) -> Path:
    """The folder in which the pages of a result wait while it is not complete."""
    name = os.fsencode(result.name)
    short = result.name if len(name) < LONG else hashlib.sha256(name).hexdigest()[:32]
    return result.with_name(f".{short}.pages")


def stamp(settings: object, paths: Iterable[Path | str | None]) -> str:
    """Return what tells runs apart whose pages do not belong together: settings, and the files given by path."""
    told = [repr(settings)]
    for path in (Path(path) for path in paths if path):
        files = sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]
        for file in files:
            with suppress(OSError, ValueError):
                known = file.stat()
                told.append(f"{file} {known.st_size} {known.st_mtime_ns}")
    return hashlib.sha256("\n".join(told).encode("utf-8", "surrogatepass")).hexdigest()


def _lines(path: Path) -> list[dict[str, object]]:
    """The whole lines of a list; a half one, which a killed process leaves, is no line."""
    found: list[dict[str, object]] = []
    try:
        raw = path.read_bytes().split(b"\n")
    except OSError:
        return []
    for line in raw:
        with suppress(ValueError):
            value = json.loads(line)
            if isinstance(value, dict):
                found.append(value)
    return found
