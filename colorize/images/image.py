"""A picture and all that travels with its pixels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from colorize.errors import ColorizeError

if TYPE_CHECKING:  # what only handles pixels starts without torch, in a fifth of the time
    from PIL.Image import Image
    from torch import Tensor

Pixels = npt.NDArray[np.uint8 | np.uint16]
STRIP = 60_000  # pixels handled at a time, which bounds memory and stays in the cache


def row_strips(size: tuple[int, ...]) -> Iterator[slice]:
    """The rows of a picture (height, width), about STRIP pixels at a time."""
    height, width = size
    rows = max(1, STRIP // width)
    return (slice(start, min(start + rows, height)) for start in range(0, height, rows))


@dataclass(frozen=True)
class Picture:
    """An upright picture and what its file said about it.

    pixels: (H, W, 1) gray or (H, W, 3) RGB, uint8 or uint16, sRGB-encoded unless 16-bit with `icc`. alpha: (H, W), same
    dtype, straight (not premultiplied); 0 is transparent. icc: the color profile of the pixels. exif: TIFF-structured,
    without orientation and thumbnail. text: named texts, such as PNG chunks. notes: sentences worth telling the user.
    """

    pixels: Pixels
    alpha: Pixels | None = None
    icc: bytes | None = None
    exif: bytes | None = None
    text: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        return self.pixels.shape[0], self.pixels.shape[1]

    @property
    def gray(self) -> bool:
        """Whether there is one channel; a gray-looking RGB picture is not gray here."""
        return bool(self.pixels.shape[2] == 1)

    @property
    def peak(self) -> int:
        """The value of white: 255 or 65535."""
        return int(np.iinfo(self.pixels.dtype).max)

    def tensor(self) -> Tensor:
        """Return a fresh (1, 3, H, W) tensor in [-1, 1], alpha composed on white."""
        import torch

        height, width, channels = self.pixels.shape
        planes = np.empty((channels, height, width), np.float32)
        for at, plane in enumerate(planes):  # one pass per channel: 6 times as fast as transposing
            np.divide(self.pixels[..., at], np.float32(self.peak / 2), out=plane)
        values = torch.from_numpy(planes).sub_(1)  # (C, H, W) in [-1, 1]
        if self.alpha is not None:
            cover = torch.from_numpy(self.alpha.astype(np.float32)).mul_(1 / self.peak)
            values = values.sub_(1).mul_(cover).add_(1)  # white is 1, so only the distance to it shrinks
        return (values.repeat(3, 1, 1) if self.gray else values)[None]

    def on_white(self) -> Picture:
        """Return the picture without alpha, composed on white, or itself if it has none."""
        if self.alpha is None:
            return self
        peak, mixed = np.uint32(self.peak), np.empty_like(self.pixels)
        for rows in row_strips(self.size):
            cover = self.alpha[rows, :, None].astype(np.uint32)
            mixed[rows] = (self.pixels[rows] * cover + peak * (peak - cover) + peak // 2) // peak  # below 2**32
        return replace(self, pixels=mixed, alpha=None)

    def eight_bit(self) -> Picture:
        """Return the picture with 8 bits per value, rounded, or itself if it has them."""
        if self.pixels.dtype == np.uint8:
            return self
        return replace(self, pixels=_rounded(self.pixels), alpha=None if self.alpha is None else _rounded(self.alpha))

    @property
    def array(self) -> Pixels:
        """A fresh (H, W, 3) array, or (H, W, 4) with alpha, of the depth of the picture."""
        rgb = np.broadcast_to(self.pixels, (*self.size, 3))
        return np.dstack([rgb] if self.alpha is None else [rgb, self.alpha])

    @property
    def image(self) -> Image:
        """The picture for Pillow: RGB or RGBA of 8 bits, with its color profile, EXIF and texts in `info`."""
        from PIL import Image

        made = Image.fromarray(self.eight_bit().array)
        made.info.update(self.text)
        if self.icc:
            made.info["icc_profile"] = self.icc
        if self.exif:
            made.info["exif"] = b"Exif\0\0" + self.exif
        return made


def _rounded(values: Pixels) -> npt.NDArray[np.uint8]:
    """16-bit values as 8-bit ones."""
    result = np.empty(values.shape, np.uint8)
    for rows in row_strips(values.shape[:2]):
        result[rows] = (values[rows].astype(np.uint32) + 128) // 257
    return result


def from_array(values: npt.NDArray[np.generic], name: str) -> Picture:
    """Return the picture of an array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), the last with alpha; it is copied.

    values: uint8, uint16, bool, or floats in [0, 1], which are rounded to 8 bits. name: what error messages call it.
    Raises ColorizeError for other shapes, types and ranges.
    """
    shape = " x ".join(map(str, values.shape)) or "nothing"
    if values.ndim == 2:
        values = values[..., None]
    if values.ndim != 3 or values.shape[2] not in (1, 3, 4) or not values.size:
        hint = "it has the shape (H, W), (H, W, 3) or (H, W, 4)"
        if values.ndim == 3 and values.shape[0] in (1, 3, 4):
            hint += "; put the channels last: np.moveaxis(array, 0, -1)"
        raise ColorizeError(f"`{name}` is an array of {shape} values", hint)
    if values.dtype.kind in "bf":
        low, high = float(values.min()), float(values.max())
        if not (low >= 0 and high <= 1):  # NaN, too
            hint = "floats go from 0 (black) to 1 (white); or give uint8 from 0 to 255"
            raise ColorizeError(f"`{name}` holds floats from {low:g} to {high:g}", hint)
        values = np.rint(values.astype(np.float32) * 255).astype(np.uint8)
    if values.dtype not in (np.uint8, np.uint16):
        hint = "convert it: uint8, uint16, bool, or floats in [0, 1]"
        raise ColorizeError(f"`{name}` is an array of {values.dtype}", hint)
    copied = np.array(values)
    alpha = np.ascontiguousarray(copied[..., 3]) if copied.shape[2] == 4 else None
    return Picture(np.ascontiguousarray(copied[..., :3]), alpha)


def from_tensor(values: Tensor) -> Picture:
    """Return the 8-bit picture of a (1, C, H, W) or (C, H, W) tensor in [-1, 1], C 1 or 3.

    Values are rounded to the nearest, those outside clipped. Raises ColorizeError if one is not a number.
    """
    import torch

    planes = values.detach()
    planes = planes[0] if planes.dim() == 4 and planes.shape[0] == 1 else planes
    assert planes.dim() == 3, f"one picture is expected, not {tuple(values.shape)}"
    assert planes.shape[0] in (1, 3), f"1 or 3 channels are expected, not {planes.shape[0]}"
    planes = planes.to("cpu", torch.float32)
    if not bool(torch.isfinite(planes).all()):
        raise ColorizeError(
            "the picture holds values that are not numbers",
            "the weights may be damaged, or half precision too coarse for this model",
        )
    levels = planes.add(1).mul_(127.5).round_().clamp_(0, 255).to(torch.uint8)
    return Picture(levels.permute(1, 2, 0).contiguous().numpy())
