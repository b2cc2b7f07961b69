"""The pages of TIFF files: which of their pictures are pages, and each page as a file of its own."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from io import BytesIO
from typing import BinaryIO, NamedTuple

KIND, WIDTH, HEIGHT = 254, 256, 257  # tags
REDUCED, MASK = 1, 4  # bits of KIND: a smaller copy of another page, or its transparency
SMALLER = 0.6  # of the width of a page, up to which one of the same proportions is a smaller copy
ALIKE = 0.02  # how far proportions differ at most, for rounding
MOST = 10_000  # pages


class Page(NamedTuple):
    """A picture of a TIFF file: where its directory and what follows that are, and its size."""

    place: int
    after: int
    width: int
    height: int


def pages(stream: BinaryIO) -> list[Page]:
    """Return the pages of a TIFF or BigTIFF file in order, without smaller copies; none of what is none, or damaged.

    Of a pyramid, one picture at several sizes, only the largest is left.
    """
    try:
        found = [page for page, kind in _directories(stream) if not kind & (REDUCED | MASK)]
    except (struct.error, OverflowError, ValueError):
        return []
    largest = max(found, key=lambda page: page.width, default=None)
    return [page for page in found if page is largest or not _is_copy(page, largest)]


def page_file(data: bytes, page: Page) -> bytes:
    """Return a TIFF file whose only picture is one page of another."""
    order, big = _head(data)
    word, at = ("Q", 8) if big else ("I", 4)
    alone = bytearray(data)
    struct.pack_into(order + word, alone, at, page.place)
    struct.pack_into(order + word, alone, page.after, 0)
    return bytes(alone)


def main_page(data: bytes) -> tuple[bytes, int]:
    """Return a TIFF file with its first page alone, or of a pyramid the largest picture, and how many pages it has."""
    found = pages(BytesIO(data))
    return (page_file(data, found[0]) if found else data), len(found)


def _is_copy(page: Page, largest: Page | None) -> bool:
    """Whether a page may be a smaller copy of the largest one, by its size."""
    if largest is None or not page.height or not largest.height or page.width > SMALLER * largest.width:
        return False
    return abs(page.width * largest.height / (page.height * largest.width) - 1) < ALIKE


def _head(start: bytes) -> tuple[str, bool]:
    """The byte order of a TIFF file, and whether it is a BigTIFF; ValueError if it is none."""
    known = {b"II*\0": ("<", False), b"MM\0*": (">", False), b"II+\0": ("<", True), b"MM\0+": (">", True)}
    if start[:4] not in known:
        raise ValueError("no TIFF file")
    return known[start[:4]]


def _directories(stream: BinaryIO) -> Iterator[tuple[Page, int]]:
    """All pictures of a file, and the kind of each."""
    start = stream.read(16)
    order, big = _head(start)
    word, entry, count = ("Q", 20, "Q") if big else ("I", 12, "H")
    (place,) = struct.unpack_from(order + word, start, 8 if big else 4)
    seen: set[int] = set()
    while place and place not in seen and len(seen) < MOST:
        seen.add(place)
        stream.seek(place)
        (entries,) = struct.unpack(order + count, stream.read(struct.calcsize(count)))
        table = stream.read(entry * min(entries, 65_535))
        after = stream.tell()
        (follows,) = struct.unpack(order + word, stream.read(struct.calcsize(word)))
        tags = {}
        for at in range(0, len(table), entry):
            tag, form = struct.unpack_from(order + "HH", table, at)
            if tag in (KIND, WIDTH, HEIGHT):
                (tags[tag],) = struct.unpack_from(order + ("H" if form == 3 else "I"), table, at + (12 if big else 8))
        yield Page(place, after, tags.get(WIDTH, 0), tags.get(HEIGHT, 0)), tags.get(KIND, 0)
        place = follows
