"""Encode pictures as the bytes of files."""

from __future__ import annotations

import struct
import sys
import zlib
from collections.abc import Callable, Mapping
from io import BytesIO

import numpy as np
from PIL import Image, PngImagePlugin

from colorize.errors import ColorizeError
from colorize.images import metadata as meta
from colorize.images.image import Picture, Pixels
from colorize.images.metadata import BYTE, LONG, MAIN, MARK, SHORT, UNDEFINED, XMP, Exif, clean, join_png, sealed

JPEG_QUALITY = 95  # with 4:4:4 colors, below which red lines begin to bleed
_LEVEL = 4  # zlib, PNG and TIFF: 2 to 3 times as fast as 6 for at most 4 % more bytes
_DEEP_LEVEL = 1  # of 16-bit PNG: 2 times as fast as 6 for 1 % more bytes, the low bits being noise anyway
_NATIVE = "<" if sys.byteorder == "little" else ">"
_JPEG_SEGMENT = 65_500  # bytes that EXIF and XMP may have each
_SIDES = {"JPEG": 65_500, "WEBP": 16_383}  # the longest side that the format or its library allows


def encode(
    picture: Picture, suffix: str, metadata: Mapping[str, str] | None = None, quality: int | None = None
) -> bytes:
    """Return the file of a picture in the format of a suffix such as ".png".

    metadata joins `picture.text` and is found there again by reading; BMP holds the text MARK only. quality: 1
    to 100, JPEG 95 if None; WebP is lossless if None. `lost` says what the format cannot hold. Raises ColorizeError for
    an unknown suffix or a side the format forbids.
    """
    name, encoder = _format(suffix)
    side = max(picture.size)
    if side > _SIDES.get(name, side):
        raise ColorizeError(
            f"{name} pictures have sides of at most {_SIDES[name]} pixels, this one has {side}",
            "write it as .png or .tif",
        )
    assert all(clean({key: ""}) for key in metadata or {}), f"not a name: {metadata}"
    text = clean({**picture.text, **(metadata or {})})
    return sealed(encoder(picture, text, quality))


def lost(picture: Picture, suffix: str, metadata: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Return sentences on what a file of this suffix cannot hold; empty if all is kept.

    It leaves out that BMP holds no texts, EXIF or profile, and that WebP makes gray RGB.
    """
    name, _ = _format(suffix)
    notes = []
    if picture.alpha is not None and name in ("JPEG", "BMP"):
        notes.append(f"{name} has no transparency; the picture was laid on white")
    if picture.peak > 255 and name not in ("PNG", "TIFF"):
        notes.append(f"{name} holds 8 bits per channel; the other 8 were rounded away")
    if name == "JPEG":
        text = clean({**picture.text, **(metadata or {})})
        if _jpeg_parts(picture, text) != _all_parts(picture, text):
            notes.append("JPEG holds 64 KiB of texts and EXIF data; these are longer and left out")
    return tuple(notes)


def _format(suffix: str) -> tuple[str, Callable[[Picture, dict[str, str], int | None], bytes]]:
    found = FORMATS.get(suffix.lower())
    if found is None:
        why = f"pictures cannot be written as `{suffix}`" if suffix else "the name of the picture has no suffix"
        raise ColorizeError(why, "use one of " + ", ".join(FORMATS))
    return found


def _png(picture: Picture, text: dict[str, str], _: int | None) -> bytes:
    icc = _profile(picture)
    if picture.peak > 255:
        return _png16(_stacked(picture), icc, picture.exif, text)
    info, exif = PngImagePlugin.PngInfo(), picture.exif or b""
    for key, value in text.items():
        info.add_itxt(key, value)
    return _saved(picture, "PNG", exif=exif, pnginfo=info, dpi=_dpi(picture), compress_level=_LEVEL, icc_profile=icc)


def _png16(values: Pixels, icc: bytes | None, exif: bytes | None, text: dict[str, str]) -> bytes:
    """The PNG file of (H, W, C) uint16 values, which Pillow cannot write; C: gray, gray + alpha, RGB, RGBA."""
    height, width, channels = values.shape
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0))]
    if icc:
        parts.append((b"iCCP", b"ICC Profile\0\0" + zlib.compress(icc)))
    parts += [(b"iTXt", key.encode("latin-1") + bytes(5) + value.encode()) for key, value in text.items()]
    if exif:
        parts.append((b"eXIf", exif))
    rows = values.astype(">u2").view(np.uint8).reshape(height, -1)  # (H, bytes of a row)
    filtered = np.full((height, rows.shape[1] + 1), 2, np.uint8)  # filter 2: differences to the row above
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])  # wraps around, as the filter wants
    return join_png([*parts, (b"IDAT", zlib.compress(filtered.tobytes(), _DEEP_LEVEL)), (b"IEND", b"")])


def _jpeg(picture: Picture, text: dict[str, str], quality: int | None) -> bytes:
    block, xmp = _jpeg_parts(picture, text)
    return _saved(
        picture.on_white().eight_bit(),
        "JPEG",
        quality=JPEG_QUALITY if quality is None else quality,
        subsampling=0,
        icc_profile=_profile(picture),
        exif=b"Exif\0\0" + block if block else b"",
        xmp=xmp,
        dpi=_dpi(picture) or (0, 0),
    )


def _all_parts(picture: Picture, text: dict[str, str]) -> tuple[bytes, bytes]:
    """EXIF block with texts, and XMP, for formats that hold no more than these."""
    exif = Exif.parse(picture.exif)
    exif.add_texts(text)
    return exif.block() if any(exif.tags.values()) else b"", text.get(XMP, "").encode()


def _jpeg_parts(picture: Picture, text: dict[str, str]) -> tuple[bytes, bytes]:
    """The same as far as it fits: EXIF and MARK go before other texts."""
    block, xmp = _all_parts(picture, text)
    marked, _ = _all_parts(picture, {MARK: text[MARK]} if MARK in text else {})
    fitting = (each for each in (block, marked, picture.exif or b"", b"") if len(each) <= _JPEG_SEGMENT)
    return next(fitting), xmp if len(xmp) <= _JPEG_SEGMENT else b""


def _webp(picture: Picture, text: dict[str, str], quality: int | None) -> bytes:
    block, xmp = _all_parts(picture, text)
    return _saved(
        picture.eight_bit(),
        "WEBP",
        lossless=quality is None,
        exact=True,  # keeps the color under alpha 0
        quality=50 if quality is None else quality,  # when lossless, quality and method are the
        method=1 if quality is None else 4,  # effort: half the time of 75 and 4, the same size
        icc_profile=_profile(picture) or b"",
        exif=block,
        xmp=xmp,
    )


def _tiff(picture: Picture, text: dict[str, str], _: int | None) -> bytes:
    """A TIFF file of one deflated strip: an EXIF block with pixels in it."""
    values = _stacked(picture)
    if picture.peak > 255 and picture.gray and picture.alpha is not None:
        values = values[..., [0, 0, 0, 1]]  # no library reads 16-bit gray with alpha
    height, width, channels = values.shape
    exif = Exif.parse(picture.exif)
    exif.add_texts(text)
    strip = zlib.compress((values if exif.order == _NATIVE else values.byteswap()).tobytes(), _LEVEL)
    for tag, value in {256: width, 257: height, 273: 8, 278: height, 279: len(strip)}.items():
        exif.set_numbers(tag, LONG, value)
    shorts = {259: (8,), 262: (2 if channels > 2 else 1,), 277: (channels,), 284: (1,)}
    shorts |= {258: (8 * values.dtype.itemsize,) * channels} | ({338: (2,)} if channels in (2, 4) else {})
    for tag, numbers in shorts.items():
        exif.set_numbers(tag, SHORT, *numbers)
    if icc := _profile(picture):
        exif.tags[MAIN][meta.TIFF_ICC] = UNDEFINED, icc
    if xmp := text.get(XMP):
        exif.tags[MAIN][meta.TIFF_XMP] = BYTE, xmp.encode()
    return exif.block(strip)


def _bmp(picture: Picture, text: dict[str, str], _: int | None) -> bytes:
    """The BMP file, which has a place for no text; MARK goes behind it, see `metadata.bmp_mark`."""
    file = _saved(picture.on_white().eight_bit(), "BMP", dpi=_dpi(picture) or (96, 96))
    return file + text.get(MARK, "").encode()


def _dpi(picture: Picture) -> tuple[float, float] | None:
    return Exif.parse(picture.exif).dpi()


def _profile(picture: Picture) -> bytes | None:
    """The profile if it describes these channels: a gray one is wrong for colors laid on gray."""
    space = b"GRAY" if picture.gray else b"RGB "
    return picture.icc if picture.icc and picture.icc[16:20] == space else None


def _stacked(picture: Picture) -> Pixels:
    """(H, W, C) with alpha as the last of 1 to 4 channels."""
    if picture.alpha is None:
        return picture.pixels
    return np.concatenate([picture.pixels, picture.alpha[..., None]], -1, dtype=picture.pixels.dtype)


def _saved(picture: Picture, name: str, **options: object) -> bytes:
    stream, values = BytesIO(), _stacked(picture)
    Image.fromarray(values[..., 0] if values.shape[2] == 1 else values).save(stream, name, **options)
    return stream.getvalue()


FORMATS: dict[str, tuple[str, Callable[[Picture, dict[str, str], int | None], bytes]]] = {
    ".png": ("PNG", _png),
    ".jpg": ("JPEG", _jpeg),
    ".jpeg": ("JPEG", _jpeg),
    ".webp": ("WEBP", _webp),
    ".tif": ("TIFF", _tiff),
    ".tiff": ("TIFF", _tiff),
    ".bmp": ("BMP", _bmp),
}
