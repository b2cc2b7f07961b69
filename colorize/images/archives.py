"""Read zip archives of pictures, and read and write comic volumes (CBZ) page by page."""

from __future__ import annotations

import hashlib
import json
import shutil
import stat
import struct
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from lzma import LZMAError
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from colorize.errors import ColorizeError
from colorize.images import comic_info
from colorize.images.files import atomic, shown
from colorize.images.listing import natural, pictured
from colorize.images.metadata import MARK

OUTSIDE, NESTED = "points outside its archive", "is an archive in an archive"
LINK, ENCRYPTED = "is a link", "is encrypted"
ARCHIVES = (".zip", ".cbz", ".cbr", ".7z", ".rar", ".tar", ".tgz", ".gz")
MAX_FILES = 1_000_000  # of an archive
MAX_BYTES = 256 * 2**20  # of a picture; it is read as a whole
MAX_RATIO = 200  # times its own size that an archive may unpack to, if that is more than ...
HARMLESS = 2**30  # ... so many bytes
CHUNK = 2**20  # bytes of a file to copy at a time
COMMENT = 65_535  # bytes of an archive's comment, at most
ZIP64 = 2**31  # bytes above which a member needs the larger form of headers
DAMAGE = (
    *(BadZipFile, OSError, EOFError, RuntimeError, ValueError, MemoryError),  # MemoryError: a window of 4 GiB
    *(LZMAError, struct.error, zlib.error),
)
OTHERS = {  # what else is sold as a comic, by its first bytes
    b"Rar!": "a RAR archive",
    b"7z\xbc\xaf": "a 7-Zip archive",
    b"%PDF": "a PDF",
}


class Reader:
    """An open archive, or nothing if it cannot be opened any more."""

    def __init__(self, path: Path) -> None:
        self.infos: dict[str, ZipInfo] = {}
        self.archive: ZipFile | None = None
        try:
            self.archive = ZipFile(path)
            self.infos = {path: info for path, info, why in _pictures(self.archive.infolist()) if not why}
        except DAMAGE:
            pass  # each picture of it says so

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        if self.archive is not None:
            self.archive.close()

    def read(self, path: str) -> bytes:
        """The bytes of a picture; none if they are damaged, or no longer there."""
        info = self.infos.get(path)
        if self.archive is None or info is None:
            return b""
        try:
            with self.archive.open(info) as stream:
                return stream.read(info.file_size + 1)  # a number, or it unpacks without end
        except DAMAGE:
            return b""


def list_pictures(file: Path, name: str) -> list[tuple[str, str]]:
    """Return the paths of the pictures in an archive, and why one cannot be used, or "".

    name: what messages call it. Raises ColorizeError for bombs and for what is no archive.
    """
    return [(path, reason) for path, _, reason in _pictures(_infos(file, name))]


def _infos(file: Path, name: str) -> list[ZipInfo]:
    """The files of an archive; ColorizeError if it would unpack to far too much, or is no archive."""
    try:
        with ZipFile(file) as archive:
            infos, size = archive.infolist(), file.stat().st_size
    except DAMAGE as error:
        raise ColorizeError(
            f"`{shown(name)}` cannot be read as a zip archive: {shown(str(error))}", "download or make it again"
        ) from error
    if len(infos) > MAX_FILES:
        message = f"`{shown(name)}` holds {len(infos)} files"
        raise ColorizeError(message, f"at most {MAX_FILES} are read; split it into several archives")
    total = sum(info.file_size for info in infos)
    if total > max(HARMLESS, MAX_RATIO * size):
        message = f"`{shown(name)}` would unpack to {total >> 20} MiB, {total // size} times its size"
        raise ColorizeError(message, "no archive of pictures does; do not open it")
    return infos


def _pictures(infos: Sequence[ZipInfo]) -> Iterator[tuple[str, ZipInfo, str]]:
    """Paths of the pictures in an archive, and why one cannot be used, or ""."""
    seen: set[str] = set()
    for info in infos:
        path, reason = PurePosixPath(info.filename), _refusal(info)
        if _is_folder(info) or not (pictured(path) or reason in (OUTSIDE, NESTED)):
            continue
        if not reason and path.as_posix() in seen:
            reason = "is in its archive twice"
        seen.add(path.as_posix())
        yield path.as_posix(), info, reason


def _is_folder(info: ZipInfo) -> bool:
    """Tell folders from files, also a file without a name, at which `ZipInfo.is_dir` fails."""
    return info.filename.endswith("/")


def _refusal(info: ZipInfo) -> str:
    """Why a file of an archive is not read, or ""."""
    windows = PureWindowsPath(info.filename)
    reasons = {
        OUTSIDE: bool(windows.anchor) or ".." in windows.parts,
        NESTED: windows.suffix.lower() in ARCHIVES,
        LINK: stat.S_ISLNK(info.external_attr >> 16),
        ENCRYPTED: bool(info.flag_bits & 1),
        "is compressed in a rare way; make the archive with plain zip": info.compress_type
        not in (ZIP_STORED, ZIP_DEFLATED),  # others unpack without any limit
        f"has {info.file_size >> 20} MiB, of at most {MAX_BYTES >> 20}": info.file_size > MAX_BYTES,
    }
    return next((reason for reason, true in reasons.items() if true), "")


@dataclass(frozen=True)
class Volume:
    """A comic in a zip archive, opened for reading.

    pages: the paths of its pictures inside, in reading order. fingerprint: of its contents. notes: what a user should
    know of it. described: the path of its ComicInfo.xml, empty without one.
    """

    path: Path
    pages: tuple[str, ...]
    fingerprint: str
    notes: tuple[str, ...] = ()
    described: str = ""

    def description(self) -> bytes:
        """Return the bytes of its ComicInfo.xml, none if it has none or they are damaged."""
        with suppress(*DAMAGE, KeyError), ZipFile(self.path) as archive:
            info = archive.getinfo(self.described)
            if info.file_size <= CHUNK and not _refusal(info):
                with archive.open(info) as stream:
                    return stream.read(CHUNK)
        return b""

    def read(self, page: str) -> bytes:
        """Return the bytes of a page. Raises ColorizeError if they are damaged or cannot be read."""
        name = shown(self.name(page))
        try:
            with ZipFile(self.path) as archive:
                info = archive.getinfo(page)
                if reason := _refusal(info):
                    raise ColorizeError(f"`{name}` {reason}", "pack the volume again")
                with archive.open(info) as stream:
                    data = stream.read(info.file_size + 1)
        except (*DAMAGE, KeyError) as error:
            raise ColorizeError(
                f"`{name}` is damaged inside its archive: {shown(str(error))}", "download or make the archive again"
            ) from error
        if len(data) != info.file_size:
            raise ColorizeError(f"`{name}` has a different size from the one in its archive's index", "")
        return data

    def name(self, page: str) -> str:
        """The name of a page, as in the results of `--json`."""
        return f"{self.path}/{page}"


def open_volume(path: Path) -> Volume:
    """Look into a volume without reading its pages.

    Raises ColorizeError for what is no zip archive, without pages, protected by a password, or hostile: files outside
    of it, links, two of one name, or far more content than its size.
    """
    with suppress(OSError), path.open("rb") as stream:
        if what := OTHERS.get(stream.read(4)):
            raise ColorizeError(f"`{shown(path)}` is {what}, not a zip archive", "zip its pages as pictures")
    files = [info for info in _infos(path, str(path)) if not _is_folder(info)]
    _check_trust(path, files)
    pages = [info.filename for info in files if pictured(PurePosixPath(info.filename))]
    nested = [info.filename for info in files if _refusal(info) == NESTED]
    if not pages:
        inside = f"; it holds the archive `{shown(nested[0])}`, unpack it first" if nested else ""
        raise ColorizeError(f"the archive `{shown(path)}` holds no pictures{inside}", "put the pages into it")
    notes = [f"`{shown(f'{path}/{name}')}` is an archive; it stays as it is" for name in nested[:1]]
    pages.sort(key=lambda name: natural(Path(name)))
    described = next((info.filename for info in files if info.filename.lower() == comic_info.NAME), "")
    volume = Volume(path, tuple(pages), _listed(files), tuple(notes), described)
    if comic_info.is_colored(volume.description()):
        volume = replace(volume, notes=(*notes, f"`{shown(path)}` says in its ComicInfo.xml that it is in color"))
    return volume


def read_record(path: Path) -> dict[str, Any]:
    """Return what `write_volume` noted in a volume, empty if nothing; `unedited` is whether its files are unchanged."""
    with suppress(*DAMAGE), ZipFile(path) as archive:
        comment = archive.comment
        record = (_object(comment) or _object(comment.rpartition(b"\n")[2])).get(MARK)
        if isinstance(record, dict):
            files = [info for info in archive.infolist() if not _is_folder(info)]
            return {**record, "unedited": record.get("files") == _listed(files)}
    return {}


def _object(text: bytes) -> dict[str, Any]:
    """The JSON object that a text is; empty if it is none."""
    with suppress(ValueError, RecursionError):
        found = json.loads(text)
        return found if isinstance(found, dict) else {}
    return {}


def _noted(comment: bytes, record: dict[str, Any]) -> bytes:
    """The comment of an archive and a record: in the JSON object that comics often have there, or as the last line."""
    found = _object(comment)
    start = comment + b"\n" if comment and not found else b""
    whole = start + json.dumps({**found, MARK: record}).encode()
    return whole if len(whole) <= COMMENT else comment


def _listed(files: Iterable[ZipInfo]) -> str:
    """A hash of what an archive says of its files."""
    listed = "".join(f"{info.filename}\0{info.CRC}\0{info.file_size}\0" for info in files)
    return hashlib.sha256(listed.encode("utf-8", "surrogatepass")).hexdigest()


def write_volume(
    volume: Volume, results: Mapping[str, Path], target: Path, record: Mapping[str, Any] | None = None
) -> list[str]:
    """Write a volume with other files for some pages, whole or not at all; return what was damaged.

    results: files by the paths of their pages. record: what `read_record` is to return. Pages keep their place, time
    and, but for the suffix, name; ComicInfo.xml says that they are in color; everything else is copied byte for byte.
    Of a damaged file stays what can be read.

    Raises ColorizeError if it cannot be written, or the volume changed meanwhile.
    """
    damaged: list[str] = []
    if open_volume(volume.path).fingerprint != volume.fingerprint:
        raise ColorizeError(f"`{shown(volume.path)}` changed meanwhile", "run the command again")
    with atomic(target) as temporary, ZipFile(volume.path) as old, ZipFile(temporary, "w") as new:
        new.comment = old.comment
        taken = {info.filename.casefold() for info in old.infolist()}
        for info in old.infolist():
            result = results.get(info.filename)
            name = _renamed(info.filename, result, taken) if result else info.filename
            fresh = ZipInfo(name, info.date_time)  # as in the old archive, but for what depends on its bytes
            plain = info.compress_type in (ZIP_STORED, ZIP_DEFLATED)
            fresh.compress_type = info.compress_type if plain else ZIP_DEFLATED
            fresh.external_attr, fresh.create_system = info.external_attr, info.create_system
            fresh.comment = info.comment
            if _is_folder(info):
                new.writestr(fresh, b"")
                continue
            large = (result.stat().st_size if result else info.file_size) > ZIP64
            with new.open(fresh, "w", force_zip64=large) as sink:
                if result:
                    with result.open("rb") as stream:
                        shutil.copyfileobj(stream, sink, CHUNK)
                elif info.filename == volume.described and (said := volume.description()):
                    sink.write(comic_info.colored(said))
                elif not _copied(old, info, sink):
                    damaged.append(info.filename)
        if record:
            files = [info for info in new.infolist() if not _is_folder(info)]
            new.comment = _noted(old.comment, {**record, "files": _listed(files)})
    return damaged


def _check_trust(path: Path, files: list[ZipInfo]) -> None:
    """Refuse an archive that no honest program makes, or that needs a password."""
    names = [info.filename for info in files]
    if len(set(names)) < len(names):
        twice = next(name for name, count in Counter(names).items() if count > 1)
        raise ColorizeError(f"`{shown(path)}` holds `{shown(twice)}` twice", "unpack it, and pack it again")
    for info in files:
        reason = _refusal(info)
        if reason == ENCRYPTED:
            advice = "unpack it with its password, and pack the pages again"
            raise ColorizeError(f"`{shown(path)}` is protected by a password", advice)
        if reason in (OUTSIDE, LINK):
            message = f"`{shown(path)}` holds `{shown(info.filename)}`, which {reason}"
            raise ColorizeError(message, "this may be an attack; do not unpack it")


def _renamed(name: str, result: Path, taken: set[str]) -> str:
    """The name of a result: the page's own, with another suffix where its format is another."""
    path = PurePosixPath(name)
    if path.suffix.lower() == result.suffix.lower():
        return name
    new = str(path.with_suffix(result.suffix))
    new = f"{name}{result.suffix}" if new.casefold() in taken else new  # unpacked on any disk
    taken.add(new.casefold())
    return new


def _copied(archive: ZipFile, info: ZipInfo, sink: IO[bytes]) -> bool:
    """Copy a file as far as it can be read; tell whether it was whole."""
    left, mark = info.file_size, 0
    try:
        with archive.open(info) as stream:
            stream._expected_crc = None  # type: ignore[attr-defined] # or it would keep back the rest
            while data := stream.read(min(CHUNK, left + 1))[:left]:
                sink.write(data)
                left, mark = left - len(data), zlib.crc32(data, mark)
    except DAMAGE:
        return False
    return left == 0 and mark == info.CRC
