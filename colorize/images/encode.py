"""A Picture becomes the bytes of a file. Knows nothing of paths."""

from __future__ import annotations

import struct
import sys
import zlib
from collections.abc import Callable, Mapping
from io import BytesIO

import numpy as np
from PIL import Image, PngImagePlugin

from colorize.errors import ColorizeError
from colorize.images import exif as blocks
from colorize.images import exif_text, png, profiles
from colorize.images.image import Picture, Pixels

JPEG_QUALITY = 95  # with 4:4:4 colors, below which red lines begin to bleed
_LEVEL = 4  # zlib, PNG and TIFF: 2 to 3 times as fast as 6 for at most 4 % more bytes
_NATIVE = "<" if sys.byteorder == "little" else ">"
_JPEG_SEGMENT = 65_500  # bytes that EXIF and XMP may have each
_SIDES = {"JPEG": 65_500, "WEBP": 16_383}  # the longest side that the format or its library allows


def encode(
    picture: Picture, suffix: str, metadata: Mapping[str, str] | None = None, quality: int | None = None
) -> bytes:
    """Return the file of a picture in the format of a suffix such as ".png".

    metadata joins `picture.text` and is found there again by reading, except from BMP, which holds
    no texts. quality: 1 to 100, JPEG 95 if None; WebP is lossless if None. What the format cannot
    hold is told by `lost`. Raises ColorizeError for an unknown suffix or a side the format forbids.
    """
    name, encoder = _format(suffix)
    side = max(picture.size)
    if side > _SIDES.get(name, side):
        raise ColorizeError(
            f"{name} pictures have sides of at most {_SIDES[name]} pixels, this one has {side}",
            "write it as .png or .tif",
        )
    assert all(exif_text.clean({key: ""}) for key in metadata or {}), f"not a name: {metadata}"
    text = exif_text.clean({**picture.text, **(metadata or {})})
    return encoder(picture, text, quality)


def lost(picture: Picture, suffix: str, metadata: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Return sentences on what a file of this suffix cannot hold; empty if all is kept.

    Not told: that BMP holds no texts, EXIF or profile, and that WebP makes gray RGB.
    """
    name, _ = _format(suffix)
    notes = []
    if picture.alpha is not None and name in ("JPEG", "BMP"):
        notes.append(f"{name} holds no transparency; the picture was laid on white")
    if picture.peak > 255 and name not in ("PNG", "TIFF"):
        notes.append(f"{name} holds 8 bits per channel; the other 8 were rounded away")
    if name == "JPEG":
        text = exif_text.clean({**picture.text, **(metadata or {})})
        if _jpeg_parts(picture, text) != _all_parts(picture, text):
            notes.append("JPEG holds 64 KiB of texts and EXIF data; these are longer and left out")
    return tuple(notes)


def _format(suffix: str) -> tuple[str, Callable[[Picture, dict[str, str], int | None], bytes]]:
    found = FORMATS.get(suffix.lower())
    if found is None:
        raise ColorizeError(
            f"pictures cannot be written as `{suffix}`"
            if suffix
            else "the name of the picture has no suffix that tells its format",
            "use one of " + ", ".join(FORMATS),
        )
    return found


def _png(picture: Picture, text: dict[str, str], _: int | None) -> bytes:
    icc = _profile(picture)
    if picture.peak > 255:
        return png.encode16(_stacked(picture), icc, picture.exif, text)
    info = PngImagePlugin.PngInfo()
    for key, value in text.items():
        info.add_itxt(key, value)
    dpi = blocks.dpi(picture.exif)
    return _saved(
        picture, "PNG", icc_profile=icc, exif=picture.exif or b"", pnginfo=info, dpi=dpi, compress_level=_LEVEL
    )


def _jpeg(picture: Picture, text: dict[str, str], quality: int | None) -> bytes:
    flat = picture.on_white().eight_bit()
    block, xmp = _jpeg_parts(picture, text)
    return _saved(
        flat,
        "JPEG",
        quality=JPEG_QUALITY if quality is None else quality,
        subsampling=0,
        icc_profile=_profile(picture),
        exif=b"Exif\0\0" + block if block else b"",
        xmp=xmp,
        dpi=blocks.dpi(picture.exif) or (0, 0),
    )


def _all_parts(picture: Picture, text: dict[str, str]) -> tuple[bytes, bytes]:
    """EXIF block with texts, and XMP, for formats that hold no more than these."""
    return exif_text.put(picture.exif, text) or b"", text.get(exif_text.XMP, "").encode()


def _jpeg_parts(picture: Picture, text: dict[str, str]) -> tuple[bytes, bytes]:
    """The same as far as it fits: EXIF goes before texts."""
    block, xmp = _all_parts(picture, text)
    fitting = (each for each in (block, picture.exif or b"", b"") if len(each) <= _JPEG_SEGMENT)
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


def _bmp(picture: Picture, _: dict[str, str], __: int | None) -> bytes:
    return _saved(picture.on_white().eight_bit(), "BMP", dpi=blocks.dpi(picture.exif) or (96, 96))


def _tiff(picture: Picture, text: dict[str, str], _: int | None) -> bytes:
    """A TIFF file is an EXIF block with pixels in it: they are appended, and its tags set."""
    values = _stacked(picture)
    if picture.peak > 255 and picture.gray and picture.alpha is not None:
        values = values[..., [0, 0, 0, 1]]  # no library reads 16-bit gray with alpha
    head = bytearray(exif_text.put(picture.exif, text) or blocks.put(None, {}))
    end = blocks.order(head)
    strip = zlib.compress((values if end == _NATIVE else values.byteswap()).tobytes(), _LEVEL)
    head += bytes(len(head) % 2)
    place = len(head)
    tags = _tiff_tags(values, place, len(strip), end)
    if icc := _profile(picture):
        tags[34675] = (blocks.UNDEFINED, icc)
    if xmp := text.get(exif_text.XMP):
        tags[exif_text.TIFF_XMP] = (blocks.BYTE, xmp.encode())
    return blocks.put(bytes(head) + strip, tags)


def _tiff_tags(values: Pixels, place: int, size: int, end: str) -> dict[int, tuple[int, bytes]]:
    """TIFF 6.0 baseline tags of one deflated strip that starts at `place`."""
    height, width, channels = values.shape
    bits = 8 * values.dtype.itemsize
    longs = {256: width, 257: height, 273: place, 278: height, 279: size}
    shorts = {259: (8,), 262: (2 if channels > 2 else 1,), 277: (channels,), 284: (1,)}
    shorts |= {258: (bits,) * channels} | ({338: (2,)} if channels in (2, 4) else {})
    tags = {tag: (blocks.LONG, struct.pack(end + "I", value)) for tag, value in longs.items()}
    return tags | {tag: (blocks.SHORT, struct.pack(f"{end}{len(value)}H", *value)) for tag, value in shorts.items()}


def _profile(picture: Picture) -> bytes | None:
    """The profile if it describes these channels: a gray one is wrong for colors laid on gray."""
    return picture.icc if picture.icc and profiles.fits(picture.icc, picture.gray) else None


def _stacked(picture: Picture) -> Pixels:
    """(H, W, C) with alpha as the last of 1 to 4 channels."""
    if picture.alpha is None:
        return picture.pixels
    return np.concatenate([picture.pixels, picture.alpha[..., None]], -1, dtype=picture.pixels.dtype)


def _saved(picture: Picture, name: str, **options: object) -> bytes:
    stream = BytesIO()
    values = _stacked(picture)
    image = Image.fromarray(values[..., 0] if values.shape[2] == 1 else values)
    image.save(stream, name, **options)
    return stream.getvalue()


FORMATS = {
    ".png": ("PNG", _png),
    ".jpg": ("JPEG", _jpeg),
    ".jpeg": ("JPEG", _jpeg),
    ".webp": ("WEBP", _webp),
    ".tif": ("TIFF", _tiff),
    ".tiff": ("TIFF", _tiff),
    ".bmp": ("BMP", _bmp),
}
