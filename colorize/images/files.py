"""Read picture files, and write files whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import BinaryIO

from colorize.errors import FULL, ColorizeError, DiskFullError, printable
from colorize.images import leftovers
from colorize.images.decode import decode
from colorize.images.encode import encode, lost
from colorize.images.image import Picture

Content = str | bytes | memoryview | Path
_BYTES = 4 * 2**30  # of a file; LIMIT pixels of 16-bit RGBA have 1.6 GB
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
        with Path(source).open("rb") if isinstance(source, (str, Path)) else nullcontext(source) as stream:
            data = stream.read(_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise _failure(f"`{name}` cannot be read", error) from error
    if len(data) > _BYTES:
        raise ColorizeError(f"`{name}` has more than {_BYTES >> 30} GiB", "scale it down first")
    return decode(data, name)


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

    If it does not, even by Ctrl-C, the file is removed and whatever was at `path` stays. Folders on the way are made; a
    link stays a link, and its target is replaced. Raises ColorizeError for an OSError, in the block too: DiskFullError
    if there is no room.
    """
    try:
        target = Path(os.path.realpath(path)) if path.is_symlink() else path
        if target.exists() and not target.is_file():
            raise ColorizeError(f"`{shown(path)}` cannot be written: it is not a file", "name a file")
        target.parent.mkdir(parents=True, exist_ok=True)
        suffix = target.suffix if len(os.fsencode(target.suffix)) <= 16 else ""
        leftovers.tidy(target.parent)
        temporary = target.with_name(leftovers.name(suffix))
        try:
            yield temporary
            with temporary.open("rb+") as stream:  # bytes before the name, or a power cut could leave an empty file
                os.fsync(stream.fileno())
            if target.exists():
                with suppress(PermissionError):  # disks without permissions, such as memory cards
                    temporary.chmod(target.stat().st_mode & 0o777)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    except (OSError, ValueError) as error:
        if isinstance(error, ValueError) and "\0" not in str(path):
            raise
        raise _failure(f"`{shown(path)}` cannot be written", error) from error


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
