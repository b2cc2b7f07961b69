"""Sessions: what one page has uploaded and had colored, in a folder that is removed with it."""

from __future__ import annotations

import itertools
import secrets
import shutil
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from colorize.errors import ColorizeError
from colorize.images import archives, files
from colorize.images.image import Picture

if TYPE_CHECKING:
    from colorize.web.asked import Asked, Edit

MOST = 64  # sessions at once
IDLE = 30 * 60.0  # seconds without a request after which a session ends; an open page asks every minute
QUOTA = 4 * 2**30  # bytes that a session may upload
SPARE = 256 * 2**20  # bytes that stay free on the disk
RESULTS = 400  # of a session; the oldest are forgotten
NAME = 150  # characters of a name


class Gone(ColorizeError):
    """What is asked for does not exist, or no longer."""


class Full(ColorizeError):
    """There are as many sessions as the server takes."""


@dataclass(frozen=True)
class Upload:
    """A picture that was uploaded, alone or as a page of a volume; read returns the bytes of its file."""

    id: str
    name: str
    read: Callable[[], bytes]
    volume: str = ""
    page: str = ""


@dataclass(frozen=True)
class Made:
    """A result in a file of its session.

    asked: the request that it answers. names: of the uploads in it. variation: which of its results. base: the result
    that this one recolors, by edits. facts: what the page shows of it.
    """

    id: str
    path: Path
    drawing: Upload
    asked: Asked
    names: Mapping[str, str]
    variation: int = 0
    base: str = ""
    edits: tuple[Edit, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def stem(self) -> str:
        """The name of the drawing without its suffix."""
        return PurePosixPath(self.drawing.name).stem


class Session:
    """One page: its uploads and results by id, and their folder."""

    def __init__(self, root: Path) -> None:
        self.id = secrets.token_urlsafe(24)
        self.folder = Path(tempfile.mkdtemp(dir=root))
        self.uploads: dict[str, Upload] = {}
        self.volumes: dict[str, tuple[str, archives.Volume]] = {}
        self.results: OrderedDict[str, Made] = OrderedDict()
        self.known: dict[tuple[str, ...], Any] = {}  # what was found out about drawings
        self.used, self.bytes = time.monotonic(), 0
        self._number = itertools.count(1)

    def new(self, kind: str) -> str:
        """Return an id that nothing has yet."""
        return f"{kind}{next(self._number)}"

    async def keep(self, name: str, parts: AsyncIterator[bytes]) -> Path:
        """Write an upload as it comes. Raises ColorizeError if the session has uploaded too much."""
        path = self.folder / self.new("upload")
        try:
            with path.open("wb") as stream:
                async for part in parts:
                    self.bytes += len(part)
                    if self.bytes > QUOTA:
                        message = f"more than {QUOTA >> 30} GiB were uploaded"
                        raise ColorizeError(message, "reload the page to begin anew")
                    if shutil.disk_usage(self.folder).free < SPARE:
                        raise ColorizeError(f"`{name}` does not fit on the disk", "free some space")
                    stream.write(part)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return path

    def add(self, path: Path, name: str) -> list[Upload]:
        """Take up a file that was uploaded: a picture, or the pages of a volume. Raises ColorizeError for others."""
        with path.open("rb") as stream:
            packed = stream.read(4) == b"PK\x03\x04"
        suffix = PurePosixPath(name).suffix.lower()
        if suffix in (".cbz", ".zip", ".cbr") or (packed and suffix not in (".ora", ".kra")):
            return self._add_volume(path, name)
        if path.stat().st_size > archives.MAX_BYTES:
            message = f"`{name}` has {path.stat().st_size >> 20} MiB, of at most {archives.MAX_BYTES >> 20}"
            raise ColorizeError(message, "scale it down first")
        files.read(path.read_bytes(), name)  # now, so that the page hears at once what is wrong
        one = Upload(self.new("p"), self._free(name), path.read_bytes)
        self.uploads[one.id] = one
        return [one]

    def _free(self, name: str) -> str:
        """A name that no other upload has: all of them may end in one folder."""
        taken, whole, number = {one.name for one in self.uploads.values()}, PurePosixPath(name), 2
        while name in taken:
            name, number = f"{whole.stem}-{number}{whole.suffix}", number + 1
        return name

    def _add_volume(self, path: Path, name: str) -> list[Upload]:
        try:
            volume = archives.open_volume(path)
        except ColorizeError as error:
            error.message = error.message.replace(str(path), name)
            raise
        key, found = self.new("v"), []
        self.volumes[key] = name, volume
        for page in volume.pages:
            inside = files.shown(PurePosixPath(page).name)
            found.append(Upload(self.new("p"), inside, _reader(volume, page, str(path), name), key, page))
        self.uploads |= {one.id: one for one in found}
        return found

    def upload(self, key: object) -> Upload:
        """Return an upload by its id; raises Gone."""
        if not isinstance(key, str) or key not in self.uploads:
            raise Gone(f"there is no picture `{str(key)[:40]}`", "upload it again")
        return self.uploads[key]

    def result(self, key: object) -> Made:
        """Return a result by its id; raises Gone."""
        if not isinstance(key, str) or key not in self.results:
            raise Gone(f"there is no result `{str(key)[:40]}`", "color the drawing again")
        self.results.move_to_end(key)
        return self.results[key]

    def remember(self, made: Made) -> Made:
        """Take up a result; those that were used longest ago are forgotten."""
        self.results[made.id] = made
        while len(self.results) > RESULTS:
            _, old = self.results.popitem(last=False)
            old.path.unlink(missing_ok=True)
        return made

    def end(self) -> None:
        """Remove all files."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _reader(volume: archives.Volume, page: str, path: str, name: str) -> Callable[[], bytes]:
    def read() -> bytes:
        try:
            return volume.read(page)
        except ColorizeError as error:
            error.message = error.message.replace(path, name)
            raise

    return read


def plain_name(name: str) -> str:
    """Return a name as it may be shown and used for a download: no path, no control signs, not too long."""
    last = files.shown(name.replace("\\", "/").rpartition("/")[2]).strip(" .")
    return last[-NAME:] or "picture"


class Sessions:
    """All sessions, and their folder."""

    def __init__(self) -> None:
        self._all: dict[str, Session] = {}

    @cached_property
    def root(self) -> Path:
        """The folder, which is there from the first session on."""
        return Path(tempfile.mkdtemp(prefix="colorize-web-"))

    def open(self) -> Session:
        """Begin a session. Raises Full."""
        self.sweep()
        if len(self._all) >= MOST:
            raise Full(f"{MOST} pages are open", "close one, or try again later")
        session = Session(self.root)
        self._all[session.id] = session
        return session

    def find(self, key: str) -> Session:
        """Return a session by its id, which has been used now. Raises Gone."""
        if key not in self._all:
            raise Gone("the session has ended", "reload the page")
        self._all[key].used = time.monotonic()
        return self._all[key]

    def close(self, key: str) -> None:
        """End a session."""
        if session := self._all.pop(key, None):
            session.end()

    def sweep(self) -> None:
        """End the sessions that have not been used for long."""
        for key, session in list(self._all.items()):
            if time.monotonic() - session.used > IDLE:
                self.close(key)

    def end(self) -> None:
        """End all."""
        self._all.clear()
        if "root" in vars(self):
            shutil.rmtree(self.root, ignore_errors=True)


class Recent:
    """Values that are costly to make again, up to a weight in all; those used longest ago go first."""

    def __init__(self, most: int) -> None:
        self.most, self.total = most, 0
        self._kept: OrderedDict[object, tuple[Any, int]] = OrderedDict()
        self._lock = threading.Lock()
        self._making: dict[object, threading.Lock] = {}

    def get(self, key: object, make: Callable[[], Any], weigh: Callable[[Any], int]) -> Any:
        """Return the value of a key, made if it is not there, once for all who ask."""
        with self._lock:
            making = self._making.setdefault(key, threading.Lock())
        with making:
            try:
                return self._get(key, make, weigh)
            finally:
                self._making.pop(key, None)

    def _get(self, key: object, make: Callable[[], Any], weigh: Callable[[Any], int]) -> Any:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key][0]
        value = make()
        weight = weigh(value)
        with self._lock:
            self._kept[key], self.total = (value, weight), self.total + weight
            while self.total > self.most and len(self._kept) > 1:
                _, (_, gone) = self._kept.popitem(last=False)
                self.total -= gone
        return value


def pixels(picture: Picture) -> int:
    """How much memory a picture takes, in bytes."""
    return picture.pixels.nbytes + (0 if picture.alpha is None else picture.alpha.nbytes)
