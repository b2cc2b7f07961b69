"""Write layers as an OpenRaster file, which Krita, GIMP and MyPaint open. Knows nothing of how layers come about."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

import cv2
import numpy as np

from colorize.pictures import files
from colorize.pictures.layers import Layer
from colorize.pictures.picture import Picture

THUMBNAIL = 256  # pixels of the longer side, as the format demands
MIMETYPE = "image/openraster"


def write(layers: Sequence[Layer], merged: Picture, path: Path) -> None:
    """Write layers from top to bottom, all of the size of `merged`, whole or not at all.

    merged: the finished picture, in 8 bits; its texts are kept in the merged image. By the
    OpenRaster specification 0.0.3: an uncompressed mimetype comes first, then the stack, the layers,
    the merged image and a thumbnail. Equal layers give equal bytes. Raises ColorizeError for what
    `files.atomic` refuses.
    """
    whole = merged.eight_bit()
    sources = {f"data/{layer.name}.png": layer.picture for layer in layers}
    sources |= {"mergedimage.png": whole, "Thumbnails/thumbnail.png": _thumbnail(whole)}
    with files.atomic(path) as temporary, ZipFile(temporary, "w") as archive:
        archive.writestr(ZipInfo("mimetype"), MIMETYPE, ZIP_STORED)
        archive.writestr(ZipInfo("stack.xml"), _stack(layers, merged.size), ZIP_DEFLATED)
        for name, picture in sources.items():
            archive.writestr(ZipInfo(name), files.encode(picture, ".png"), ZIP_STORED)


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
                **{"name": layer.name, "src": f"data/{layer.name}.png", "x": "0", "y": "0"},
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
