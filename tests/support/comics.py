"""Volumes of drawings for tests. Knows nothing of what is claimed."""

from __future__ import annotations

from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from drawings import sketch

from colorize.images.encode import encode
from colorize.images.image import Picture

INFO = b"<?xml version='1.0'?><ComicInfo><Title>One</Title></ComicInfo>"


def page(number: int, suffix: str = ".png") -> bytes:
    """A drawing like no other."""
    pixels = sketch().pixels.copy()
    pixels[:3, : number + 1] = 0
    return encode(Picture(pixels), suffix)


def pack(path: str = "book.cbz", pages: int = 3, **more: bytes) -> Path:
    """Write a volume of drawings with a description before and after them."""
    with ZipFile(path, "w") as archive:
        archive.comment = b"scanned by A"
        archive.writestr(ZipInfo("ComicInfo.xml", (2001, 2, 3, 4, 5, 6)), INFO, ZIP_DEFLATED)
        for number in range(1, pages + 1):
            archive.writestr(ZipInfo(f"ch/{number}.png", (2010, 1, 1, 0, 0, 2)), page(number))
        for name, data in more.items():
            archive.writestr(name.replace("__", "."), data)
    return Path(path)


def content(path: str | Path) -> dict[str, bytes]:
    with ZipFile(path) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}
