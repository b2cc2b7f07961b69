"""EXIF blocks, changed so that nothing in them moves. Knows nothing of pixels or files."""

from __future__ import annotations

import struct
from collections.abc import Mapping

USER_COMMENT, FOLDER = 0x9286, 0x8769  # FOLDER: where the Exif tags live
_ORIENTATION, _DPI_X, _DPI_Y, _UNIT, _GPS = 0x0112, 282, 283, 296, 0x8825
_PER_INCH = {2: 1.0, 3: 2.54}  # units of resolution: inch, centimeter
BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED = 1, 2, 3, 4, 5, 7
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
# What a TIFF file says about itself rather than about how its pixels are stored, with Exif and GPS.
_MEANING = {269, 270, 271, 272, 274, 282, 283, 285, 296, 297, 305, 306, 315, 316, 33432}
_MEANING |= set(range(40091, 40096))
_EMPTY = struct.pack("<2sHIHI", b"II", 42, 8, 0, 0)


def order(exif: bytes | bytearray) -> str:
    """Return the byte order of an EXIF block as in `struct`. Raises ValueError if it is none."""
    if exif[:4] not in (b"II*\0", b"MM\0*"):
        raise ValueError("not an EXIF block")
    return "<" if exif[:2] == b"II" else ">"


def put(exif: bytes | None, tags: Mapping[int, tuple[int, bytes]], folder: int | None = None) -> bytes:
    """Return the block with tags set; values are (type, raw bytes in the block's byte order).

    Directories are written anew at the end, values stay where they are: maker notes hold absolute
    offsets and would break if anything moved. Raises ValueError if the block is damaged.
    """
    data = bytearray(exif or _EMPTY)
    end = order(data)
    entries, _ = _directory(data, _place(data, folder))
    for tag, (kind, raw) in tags.items():
        stored = raw.ljust(4, b"\0") if len(raw) <= 4 else struct.pack(end + "I", _append(data, raw))
        entries[tag] = struct.pack(end + "HHI", tag, kind, len(raw) // _SIZES[kind]) + stored
    place = _append(data, _packed(entries, end))
    if folder is not None:
        return put(bytes(data), {folder: (LONG, struct.pack(end + "I", place))})
    struct.pack_into(end + "I", data, 4, place)
    return bytes(data)


def take(exif: bytes, tag: int, folder: int | None = None) -> tuple[bytes, bytes | None]:
    """Return the block without a tag, and the tag's raw value or None.

    Also cuts off the thumbnail, since it shows the picture as it was. Raises ValueError if damaged.
    """
    data = bytearray(exif)
    place = _place(data, folder)
    entries, size = _directory(data, place)
    entry = entries.pop(tag, None)
    if place:
        data[place : place + size] = _packed(entries, order(exif)).ljust(size, b"\0")
    return bytes(data), None if entry is None else _value(exif, entry)


def orientation(block: bytes) -> tuple[bytes, int]:
    """Return the EXIF block without its orientation, and the orientation, 1 (upright) to 8.

    Raises ValueError if the block is damaged.
    """
    rest, raw = take(block, _ORIENTATION)
    if raw is None or len(raw) not in (2, 4):
        return rest, 1
    (value,) = struct.unpack(order(block) + ("H" if len(raw) == 2 else "I"), raw)
    return rest, value if 1 <= value <= 8 else 1


def dpi(block: bytes | None) -> tuple[float, float] | None:
    """Return the pixels per inch, horizontal and vertical; None if the block does not say."""
    try:
        tags = _raw(block, None) if block else {}
        if _DPI_X not in tags or _DPI_Y not in tags:
            return None
        end = order(block or b"")
        x, y = (struct.unpack(end + "II", tags[tag][1]) for tag in (_DPI_X, _DPI_Y))
        (unit,) = struct.unpack(end + "H", tags.get(_UNIT, (SHORT, struct.pack(end + "H", 2)))[1])
    except (ValueError, struct.error):
        return None
    if not (x[0] and x[1] and y[0] and y[1] and unit in _PER_INCH):
        return None
    return x[0] / x[1] * _PER_INCH[unit], y[0] / y[1] * _PER_INCH[unit]


def with_dpi(block: bytes | None, x: float, y: float) -> bytes:
    """Return the block with a resolution in pixels per inch. Raises ValueError if damaged."""
    end = order(block) if block else "<"
    ratio = [(RATIONAL, struct.pack(end + "II", round(value * 1000), 1000)) for value in (x, y)]
    unit = (SHORT, struct.pack(end + "H", 2))
    return put(block, {_DPI_X: ratio[0], _DPI_Y: ratio[1], _UNIT: unit})


def extract(tiff: bytes) -> bytes | None:
    """Return the EXIF block of a TIFF file, which is built like one; None if there is none."""
    try:
        end = order(tiff)
        block = tiff[:4] + struct.pack(end + "IHI", 8, 0, 0)
        found = _raw(tiff, None)
        plain = {tag: found[tag] for tag in _MEANING if tag in found}
        folders = {folder: _raw(tiff, folder) for folder in (FOLDER, _GPS) if folder in found}
    except ValueError:
        return None
    block = put(block, plain) if plain else block
    for folder, tags in folders.items():
        block = put(block, tags, folder)
    return block if plain or folders else None


def _raw(data: bytes, folder: int | None) -> dict[int, tuple[int, bytes]]:
    """Tag -> type and raw bytes of a directory."""
    entries, _ = _directory(data, _place(data, folder))
    kinds = {tag: struct.unpack(order(data) + "2xH", row[:4])[0] for tag, row in entries.items()}
    return {tag: (kinds[tag], _value(data, row)) for tag, row in entries.items() if kinds[tag] in _SIZES}


def _place(data: bytes | bytearray, folder: int | None) -> int:
    """Where a directory starts; 0 if there is none."""
    try:
        start: int = struct.unpack_from(order(data) + "I", data, 4)[0]
        if folder is None:
            return start
        entry = _directory(data, start)[0].get(folder)
        return int(struct.unpack(order(data) + "I", entry[8:])[0]) if entry else 0
    except struct.error as error:
        raise ValueError("damaged EXIF block") from error


def _directory(data: bytes | bytearray, place: int) -> tuple[dict[int, bytes], int]:
    """Tag -> its 12 bytes, and the size of the whole directory."""
    if not place:
        return {}, 0
    end = order(data)
    try:
        count: int = struct.unpack_from(end + "H", data, place)[0]
        size = 2 + 12 * count + 4
        if place + size - 4 > len(data):
            raise ValueError("damaged EXIF block")
        starts = range(place + 2, place + 2 + 12 * count, 12)
        return {struct.unpack_from(end + "H", data, at)[0]: bytes(data[at : at + 12]) for at in starts}, size
    except struct.error as error:
        raise ValueError("damaged EXIF block") from error


def _packed(entries: Mapping[int, bytes], end: str) -> bytes:
    """The directory in the order the standard wants, linked to no further one."""
    rows = b"".join(entries[tag] for tag in sorted(entries))
    return struct.pack(end + "H", len(entries)) + rows + struct.pack(end + "I", 0)


def _append(data: bytearray, raw: bytes) -> int:
    if len(data) % 2:
        data += b"\0"  # offsets must be even
    data += raw
    return len(data) - len(raw)


def _value(exif: bytes, entry: bytes) -> bytes:
    kind, count = struct.unpack(order(exif) + "2xHI", entry[:8])
    size = _SIZES.get(kind, 1) * count
    if size <= 4:
        return entry[8 : 8 + size]
    (place,) = struct.unpack(order(exif) + "I", entry[8:])
    return exif[place : place + size]
