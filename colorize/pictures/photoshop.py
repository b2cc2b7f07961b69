"""Write layers as a Photoshop document, by the optional package psd-tools. Knows nothing of how layers come about."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from PIL import Image

from colorize.errors import ColorizeError
from colorize.pictures import files
from colorize.pictures.layers import Layer
from colorize.pictures.picture import Picture

SIDE = 30_000  # pixels; longer ones need another format, PSB


def check() -> None:
    """Raise ColorizeError if psd-tools is not installed; it is not imported yet."""
    if find_spec("psd_tools") is None:
        raise ColorizeError(
            "writing PSD needs the package psd-tools, which is not installed",
            'install it with pip install "colorize[psd]", or write .ora',
        )


def write(layers: Sequence[Layer], merged: Picture, path: Path) -> None:
    """Write layers from top to bottom, all of the size of `merged`, whole or not at all.

    merged: the finished picture, to be shown where layers are not understood. All layers blend
    normally and have 8 bits; the document has alpha, or psd-tools would make masks of theirs.
    Raises ColorizeError without psd-tools, for a side of more than 30,000 pixels, and for what
    `files.atomic` refuses.
    """
    check()
    from psd_tools import PSDImage

    if max(merged.size) > SIDE:
        raise ColorizeError(
            f"PSD has sides of at most {SIDE} pixels, this one has {max(merged.size)}",
            "write .ora, or scale the drawing down",
        )
    document = PSDImage.frompil(_image(merged.eight_bit()))
    for layer in reversed(layers):
        document.create_pixel_layer(_image(layer.picture), name=layer.name)
    with files.atomic(path) as temporary:
        document.save(temporary)


def _image(picture: Picture) -> Image.Image:
    """The picture for Pillow, with alpha always."""
    image = Image.fromarray(picture.pixels)
    image.putalpha(255 if picture.alpha is None else Image.fromarray(picture.alpha))
    return image
