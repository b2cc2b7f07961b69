"""A colored picture as Python gets it: it saves itself, and becomes an image, an array or layers."""

from __future__ import annotations

import os
import warnings
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from colorize.coloring.batch import Painted
from colorize.coloring.inputs import shrink
from colorize.errors import ColorizeError
from colorize.images import encode, files
from colorize.images.image import Picture, Pixels
from colorize.images.layers import Layer, write_openraster, write_photoshop

PREVIEW = 1024  # pixels of the longer side of a result in a notebook


class Result:
    """A colored picture, and how it was made.

    name: of the drawing. picture: of the drawing's size, depth and alpha, with its metadata. notes: sentences that a
    user should read. `print(result)` names it; notebooks show it.
    """

    def __init__(self, name: str, painted: Painted, notes: tuple[str, ...]) -> None:
        self.name, self.notes, self._painted = name, notes, painted
        self.picture: Picture = painted.picture

    def __repr__(self) -> str:
        height, width = self.picture.size
        which = f", variation {self.variation}" if self.variation else ""
        return f"<colorize.Result {self.name}, {width} x {height} pixels, seed {self.seed}{which}>"

    def _repr_png_(self) -> bytes:
        return encode.encode(shrink(self.picture, PREVIEW).eight_bit(), ".png")

    @property
    def seed(self) -> int:
        """The seed that was asked for."""
        return self._painted.seed

    @property
    def variation(self) -> int:
        """Which of its drawing's results this is, from 0."""
        return self._painted.variation

    @property
    def meta(self) -> dict[str, object]:
        """How it was made: model, seed, settings, and the pictures given, by name and fingerprint."""
        return self._painted.meta

    @cached_property
    def image(self) -> Image.Image:
        """The picture for Pillow, RGB or RGBA, 8 bits."""
        return self.picture.image

    @property
    def array(self) -> Pixels:
        """A fresh array (H, W, 3) or, with alpha, (H, W, 4); uint8, or uint16 of a 16-bit drawing."""
        return self.picture.array

    @property
    def layers(self) -> list[LayerImage]:
        """The layers from top to bottom, which compose to the picture; only if it was painted with `layers=True`."""
        return [LayerImage(one.name, one.picture.image) for one in self._layers()]

    def save(self, path: str | os.PathLike[str], *, quality: int | None = None) -> Path:
        """Write the picture with its metadata, whole or not at all, and return the path; the suffix is the format.

        quality: 1 to 100, JPEG 95 by default; WebP is lossless by default. Warns of what the format cannot hold. Raises
        ColorizeError for an unknown suffix, a full disk, or missing permission.
        """
        for note in files.write(self.picture, Path(path), quality=quality):
            warnings.warn(note, stacklevel=2)
        return Path(path)

    def save_layers(self, path: str | os.PathLike[str]) -> Path:
        """Write the layers as OpenRaster (.ora, for Krita and GIMP) or Photoshop (.psd), and return the path.

        Raises ColorizeError if it was painted without `layers=True`, for another suffix, and without psd-tools.
        """
        writers = {".ora": write_openraster, ".psd": write_photoshop}
        suffix = Path(path).suffix.lower()
        if suffix not in writers:
            raise ColorizeError(f"layers cannot be written as `{path}`", "use .ora or .psd", code=2)
        writers[suffix](self._layers(), self.picture, Path(path))
        return Path(path)

    def _layers(self) -> tuple[Layer, ...]:
        if not self._painted.layers:
            raise ColorizeError(f"the result `{self.name}` has no layers", "paint it with `layers=True`", code=2)
        return self._painted.layers


class LayerImage(NamedTuple):
    """A layer: its name, such as `line` or `flat #c81414`, and an RGBA picture of the size of the whole."""

    name: str
    image: Image.Image
