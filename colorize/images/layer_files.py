"""Write layers as files: OpenRaster for Krita, GIMP and MyPaint, or PSD."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

import cv2
import numpy as np
from PIL import Image

from colorize.errors import ColorizeError
from colorize.images import files
from colorize.images.encode import encode
from colorize.images.image import Picture
from colorize.images.layers import Layer

THUMBNAIL = 256  # pixels of the longer side, as the format demands
MIMETYPE = "image/openraster"


def write_openraster(layers: Sequence[Layer], merged: Picture, path: Path) -> None:
    """Write layers from top to bottom, all of the size of `merged`, whole or not at all.

    merged: the finished picture, in 8 bits; its texts are kept in the merged image. By the
    OpenRaster specification 0.0.3: an uncompressed mimetype comes first, then the stack, the layers,
    the merged image and a thumbnail. Equal layers give equal bytes. Raises ColorizeError for what
    `files.atomic` refuses.
    """
    whole = merged.eight_bit()
    with files.atomic(path) as temporary, ZipFile(temporary, "w") as archive:
        archive.writestr(ZipInfo("mimetype"), MIMETYPE, ZIP_STORED)
        archive.writestr(ZipInfo("stack.xml"), _stack(layers, merged.size), ZIP_DEFLATED)
        for layer in layers:
            archive.writestr(ZipInfo(_source(layer)), encode(layer.picture, ".png"), ZIP_STORED)
        for name, picture in (("mergedimage.png", whole), ("Thumbnails/thumbnail.png", _thumbnail(whole))):
            archive.writestr(ZipInfo(name), encode(picture, ".png"), ZIP_STORED)


def _source(layer: Layer) -> str:
    """Where the archive keeps a layer."""
    return f"data/{layer.name.replace(' #', '-')}.png"


def _stack(layers: Sequence[Layer], size: tuple[int, int]) -> bytes:
    """The order of the layers, topmost first."""
    height, width = size
    image = ElementTree.Element("image", version="0.0.3", w=str(width), h=str(height))
    stack = ElementTree.SubElement(image, "stack")
    for layer in layers:
        ElementTree.SubElement(
            stack,
            "layer",
            {
                **{"name": layer.name, "src": _source(layer), "x": "0", "y": "0"},
                **{"opacity": "1.0", "visibility": "visible", "composite-op": "svg:src-over"},
            },
        )
    ElementTree.indent(image)
    return bytes(ElementTree.tostring(image, encoding="UTF-8", xml_declaration=True))


def _thumbnail(picture: Picture) -> Picture:
    """The picture on white, at most THUMBNAIL pixels long."""
    flat = picture.on_white()
    scale = min(1.0, THUMBNAIL / max(flat.size))
    height, width = (max(1, round(side * scale)) for side in flat.size)
    small = cv2.resize(flat.pixels, (width, height), interpolation=cv2.INTER_AREA)
    return Picture(np.asarray(small, np.uint8).reshape(height, width, -1))


SIDE = 30_000  # pixels; longer ones need another format, PSB


def check() -> None:
    """Raise ColorizeError if psd-tools is not installed; it is not imported yet."""
    if find_spec("psd_tools") is None:
        raise ColorizeError(
            "writing PSD needs the package psd-tools, which is not installed",
            'install it with pip install "colorize[psd]", or write .ora',
        )


def write_photoshop(layers: Sequence[Layer], merged: Picture, path: Path) -> None:
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
