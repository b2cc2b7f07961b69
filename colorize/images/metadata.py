"""What travels with pixels in picture files: EXIF tags, resolution, named texts, color profiles, PNG chunks."""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from io import BytesIO
from typing import Any, Literal

import numpy as np
from PIL import Image, ImageCms

Tags = dict[int, tuple[int, bytes]]  # tag -> TIFF type, and the value in the byte order of its block

MAIN, EXIF_FOLDER, GPS_FOLDER = 0, 0x8769, 0x8825  # the directories of a block that are kept
ORIENTATION, DPI_X, DPI_Y, DPI_UNIT, USER_COMMENT = 274, 282, 283, 296, 0x9286
_PER_INCH = {2: 1.0, 3: 2.54}  # units of resolution: inch, centimeter
BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED = 1, 2, 3, 4, 5, 7
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
# Tags of a TIFF file that describe the picture rather than how its pixels are stored.
_DESCRIPTIVE = {269, 270, 271, 272, 274, 282, 283, 285, 296, 297, 305, 306, 315, 316, 33432, *range(40091, 40096)}

XMP = "XML:com.adobe.xmp"  # the name PNG gives it; every format has a place for it
TIFF_XMP, TIFF_ICC = 700, 34675  # the tags that hold XMP and the color profile in TIFF files
MARK = "colorize"  # the text of results that says how they were made
_COMMENT_CODE = b"ASCII\0\0\0"  # EXIF 2.3, table 9: the text is 7-bit, which JSON can always be

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_SEALED, _DIGITS = b"colorize-sha256:", 32
SEAL = _SEALED.decode() + "0" * _DIGITS  # in a text: `sealed` puts the digest of the whole file there


@dataclass
class Exif:
    """The tags of an EXIF block or a TIFF file by directory; thumbnails are left out.

    order: byte order as `struct` writes it.
    """

    order: str = "<"
    tags: dict[int, Tags] = field(default_factory=lambda: {MAIN: {}, EXIF_FOLDER: {}, GPS_FOLDER: {}})

    @classmethod
    def parse(cls, block: bytes | None) -> Exif:
        """Read a block, or start an empty one for None. Raises ValueError if it is damaged."""
        if not block:
            return cls()
        if block[:4] not in (b"II*\0", b"MM\0*"):
            raise ValueError("not an EXIF block")
        exif = cls("<" if block[:2] == b"II" else ">")
        try:
            main = exif.tags[MAIN] = exif._directory(block, *struct.unpack_from(exif.order + "I", block, 4))
            for folder in (EXIF_FOLDER, GPS_FOLDER):
                if folder in main:
                    exif.tags[folder] = exif._directory(block, *exif.numbers(folder, "I"))
                    del main[folder]
        except struct.error as error:
            raise ValueError("damaged EXIF block") from error
        exif.tags[EXIF_FOLDER].pop(0xA005, None)  # a pointer to a further directory, which is left out
        return exif

    def _directory(self, data: bytes, place: int) -> Tags:
        """The tags of the directory at a place, none at 0."""
        if not place:
            return {}
        found: Tags = {}
        (count,) = struct.unpack_from(self.order + "H", data, place)
        total = 0
        for at in range(place + 2, place + 2 + 12 * count, 12):
            tag, kind, length, raw = struct.unpack_from(self.order + "HHI4s", data, at)
            size = _SIZES.get(kind, 0) * length
            total += size
            if total > len(data):  # overlapping values would take far more memory than the file
                raise ValueError("damaged EXIF block")
            if size > 4:
                (start,) = struct.unpack(self.order + "I", raw)
                raw = data[start : start + size]
            if kind in _SIZES and len(raw) >= size:
                found[tag] = kind, raw[:size]
        return found

    def numbers(self, tag: int, form: str) -> tuple[int, ...]:
        """The integers of a main tag, in a form of `struct`. Raises struct.error for another length."""
        return struct.unpack(self.order + form, self.tags[MAIN][tag][1])

    def set_numbers(self, tag: int, kind: int, *values: int) -> None:
        """Set a main tag of type SHORT, LONG or RATIONAL."""
        form = f"{self.order}{len(values)}{'H' if kind == SHORT else 'I'}"
        self.tags[MAIN][tag] = kind, struct.pack(form, *values)

    def block(self, body: bytes = b"") -> bytes:
        """The block as bytes; `body` lies at offset 8, before all directories."""
        order = self.order
        data = bytearray(struct.pack(order + "2sHI", b"II" if order == "<" else b"MM", 42, 0) + body)
        pointers: Tags = {}
        for folder in (EXIF_FOLDER, GPS_FOLDER, MAIN):
            tags = self.tags[folder] | ({} if folder else pointers)
            if folder and not tags:
                continue
            rows = struct.pack(order + "H", len(tags))
            for tag, (kind, raw) in sorted(tags.items()):
                stored = raw.ljust(4, b"\0")
                if len(raw) > 4:
                    data += bytes(len(data) % 2)  # offsets must be even
                    stored = struct.pack(order + "I", len(data))
                    data += raw
                rows += struct.pack(order + "HHI", tag, kind, len(raw) // _SIZES[kind]) + stored
            data += bytes(len(data) % 2)
            pointers[folder] = LONG, struct.pack(order + "I", len(data))
            data += rows + bytes(4)
        data[4:8] = pointers[MAIN][1]
        return bytes(data)

    def orientation(self) -> int:
        """Remove the orientation and return it, 1 (upright) to 8."""
        _, raw = self.tags[MAIN].pop(ORIENTATION, (SHORT, b""))
        value = int.from_bytes(raw, "little" if self.order == "<" else "big") if len(raw) in (2, 4) else 1
        return value if 1 <= value <= 8 else 1

    def dpi(self) -> tuple[float, float] | None:
        """The pixels per inch, horizontal and vertical; None if the tags do not say."""
        try:
            x, y = self.numbers(DPI_X, "II"), self.numbers(DPI_Y, "II")
            unit = _PER_INCH[self.numbers(DPI_UNIT, "H")[0] if DPI_UNIT in self.tags[MAIN] else 2]
        except (KeyError, struct.error):
            return None
        return (x[0] / x[1] * unit, y[0] / y[1] * unit) if x[0] and x[1] and y[0] and y[1] else None

    def set_dpi(self, x: float, y: float) -> None:
        """Set the resolution in pixels per inch."""
        self.set_numbers(DPI_X, RATIONAL, round(x * 1000), 1000)
        self.set_numbers(DPI_Y, RATIONAL, round(y * 1000), 1000)
        self.set_numbers(DPI_UNIT, SHORT, 2)

    def descriptive(self) -> Exif:
        """The tags that describe the picture, without those that say how a TIFF file stores its pixels."""
        main = {tag: value for tag, value in self.tags[MAIN].items() if tag in _DESCRIPTIVE}
        return Exif(self.order, {**self.tags, MAIN: main})

    def add_texts(self, text: Mapping[str, str]) -> None:
        """Keep named texts, but XMP, as JSON in the user comment."""
        kept = {name: value for name, value in text.items() if name != XMP}
        if kept:
            self.tags[EXIF_FOLDER][USER_COMMENT] = UNDEFINED, _COMMENT_CODE + json.dumps(kept).encode("ascii")

    def take_texts(self) -> dict[str, str]:
        """Remove the user comment and return its texts; that of another program is named `UserComment`."""
        _, raw = self.tags[EXIF_FOLDER].pop(USER_COMMENT, (UNDEFINED, b""))
        if raw.startswith(b"UNICODE\0"):
            comment = raw[8:].decode("utf-16-le" if self.order == "<" else "utf-16-be", "replace")
        else:
            coded = raw[:8] in (_COMMENT_CODE, b"JIS\0\0\0\0\0", bytes(8))
            comment = raw[8 if coded else 0 :].decode("utf-8", "replace")
        comment = comment.strip(" \0")
        try:
            found = json.loads(comment)
        except (ValueError, RecursionError):
            found = None
        if isinstance(found, dict) and all(_is_name(k) and isinstance(v, str) for k, v in found.items()):
            return clean(found)
        return clean({"UserComment": comment}) if comment else {}


def record(texts: Mapping[str, str]) -> dict[str, Any]:
    """Return what the texts of a picture say of its making, which anyone may have written; empty if they do not."""
    try:
        found = json.loads(texts.get(MARK, "{}"))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def clean(text: Mapping[str, str]) -> dict[str, str]:
    """Return texts that every format can hold: names of 1 to 79 Latin-1 signs, Unicode values.

    Other names are dropped; what is not Unicode, such as raw bytes of a file name, becomes `?`.
    """
    return {name: value.encode("utf-8", "replace").decode() for name, value in text.items() if _is_name(name)}


def _is_name(name: str) -> bool:
    return 1 <= len(name) <= 79 and all(" " <= sign <= "~" or "\xa1" <= sign <= "\xff" for sign in name)


def png_chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """Return (name, content) of all chunks of a PNG file, the last one as far as the file goes."""
    found, place = [], len(PNG_SIGNATURE)
    while place + 8 <= len(data):
        size, name = struct.unpack_from(">I4s", data, place)
        found.append((name, data[place + 8 : place + 8 + size]))
        place += 12 + size
    return found


def join_png(parts: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return the PNG file of (name, content) chunks."""
    return PNG_SIGNATURE + b"".join(
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in parts
    )


def sealed(data: bytes) -> bytes:
    """Return a file with its digest in place of SEAL, if its texts hold that; the digest is of the file with SEAL."""
    return _stamped(data, _digest(data)) if _SEALED in data else data


def is_sealed(data: bytes) -> bool:
    """Return whether every byte of a file is as `sealed` left it."""
    return _SEALED in data and sealed(_stamped(data, b"0" * _DIGITS)) == data


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).hexdigest()[:_DIGITS].encode()


def _stamped(data: bytes, digits: bytes) -> bytes:
    """A file with other digits behind the first seal; in PNG files the chunk's checksum follows."""
    at = data.index(_SEALED) + len(_SEALED)
    data = data[:at] + digits + data[at + len(digits) :]
    return join_png(png_chunks(data)) if data.startswith(PNG_SIGNATURE) else data


def bmp_mark(data: bytes) -> dict[str, str]:
    """Return the text MARK behind the pixels of a BMP file, where other programs do not look."""
    text = data[int.from_bytes(data[2:6], "little") :].decode("utf-8", "replace") if data[:2] == b"BM" else ""
    return {MARK: text} if text.startswith("{") else {}


_SPACES = {b"GRAY": "L", b"RGB ": "RGB", b"CMYK": "CMYK", b"Lab ": "LAB"}
_SAME = 2  # levels of 255 by which profiles that all mean sRGB differ


@cache
def profile(space: Literal["sRGB", "LAB"]) -> bytes:
    """Return the color profile of a space, the same at any time."""
    made = ImageCms.ImageCmsProfile(ImageCms.createProfile(space)).tobytes()
    return made[:24] + struct.pack(">6H", 2000, 1, 1, 0, 0, 0) + made[36:]  # the moment it was made


def to_srgb(picture: Image.Image, icc: bytes | None) -> tuple[Image.Image, bytes | None]:
    """Return an L, RGB, CMYK or LAB picture as sRGB-encoded L or RGB, and its new profile.

    A profile that means sRGB leaves every pixel and itself as they are. Raises ValueError if the profile is broken or
    of another color space than the picture. icc may be None for LAB only.
    """
    icc = icc or profile("LAB")
    space = _SPACES.get(icc[16:20], "")
    if (picture.mode, space) == ("L", "RGB"):  # gray pictures often carry the profile of their program
        return to_srgb(picture.convert("RGB"), icc)[0].getchannel("G"), None
    if space != picture.mode:
        raise ValueError(f"a profile for {space or 'nothing known'} in a picture of {picture.mode}")
    transform = _transform(icc, space)
    if space in ("L", "RGB") and _keeps_colors(transform, space):
        return picture, icc
    changed = transform.apply(picture)
    return (changed.getchannel("G"), None) if space == "L" else (changed, profile("sRGB"))


def is_srgb(icc: bytes, gray: bool) -> bool:
    """Whether a profile means sRGB to within two levels. Raises ValueError if it is broken."""
    space = _SPACES.get(icc[16:20], "")
    if space == "RGB" or (space == "L" and gray):
        return _keeps_colors(_transform(icc, space), space)
    raise ValueError(f"a profile for {space or 'nothing known'}")


def _transform(icc: bytes, mode: str) -> ImageCms.ImageCmsTransform:
    intent, flags = ImageCms.Intent.RELATIVE_COLORIMETRIC, ImageCms.Flags.BLACKPOINTCOMPENSATION  # as in browsers
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(icc))
        return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB", intent, flags)
    except (OSError, ImageCms.PyCMSError) as error:
        raise ValueError("a broken profile") from error


def _keeps_colors(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Whether a transform changes nothing, tried on a cube of colors: sRGB profiles have many names and sizes."""
    steps = np.linspace(0, 255, 9).round().astype(np.uint8)
    cube = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(27, 27, 3)
    colors = Image.fromarray(cube if mode == "RGB" else cube[..., 0])
    before = np.asarray(colors.convert("RGB"), np.int16)
    return bool(np.abs(np.asarray(transform.apply(colors), np.int16) - before).max() <= _SAME)
