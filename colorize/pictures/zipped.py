"""Zip archives of pictures, read as if who made them meant harm. Knows nothing of pixels."""

from __future__ import annotations

import stat
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from colorize.errors import ColorizeError
from colorize.pictures.files import shown
from colorize.pictures.listing import pictured

OUTSIDE, NESTED = "points out of its archive", "is an archive in an archive"
LINK, ENCRYPTED = "is a link", "is encrypted"
ARCHIVES = (".zip", ".cbz", ".cbr", ".7z", ".rar", ".tar", ".tgz", ".gz")
MOST = 1_000_000  # files of an archive
LARGEST = 256 * 2**20  # bytes of a picture; it is read as a whole
SWELLING = 200  # times its own size that an archive may unpack to, if that is more than ...
HARMLESS = 2**30  # ... so many bytes
DAMAGE = (BadZipFile, OSError, EOFError, RuntimeError, ValueError, struct.error, zlib.error)


class Reader:
    """An open archive, or nothing if it cannot be opened any more."""

    def __init__(self, path: Path) -> None:
        self.infos: dict[str, ZipInfo] = {}
        self.archive: ZipFile | None = None
        try:
            self.archive = ZipFile(path)
            self.infos = {path: info for path, info, why in listed(self.archive) if not why}
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


def opened(file: Path, name: str) -> list[tuple[str, ZipInfo, str]]:
    """Return what an archive holds, as `listed` tells; ColorizeError for bombs and what is no archive."""
    try:
        with ZipFile(file) as archive:
            check(archive.infolist(), file.stat().st_size, name)
            return list(listed(archive))
    except DAMAGE as error:
        raise damaged(name, error) from error


def damaged(name: str, error: Exception) -> ColorizeError:
    """Return the error of what is no zip archive, or no whole one."""
    return ColorizeError(
        f"`{shown(name)}` cannot be read as a zip archive: {shown(str(error))}",
        "download or make it again",
    )


def check(infos: Sequence[ZipInfo], size: int, name: str) -> None:
    """Raise ColorizeError for an archive, of so many bytes, that would unpack to far too much."""
    if len(infos) > MOST:
        told = f"`{shown(name)}` holds {len(infos)} files"
        raise ColorizeError(told, f"at most {MOST} are read; make several archives of it")
    total = sum(info.file_size for info in infos)
    if total > max(HARMLESS, SWELLING * size):
        told = f"`{shown(name)}` would unpack to {total >> 20} MiB, {total // size} times its size"
        raise ColorizeError(told, "no archive of pictures does; do not open it")


def listed(archive: ZipFile) -> Iterator[tuple[str, ZipInfo, str]]:
    """Paths of the pictures in an archive, and why one cannot be used, or ""."""
    seen: set[str] = set()
    for info in archive.infolist():
        path, reason = PurePosixPath(info.filename), refusal(info)
        if info.is_dir() or not (pictured(path) or reason in (OUTSIDE, NESTED)):
            continue
        if not reason and path.as_posix() in seen:
            reason = "is in its archive twice"
        seen.add(path.as_posix())
        yield path.as_posix(), info, reason


def refusal(info: ZipInfo) -> str:
    """Why a file of an archive is not read, or ""."""
    windows = PureWindowsPath(info.filename)
    reasons = {
        OUTSIDE: bool(windows.anchor) or ".." in windows.parts,
        NESTED: windows.suffix.lower() in ARCHIVES,
        LINK: stat.S_ISLNK(info.external_attr >> 16),
        ENCRYPTED: bool(info.flag_bits & 1),
        "is compressed in a rare way; make the archive with plain zip": info.compress_type
        not in (ZIP_STORED, ZIP_DEFLATED),  # others unpack without any limit
        f"has {info.file_size >> 20} MiB, of at most {LARGEST >> 20}": info.file_size > LARGEST,
    }
    return next((reason for reason, true in reasons.items() if true), "")
