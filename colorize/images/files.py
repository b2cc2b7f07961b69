"""Read picture files, and write files whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from colorize.errors import FULL, ColorizeError, DiskFullError, printable
from colorize.images import leftovers
from colorize.images.decode import decode
from colorize.images.encode import encode, lost
from colorize.images.image import Picture

Content = str | bytes | memoryview | Path
BYTES = 2**30  # of a picture's file or of standard input, which are read as a whole
TEXT = 16 * 2**20  # bytes of a text that is read as a whole: hints, regions, settings
LINE = 2**20  # bytes of a line of a text that is read line by line
_REASONS = {
    errno.ENOENT: "there is no such file",
    errno.EISDIR: "it is a folder",
    **dict.fromkeys((errno.ENOTDIR, errno.EEXIST), "a part of its path is a file, not a folder"),
    **dict.fromkeys((errno.EACCES, errno.EPERM), "permission is denied"),
    errno.EROFS: "the disk is read-only",
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.ENAMETOOLONG: "its name is too long",
    errno.ELOOP: "its links run in a circle",
}


def read(source: Path | str | BinaryIO | bytes, name: str = "") -> Picture:
    """Return the picture of a file, an open binary stream, or bytes.

    name: what messages call it, the path if empty. Raises ColorizeError if it is missing, unreadable, empty, cut off,
    no picture, or too large.
    """
    if isinstance(source, bytes):
        return decode(source, name or "the picture")
    name = name or (shown(source) if isinstance(source, (str, Path)) else "standard input")
    try:
        data = content(source, BYTES, name)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise _failure(f"`{name}` cannot be read", error) from error
    return decode(data, name)


def content(source: Path | str | BinaryIO, most: int = TEXT, name: str = "") -> bytes:
    """Return the bytes of a file or a stream.

    name: what messages call it, the path if empty. Raises ColorizeError for more than `most` bytes, of a file before
    anything is read, and OSError if it cannot be read.
    """
    name = name or shown(str(source))
    too_large = ColorizeError(f"`{name}` has more than {most >> 20} MiB", "make it smaller, or name another file")
    if isinstance(source, (str, Path)):
        with Path(source).open("rb") as stream:
            if os.fstat(stream.fileno()).st_size > most:
                raise too_large
            data = stream.read(most + 1)
    else:
        data = source.read(most + 1)
    if len(data) > most:
        raise too_large
    return data


def is_file(path: Path | str) -> bool:
    """Whether there is such a file; False for what can be no path, such as a name of thousands of signs."""
    try:
        return Path(path).is_file()
    except (OSError, ValueError):
        return False


def lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file. Raises ColorizeError for one of more than LINE bytes, and OSError."""
    with path.open("rb") as stream:
        while line := stream.readline(LINE + 1):
            if len(line) > LINE:
                raise ColorizeError(f"`{shown(path)}` has a line of more than {LINE >> 20} MiB", "it may be damaged")
            yield line


def write(
    picture: Picture, path: Path, metadata: Mapping[str, str] | None = None, quality: int | None = None
) -> tuple[str, ...]:
    """Write a picture in the format of the path's suffix, whole or not at all; see `encode`.

    Folders on the way are made. Returns sentences on what the format could not hold. Raises ColorizeError for an
    unknown suffix, a full disk, or missing permission.
    """
    data = encode(picture, path.suffix, metadata, quality)
    with atomic(path) as temporary:
        temporary.write_bytes(data)
    return lost(picture, path.suffix, metadata)


def sha256(content: Content | Iterable[Content]) -> str:
    """Return the SHA-256 of a text, bytes, the content of a file, or several of these, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for part in [content] if isinstance(content, Content) else content:
        if isinstance(part, Path):
            with part.open("rb") as stream:
                while chunk := stream.read(2**20):
                    digest.update(chunk)
        else:
            digest.update(part.encode("utf-8", "surrogateescape") if isinstance(part, str) else part)
    return digest.hexdigest()


def fingerprint(path: Path) -> str:
    """Return twelve digits that tell the bytes of a file from others'; "" if it cannot be read."""
    try:
        return sha256(path)[:12]
    except OSError:
        return ""


def copy(source: Path, target: Path) -> None:
    """Copy a file byte for byte, whole or not at all. Raises ColorizeError as `write` does."""
    with atomic(target) as temporary:
        shutil.copyfile(source, temporary)


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a hidden path in the same folder that becomes `path` if the block ends well.

    If it does not, even by Ctrl-C, the file is removed and whatever was at `path` stays. Folders on the way are made. A
    link is replaced, and what it points at stays. Raises ColorizeError for an OSError, in the block too: DiskFullError
    if there is no room.
    """
    try:
        system = path.is_symlink() and os.path.realpath(path.parent).startswith(("/dev", "/proc"))
        if system or (path.exists() and not path.is_file()):
            raise ColorizeError(f"`{shown(path)}` cannot be written: it is not a file", "name a file")
        path.parent.mkdir(parents=True, exist_ok=True)
        suffix = path.suffix if len(os.fsencode(path.suffix)) <= 16 else ""
        leftovers.tidy(path.parent)
        temporary = path.with_name(leftovers.name(suffix))
        try:
            yield temporary
            with temporary.open("rb+") as stream:  # bytes before the name, or a power cut could leave an empty file
                os.fsync(stream.fileno())
            if path.exists() and not path.is_symlink():
                with suppress(PermissionError):  # disks without permissions, such as memory cards
                    temporary.chmod(path.stat().st_mode & 0o777)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except (OSError, ValueError) as error:
        if isinstance(error, ValueError) and "\0" not in str(path):
            raise
        raise _failure(f"`{shown(path)}` cannot be written", error) from error


def open_unlinked(path: Path | str, flags: int) -> int:
    """Open a file to write into it, as `os.open` does; usable as an opener.

    Raises ColorizeError for a link, which somebody else may have put there to have its target changed, and for what is
    no file; OSError as `os.open`.
    """
    refused = ColorizeError(f"`{shown(path)}` is a link, or not a file; it is not written", "remove it, and try again")
    if Path(path).is_symlink():
        raise refused
    file = os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise refused
    return file


def refuse_links(folder: Path, names: Iterable[str]) -> None:
    """Refuse a folder in which one of these folders is a link: files would be made and removed elsewhere."""
    for name in names:
        if (folder / name).is_symlink():
            what = f"`{shown(folder / name)}` is a link; files of another folder could be changed through it"
            raise ColorizeError(what, "remove it, or choose another folder")


def shown(path: Path | str) -> str:
    """Return a path fit for a terminal: control signs and what is not Unicode become `?`."""
    return printable(str(path))


def _failure(what: str, error: OSError | ValueError) -> ColorizeError:
    """The error for what could not be done with a file."""
    way_out = "check the path and who may read and write it"
    if isinstance(error, ValueError):
        return ColorizeError(f"{what}: its name holds a NUL", way_out)
    reason = f"{what}: {_REASONS.get(error.errno or 0) or error.strerror or error}"
    if error.errno in FULL:
        return DiskFullError(reason, "free some space, or write to another disk")
    return ColorizeError(reason, way_out)
