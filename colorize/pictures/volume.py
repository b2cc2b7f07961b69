"""Volumes: comics in zip archives (CBZ), read page by page and written anew. Knows nothing of coloring."""

from __future__ import annotations

import hashlib
import shutil
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO
from zipfile import ZipFile, ZipInfo

from colorize.errors import ColorizeError
from colorize.pictures import zipped
from colorize.pictures.files import atomic, shown
from colorize.pictures.listing import natural, pictured

CHUNK = 2**20  # bytes of a file to copy at a time
LONGEST = 2**31  # bytes above which a member needs the larger form of headers
OTHERS = {  # what else is sold as a comic, by its first bytes
    b"Rar!": "a RAR archive; unpack it, and zip its pages",
    b"7z\xbc\xaf": "a 7-Zip archive; unpack it, and zip its pages",
    b"%PDF": "a PDF; export its pages as pictures, and zip them",
}


@dataclass(frozen=True)
class Volume:
    """A comic in a zip archive, which is only read.

    pages: the paths of its pictures inside, in reading order. print: tells it from others of other contents.
    notes: what a user should know of it.
    """

    path: Path
    pages: tuple[str, ...]
    print: str
    notes: tuple[str, ...] = ()

    def read(self, page: str) -> bytes:
        """Return the bytes of a page. Raises ColorizeError if they are damaged or cannot be read."""
        try:
            with ZipFile(self.path) as archive:
                info = archive.getinfo(page)
                if reason := zipped.refusal(info):
                    raise ColorizeError(f"`{self.name(page)}` {reason}", "pack the volume anew")
                with archive.open(info) as stream:
                    data = stream.read(info.file_size + 1)
        except (*zipped.DAMAGE, KeyError) as error:
            raise ColorizeError(
                f"`{self.name(page)}` is damaged inside its archive: {shown(str(error))}",
                "download or make the archive again",
            ) from error
        if len(data) != info.file_size:
            raise ColorizeError(f"`{self.name(page)}` has another size than its archive says", "")
        return data

    def name(self, page: str) -> str:
        """What messages call a page."""
        return shown(f"{self.path}/{page}")


def open_volume(path: Path) -> Volume:
    """Look into a volume without reading its pages.

    Raises ColorizeError for what is no zip archive, without pages, protected by a password, or hostile:
    files outside of it, links, two of one name, or far more content than its size.
    """
    try:
        with path.open("rb") as stream:
            _recognize(path, stream.read(8))
        with ZipFile(path) as archive:
            infos = archive.infolist()
            zipped.check(infos, path.stat().st_size, str(path))
    except zipped.DAMAGE as error:
        raise zipped.damaged(str(path), error) from error
    files = [info for info in infos if not info.is_dir()]
    _trust(path, files)
    pages = [info.filename for info in files if pictured(PurePosixPath(info.filename))]
    nested = [info.filename for info in files if zipped.refusal(info) == zipped.NESTED]
    if not pages:
        inside = f"; it holds the archive `{shown(nested[0])}`, unpack it first" if nested else ""
        raise ColorizeError(
            f"the archive `{shown(path)}` holds no pictures{inside}", "put the pages into it"
        )
    notes = [f"`{shown(f'{path}/{name}')}` is an archive; it stays as it is" for name in nested[:1]]
    told = "".join(f"{info.filename}\0{info.CRC}\0{info.file_size}\0" for info in files)
    mark = hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()
    pages.sort(key=lambda name: natural(Path(name)))
    return Volume(path, tuple(pages), mark, tuple(notes))


def write_volume(volume: Volume, results: Mapping[str, Path], target: Path) -> list[str]:
    """Write a volume with other files for some pages, whole or not at all; return what was damaged.

    results: files by the paths of their pages. Pages keep their place, time and, but for the suffix, name;
    everything else is copied byte for byte. Of a damaged file stays what can be read.

    Raises ColorizeError if it cannot be written, or the volume changed meanwhile.
    """
    damaged: list[str] = []
    if open_volume(volume.path).print != volume.print:
        raise ColorizeError(f"`{shown(volume.path)}` changed meanwhile", "give the command again")
    with atomic(target) as temporary, ZipFile(volume.path) as old, ZipFile(temporary, "w") as new:
        new.comment = old.comment
        taken = {info.filename.casefold() for info in old.infolist()}
        for info in old.infolist():
            result = results.get(info.filename)
            name = _renamed(info.filename, result, taken) if result else info.filename
            fresh = _like(info, name)
            if info.is_dir():
                new.writestr(fresh, b"")
                continue
            large = (result.stat().st_size if result else info.file_size) > LONGEST
            with new.open(fresh, "w", force_zip64=large) as sink:
                if result:
                    with result.open("rb") as stream:
                        shutil.copyfileobj(stream, sink, CHUNK)
                elif not _copied(old, info, sink):
                    damaged.append(info.filename)
    return damaged


def _recognize(path: Path, start: bytes) -> None:
    """Refuse the usual other containers by their own names."""
    for sign, what in OTHERS.items():
        if start.startswith(sign):
            known, way_out = what.split("; ")
            raise ColorizeError(f"`{shown(path)}` is {known}, not a zip archive", way_out)


def _trust(path: Path, files: list[ZipInfo]) -> None:
    """Refuse an archive that no honest program makes, or that needs a password."""
    names = [info.filename for info in files]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ColorizeError(
            f"`{shown(path)}` holds `{shown(twice)}` twice", "unpack it, and pack it anew"
        )
    for info in files:
        reason = zipped.refusal(info)
        if reason == zipped.ENCRYPTED:
            raise ColorizeError(
                f"`{shown(path)}` is protected by a password",
                "unpack it with its password, and pack the pages anew",
            )
        if reason in (zipped.OUTSIDE, zipped.LINK):
            raise ColorizeError(
                f"`{shown(path)}` holds `{shown(info.filename)}`, which {reason}",
                "this may be an attack; do not unpack it",
            )


def _renamed(name: str, result: Path, taken: set[str]) -> str:
    """The name of a result: the page's own, with another suffix where its format is another."""
    path = PurePosixPath(name)
    if path.suffix.lower() == result.suffix.lower():
        return name
    new = str(path.with_suffix(result.suffix))
    new = f"{name}{result.suffix}" if new.casefold() in taken else new  # unpacked on any disk
    taken.add(new.casefold())
    return new


def _like(info: ZipInfo, name: str) -> ZipInfo:
    """The head of a file in the new archive: as in the old one, but for what depends on its bytes."""
    fresh = ZipInfo(name, info.date_time)
    usual = info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    fresh.compress_type = info.compress_type if usual else zipfile.ZIP_DEFLATED
    fresh.external_attr, fresh.create_system = info.external_attr, info.create_system
    fresh.comment = info.comment
    return fresh


def _copied(archive: ZipFile, info: ZipInfo, sink: IO[bytes]) -> bool:
    """Copy a file as far as it can be read; tell whether it was whole."""
    left, mark = info.file_size, 0
    try:
        with archive.open(info) as stream:
            stream._expected_crc = None  # type: ignore[attr-defined] # or it would keep back the rest
            while data := stream.read(min(CHUNK, left + 1))[:left]:
                sink.write(data)
                left, mark = left - len(data), zlib.crc32(data, mark)
    except zipped.DAMAGE:
        return False
    return left == 0 and mark == info.CRC
