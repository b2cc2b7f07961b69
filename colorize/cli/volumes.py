"""Color volumes page by page, so that a run that was killed goes on and repeats no page.

Finished pages wait in a hidden folder beside the result, with a journal that has a line for every page.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from colorize import __version__
from colorize.cli.outputs import Target, check_extras, result_suffix
from colorize.coloring.options import SampleOptions
from colorize.errors import FULL, ColorizeError, DiskFullError

if TYPE_CHECKING:
    from colorize.cli.messages import Reporter
    from colorize.images import tiff

State = Literal["colored", "kept", "failed"]
LONG = 200  # bytes of a name; most systems allow 255
MADE = re.compile(r"[0-9]{5,}\.\w+|pages\.jsonl|\.[0-9a-f]{16}(\.\w+)?")  # files in the folder of pages
JOURNAL = "pages.jsonl"  # the first line identifies the run, the others are of one page each, or are:
BOUND: dict[str, object] = {"bound": True}  # all pages so far are in the result


@dataclass(frozen=True)
class PageResult:
    """What became of a page: colored into a file of the folder, of so many bytes, kept as it is, or failed; and why."""

    state: State
    file: str = ""
    why: str = ""
    size: int = 0


class VolumeJob:
    """One volume whose pages are being colored."""

    def __init__(self, target: Target, options: SampleOptions, alone: bool) -> None:
        """Open a volume and take up what an earlier run with the same options left.

        alone: whether hints for its pages need no folder of the volume's name. With `dry_run` nothing is written.
        Raises ColorizeError for what is no volume, and if another process works on it.
        """
        from colorize.images import files
        from colorize.images.archives import open_volume
        from colorize.training.run_folder import Lock

        assert target.path is not None
        assert target.result is not None
        self.target, self.result, self.alone = target, target.result, alone
        self.volume = open_volume(target.path)
        self.folder = pages_folder(target.result)
        self.lock: Lock | None = None
        self.changed = True  # whether pages have come that the result does not hold
        settings = {**(target.source.options if target.source else {}), "overwrite": options.overwrite}
        head = {"volume": self.volume.fingerprint, "settings": settings, "pages": len(self.volume.pages)}
        self.dropped = 0  # pages that a run with other options had finished
        files.refuse_links(self.folder.parent, [self.folder.name])
        if not options.dry_run:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                why = f"`{self.folder}` cannot be made: {error.strerror}"
                kind = DiskFullError if error.errno in FULL else ColorizeError
                raise kind(why, "check the folder, or choose another --out") from error
            self.lock = Lock(self.folder, "another process")
        self.results = self._resumed(head, options.dry_run)
        self.changed |= not self.result.exists()
        self.left = {page for page in self.volume.pages if self._is_open(page)}

    def pages(self) -> list[Target]:
        """All pages, each as a target of its own."""
        found = []
        for at, page in enumerate(self.volume.pages, 1):
            result = self.folder / f"{at:05}{result_suffix(Path(page))}"
            relative = Path(page) if self.alone else self.target.relative.with_suffix("") / page
            read = partial(self.volume.read, page)
            found.append(Target(None, self.volume.name(page), relative, result, self, page, read))
        return found

    def record(self, page: Target, state: State, why: str = "") -> None:
        """Write what became of a page to the journal."""
        assert page.result is not None
        result = PageResult(state, why=why)
        if state == "colored":
            result = PageResult(state, page.result.name, why, page.result.stat().st_size)
        self._add({"page": page.page, **vars(result)})
        self.results[page.page] = result
        self.changed |= state == "colored"
        self.left.discard(page.page)

    def finish(self, report: Reporter) -> None:
        """Write the volume and remove the folder of pages; where that fails, other volumes go on."""
        try:
            self._write(report)
        except ColorizeError as error:
            if self.alone or isinstance(error, DiskFullError):
                raise
            report.failed(self.target.name, error)

    def _write(self, report: Reporter) -> None:
        from colorize.images import files
        from colorize.images.archives import write_volume

        colored = {p: self.folder / f.file for p, f in self.results.items() if f.state == "colored"}
        failed = [page for page, result in self.results.items() if result.state == "failed"]
        if colored and self.changed:
            record = {"program": f"colorize {__version__}", **(vars(self.target.source) if self.target.source else {})}
            damaged = write_volume(self.volume, colored, self.result, record)
            self._add(BOUND)
            report.volume(self.result)
            for note in self.volume.notes:
                report.note(note)
            for name in damaged:
                report.note(f"`{self.volume.name(name)}` is damaged; the new volume holds its readable part")
        elif not colored:
            first = next(iter(self.results.values()), None)
            stay = "all its pages stay as they are" + (f": {first.why}" if first and first.why else "")
            why = "no page of it could be colored" if failed else stay
            path, copy = self.target.path, self.target.copy
            if failed or path is None or copy is None or copy.exists():
                report.note(f"there is no new volume of `{self.target.name}`: {why}")
            else:
                files.copy(path, copy)
                report.volume(copy)
                report.note(f"`{self.target.name}` is copied unchanged: {why}")
        if failed and colored:  # they may be tried again
            count = f"{len(failed)} of the pages of" if len(failed) > 1 else "a page of"
            report.note(f"{count} `{files.shown(self.result)}` stayed as before; the same command tries again")
            return
        self._free()
        shutil.rmtree(self.folder, ignore_errors=True)

    def close(self) -> None:
        """Release the lock, and remove the folder if no page of it is colored."""
        self._free()
        if not any(result.state == "colored" for result in self.results.values()):
            with suppress(OSError):
                (self.folder / JOURNAL).unlink(missing_ok=True)
                self.folder.rmdir()

    def _free(self) -> None:
        if self.lock is not None:
            self.lock.free()

    def _is_open(self, page: str) -> bool:
        """Whether a page is still to be done."""
        known = self.results.get(page)
        if known is None or known.state == "failed":
            return True
        if known.state == "kept":
            return False
        with suppress(OSError):
            return (self.folder / known.file).stat().st_size != known.size
        return True

    def _resumed(self, head: dict[str, object], dry: bool) -> dict[str, PageResult]:
        """What is known of the pages; begin a new journal if there is none of this run."""
        from colorize.images import json_lines

        lines: list[dict[str, Any]] = []
        with suppress(OSError):
            lines = json_lines.read(self.folder / JOURNAL)
        if lines and lines[0] == head:
            results: dict[str, PageResult] = {}
            for line in lines[1:]:
                if line == BOUND:
                    self.changed = False
                    continue
                page, result = _read(line)
                if page in self.volume.pages and MADE.fullmatch(result.file or JOURNAL):
                    results[page] = result
                    self.changed |= result.state == "colored"
            return results
        if dry:
            return {}
        self.dropped = sum(line.get("state") == "colored" for line in lines)
        for path in self.folder.iterdir():
            if MADE.fullmatch(path.name):
                path.unlink()
        self._add(head)
        return {}

    def _add(self, line: dict[str, object]) -> None:
        """Add a line, behind any half one, and bring it to the disk."""
        from colorize.images import json_lines

        try:
            json_lines.append(self.folder / JOURNAL, line, sync=True)
        except OSError as error:
            kind = DiskFullError if error.errno in FULL else ColorizeError
            why = f"`{self.folder}` cannot be written: {error.strerror}"
            raise kind(why, "free some space, then repeat the command to continue") from error


def _read(line: dict[str, Any]) -> tuple[str, PageResult]:
    """The page of a line of the journal and what became of it; of a line that is damaged, no page."""
    kinds = {"state": str, "file": str, "why": str, "size": int}
    whole = all(isinstance(line.get(key), kind) for key, kind in kinds.items())
    if not whole or line["state"] not in get_args(State) or Path(line["file"]).name != line["file"]:
        return "", PageResult("failed")
    return str(line.get("page")), PageResult(**{key: line[key] for key in kinds})


def divided(targets: Sequence[Target], options: SampleOptions) -> list[Target]:
    """Return targets in which TIFF files of several pages are page by page, each with a result: NAME-1, NAME-2 ..."""
    from colorize.images import tiff

    found: list[Target] = []
    for target in targets:
        pages: list[tiff.Page] = []
        if target.path and target.path.suffix.lower() in (".tif", ".tiff"):
            with suppress(OSError), target.path.open("rb") as stream:
                pages = tiff.pages(stream)
        if target.path is None or len(pages) < 2:
            found.append(target)
            continue
        if target.result is None:
            hint = "name a file or a folder with --out"
            message = f"standard output takes one picture, and `{target.name}` has {len(pages)} pages"
            raise ColorizeError(message, hint, code=2)
        base = target.result.stem.removesuffix("_color")
        ending = target.result.stem[len(base) :] + target.result.suffix
        for at, page in enumerate(pages, 1):
            relative = target.relative.with_stem(f"{target.relative.stem}-{at}")
            result = target.result.with_name(f"{base}-{at}{ending}")
            read = partial(_page_of, target.path, page)
            found.append(Target(None, f"{target.name}, page {at}", relative, result, read=read))
    if len(found) > len(targets):
        check_extras(options, len(found))
    return found


def _page_of(path: Path, page: tiff.Page) -> bytes:
    from colorize.images import tiff

    try:
        return tiff.page_file(path.read_bytes(), page)
    except OSError as error:
        raise ColorizeError(f"`{path}` cannot be read: {error.strerror}", "check the file") from error


def pages_folder(result: Path) -> Path:
    """The folder in which the pages of a result wait until it is complete."""
    name = os.fsencode(result.name)
    short = result.name if len(name) < LONG else hashlib.sha256(name).hexdigest()[:32]
    return result.with_name(f".{short}.pages")
