"""Bytes of a picture file become a Picture, without loss. Knows nothing of paths or writing."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from colorize.errors import ColorizeError
from colorize.images import exif as blocks
from colorize.images import exif_text, planes, png
from colorize.images.image import Picture, Pixels

LIMIT = 200_000_000  # pixels: a page of A2 at 1000 dpi fits; as a tensor each takes 12 bytes
# No EPS, which runs Ghostscript; no ICO, whose inner pictures escape the limit; HEIF if a plugin
# brought it; TGA last, since it has no signature.
_COMMON = ["PNG", "JPEG", "GIF", "BMP", "DIB", "PPM"]
_RARE = ["WEBP", "TIFF", "JPEG2000", "AVIF", "HEIF", "PSD", "QOI", "PCX", "SGI", "TGA"]
_STARTS = (png.SIGNATURE[:4], b"\xff\xd8\xff", b"GIF8", b"RIFF")  # of PNG, JPEG, GIF, WebP
_ALIENS = {
    b"%PDF": "it is a PDF; export its pages as PNG first",
    b"PK\x03\x04": "it is an archive; unpack it first",
    b"Rar!": "it is an archive; unpack it first",
    b"7z\xbc\xaf": "it is an archive; unpack it first",
    b"<": "it is a web page or a vector drawing; export it as PNG first",
    b"version https://git-lfs": "it is a Git LFS pointer; run `git lfs pull`",
    b"#?RADIANCE": "it is an HDR picture; save it as 16-bit PNG first",
    b"v/1\x01": "it is an OpenEXR picture; save it as 16-bit PNG first",
}


def decode(data: bytes, name: str) -> Picture:
    """Return the picture in the bytes of a file; of an animated one, the first frame.

    name: what error messages call it. Raises ColorizeError if the bytes are empty, cut off, no
    picture, floating-point, or of more than LIMIT pixels; that is seen before anything is decoded.
    """
    if not data:
        raise ColorizeError(f"`{name}` is empty: it has 0 bytes", "copy or download it again")
    try:
        with _our_limit():
            return _decoded(data, name)
    except ColorizeError:
        raise
    except UnidentifiedImageError as error:
        raise ColorizeError(f"`{name}` {_guess(data)}", _hint(data)) from error
    except MemoryError as error:
        raise ColorizeError(f"`{name}` does not fit into the memory", "scale it down, or cut it into pieces") from error
    except Exception as error:  # decoders raise nearly everything on damaged files
        raise ColorizeError(
            f"`{name}` is cut off or damaged: {str(error) or type(error).__name__}",
            "copy or download it again, or open it in a viewer and save it anew",
        ) from error


def labels(data: bytes) -> dict[str, str]:
    """Return the named texts of a picture file, without decoding its pixels; none of a file that is damaged."""
    try:
        with _our_limit():
            image = _identified(data)
            items = image.info.items()
            found = {str(name): text for name, text in items if isinstance(text, str)}
            block = blocks.extract(data) if image.format == "TIFF" else _exif(image)
            return found | (exif_text.take(block)[1] if block else {})
    except Exception:  # decoders raise nearly everything on damaged files
        return {}


def _decoded(data: bytes, name: str) -> Picture:
    notes: list[str] = []
    image, data = _opened(data, name, notes)
    mode = image.mode
    _look_for_frames(image, name, notes)
    found = planes.read(image, data, name, notes)
    block, turn, text = _tags(image, data, name, notes)
    if image.format == "TIFF" and not found.raw:
        turn = 1  # Pillow turns TIFF files by itself
    alpha = None if found.alpha is None else _turned(found.alpha, turn)
    pixels = _turned(found.pixels, turn)
    return Picture(pixels, alpha, found.icc, block, text, image.format or "", mode, tuple(notes))


def _opened(data: bytes, name: str, notes: list[str]) -> tuple[Image.Image, bytes]:
    """The picture, and its file, without texts if they are too long to be meant well."""
    try:
        image = _identified(data)
        if png.is_png(data) and image.size[0] * image.size[1] <= LIMIT:
            image.load()  # texts may follow the pixels
    except ValueError:
        if not png.is_png(data):
            raise
        data = png.without_texts(data)
        notes.append(f"the texts in `{name}` are damaged or too long and were left out")
        image = _identified(data)
    width, height = image.size
    if width * height > LIMIT:
        raise ColorizeError(
            f"`{name}` is {width} x {height} pixels; at most {LIMIT // 10**6} million can be read",
            "scale it down or cut it into pieces first",
        )
    return image, data


def _identified(data: bytes) -> Image.Image:
    """The picture of a file whose header alone was read."""
    Image.preinit()  # only the common formats: the others take a tenth of a second to import
    try:
        return Image.open(BytesIO(data), formats=[each for each in _COMMON if each in Image.OPEN])
    except UnidentifiedImageError:
        Image.init()
        return Image.open(BytesIO(data), formats=[each for each in _RARE if each in Image.OPEN])


def _look_for_frames(image: Image.Image, name: str, notes: list[str]) -> None:
    frames = int(getattr(image, "n_frames", 1))
    if frames > 1 and image.format not in ("MPO", "PSD"):  # their further frames are no pictures
        what = f"has {frames} pages" if image.format == "TIFF" else "is animated"
        rest = "the first" if image.format == "TIFF" else f"the first of {frames} frames"
        notes.append(f"`{name}` {what}; {rest} is used")


def _tags(image: Image.Image, data: bytes, name: str, notes: list[str]) -> tuple[bytes | None, int, dict[str, str]]:
    """EXIF block without orientation and comment, the orientation, and all texts."""
    turn, text = 1, _texts(image)
    block = blocks.extract(data) if image.format == "TIFF" else _exif(image)
    try:
        if block:
            block, turn = blocks.orientation(block)
            block, comments = exif_text.take(block)
            text = comments | text
        block = _with_dpi(block, image)
    except ValueError:
        block = None
        notes.append(f"the EXIF data of `{name}` is damaged and was left out")
    return block or None, turn, exif_text.clean(text)


def _with_dpi(block: bytes | None, image: Image.Image) -> bytes | None:
    """The EXIF block with the resolution that PNG, BMP and plain JPEG files tell elsewhere."""
    found = image.info.get("dpi")
    if not found or blocks.dpi(block):
        return block
    x, y = (float(value) for value in found)
    if x == y == 72:  # what Pillow says if the EXIF data says nothing
        return block
    return blocks.with_dpi(block, x, y) if 1 <= x <= 1e6 and 1 <= y <= 1e6 else block


def _texts(image: Image.Image) -> dict[str, str]:
    found = {str(key): str(value) for key, value in getattr(image, "text", {}).items()}
    found.pop("Raw profile type exif", None)
    xmp = image.info.get("xmp")
    if isinstance(xmp, bytes):
        found[exif_text.XMP] = xmp.decode("utf-8", "replace").strip("\0")
    if exif_text.XMP in found:  # the pixels are turned upright, so nothing may turn them again
        found[exif_text.XMP] = re.sub(r'(tiff:Orientation(="|>))[2-8]', r"\g<1>1", found[exif_text.XMP])
    comment = image.info.get("comment")
    if isinstance(comment, bytes) and comment.strip(b"\0 "):
        found.setdefault("Comment", comment.decode("utf-8", "replace").strip("\0 "))
    return found


def _exif(image: Image.Image) -> bytes | None:
    block = image.info.get("exif")
    hexed = image.info.get("Raw profile type exif")
    if not block and isinstance(hexed, str):  # as ImageMagick wrote PNG files before 2017
        digits = "".join(hexed.split("\n")[3:])
        block = bytes.fromhex(digits) if re.fullmatch(r"([0-9a-fA-F]{2})*", digits) else None
    return block.removeprefix(b"Exif\0\0") if isinstance(block, bytes) else None


def _turned(values: Pixels, turn: int) -> Pixels:
    """Apply an EXIF orientation (1 to 8) to (H, W) or (H, W, C) values."""
    flipped = values[:, ::-1] if turn in (2, 4, 5, 7) else values
    quarters = {3: 2, 4: 2, 5: 1, 6: 3, 7: 3, 8: 1}.get(turn, 0)
    return np.ascontiguousarray(np.rot90(flipped, quarters))


def _guess(data: bytes) -> str:
    """What is wrong with a file that no decoder took."""
    if data[:4] in (b"II*\0", b"MM\0*"):
        return "is a TIFF of a kind that cannot be read, or damaged; 8 and 16 bits per channel can"
    if data.startswith(_STARTS):
        return "is cut off or damaged: its first bytes are those of a picture"
    return "is not a picture that can be read"


def _hint(data: bytes) -> str:
    for start, hint in _ALIENS.items():
        if data.lstrip().startswith(start):
            return hint
    if data[4:8] == b"ftyp":
        return "it is a video or a HEIC photo; save it as JPEG or PNG first"
    if data.startswith(_STARTS):
        return "copy or download it again"
    return "PNG, JPEG, WebP, TIFF, BMP, GIF and PSD can be read"


class _Limit:
    """How many readers are at work, and what Pillow's own limit was before the first came."""

    lock = threading.Lock()
    readers = 0
    before: int | None = None


@contextmanager
def _our_limit() -> Iterator[None]:
    """Replace Pillow's limit, which warns at 89 million pixels, by ours, which is checked here.

    Pillow keeps its limit in a module variable. It is put back when the last reading thread leaves,
    so that a program that uses this package keeps the protection it chose.
    """
    with _Limit.lock:
        if not _Limit.readers:
            _Limit.before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        _Limit.readers += 1
    try:
        yield
    finally:
        with _Limit.lock:
            _Limit.readers -= 1
            if not _Limit.readers:
                Image.MAX_IMAGE_PIXELS = _Limit.before
