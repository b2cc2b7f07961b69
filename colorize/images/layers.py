"""Divide a colored drawing into layers that compose to it: line, shade, flat colors, paper; write them in files."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from colorize.errors import ColorizeError
from colorize.images import files, ink
from colorize.images.encode import encode
from colorize.images.flat_regions import Labels, raised
from colorize.images.flats import flats, lab_of
from colorize.images.image import Picture, Pixels, row_strips
from colorize.images.ink import HintPixels
from colorize.images.resize import Array, fit_size, resized

if TYPE_CHECKING:  # see `image`
    from torch import Tensor

FEW = 160  # colors; a flat answer of more was not chosen from given ones
ALIKE = 6.0  # CIE76; a chosen color so near to a hint's is the hint's
MOST = 32  # flat colors that get a layer each
SEEN = 0.5 / 255  # a smaller difference from the flat color is no shade


@dataclass(frozen=True)
class DividedDrawing:
    """A drawing and the colors under its ink.

    drawing: see `ink.on_paper`. field: (h, w, 3) in [0, 1], the model's colors. labels: (H, W), the region of
    each pixel of the drawing. table: (N, 3) in [0, 1], the flat color of each region, in steps of 1/255. exact: pixels
    of the drawing that have a color of their own. names: of regions, for their layers; as long as the table, or empty.
    """

    drawing: Picture
    field: Array
    labels: Labels
    table: Array
    exact: HintPixels | None = None
    names: tuple[str, ...] = ()

    def shaded(self) -> Iterator[tuple[slice, Array]]:
        """The model's colors, some rows at a time, see `ink.strips`."""
        return ink.colored_strips(self.field, self.drawing.size, self.exact)


@dataclass(frozen=True)
class Layer:
    """A layer that lies on those after it by normal blending: 8-bit RGB of the drawing's size, with alpha.

    values: (H, W, 4) uint8. Of a layer of one flat color, given by the index of its color, only the pixels that `index`
    (H, W) counts to it are visible, so that many colors share one array.
    """

    name: str
    values: Pixels
    icc: bytes | None = None
    index: npt.NDArray[np.uint8] | None = None
    color: int = 0

    @property
    def picture(self) -> Picture:
        """The layer as a picture with alpha."""
        values = self.values
        if self.index is not None:
            values = np.where((self.index == self.color)[..., None], values, np.uint8(0))
        return Picture(values[..., :3], values[..., 3], self.icc)


def divide(
    original: Picture,
    color: Tensor,
    inked: bool,
    hints: Tensor | None = None,
    exact: HintPixels | None = None,
    flat: Tensor | None = None,
    gaps: float | None = None,
    whole: bool = False,
) -> DividedDrawing:
    """Find the regions of line art and a flat color for each, see `divide_field`.

    color, inked, exact: as `finish.onto` takes them. hints: (1, 4, h, w), RGB and a mask in [-1, 1]; they win in their
    regions. flat: the colors without shade, where they are known, of which each region takes one.
    """
    from colorize.images import finish

    drawing, known = ink.on_paper(original), flat is not None and flat is not color
    field = finish.under(drawing, color, inked)
    plain = finish.under(drawing, flat, inked) if flat is not None and known else None
    marks = None if hints is None else hints.detach().cpu().float()[0].permute(1, 2, 0).numpy()
    chosen = None
    if flat is not None and known:
        levels = np.rint((flat.detach().cpu().float()[0].flatten(1).T.numpy() / 2 + 0.5) * 255).clip(0, 255)
        chosen = np.asarray(np.unique(levels, axis=0) / 255, np.float32)
    divided = divide_field(drawing, field, plain, marks, chosen, gaps, whole)
    if exact is None:
        return divided
    labels, table = exact.obeyed(divided.labels, divided.table)
    more = tuple(f"hint #{bytes(color).hex()}" for color in _levels(table[len(divided.table) :]))
    return replace(divided, labels=labels, table=table, exact=exact, names=divided.names + more)


def divide_field(
    drawing: Picture,
    field: Array,
    plain: Array | None = None,
    marks: Array | None = None,
    chosen: Array | None = None,
    gaps: float | None = None,
    whole: bool = False,
    side: int = 1024,
) -> DividedDrawing:
    """Find the regions of line art on paper, see `ink.on_paper`, and a flat color for each.

    field: (h, w, 3) in [0, 1], the color under the ink. plain: the same without shade, None where it is not known.
    marks: (h, w, 4), the user's hints, RGB and a mask in [-1, 1]. chosen: (N, 3) in [0, 1], what the model chose from;
    each region takes one. gaps: the widest gap of a line that counts as closed, in pixels of the drawing. whole: see
    `flats`. Regions are found at a longer side of at most `side` pixels. Hints' colors are named, as `hint #c81414`.
    """
    size = fit_size(drawing.size, side, enlarge=False)
    if marks is not None:
        near = resized(np.ascontiguousarray(marks), size, cv2.INTER_NEAREST_EXACT)
        marks = np.concatenate([near[..., :3] / 2 + 0.5, near[..., 3:]], 2)
    gap = None if gaps is None else gaps / max(drawing.size)
    small = resized(field if plain is None else plain, size, cv2.INTER_AREA)
    few = chosen is not None and len(chosen) <= FEW
    coarse, colors = flats(small, ink.paper_share(drawing, size), marks, gap, whole, scenes=not (whole and few))
    labels = raised(coarse, *ink.brightness(drawing, drawing.size))
    hinted = np.zeros((0, 3), np.float32)
    if marks is not None and (marks[..., 3] > 0).any():
        hinted = np.unique(marks[marks[..., 3] > 0][:, :3], axis=0)
    if chosen is not None and few:
        colors = _snapped(colors, chosen, hinted)
    table = np.asarray(np.rint(colors * 255) / 255, np.float32)
    words = {bytes(color).hex() for color in _levels(hinted)}
    names = tuple(f"hint #{one}" if (one := bytes(color).hex()) in words else "" for color in _levels(table))
    return DividedDrawing(drawing, field, labels, table, names=names)


def _levels(colors: Array) -> Pixels:
    """Colors (N, 3) in [0, 1] as 8-bit levels."""
    return np.rint(colors * 255).astype(np.uint8)


def _snapped(table: Array, chosen: Array, hinted: Array) -> Array:
    """Take for each color (N, 3) in [0, 1] the nearest one that the model chose or the user hinted.

    Medians of small regions mix the colors around them. A chosen color that a hint's is hardly different from gives way
    to it.
    """
    known = np.concatenate([chosen, np.ones((1, 3), np.float32)])
    if len(hinted):
        away = np.linalg.norm(lab_of(known)[:, None] - lab_of(hinted)[None], axis=2).min(1)
        known = np.concatenate([known[away > ALIKE], hinted])
    nearest = np.linalg.norm(lab_of(table)[:, None] - lab_of(known)[None], axis=2).argmin(1)
    return np.asarray(known[nearest], np.float32)


def merged(divided: DividedDrawing, flat: bool) -> Picture:
    """Return the drawing in the model's colors, or in flat ones; what `finish.onto` says of it holds."""
    plain = ((at, divided.table[divided.labels[at]]) for at in row_strips(divided.labels.shape))
    pixels = ink.painted(divided.drawing, plain if flat else divided.shaded())
    return replace(divided.drawing, pixels=pixels, icc=_profile(divided))


def layers(divided: DividedDrawing, flat: bool) -> tuple[Layer, ...]:
    """Return the layers from top to bottom: line, shade (if not `flat`), flat colors, paper.

    line: black, or the color of colored ink, with alpha. shade: what the model's colors differ from the flats by, in
    the strongest colors with the least alpha, mostly black and white. flat colors: a layer each, such as `flat
    #c81414`, or with the name of its regions, the rarest on top; one layer `flats` where there are more than 32;
    transparent where they are white.
    paper: white, cut out by the alpha of the drawing. All have 8 bits, also those of a 16-bit drawing. Composed by
    normal blending they are the finished picture: 8 bits of it to within 2 of 255, 0.5 on average, and its alpha to
    within 1.
    """
    names = ("line", "shade", "flats", "paper")
    stack = {name: np.zeros((*divided.drawing.size, 4), np.uint8) for name in names}
    for at, color in divided.shaded():
        base = divided.table[divided.labels[at]]
        parts = _parts(divided.drawing, at, base if flat else color, base)
        for name, part in zip(names, parts, strict=True):
            stack[name][at] = part
    if flat:
        del stack["shade"]
    whole = {name: [Layer(name, values, _profile(divided))] for name, values in stack.items()}
    whole["flats"] = _by_color(divided, stack["flats"], _profile(divided))
    return tuple(layer for several in whole.values() for layer in several)


def _by_color(divided: DividedDrawing, values: Pixels, icc: bytes | None) -> list[Layer]:
    """The layer of flats, a color each if there are not too many; regions of one color and several names stay apart."""
    area = np.bincount(divided.labels.ravel(), minlength=len(divided.table))
    names = divided.names or [""] * len(divided.table)
    keys = [(bytes(color).hex(), name) for color, name in zip(_levels(divided.table), names, strict=True)]
    total: Counter[tuple[str, str]] = Counter()
    for key, pixels in zip(keys, area.tolist(), strict=True):
        if pixels and key[0] != "ffffff":
            total[key] += pixels
    if not 0 < len(total) <= MOST:
        return [Layer("flats", values, icc)] if total else []
    place = {key: at for at, (key, _) in enumerate(reversed(total.most_common()))}  # the rarest on top
    index = np.array([place.get(key, len(place)) for key in keys], np.uint8)[divided.labels]
    shared = Counter(name for _, name in place)
    titles = {
        (color, name): name if name and shared[name] == 1 else f"{name or 'flat'} #{color}" for color, name in place
    }
    return [Layer(titles[key], values, icc, index, at) for key, at in place.items()]


def _profile(divided: DividedDrawing) -> bytes | None:
    """The drawing's color profile, but a gray one does not fit RGB pixels."""
    return None if divided.drawing.gray else divided.drawing.icc


def _parts(drawing: Picture, at: slice, color: Array, base: Array) -> Iterator[Pixels]:
    """Rows of every layer, (n, W, 4) uint8.

    Of a pixel's coverage (its alpha) the ink has the share that is no paper, and what is below has the rest, so that
    half transparent pixels compose exactly, too.
    """
    old = drawing.pixels[at].astype(np.float32) / drawing.peak
    cover: Array = np.ones(old.shape[:2], np.float32)
    if drawing.alpha is not None:
        cover = np.asarray(drawing.alpha[at] / drawing.peak, np.float32)
    paper = old.min(2)
    line = _rounded(cover * (1 - paper))
    yield _layer((old - paper[..., None]) / (1 - paper).clip(1e-6)[..., None], line)
    below = _rest(cover, line)
    change = color - base
    room = np.where(change > 0, 1 - base, base)
    part = (np.abs(change) / room.clip(1e-6)).max(2).clip(0, 1)
    seen = np.where(np.abs(change).max(2) > SEEN, part, 0)
    least = np.asarray(np.ceil(seen * 255) / 255, np.float32)  # the least alpha that turns the base into the color
    tint = base + change / np.where(least > 0, least, 1)[..., None]
    shade = _rounded(below * least)
    yield _layer(np.asarray(tint.clip(0, 1), np.float32), shade)
    below = _rest(below, shade)
    white = (base == 1).all(2)
    yield _layer(base, np.where(white, 0, below))
    yield _layer(np.ones_like(base), np.where((cover == 1) | white, below, 0))


def _rest(cover: Array, above: Array) -> Array:
    """The alpha that completes a coverage (n, W) below a layer of such an alpha; 1 where all is covered."""
    rest = (cover - above) / (1 - above).clip(1e-6)
    return np.asarray(np.where(cover == 1, 1, rest).clip(0, 1), np.float32)


def _rounded(alpha: Array) -> Array:
    """Alpha in the steps that 8 bits have."""
    return np.asarray(np.rint(alpha * 255) / 255, np.float32)


def _layer(color: Array, alpha: Array) -> Pixels:
    """(n, W, 3) and (n, W) in [0, 1] as (n, W, 4) uint8; nothing where it is transparent."""
    values = np.dstack([np.broadcast_to(color, (*alpha.shape, 3)), alpha])
    levels = np.rint(values.clip(0, 1) * 255).astype(np.uint8)
    return np.asarray(np.where(levels[..., 3:] > 0, levels, 0), np.uint8)


THUMBNAIL = 256  # pixels of the longer side, as the format demands
LONGEST = 30_000  # pixels of a PSD; longer ones need another format, PSB


def write_openraster(layers: Sequence[Layer], merged: Picture, path: Path) -> None:
    """Write layers from top to bottom, all of the size of `merged`, whole or not at all.

    merged: the finished picture, in 8 bits; its texts are kept in the merged image. By the OpenRaster specification
    0.0.3: an uncompressed mimetype comes first, then the stack, the layers, the merged image and a thumbnail. Equal
    layers give equal bytes. Raises ColorizeError for what `files.atomic` refuses.
    """
    whole = merged.eight_bit()
    height, width = whole.size
    image = ElementTree.Element("image", version="0.0.3", w=str(width), h=str(height))
    stack = ElementTree.SubElement(image, "stack")
    shown = {"x": "0", "y": "0", "opacity": "1.0", "visibility": "visible", "composite-op": "svg:src-over"}
    sources = _sources([layer.name for layer in layers])
    for layer, source in zip(layers, sources, strict=True):
        ElementTree.SubElement(stack, "layer", {"name": layer.name, "src": source, **shown})
    ElementTree.indent(image)
    flat, size = whole.on_white(), fit_size(whole.size, THUMBNAIL, enlarge=False)
    small = cv2.resize(flat.pixels, size[::-1], interpolation=cv2.INTER_AREA)
    thumbnail = Picture(np.asarray(small, np.uint8).reshape(*size, -1))
    with files.atomic(path) as temporary, ZipFile(temporary, "w") as archive:
        archive.writestr(ZipInfo("mimetype"), "image/openraster", ZIP_STORED)
        head = ElementTree.tostring(image, encoding="UTF-8", xml_declaration=True)
        archive.writestr(ZipInfo("stack.xml"), head, ZIP_DEFLATED)
        for layer, source in zip(layers, sources, strict=True):
            archive.writestr(ZipInfo(source), encode(layer.picture, ".png"), ZIP_STORED)
        for name, picture in (("mergedimage.png", whole), ("Thumbnails/thumbnail.png", thumbnail)):
            archive.writestr(ZipInfo(name), encode(picture, ".png"), ZIP_STORED)


def _sources(names: Sequence[str]) -> list[str]:
    """The files of layers in the archive: their names in plain letters, told apart by numbers where they are alike."""
    plain = [re.sub(r"[^A-Za-z0-9_]+", "-", name).strip("-") or "layer" for name in names]
    seen: Counter[str] = Counter()
    found = []
    for name in plain:
        seen[name.lower()] += 1
        found.append(f"data/{name}{f'-{seen[name.lower()]}' if seen[name.lower()] > 1 else ''}.png")
    return found


def check_psd_tools() -> None:
    """Raise ColorizeError if psd-tools is not installed; it is not imported yet."""
    if find_spec("psd_tools") is None:
        raise ColorizeError(
            "writing PSD needs the package psd-tools, which is not installed",
            "install it with pip install psd-tools, or write .ora",
        )


def write_photoshop(layers: Sequence[Layer], merged: Picture, path: Path) -> None:
    """Write layers from top to bottom, all of the size of `merged`, whole or not at all.

    merged: the finished picture, to be shown where layers are not understood. All layers blend normally and have 8
    bits; the document has alpha, or psd-tools would make masks of theirs. Raises ColorizeError without psd-tools, for a
    side of more than 30,000 pixels, and for what `files.atomic` refuses.
    """
    check_psd_tools()
    from psd_tools import PSDImage

    if max(merged.size) > LONGEST:
        raise ColorizeError(
            f"PSD has sides of at most {LONGEST} pixels, this one has {max(merged.size)}",
            "write .ora, or scale the drawing down",
        )
    document = PSDImage.frompil(_image(merged.eight_bit()))
    for layer in reversed(layers):
        document.create_pixel_layer(_image(layer.picture), name=layer.name)
    with files.atomic(path) as temporary:
        document.save(temporary)


def _image(picture: Picture) -> Image.Image:
    """The picture for Pillow, always with alpha."""
    image = Image.fromarray(picture.pixels)
    image.putalpha(255 if picture.alpha is None else Image.fromarray(picture.alpha))
    return image
