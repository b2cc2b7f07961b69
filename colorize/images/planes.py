"""An opened file becomes gray or RGB pixels and alpha. Knows nothing of tags or texts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from PIL import Image

from colorize.errors import ColorizeError
from colorize.images import exif, png, profiles
from colorize.images.image import Pixels

if TYPE_CHECKING:
    import numpy.typing as npt

_INVERTED = 0  # TIFF PhotometricInterpretation: 0 is white
_PREMULTIPLIED = 1  # TIFF ExtraSamples: colors were multiplied by alpha


@dataclass(frozen=True)
class Planes:
    """pixels (H, W, 1|3), alpha (H, W), icc of the pixels; raw: not turned even if a TIFF."""

    pixels: Pixels
    alpha: Pixels | None
    icc: bytes | None
    raw: bool = False


def read(image: Image.Image, data: bytes, name: str, notes: list[str]) -> Planes:
    """Decode an opened file, with all its bits, in sRGB if it has 8 of them.

    16-bit pixels keep their profile. Raises ColorizeError for floating-point and 32-bit values, and
    whatever Pillow raises for a cut-off file.
    """
    deep = _has_deep_colors(image, data)
    tags: dict[int, Any] = dict(getattr(image, "tag_v2", {}))  # a copy: loading changes it
    image.load()  # even if OpenCV decodes: Pillow notices a cut-off file, OpenCV does not
    icc = image.info.get("icc_profile") or None
    if deep:
        pixels, alpha = _deep_colors(image, data, tags)
        return Planes(pixels, alpha, _kept(icc, pixels, name, notes), raw=True)
    if image.mode == "F":
        raise _too_fine(name, "floating-point values")
    if image.mode.startswith("I"):
        pixels = _deep_gray(image, tags, name)
        return Planes(pixels, _keyed(pixels, image, 1), _kept(icc, pixels, name, notes))
    return _eight_bit(image, data, icc, name, notes)


def _has_deep_colors(image: Image.Image, data: bytes) -> bool:
    """Whether Pillow would cut 16-bit colors down to 8 bits."""
    if image.format == "PNG":
        depth, kind = png.depth(data)
        return depth == 16 and kind != 0
    if image.format == "TIFF":
        bits = getattr(image, "tag_v2", {}).get(258, (1,))
        return image.mode in ("RGB", "RGBA", "RGBX") and max(bits) == 16
    return data[:2] == b"P6" and image.format == "PPM" and _ppm_is_deep(data)


def _ppm_is_deep(data: bytes) -> bool:
    numbers = b" ".join(line.split(b"#")[0] for line in data[:4096].split(b"\n")).split()[1:4]
    return len(numbers) == 3 and numbers[2].isdigit() and int(numbers[2]) == 65535


def _deep_colors(image: Image.Image, data: bytes, tags: dict[int, Any]) -> tuple[Pixels, Pixels | None]:
    decoded = cv2.imdecode(np.frombuffer(_bare(image, data), np.uint8), cv2.IMREAD_UNCHANGED)
    if decoded is None or decoded.dtype != np.uint16:
        raise ValueError("OpenCV cannot decode its 16-bit values")
    values = decoded.astype(np.uint16, copy=False).reshape(*decoded.shape[:2], -1)
    colors: Pixels = np.ascontiguousarray(values[..., 2::-1])  # BGR(A) -> RGB
    alpha: Pixels | None = np.ascontiguousarray(values[..., 3]) if values.shape[2] == 4 else None
    if png.depth(data)[1] == 4:  # gray with alpha
        colors = np.ascontiguousarray(colors[..., :1])
    if alpha is None:
        alpha = _keyed(colors, image, 1)
    elif _PREMULTIPLIED in tags.get(338, ()):
        cover = np.maximum(alpha, 1)[..., None].astype(np.uint64)
        whole = (colors * np.uint64(65535) + cover // 2) // cover
        colors = np.minimum(whole, 65535).astype(np.uint16)
    elif 0 in tags.get(338, ()):
        alpha = None  # a fourth channel without a meaning
    return colors, alpha


def _bare(image: Image.Image, data: bytes) -> bytes:
    """The file without what OpenCV applies to pixels in one version and not in another."""
    if image.format == "PNG":
        return png.pixels_only(data)
    try:
        return exif.orientation(data)[0] if image.format == "TIFF" else data
    except ValueError:  # a TIFF beyond 4 GB has other pointers
        return data


def _deep_gray(image: Image.Image, tags: dict[int, Any], name: str) -> npt.NDArray[np.uint16]:
    values = np.array(image)
    if values.dtype.kind != "u" or values.dtype.itemsize != 2:
        low, high = int(values.min()), int(values.max())
        if low < 0 or high > 65535:
            raise _too_fine(name, f"values from {low} to {high}")
    native = values.astype(np.uint16)[..., None]
    return 65535 - native if tags.get(262) == _INVERTED else native


def _too_fine(name: str, what: str) -> ColorizeError:
    return ColorizeError(
        f"`{name}` holds {what}; 8 or 16 bits per channel can be read", "save it with 8 or 16 bits per channel first"
    )


def _kept(icc: bytes | None, pixels: Pixels, name: str, notes: list[str]) -> bytes | None:
    """The profile of 16-bit pixels, which stay as they are since ImageCms knows 8 bits only."""
    if icc is None:
        return None
    try:
        if not profiles.is_srgb(icc, pixels.shape[2] == 1):
            notes.append(f"the 16-bit colors of `{name}` are taken as sRGB; its profile is kept")
    except ValueError as error:
        notes.append(f"the color profile of `{name}` is ignored: {error}")
        return None
    return icc


def _keyed(pixels: Pixels, image: Image.Image, scale: int) -> Pixels | None:
    """Alpha of a PNG that names one transparent color; scale: from its bit depth to ours."""
    key = image.info.get("transparency")
    if key is None or isinstance(key, bytes):
        return None
    wanted = np.asarray(key, np.int64).reshape(-1) * scale
    peak = np.iinfo(pixels.dtype).max
    hidden: npt.NDArray[np.bool_] = (pixels == wanted).all(-1)
    return np.where(hidden, 0, peak).astype(pixels.dtype)


def _eight_bit(image: Image.Image, data: bytes, icc: bytes | None, name: str, notes: list[str]) -> Planes:
    colors, alpha = _flat(image)
    if alpha is None and colors.mode in ("L", "RGB") and image.mode != "P":
        depth = png.depth(data)[0]
        scale = {2: 85, 4: 17}.get(depth, 1)  # Pillow widens gray of few bits, but not the key
        alpha = _keyed(_array(colors), image, scale)
    try:
        if icc or colors.mode == "LAB":
            colors, icc = profiles.to_srgb(colors, icc)
    except ValueError as error:
        notes.append(f"the color profile of `{name}` is ignored: {error}")
        icc = None
    return Planes(_array(colors if colors.mode == "L" else colors.convert("RGB")), alpha, icc)


def _flat(image: Image.Image) -> tuple[Image.Image, Pixels | None]:
    """L, RGB, CMYK or LAB without alpha, and the alpha."""
    if image.mode in ("P", "PA"):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    ways = {"1": "L", "La": "LA", "RGBa": "RGBA", "RGBX": "RGB", "YCbCr": "RGB", "HSV": "RGB"}
    image = image.convert(ways[image.mode]) if image.mode in ways else image
    if image.mode not in ("LA", "RGBA"):
        return image, None
    alpha = _array(image.getchannel("A"))[..., 0]
    return image.convert(image.mode[:-1]), alpha


def _array(image: Image.Image) -> npt.NDArray[np.uint8]:
    values = np.array(image, dtype=np.uint8)
    return values.reshape(*values.shape[:2], -1)
