"""Color profiles: pixels of any profile become sRGB. Knows nothing of files or alpha."""

from __future__ import annotations

import struct
from functools import cache
from io import BytesIO

import numpy as np
from PIL import Image, ImageCms

_INTENT = ImageCms.Intent.RELATIVE_COLORIMETRIC  # keeps colors that both spaces have, as browsers do
_FLAGS = ImageCms.Flags.BLACKPOINTCOMPENSATION
_SPACES = {b"GRAY": "L", b"RGB ": "RGB", b"CMYK": "CMYK", b"Lab ": "LAB"}
_DATE = slice(24, 36)  # where a profile's header holds the moment it was made
_MADE = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)
_SAME = 2  # levels of 255 by which profiles that all mean sRGB differ


def fits(icc: bytes, gray: bool) -> bool:
    """Whether a profile describes gray values (or else RGB), as formats demand of one they hold."""
    return icc[16:20] == (b"GRAY" if gray else b"RGB ")


def to_srgb(picture: Image.Image, icc: bytes | None) -> tuple[Image.Image, bytes | None]:
    """Return an L, RGB, CMYK or LAB picture as sRGB-encoded L or RGB, and its new profile.

    A profile that means sRGB leaves every pixel and itself as they are. Raises ValueError if the
    profile is broken or of another color space than the picture. icc may be None for LAB only.
    """
    icc = icc or _lab()
    space = _SPACES.get(icc[16:20], "")
    if {space, picture.mode} == {"L", "RGB"} and space == "RGB":
        return _gray_by_rgb(picture, icc)
    if space != picture.mode:
        raise ValueError(f"a profile for {space or 'nothing known'} in a picture of {picture.mode}")
    transform = _transform(icc, space)
    if space in ("L", "RGB") and _changes_nothing(transform, space):
        return picture, icc
    changed = _applied(transform, picture)
    return (changed.getchannel("G"), None) if space == "L" else (changed, srgb())


def is_srgb(icc: bytes, gray: bool) -> bool:
    """Whether a profile means sRGB to within two levels. Raises ValueError if it is broken."""
    space = _SPACES.get(icc[16:20], "")
    if space == "RGB" or (space == "L" and gray):
        return _changes_nothing(_transform(icc, space), space)
    raise ValueError(f"a profile for {space or 'nothing known'}")


@cache
def srgb() -> bytes:
    """Return the sRGB profile as bytes, the same at any time."""
    made = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return made[: _DATE.start] + _MADE + made[_DATE.stop :]


@cache
def _lab() -> bytes:
    """What a LAB picture means, profile or not; only that mode comes without one."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()


def _gray_by_rgb(picture: Image.Image, icc: bytes) -> tuple[Image.Image, bytes | None]:
    """Gray pictures often carry the RGB profile of the program that made them."""
    changed, _ = to_srgb(picture.convert("RGB"), icc)
    return changed.getchannel("G"), None


def _transform(icc: bytes, mode: str) -> ImageCms.ImageCmsTransform:
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(icc))
        target = ImageCms.createProfile("sRGB")
        return ImageCms.buildTransform(source, target, mode, "RGB", _INTENT, _FLAGS)
    except (OSError, ImageCms.PyCMSError) as error:
        raise ValueError("a broken profile") from error


def _applied(transform: ImageCms.ImageCmsTransform, picture: Image.Image) -> Image.Image:
    changed = ImageCms.applyTransform(picture, transform)
    assert changed is not None
    return changed


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Tried on a cube of colors, since names and sizes of sRGB profiles are many."""
    steps = np.linspace(0, 255, 9).round().astype(np.uint8)
    cube = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(27, 27, 3)
    colors = Image.fromarray(cube if mode == "RGB" else cube[..., 0])
    before = np.asarray(colors.convert("RGB"), np.int16)
    after = np.asarray(_applied(transform, colors), np.int16)
    return bool(np.abs(after - before).max() <= _SAME)
