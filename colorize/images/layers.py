"""Divide a colored drawing into layers that compose to it, and write them as OpenRaster or PSD, regions as JSON.

Layers are line, shade, one per flat color, and paper. OpenRaster is for Krita, GIMP and MyPaint.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from colorize.errors import ColorizeError
from colorize.images import files, finish
from colorize.images.color import lab_of
from colorize.images.encode import encode
from colorize.images.finish import HintPixels
from colorize.images.flat_regions import Labels, flats, grown
from colorize.images.image import Picture, Pixels
from colorize.images.resize import Array, fit_size, resized

FEW = 160  # colors; a flat answer of more was not chosen from given ones
ALIKE = 6.0  # CIE76; a chosen color so near to a hint's is the hint's
MOST = 32  # flat colors that get a layer each
SEEN = 0.5 / 255  # a smaller difference from the flat color is no shade


@dataclass(frozen=True)
class DividedDrawing:
    """A drawing and the colors under its ink.

    drawing: on paper, see `finish.onto`. field: (h, w, 3) in [0, 1], the model's colors. labels: (H, W), the region of
    each pixel of the drawing. table: (N, 3) in [0, 1], the flat color of each region, in steps of 1/255. exact: pixels
    of the drawing that have a color of their own.
    """

    drawing: Picture
    field: Array
    labels: Labels
    table: Array
    exact: HintPixels | None = None

    def shaded(self) -> Iterator[tuple[slice, Array]]:
        """The model's colors, some rows at a time, see `finish.strips`."""
        return finish.colored_strips(self.field, self.drawing.size, self.exact)


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
) -> DividedDrawing:
    """Find the regions of line art and a flat color for each.

    color, inked: as `finish.onto` takes them. hints: (1, 4, h, w), RGB and a mask in [-1, 1], the user's, whose colors
    win in their regions. exact: as `finish.onto` takes it. flat: the colors without shade, where they are known, of
    which each region takes one. Regions are found at a longer side of at most 1024 pixels and brought up along the
    lines.
    """
    drawing = finish.on_paper(original)
    field = finish.under(drawing, color, inked)
    size = fit_size(drawing.size, 1024, enlarge=False)  # pixels of the longer side at which regions are found
    plain = field if flat is None or flat is color else finish.under(drawing, flat, inked)
    marks = None
    if hints is not None:
        near = F.interpolate(hints.detach().cpu().float(), size, mode="nearest-exact")[0].permute(1, 2, 0).numpy()
        marks = np.concatenate([near[..., :3] / 2 + 0.5, near[..., 3:]], 2)
    coarse, colors = flats(resized(plain, size, cv2.INTER_AREA), finish.paper_share(drawing, size), marks)
    labels = raised(coarse, finish.paper_share(drawing, drawing.size))
    if flat is not None and flat is not color:
        colors = _snapped(colors, flat, marks)
    if exact is not None:
        labels, colors = exact.obeyed(labels, colors)
    table = np.asarray(np.rint(colors * 255) / 255, np.float32)
    return DividedDrawing(drawing, field, labels, table, exact)


def _snapped(table: Array, flat: Tensor, marks: Array | None) -> Array:
    """Take for each color (N, 3) in [0, 1] the nearest one that the model chose or the user hinted.

    Medians of small regions mix the colors around them. A chosen color that a hint's is hardly different from gives way
    to it. If the model did not choose from a few colors, the table stays.
    """
    chosen = torch.unique(((flat.detach().cpu().float()[0].flatten(1).T / 2 + 0.5) * 255).round(), dim=0) / 255
    if len(chosen) > FEW:
        return table
    known = torch.cat([chosen, torch.ones(1, 3)])
    if marks is not None and (marks[..., 3] > 0).any():
        hinted = torch.unique(torch.from_numpy(marks[marks[..., 3] > 0][:, :3]), dim=0)
        away = torch.cdist(lab_of(known * 2 - 1), lab_of(hinted * 2 - 1)).amin(1)
        known = torch.cat([known[away > ALIKE], hinted])
    colors = torch.from_numpy(np.asarray(table, np.float32))
    nearest = torch.cdist(lab_of(colors * 2 - 1), lab_of(known * 2 - 1)).argmin(1)
    return np.asarray(known[nearest].numpy(), np.float32)


def merged(divided: DividedDrawing, flat: bool) -> Picture:
    """Return the drawing in the model's colors, or in flat ones; what `finish.onto` says of it holds."""
    plain = ((at, divided.table[divided.labels[at]]) for at in finish.row_strips(divided.labels.shape))
    pixels = finish.painted(divided.drawing, plain if flat else divided.shaded())
    return replace(divided.drawing, pixels=pixels, icc=_profile(divided))


def layers(divided: DividedDrawing, flat: bool) -> tuple[Layer, ...]:
    """Return the layers from top to bottom: line, shade (if not `flat`), flat colors, paper.

    line: black, or the color of colored ink, with alpha. shade: what the model's colors differ from the flats by, in
    the strongest colors with the least alpha, mostly black and white. flat colors: a layer each, such as `flat
    #c81414`, the rarest on top; one layer `flats` where there are more than 32; transparent where they are white.
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
    """The layer of flats, a color each if there are not too many."""
    area = np.bincount(divided.labels.ravel(), minlength=len(divided.table))
    used = area > 0
    colors, of = np.unique(np.rint(divided.table[used] * 255).astype(np.uint8), axis=0, return_inverse=True)
    total = np.bincount(of.ravel(), area[used])
    shown = [at for at in np.argsort(total, kind="stable") if (colors[at] < 255).any()]
    if len(shown) > MOST:
        return [Layer("flats", values, icc)]
    of_region = np.zeros(len(divided.table), np.uint8)
    of_region[used] = of.ravel()
    index = of_region[divided.labels]
    return [Layer(f"flat #{bytes(colors[at]).hex()}", values, icc, index, int(at)) for at in shown]


def regions(divided: DividedDrawing) -> tuple[list[dict[str, object]], Labels]:
    """Return the regions of a drawing, the largest first, and the map (H, W) of their numbers, from 1.

    Of each: `number`, `color` as "#rrggbb", `area` in pixels, `box` as [left, top, right, bottom] with right and bottom
    outside, and `at`, [x, y] of a pixel inside, far from lines, where a hint can be put.
    """
    from skimage.measure import regionprops

    names, where, area = np.unique(divided.labels, return_inverse=True, return_counts=True)
    order = np.argsort(-area, kind="stable")
    rank = np.empty(len(names), np.int32)
    rank[order] = np.arange(1, len(names) + 1)
    numbers = rank[where].reshape(divided.labels.shape)
    paper = finish.paper_share(divided.drawing, divided.drawing.size) > 0.5
    found: list[dict[str, object]] = []
    for one in regionprops(numbers):
        top, left, bottom, right = one.bbox
        clear = one.image & paper[one.slice]
        depth = cv2.distanceTransform(np.pad(clear if clear.any() else one.image, 1).astype(np.uint8), cv2.DIST_L2, 5)
        y, x = np.unravel_index(depth.argmax(), depth.shape)
        color = bytes(np.rint(divided.table[names[order[one.label - 1]]] * 255).astype(np.uint8)).hex()
        place = {"box": [left, top, right, bottom], "at": [int(left + x - 1), int(top + y - 1)]}
        found.append({"number": one.label, "color": f"#{color}", "area": int(one.area), **place})
    return found, numbers


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
    ink = _rounded(cover * (1 - paper))
    yield _layer((old - paper[..., None]) / (1 - paper).clip(1e-6)[..., None], ink)
    below = _rest(cover, ink)
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


LEVELS = (0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)  # shares of paper, filled in this order
STEPS = 2  # pixels that labels advance at every level but the first
SMOOTH = 5  # pixels a side of the majority at every doubling: no stairs where no line hides them
CLEAR = 5  # pixels a side of a small drawing around a place that is far from ink


def raised(labels: Labels, paper: Array) -> Labels:
    """Return labels at the size of the paper, none of them 0, that change under the lines only.

    labels: (h, w), 0 on ink, as many as 65535. paper: (H, W) in [0, 1], not smaller, 1 without ink. Sure pixels take
    the label of their place. The others are reached from them, bright pixels before dark ones, so that two regions meet
    where the line between them is darkest. Where regions meet on open paper, the border between them is smooth.
    """
    size, plain, square = paper.shape, grown(labels).astype(np.uint16), np.ones((3, 3), np.uint8)
    far = ~cv2.dilate((labels == 0).astype(np.uint8), np.ones((CLEAR, CLEAR), np.uint8)).astype(bool)
    start = np.where(_nearest(far, size), _doubled(plain, size), _nearest(plain, size))
    values = labels.astype(np.float32)  # sure: all around is of one region; or the best there is
    inner = (cv2.erode(values, square) == cv2.dilate(values, square)) & (labels > 0)
    sure = inner | ((labels > 0) & ~cv2.dilate(inner.astype(np.uint8), square).astype(bool))
    start[~(_nearest(sure | far, size) & (paper >= LEVELS[0]))] = 0
    steps = 2 * round(max(size) / max(labels.shape)) + 2
    for level in LEVELS:
        for _ in range(steps):
            start = np.where((start == 0) & (paper >= level), cv2.dilate(start, square), start)
        steps = STEPS
    full = grown(start.astype(np.int32))
    return full if full.any() else np.ones_like(full)


def _nearest(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Values at another size, each pixel that of its place."""
    kind = values.astype(np.uint8) if values.dtype == bool else values
    result = cv2.resize(kind, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    return result.astype(values.dtype)


def _doubled(labels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Labels enlarged by doublings, each followed by the median, which is the majority of two."""
    while max(labels.shape) < max(size):
        scale = min(2.0, max(size) / max(labels.shape))
        now = tuple(min(full, round(side * scale)) for side, full in zip(labels.shape, size, strict=True))
        now = size if scale < 2 else now
        labels = cv2.medianBlur(_nearest(labels, (now[0], now[1])), SMOOTH)
    return _nearest(labels, size)


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
    sources = [f"data/{layer.name.replace(' #', '-')}.png" for layer in layers]
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


def map_of(path: Path) -> Path:
    """The file of the map that belongs to a file of regions."""
    return path.with_suffix(".regions.png")


def write_regions(regions: Sequence[Mapping[str, object]], numbers: Labels, path: Path) -> None:
    """Write regions, see `layers.regions`, as JSON, and beside it their map: a 16-bit gray PNG of their numbers.

    Raises ColorizeError for what `files.atomic` refuses.
    """
    height, width = numbers.shape
    with files.atomic(map_of(path)) as temporary:
        temporary.write_bytes(encode(Picture(numbers[..., None].astype(np.uint16)), ".png"))
    head = json.dumps({"width": width, "height": height, "map": map_of(path).name}, ensure_ascii=False)
    rows = ",\n  ".join(json.dumps(region, ensure_ascii=False) for region in regions)
    with files.atomic(path) as temporary:
        temporary.write_text(f'{head[:-1]}, "regions": [\n  {rows}\n]}}\n', "utf-8")
