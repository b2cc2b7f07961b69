"""Regions of a colored drawing: list them, show them as a numbered picture, and give some of them another color."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from colorize.images import ink, layers
from colorize.images.flat_regions import Labels, raised
from colorize.images.flats import closed, lab_of
from colorize.images.image import Picture, Pixels
from colorize.images.layers import DividedDrawing
from colorize.images.resize import Array, fit_size, resized

COARSE = 768  # pixels of the longer side at which regions are found, for a command that answers at once
ALIKE = 6.0  # Lab units; shaded regions whose colors are that near have one flat color
TINTED = 48.0  # of 255; how far the hue of shade may lead a pixel from gray, beside the flat color of its region
EXACT, FLAT = 1.5 / 255, 0.97  # a result is flat if this share of it has the flat color to within this


@dataclass(frozen=True)
class Region:
    """A region of a drawing.

    number: from 1, the largest first. color: "#rrggbb". area: in pixels. box: left, top, right, bottom, of which right
    and bottom lie outside. at: x, y of a pixel inside, far from lines, where a hint can be put. name: of its layer.
    source: what its color comes from, where it is known: names of references, or `hint`.
    """

    number: int
    color: str
    area: int
    box: tuple[int, int, int, int]
    at: tuple[int, int]
    name: str = ""
    source: tuple[str, ...] = ()


def levels(colors: Sequence[str]) -> Pixels:
    """Return colors "#rrggbb" as 8-bit levels, (N, 3)."""
    return np.array([list(bytes.fromhex(one[1:])) for one in colors], np.uint8).reshape(-1, 3)


def find(divided: DividedDrawing) -> tuple[tuple[Region, ...], Labels]:
    """Return the regions of a drawing, the largest first, and the map (H, W) of their numbers."""
    area = np.bincount(divided.labels.ravel(), minlength=len(divided.table))
    order = np.argsort(-area, kind="stable")[: int((area > 0).sum())]
    rank = np.zeros(len(area), np.uint16)
    rank[order] = np.arange(1, len(order) + 1)
    numbers = rank[divided.labels]
    clear = ink.paper_share(divided.drawing, numbers.shape) > 0.5
    inside = np.pad(clear & ~_edges(numbers), 1).astype(np.uint8)
    depth = cv2.distanceTransform(inside, cv2.DIST_L2, 5)[1:-1, 1:-1] + 0.5 * clear
    pixels, flat, width = numbers.ravel().argsort(kind="stable"), depth.ravel(), numbers.shape[1]
    ends = np.cumsum(area[order])
    found = []
    for at, (end, label) in enumerate(zip(ends.tolist(), order.tolist(), strict=True), 1):
        mine = pixels[end - int(area[label]) : end]
        rows, columns = mine // width, mine % width
        box = int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1
        y, x = divmod(int(mine[flat[mine].argmax()]), width)
        color = "#" + bytes(np.rint(divided.table[label] * 255).astype(np.uint8)).hex()
        name = divided.names[label] if divided.names else ""
        found.append(Region(at, color, len(mine), box, (x, y), name))
    return tuple(found), numbers.astype(np.int32)


def _edges(numbers: np.ndarray) -> np.ndarray:
    """Which pixels (H, W) have a neighbor of another number, to the right or below."""
    edges = np.zeros(numbers.shape, bool)
    edges[:-1] |= numbers[:-1] != numbers[1:]
    edges[:, :-1] |= numbers[:, :-1] != numbers[:, 1:]
    return edges


def divide(original: Picture, colored: Picture | None, gaps: float | None = None) -> DividedDrawing:
    """Find the regions of line art and their present colors.

    colored: its result, of the same size; without one all is paper, and regions are what lines close off. gaps: see
    `layers.divide_field`.
    """
    drawing = ink.on_paper(original)
    size = fit_size(drawing.size, COARSE, enlarge=False)
    if colored is not None:
        field = _color_under(drawing, colored, size)
        found = layers.divide_field(drawing, field, gaps=gaps, side=COARSE)
        coarse = cv2.resize(found.labels.astype(np.uint16), size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
        clear = ink.paper_share(drawing, size) > 0.5
        is_flat = np.abs(field - found.table[coarse])[clear].max(1, initial=0) < EXACT
        area = np.bincount(coarse.ravel(), minlength=len(found.table))
        return found if is_flat.sum() >= FLAT * clear.sum() else replace(found, table=_shared(found.table, area))
    gap = None if gaps is None else gaps / max(drawing.size)
    coarse = closed(ink.paper_share(drawing, size), gap)
    labels = raised(coarse, *ink.brightness(drawing, drawing.size))
    table = np.ones((int(labels.max()) + 1, 3), np.float32)
    return DividedDrawing(drawing, np.ones((1, 1, 3), np.float32), labels, table)


def _shared(table: Array, area: np.ndarray) -> Array:
    """Colors (N, 3) in [0, 1] of which those that are alike become one, that of the largest region; not white."""
    lab, kept, found = lab_of(table), list[int](), table.copy()
    for at in np.argsort(-area, kind="stable").tolist():
        near = next((one for one in kept if np.linalg.norm(lab[one] - lab[at]) < ALIKE), at)
        if table[at].min() < 1:
            found[at] = table[near]
            kept += [at] * (near == at)
    return found


def _color_under(drawing: Picture, colored: Picture, size: tuple[int, int]) -> Array:
    """The color under the ink of a result, (h, w, 3) in [0, 1], at a size; what `ink.painted` has laid there."""
    old = np.asarray(drawing.pixels, np.float32) / np.float32(drawing.peak)
    paper: Array = old.min(2, keepdims=True)
    shown = np.broadcast_to(colored.pixels, (*colored.size, 3))  # a gray result, too
    taken: Array = old - np.asarray(shown, np.float32) / np.float32(colored.peak)
    if size != drawing.size:
        taken, paper = (resized(one, size, cv2.INTER_AREA) for one in (taken, paper))
    return np.asarray((1 - taken / paper.clip(1e-3)).clip(0, 1), np.float32)


def recolored(drawing: Picture, colored: Picture, numbers: Labels, old: Pixels, new: Pixels) -> Picture:
    """Return a result in which the color of some regions is shifted from an old flat color to a new one.

    drawing: on paper, see `ink.on_paper`. numbers: (H, W) from 1. old, new: (N, 3) uint8, a row per region. Shade keeps
    its distance from the flat color as far as there is room, ink stays exactly, and so does every pixel of a region of
    which both colors are equal. Of a pixel with another hue, which no shade has, only its light and dark stays.
    """
    changed = np.concatenate([[False], (old != new).any(1)])
    place = np.flatnonzero(changed[numbers.ravel()])
    pixels = np.broadcast_to(colored.pixels, (*colored.size, 3)).copy()
    which, before, peak = numbers.ravel()[place] - 1, pixels.reshape(-1, 3)[place], np.float32(colored.peak)
    own = np.broadcast_to(drawing.pixels, (*drawing.size, 3)).reshape(-1, 3)[place]
    above: Array = own.astype(np.float32) * np.float32(colored.peak / drawing.peak)
    paper = above.min(1, keepdims=True)
    shade = 255 - (above - before) * (255 / paper.clip(1)) - old[which]
    shift = new[which] - old[which].astype(np.float32) - _stray(shade)
    moved = before + shift * (peak / 255) * (paper / peak)
    levels = np.clip(np.rint(moved), np.rint(above - paper), np.rint(above))
    pixels.reshape(-1, 3)[place] = levels.astype(pixels.dtype)
    return replace(colored, pixels=pixels, icc=None if colored.gray else colored.icc)


def _stray(shade: Array) -> Array:
    """What is too much in the hue of shade (n, 3), which is how far pixels lie from a flat color."""
    hue = shade - shade.mean(1, keepdims=True)
    far = np.abs(hue).max(1, keepdims=True)
    return np.asarray(hue * (1 - TINTED / far.clip(TINTED)), np.float32)


def present_colors(drawing: Picture, colored: Picture, numbers: Labels) -> Pixels:
    """The median color (N, 3) uint8 of every region of a result, under the ink; white where all is ink."""
    under = _color_under(drawing, colored, drawing.size).reshape(-1, 3)
    clear = (ink.paper_share(drawing, drawing.size) > 0.5).ravel()
    found = np.ones((int(numbers.max()), 3), np.float32)
    order = numbers.ravel().argsort(kind="stable")
    ends = np.cumsum(np.bincount(numbers.ravel())[1:])
    for at, pixels in enumerate(np.split(order, ends[:-1])):
        if clear[pixels].any():
            found[at] = np.median(under[pixels[clear[pixels]]], 0)
    return np.rint(found * 255).astype(np.uint8)


def with_field(
    drawing: Picture, colored: Picture, numbers: Labels, colors: Pixels, names: Sequence[str]
) -> DividedDrawing:
    """A result divided into known regions, of colors (N, 3) uint8, for its layers."""
    table = np.concatenate([np.ones((1, 3), np.float32), colors.astype(np.float32) / 255])
    field = _color_under(drawing, colored, drawing.size)
    field = np.where(drawing.pixels.min(2)[..., None] > 0, field, table[numbers])
    return DividedDrawing(drawing, np.asarray(field, np.float32), numbers, table, None, ("", *names))


SIDES = (1024, 2048)  # pixels of the longer side of a numbered picture
INKED = 0.35  # how dark the drawing's ink is there
EDGE = 70  # gray level of the borders of regions
SMALLEST, LARGEST = 0.36, 1.0  # OpenCV's font scale; 0.36 gives digits of 8 pixels
FONT = cv2.FONT_HERSHEY_SIMPLEX
MARGIN = 2  # pixels around a number
FAR = 90  # pixels from a region to its number where it has no room for it


def numbered(divided: DividedDrawing, regions: Sequence[Region], numbers: Labels) -> Picture:
    """Return the regions of a drawing in their colors, with thin outlines, faint ink, and their numbers.

    A number that does not fit into its region stands near it, at the end of a line to a dot inside.
    """
    size = fit_size(numbers.shape, min(max(*numbers.shape, SIDES[0]), SIDES[1]))
    scale = max(size) / max(numbers.shape)
    colors = levels([one.color for one in regions])
    where = cv2.resize(numbers.astype(np.uint16), size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    paper = ink.paper_share(divided.drawing, numbers.shape)[..., None]
    paper = resized(paper, size, cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    pixels = np.rint(colors[where - 1] * (1 - INKED * (1 - paper))).astype(np.uint8)
    edges = _edges(where)
    pixels[edges] = np.minimum(pixels[edges], EDGE)
    room = cv2.distanceTransform(np.pad(~edges, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    taken, outside = np.zeros(size, np.uint8), []
    for one in regions:
        depth = np.where(_window(where, one, scale) == one.number, _window(room, one, scale), 0)
        if not depth.size or not depth.max():
            continue
        top, left = (int(one.box[at] * scale) for at in (1, 0))
        y, x = (int(at) for at in np.unravel_index(depth.argmax(), depth.shape))
        if not _written(pixels, taken, one, (left + x, top + y), float(depth[y, x])):
            outside.append((one, (left + x, top + y)))
            taken[max(0, top + y - 2) : top + y + 3, max(0, left + x - 2) : left + x + 3] = 1  # by its dot
    for one, place in outside:
        _written_beside(pixels, taken, one, place)
    return Picture(pixels)


def _window(values: np.ndarray, region: Region, scale: float) -> np.ndarray:
    """The part of a numbered picture that holds a region."""
    left, top, right, bottom = region.box
    return values[int(top * scale) : math.ceil(bottom * scale), int(left * scale) : math.ceil(right * scale)]


def _extent(text: str, scale: float) -> tuple[int, int]:
    """Width and height of a number in pixels, with its margin."""
    (width, height), _ = cv2.getTextSize(text, FONT, scale, 1)
    return width + 2 * MARGIN, height + 2 * MARGIN


def _written(pixels: Pixels, taken: Pixels, region: Region, middle: tuple[int, int], room: float) -> bool:
    """Write a number around the middle of its region, as large as there is room for; return whether there is."""
    text = str(region.number)
    width, height = _extent(text, 1.0)
    scale = min(LARGEST, 2 * room / math.hypot(width, height))
    if scale < SMALLEST:
        return False
    red, green, blue = levels([region.color])[0].tolist()
    ink_color = 0 if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 110 else 255
    _put(pixels, taken, text, middle, scale, (ink_color,) * 3)
    return True


def _put(
    pixels: Pixels, taken: Pixels, text: str, middle: tuple[int, int], scale: float, color: tuple[int, ...]
) -> None:
    """Draw a number around a place, and mark the place as taken."""
    width, height = _extent(text, scale)
    left, top = middle[0] - width // 2, middle[1] - height // 2
    cv2.putText(pixels, text, (left + MARGIN, top + height - MARGIN), FONT, scale, color, 1, cv2.LINE_AA)
    taken[max(0, top) : top + height, max(0, left) : left + width] = 1


def _around(middle: tuple[int, int], least: int) -> Iterator[tuple[int, int]]:
    """Places around one, the near ones first."""
    for radius in range(least, FAR, 8):
        for step in range(16):
            angle = step * math.pi / 8 + math.pi / 4
            yield middle[0] + round(radius * math.cos(angle)), middle[1] - round(radius * math.sin(angle))


def _written_beside(pixels: Pixels, taken: Pixels, region: Region, place: tuple[int, int]) -> None:
    """Write a number on a white label in a free place near its region; only a dot where there is none."""
    text = str(region.number)
    width, height = _extent(text, SMALLEST)
    for x, y in _around(place, height):
        left, top = x - width // 2, y - height // 2
        spot = taken[max(top, 0) : top + height, max(left, 0) : left + width]
        if spot.shape == (height, width) and not spot.any():
            cv2.line(pixels, place, (x, y), (EDGE,) * 3, 1, cv2.LINE_AA)
            cv2.rectangle(pixels, (left, top), (left + width - 1, top + height - 1), (255,) * 3, cv2.FILLED)
            cv2.rectangle(pixels, (left, top), (left + width - 1, top + height - 1), (EDGE + 80,) * 3, 1)
            _put(pixels, taken, text, (x, y), SMALLEST, (0, 0, 0))
            break
    cv2.circle(pixels, place, 1, (0, 0, 0), cv2.FILLED)
