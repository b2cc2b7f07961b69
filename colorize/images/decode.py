"""Decode the bytes of picture files without loss of bits, transparency, colors or metadata."""

from __future__ import annotations

import re
import struct
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import BytesIO
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from colorize.errors import ColorizeError
from colorize.images import metadata, tiff
from colorize.images.image import Picture, Pixels, row_strips
from colorize.images.metadata import Exif
from colorize.images.quiet import quiet

LIMIT = 200_000_000  # pixels: a page of A3 at 900 dpi fits
LARGE, PER_BYTE = 100_000_000, 250  # of more pixels there may be so many for each byte of the file; pages have about 10
DEFLATE = 1032  # bytes that one of a PNG can unpack to, at most
TILE = 4  # times the pixels of a TIFF, and of a square of 1024, that one of its tiles may have: it is decoded whole
# No EPS, which runs Ghostscript; no ICO, whose inner pictures escape the limit; HEIF if a plugin
# brought it; TGA last, since it has no signature.
_COMMON = ["PNG", "JPEG", "GIF", "BMP", "DIB", "PPM"]
_RARE = ["WEBP", "TIFF", "JPEG2000", "AVIF", "HEIF", "PSD", "QOI", "PCX", "SGI", "TGA"]
MERGED, MERGED_BYTES = "mergedimage.png", 256 * 2**20  # in OpenRaster and Krita files; its size at most
_STARTS = (metadata.PNG_SIGNATURE[:4], b"\xff\xd8\xff", b"GIF8", b"RIFF")  # of PNG, JPEG, GIF, WebP
_PNG_TEXTS = (b"tEXt", b"zTXt", b"iTXt", b"iCCP")
_ALIENS = {
    b"%PDF": "it is a PDF; export its pages as PNG first",
    **dict.fromkeys((b"PK\x03\x04", b"Rar!", b"7z\xbc\xaf"), "it is an archive; unpack it first"),
    b"<": "it is a web page or a vector drawing; export it as PNG first",
    b"version https://git-lfs": "it is a Git LFS pointer; run `git lfs pull`",
    b"#?RADIANCE": "it is an HDR picture; save it as 16-bit PNG first",
    b"v/1\x01": "it is an OpenEXR picture; save it as 16-bit PNG first",
}


def decode(data: bytes | Image.Image, name: str) -> Picture:
    """Return the picture in the bytes of a file, of an animated one the first frame; or a picture of Pillow's.

    name: what error messages call it. Raises ColorizeError if the bytes are empty, cut off, no picture, floating-point,
    or of more than LIMIT pixels, which it checks before decoding anything.
    """
    if data == b"":
        raise ColorizeError(f"`{name}` is empty: it has 0 bytes", "copy or download it again")
    try:
        with _our_limit():
            return _decoded(data, name)
    except ColorizeError:
        raise
    except UnidentifiedImageError as error:
        raise _unknown(data if isinstance(data, bytes) else b"", name) from error
    except MemoryError as error:
        raise ColorizeError(f"`{name}` does not fit into memory", "scale it down, or cut it into pieces") from error
    except Exception as error:  # decoders raise nearly everything on damaged files
        raise ColorizeError(
            f"`{name}` is cut off or damaged: {str(error) or type(error).__name__}",
            "copy or download it again, or open it in a viewer and save it again",
        ) from error


def _merged(data: bytes) -> bytes:
    """The merged picture in the file of a layered one, as OpenRaster and Krita keep it; other files as they are."""
    if not data.startswith(b"PK"):
        return data
    try:
        with ZipFile(BytesIO(data)) as archive:
            info = archive.getinfo(MERGED)
            if info.file_size > MERGED_BYTES or info.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
                return data
            with archive.open(info) as file:
                return file.read(MERGED_BYTES)
    except KeyError:
        return data  # another archive


def read_texts(data: bytes) -> dict[str, str]:
    """Return the named texts of a picture file, without decoding its pixels; none of a file that is damaged."""
    try:
        with _our_limit():
            data = _merged(data)
            image = _identified(data)
            found = {str(name): text for name, text in image.info.items() if isinstance(text, str)}
            found |= metadata.bmp_mark(data)
            return found | Exif.parse(data if image.format == "TIFF" else _exif(image)).take_texts()
    except Exception:  # decoders raise nearly everything on damaged files
        return {}


def _decoded(source: bytes | Image.Image, name: str) -> Picture:
    notes: list[str] = []
    if isinstance(source, bytes) and source[:2] in (b"II", b"MM"):
        source, count = tiff.main_page(source)
        notes += [f"`{name}` has {count} pages; the first is used"] if count > 1 else []
    image, data = _opened(_merged(source), name, notes) if isinstance(source, bytes) else (source, b"")
    form = image.format
    frames = int(getattr(image, "n_frames", 1))
    if data and frames > 1 and form not in ("MPO", "PSD", "TIFF"):  # their further frames are no pictures
        notes.append(f"`{name}` is animated; the first of {frames} frames is used")
    deep = _has_deep_colors(image, data)
    pixels, alpha, icc = _pixels(image, data, deep, name, notes)
    block, turn, text = _tags(image, data, name, notes)
    if form != "TIFF" or deep:  # Pillow turns TIFF files by itself
        pixels = _turned(pixels, turn)
        alpha = None if alpha is None else _turned(alpha, turn)
    return Picture(pixels, alpha, icc, block, text, tuple(notes))


def _opened(data: bytes, name: str, notes: list[str]) -> tuple[Image.Image, bytes]:
    """The picture, and its file, without its texts if they are suspiciously long."""
    try:
        image = _identified(data)
        _check_size(image, data, name)
        if image.format == "PNG":
            image.load()  # texts may follow the pixels
    except ValueError:
        if not data.startswith(metadata.PNG_SIGNATURE):
            raise
        data = metadata.join_png(part for part in metadata.png_chunks(data) if part[0] not in _PNG_TEXTS)
        notes.append(f"the texts in `{name}` are damaged or too long and were left out")
        image = _identified(data)
        _check_size(image, data, name)
    return image, data


def _check_size(image: Image.Image, data: bytes, name: str) -> None:
    """Refuse a picture that would take far more memory than an honest one of its size, before it is decoded."""
    width, height = image.size
    what, hint = f"`{name}` is {width} x {height} pixels", "scale it down or cut it into pieces first"
    if width * height > LIMIT:
        raise ColorizeError(f"{what}; at most {LIMIT // 10**6} million can be read", hint)
    if width * height > max(LARGE, PER_BYTE * len(data)):
        raise ColorizeError(f"{what} in {len(data) >> 10} KiB: it is nearly empty, or made to exhaust memory", hint)
    depth, kind = _png_depth(data)
    if height * (width * depth * {2: 3, 4: 2, 6: 4}.get(kind, 1) // 8 + 1) > DEFLATE * len(data):
        raise ColorizeError(f"{what}, but is cut off: {len(data)} bytes cannot hold them", "copy or download it again")
    tags = getattr(image, "tag_v2", {}) if image.format == "TIFF" else {}
    wide, high = (number if isinstance(number := tags.get(tag, 0), int) else 0 for tag in (322, 323))
    if wide * high > TILE * max(width * height, 2**20):
        raise ColorizeError(f"{what}, but its tiles are {wide} x {high}", "open it in a viewer and save it again")


def _identified(data: bytes) -> Image.Image:
    """The picture of a file whose header alone was read."""
    Image.preinit()  # only the common formats: the others take a tenth of a second to import
    try:
        return Image.open(BytesIO(data), formats=[each for each in _COMMON if each in Image.OPEN])
    except UnidentifiedImageError:
        Image.init()
        return Image.open(BytesIO(data), formats=[each for each in _RARE if each in Image.OPEN])


def _tags(image: Image.Image, data: bytes, name: str, notes: list[str]) -> tuple[bytes | None, int, dict[str, str]]:
    """EXIF block without orientation and comment, the orientation, and all texts."""
    text = _texts(image) | metadata.bmp_mark(data)
    try:
        exif = Exif.parse(_exif(image)) if image.format != "TIFF" else Exif()
        if data[:4] in (b"II*\0", b"MM\0*"):  # no BigTIFF
            exif = Exif.parse(data).descriptive()
    except ValueError:
        notes.append(f"the EXIF data of `{name}` is damaged and was left out")
        return None, 1, metadata.clean(text)
    turn, text = exif.orientation(), exif.take_texts() | text
    x, y = (float(value) for value in image.info.get("dpi") or (0, 0))  # of PNG, BMP and plain JPEG files
    stated = 1 <= x <= 1e6 and 1 <= y <= 1e6 and not x == y == 72  # what Pillow says if the EXIF data says nothing
    if stated and not exif.dpi():
        exif.set_dpi(x, y)
    return exif.block() if any(exif.tags.values()) else None, turn, metadata.clean(text)


def _texts(image: Image.Image) -> dict[str, str]:
    told = getattr(image, "text", image.info if image.format is None else {})
    found = {str(key): str(value) for key, value in told.items() if isinstance(value, str)}
    found.pop("Raw profile type exif", None)
    xmp = image.info.get("xmp")
    if isinstance(xmp, bytes):
        found[metadata.XMP] = xmp.decode("utf-8", "replace").strip("\0")
    if metadata.XMP in found:  # the pixels are turned upright, so nothing may turn them again
        found[metadata.XMP] = re.sub(r'(tiff:Orientation(="|>))[2-8]', r"\g<1>1", found[metadata.XMP])
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


def _unknown(data: bytes, name: str) -> ColorizeError:
    """The error for a file that no decoder took."""
    what, hint = "is not a picture that can be read", "PNG, JPEG, WebP, TIFF, BMP, GIF, PSD and OpenRaster can be read"
    if data[:4] in (b"II*\0", b"MM\0*"):
        what = "is a TIFF of a kind that cannot be read, or damaged; 8 and 16 bits per channel can"
    elif data.startswith(_STARTS):
        what, hint = "is cut off or damaged: its first bytes are those of a picture", "copy or download it again"
    elif data[4:8] == b"ftyp":
        hint = "it is a video or a HEIC photo; save it as JPEG or PNG first"
    hints = (hint for start, hint in _ALIENS.items() if data.lstrip().startswith(start))
    return ColorizeError(f"`{name}` {what}", next(hints, hint))


class _Limit:
    """How many readers are at work, and what Pillow's own limit was before the first came."""

    lock = threading.Lock()
    readers = 0
    before: int | None = None
    silence = ExitStack()


@contextmanager
def _our_limit() -> Iterator[None]:
    """Replace Pillow's limit, which warns at 89 million pixels, by ours, which is checked here; silence its warnings.

    Pillow keeps its limit in a module variable. All is put back when the last reading thread leaves, so that a program
    that uses this package keeps the protection it chose.
    """
    with _Limit.lock:
        if not _Limit.readers:
            _Limit.before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            _Limit.silence.enter_context(quiet())
        _Limit.readers += 1
    try:
        yield
    finally:
        with _Limit.lock:
            _Limit.readers -= 1
            if not _Limit.readers:
                _Limit.silence.close()
                Image.MAX_IMAGE_PIXELS = _Limit.before


def _pixels(
    image: Image.Image, data: bytes, deep: bool, name: str, notes: list[str]
) -> tuple[Pixels, Pixels | None, bytes | None]:
    """Pixels (H, W, 1|3) with all their bits, alpha (H, W) and profile; in sRGB if they have 8 bits.

    16-bit pixels keep their profile. Raises ColorizeError for floating-point and 32-bit values, and whatever Pillow
    raises for a cut-off file.
    """
    tags: dict[int, Any] = dict(getattr(image, "tag_v2", {}))  # a copy: loading changes it
    image.load()  # even if OpenCV decodes: Pillow notices a cut-off file, OpenCV does not
    icc = image.info.get("icc_profile") or None
    if image.mode == "F" and not deep:
        raise _too_fine(name, "floating-point values")
    if not deep and not image.mode.startswith("I"):
        return _eight_bit(image, data, icc, name, notes)
    if deep:
        pixels, alpha = _deep_colors(image, data, tags)
    else:
        pixels = _deep_gray(image, tags, name)
        alpha = _keyed(pixels, image, 1)
    try:
        if icc and not metadata.is_srgb(icc, pixels.shape[2] == 1):  # ImageCms knows 8 bits only
            notes.append(f"the 16-bit colors of `{name}` are taken as sRGB; its profile is kept")
    except ValueError as error:
        notes.append(f"the color profile of `{name}` is ignored: {error}")
        icc = None
    return pixels, alpha, icc


def _png_depth(data: bytes) -> tuple[int, int]:
    """The bits per value and the color type of a PNG file; 0, 0 if it is none."""
    return (data[24], data[25]) if data.startswith(metadata.PNG_SIGNATURE) and len(data) > 25 else (0, 0)


def _has_deep_colors(image: Image.Image, data: bytes) -> bool:
    """Whether Pillow would cut 16-bit colors down to 8 bits."""
    if not data:
        return False
    if image.format == "PNG":
        return _png_depth(data)[0] == 16 and _png_depth(data)[1] != 0
    if image.format == "TIFF":
        bits = getattr(image, "tag_v2", {}).get(258, (1,))
        return image.mode in ("RGB", "RGBA", "RGBX") and max(bits) == 16
    if image.format != "PPM" or data[:2] != b"P6":
        return False
    numbers = b" ".join(line.split(b"#")[0] for line in data[:4096].split(b"\n")).split()[1:4]
    return len(numbers) == 3 and numbers[2].isdigit() and int(numbers[2]) == 65535


def _deep_colors(image: Image.Image, data: bytes, tags: dict[int, Any]) -> tuple[Pixels, Pixels | None]:
    decoded = cv2.imdecode(np.frombuffer(_bare(image, data), np.uint8), cv2.IMREAD_UNCHANGED)
    if decoded is None or decoded.dtype != np.uint16:
        raise ValueError("OpenCV cannot decode its 16-bit values")
    values = decoded.astype(np.uint16, copy=False).reshape(*decoded.shape[:2], -1)
    alpha: Pixels | None = np.ascontiguousarray(values[..., 3]) if values.shape[2] == 4 else None
    gray = _png_depth(data)[1] == 4  # with alpha
    colors: Pixels = np.empty((*values.shape[:2], 1 if gray else 3), np.uint16)
    for rows in row_strips(values.shape[:2]):  # BGR(A) -> RGB
        colors[rows] = values[rows, :, :1] if gray else values[rows, :, 2::-1]
    del decoded, values
    if alpha is None:
        alpha = _keyed(colors, image, 1)
    elif 1 in tags.get(338, ()):  # TIFF ExtraSamples: colors were multiplied by alpha
        for rows in row_strips(alpha.shape):
            cover = np.maximum(alpha[rows], 1)[..., None].astype(np.uint64)
            colors[rows] = np.minimum((colors[rows] * np.uint64(65535) + cover // 2) // cover, 65535)
    elif 0 in tags.get(338, ()):
        alpha = None  # a fourth channel without a meaning
    return colors, alpha


def _bare(image: Image.Image, data: bytes) -> bytes:
    """The file without what OpenCV applies to pixels in one version and not in another."""
    if image.format == "PNG":
        kept = [part for part in metadata.png_chunks(data) if part[0] in (b"IHDR", b"tRNS", b"IDAT")]
        return metadata.join_png([*kept, (b"IEND", b"")])
    if data[:4] in (b"II*\0", b"MM\0*"):
        order = "<" if data[:2] == b"II" else ">"
        (place,) = struct.unpack_from(order + "I", data, 4)
        for at in range(place + 2, place + 2 + 12 * struct.unpack_from(order + "H", data, place)[0], 12):
            if struct.unpack_from(order + "H", data, at)[0] == metadata.ORIENTATION:
                return data[: at + 8] + struct.pack(order + "HH", 1, 0) + data[at + 12 :]
    return data


def _deep_gray(image: Image.Image, tags: dict[int, Any], name: str) -> npt.NDArray[np.uint16]:
    values = np.array(image)
    if values.dtype.kind != "u" or values.dtype.itemsize != 2:
        low, high = int(values.min()), int(values.max())
        if low < 0 or high > 65535:
            raise _too_fine(name, f"values from {low} to {high}")
    native = values.astype(np.uint16)[..., None]
    return 65535 - native if tags.get(262) == 0 else native  # TIFF PhotometricInterpretation: 0 is white


def _too_fine(name: str, what: str) -> ColorizeError:
    return ColorizeError(
        f"`{name}` holds {what}; 8 or 16 bits per channel can be read", "save it with 8 or 16 bits per channel first"
    )


def _keyed(pixels: Pixels, image: Image.Image, scale: int) -> Pixels | None:
    """Alpha of a PNG that names one transparent color; scale: from its bit depth to ours."""
    key = image.info.get("transparency")
    if key is None or isinstance(key, bytes):
        return None
    wanted = np.asarray(key, np.int64).reshape(-1) * scale
    peak = np.iinfo(pixels.dtype).max
    alpha = np.empty(pixels.shape[:2], pixels.dtype)
    for rows in row_strips(alpha.shape):
        alpha[rows] = np.where((pixels[rows] == wanted).all(-1), 0, peak)
    return alpha


def _eight_bit(
    image: Image.Image, data: bytes, icc: bytes | None, name: str, notes: list[str]
) -> tuple[Pixels, Pixels | None, bytes | None]:
    alpha: Pixels | None = None
    palette = image.mode in ("P", "PA")
    if image.mode == "CMYK":
        notes.append(f"`{name}` is for print (CMYK); its result is RGB")
    ways = {"1": "L", "La": "LA", "RGBa": "RGBA", "RGBX": "RGB", "YCbCr": "RGB", "HSV": "RGB"}
    ways |= dict.fromkeys(("P", "PA"), "RGBA" if image.has_transparency_data else "RGB")
    colors = image.convert(ways[image.mode]) if image.mode in ways else image
    if colors.mode in ("LA", "RGBA"):
        alpha = _array(colors.getchannel("A"))[..., 0]
        colors = colors.convert(colors.mode[:-1])
    elif colors.mode in ("L", "RGB") and not palette:
        scale = {2: 85, 4: 17}.get(_png_depth(data)[0], 1)  # Pillow widens gray of few bits, but not the key
        alpha = _keyed(_array(colors), image, scale) if "transparency" in image.info else None
    try:
        if icc or colors.mode == "LAB":
            colors, icc = metadata.to_srgb(colors, icc)
    except ValueError as error:
        notes.append(f"the color profile of `{name}` is ignored: {error}")
        icc = None
    return _array(colors if colors.mode == "L" else colors.convert("RGB")), alpha, icc


def _array(image: Image.Image) -> npt.NDArray[np.uint8]:
    values = np.empty((image.height, image.width, len(image.getbands())), np.uint8)
    for rows in row_strips(values.shape[:2]):  # Pillow would copy the whole twice
        values[rows] = np.asarray(image.crop((0, rows.start, image.width, rows.stop))).reshape(values[rows].shape)
    return values
