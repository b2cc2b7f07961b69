"""Read color hints from a transparent picture, JSON, or a painted copy of the drawing, and resize hint maps."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from typing import TypeGuard

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from colorize.errors import ColorizeError, nearest
from colorize.images import color_hints, flat_regions, ink
from colorize.images.color_hints import ColorHint
from colorize.images.color_names import parse_color
from colorize.images.image import Picture
from colorize.images.metadata import MARK
from colorize.images.resize import Array, fit_size, resized

POINT = ("x", "y", "color", "radius")
STROKE = ("points", "color", "width", "radius")
FAR = 1e9  # pixels
EXAMPLE = 'an example: {"points": [{"x": 40, "y": 25, "color": "#d02030", "radius": 3}]}'
SAVE = "save the hints as a PNG that is transparent except for the hints"


def parse(source: np.ndarray | str, size: tuple[int, int]) -> Tensor:
    """Return the hint map (1, 4, H, W) of a user's hints for a drawing of `size` (height, width).

    source: RGBA pixels (h, w, 4), uint8 or uint16, whose pixels are hints where they are more than half opaque; another
    size is resized if its proportions are the drawing's. Or JSON text: {"points": [{"x", "y", "color": "#rrggbb",
    "radius"}], "strokes": [{"points": [[x, y], ...], "color", "radius"}]}, in pixels of the drawing from its upper left
    corner; strokes may have a "width" instead of the radius, and both may be left out. Later hints lie on top, strokes
    above points.

    Raises ColorizeError for text that is not such JSON, for colors that are not hex, for hints outside the drawing, for
    pictures of other proportions, and if there is no hint at all.
    """
    if isinstance(source, str):
        return _from_json(source, size)
    if source.ndim != 3 or source.shape[2] != 4:
        raise ColorizeError("the hints have no transparency", SAVE)
    check_size(source.shape[:2], size)
    share = torch.from_numpy(source.astype(np.float32) / np.iinfo(source.dtype).max)
    held = share[..., 3] > 0.5
    if not bool(held.any()):
        raise ColorizeError("the hints are transparent everywhere: there is no hint", SAVE)
    if bool(held.all()):
        raise ColorizeError("the hints are opaque everywhere: they would hide the drawing", SAVE)
    return resize(color_hints.hint_map(share[..., :3] * 2 - 1, held), size)


def resize(hints: Tensor, size: tuple[int, int]) -> Tensor:
    """Hint map at another size: no hint is lost, and no color is mixed with the emptiness around.

    hints: (B, 4, H, W). size: (height, width). Shrinking takes the mean of the hinted pixels of a cell; a cell is
    hinted if a tenth of it is, or if no neighbor holds more of the hint.
    """
    if size == tuple(hints.shape[-2:]):
        return hints
    held = (hints[:, 3:] > 0).to(hints)
    if size[0] > hints.shape[-2] or size[1] > hints.shape[-1]:
        return F.interpolate(hints, size=size, mode="nearest-exact")
    share = F.interpolate(held, size=size, mode="area")
    mean = F.interpolate(hints[:, :3] * held, size=size, mode="area") / share.clamp(min=1e-9)
    most = share >= F.max_pool2d(share, 3, 1, 1)
    kept = (share > 0.1) | (most & (share > 0))
    return torch.cat((torch.where(kept, mean, 0.0), kept * 2.0 - 1), 1)


def check_size(found: tuple[int, ...], size: tuple[int, int]) -> None:
    """Refuse a picture of hints (height, width) whose proportions are not those of the drawing."""
    height, width = found
    if not _fits(found, size):
        raise ColorizeError(
            f"the hints are {width} x {height} pixels, the drawing is {size[1]} x {size[0]}",
            "paint the hints on a layer above the drawing and save that layer at the same size",
        )


def _fits(found: tuple[int, ...], size: tuple[int, int]) -> bool:
    return abs(math.log(found[1] * size[0] / (found[0] * size[1]))) <= 0.02


def _from_json(text: str, size: tuple[int, int]) -> Tensor:
    """Hint map of JSON text."""
    try:
        given = json.loads(text)
    except json.JSONDecodeError as error:
        where = f"in line {error.lineno}, column {error.colno}"
        raise ColorizeError(f"the hints are not valid JSON: {error.msg} {where}", EXAMPLE) from error
    except (ValueError, RecursionError) as error:
        raise ColorizeError("the hints have a number that is too long, or too many brackets", EXAMPLE) from error
    if not isinstance(given, dict):
        raise ColorizeError(f"the hints are a JSON {type(given).__name__}, not an object", EXAMPLE)
    _check_keys("the hints", given, ("points", "strokes"))
    points, strokes = given.get("points", []), given.get("strokes", [])
    if not isinstance(points, list) or not isinstance(strokes, list):
        raise ColorizeError("`points` and `strokes` of the hints must be lists", EXAMPLE)
    if not points and not strokes:
        raise ColorizeError("the hints contain no points or strokes", EXAMPLE)
    found = [_hint(f"point {number}", one, POINT) for number, one in enumerate(points, 1)]
    found += [_hint(f"stroke {number}", one, STROKE) for number, one in enumerate(strokes, 1)]
    return color_hints.draw(found, size)


def _hint(name: str, value: object, keys: Sequence[str]) -> ColorHint:
    """The hint of one point or stroke."""
    given = _check_keys(name, value, keys)
    pairs = given.get("points") if keys == STROKE else [(given.get("x"), given.get("y"))]
    if not isinstance(pairs, list) or not pairs:
        raise ColorizeError(f"{name} has no points", EXAMPLE)
    for pair in pairs:
        if not isinstance(pair, list | tuple) or list(map(_is_number, pair)) != [True, True]:
            raise ColorizeError(f"{name} needs a place x, y, not `{pair}`", EXAMPLE)
    half = {}
    for key, share in (("width", 0.5), ("radius", 1.0)):
        number = given.get(key, 1)
        if not _is_number(number) or not 0 < number < math.inf:
            raise ColorizeError(f"the {key} of {name} is `{number}`, not a positive number of pixels", EXAMPLE)
        half[key] = share * number if key in given else None
    radius = half["width"] if half["radius"] is None else half["radius"]
    value = given.get("color")
    try:
        color = parse_color(value if isinstance(value, str) else "", name)
    except ColorizeError:
        advice = "write #rrggbb, such as #d02030, or a name: orange"
        raise ColorizeError(f"the color of {name} is `{value}`", advice) from None
    places = tuple((float(x), float(y)) for x, y in pairs)
    return ColorHint(name, places, tuple(level / 127.5 - 1 for level in color), radius)


def _is_number(value: object) -> TypeGuard[int | float]:
    """Whether a value of JSON is a number, and no whole one that is too large for a float."""
    return type(value) is float or (type(value) is int and abs(value) <= sys.float_info.max)


def _check_keys(name: str, given: object, keys: Sequence[str]) -> Mapping[str, object]:
    """Return the JSON object if it has none but known keys."""
    if not isinstance(given, dict):
        raise ColorizeError(f"{name} is `{given}`, not an object with {', '.join(keys)}", EXAMPLE)
    for key in given:
        if key not in keys:
            raise ColorizeError(f"{name} has an unknown key `{key}`", nearest(key, keys))
    return given


MERGED_SURE = 0.3  # of 2.0: JPEG of quality 75 changes no pixel of a drawing by so much
PERHAPS = 0.15  # of 2.0: changes so large belong to a hint where they touch a sure one
MERGED_SPECK = 4  # pixels; fewer together are noise


def from_painted(merged: Tensor, drawing: Tensor) -> Tensor:
    """Return the hint map (1, 4, H, W) of a drawing with hints painted over it.

    merged, drawing: (1, 3, H, W) in [-1, 1]. Pixels that differ from the drawing are hints of the color they have;
    where a hint has the drawing's own color it cannot be seen. Noise of JPEG is no hint.
    """
    apart = (merged - drawing).abs().amax(1)[0].cpu().numpy()  # (H, W)
    perhaps = (apart > PERHAPS).astype(np.uint8)
    count, labels = cv2.connectedComponents(perhaps, connectivity=8)
    sizes = np.bincount(labels.ravel(), minlength=count)
    sure = np.bincount(labels.ravel(), (apart > MERGED_SURE).ravel(), minlength=count)
    kept = (sizes >= MERGED_SPECK) & (sure >= MERGED_SPECK / 2)
    kept[0] = False  # what does not differ
    mask = torch.from_numpy(kept[labels]).to(merged.device)[None, None]
    return torch.where(mask, torch.cat([merged, torch.ones_like(merged[:, :1])], 1), color_hints.blank(merged))


NEAR = 2  # pixels around one whose colors its copy may have: JPEG and scaling blur lines
NOISE = 0.12  # of [0, 1], the largest channel; JPEG alone changes paper near lines by less
LEAST = 0.03  # the same for a copy without loss, whose unpainted pixels are the drawing's own
LOSSLESS = 0.5  # of the pixels beside lines; more of them are the drawing's own in a copy without loss
CORE = 0.92  # of the largest difference nearby; less is the soft edge of a stroke
SOFT = 1 / 96  # width of soft edges, as a share of the shorter side
SPECK = 6  # pixels; smaller differences are noise
SURE = 0.2  # of [0, 1]; a stroke differs by this at some pixel
SURELY = 200  # pixels; a stroke of more may be paler
EDGE = 0.2  # of [0, 1]; lines and outlines are stronger edges
EDGES = 0.05  # share of the picture that counts as its edges at least
CLEAR = 0.9  # share of paper of a pixel without ink
PAINTED = 0.5  # of a region; where more is painted, all of it is
EVEN = 0.1  # of [0, 1]; colors in a region that differ by less are one color and the noise of JPEG
COLORED = 0.92  # in [0, 1]; paper has no darker channel
OWN = 0.1  # of the colors in a picture; a result shows at least so much of what the program chose
MOSTLY, COVERED = 0.7, 0.9  # of what the program colors; a result, or a layer of its flats, colors more of that
FULL, SLIGHT = 0.05, 0.05  # of a picture that may be a result, so much has more than so much of a tint


def parse_copy(copy: Picture, drawing: Picture, lined: bool = True) -> Tensor:
    """Return the hint map (1, 4, H, W) of a drawing from a copy of it that was painted over.

    The copy may be of another size, if its proportions are the drawing's, may have been saved as a JPEG, and painted
    with soft brushes. What is as light as the drawing and as gray is no hint, nor is the drawing's own ink. lined: the
    drawing is line art; a region that is mostly painted is then hinted up to its lines. Raises ColorizeError for other
    proportions, if nothing differs, and if the picture is no copy of the drawing.
    """
    check_size(copy.size, drawing.size)
    own, painted = _values(drawing), _sized(_values(copy), drawing.size)
    near = _blur(copy, drawing)
    _check_copy(painted, _sized(_sized(own, copy.size), drawing.size), near)
    apart, lossy = _apart(painted, own, near)
    held = _cores(np.asarray(np.where(apart > (NOISE if lossy else LEAST), apart, 0), np.float32), lossy)
    if not held.any():
        raise ColorizeError(
            "the hints do not differ from the drawing: nothing was painted over it",
            "paint on a copy of the drawing in strong colors, or on a transparent layer above it",
        )
    labels, clear = _regions(drawing) if lined else (None, held)
    return _hinted(painted, held, labels, clear, lossy)


def is_full(copy: Picture, drawing: Picture) -> bool:
    """Return whether so much of a drawing has a color in a picture or a layer that it may be a result, corrected."""
    if not _fits(copy.size, drawing.size):
        return False
    colored = _opaque(copy, drawing.size) & (_chroma(_sized(_values(copy), drawing.size)) > SLIGHT)
    return MARK in copy.text or float(colored.mean()) > FULL


def corrections(
    copy: Picture, drawing: Picture, results: Sequence[Picture], lined: bool = True
) -> tuple[Tensor | None, Tensor] | None:
    """Return hint maps (1, 4, H, W) of a result, or of a layer of its flats: of what was repainted, and of the rest.

    results: what the program made of the drawing by itself, of its size. A region with any pixel that is in none of
    them was repainted, all of it; of a gray picture (not `lined`) only those pixels were. There may be no such region.
    None in place of the first map if nearly everything is repainted; the rest is then the white paper. Returns None if
    little of what the program colors has a color in the copy.
    """
    painted, there = _sized(_values(copy), drawing.size), _opaque(copy, drawing.size)
    labels, clear = _regions(drawing) if lined else (None, np.ones(drawing.size, bool))
    seen = clear & there
    made = [_values(result) for result in results]
    away = [_apart(painted, one, _blur(copy, drawing)) for one in made]
    colored = seen & (_least(painted) < COLORED)
    covered = max((float(colored[clear & (_least(one) < COLORED)].mean()) for one in made), default=0.0)
    if not covered >= (MOSTLY if copy.alpha is None else COVERED):  # there may be no color at all
        return None
    lossy = all(worn for _, worn in away)
    differ = np.min([apart for apart, _ in away], 0) > (NOISE if lossy else LEAST)
    rgb = torch.from_numpy(painted * 2 - 1)
    if float((~differ)[colored].mean()) < OWN:
        return None, color_hints.hint_map(rgb, torch.from_numpy(clear & ~colored))
    held = _touched(differ & seen, lossy)
    if labels is not None:
        held = seen & np.isin(labels, np.unique(labels[held]))
    kept, rest = (color_hints.hint_map(rgb, torch.from_numpy(mask)) for mask in (held, clear & ~held))
    return kept, rest


def _touched(differ: np.ndarray, lossy: bool) -> np.ndarray:
    """The pixels that differ by more than noise: (H, W) bool."""
    size = 3 if lossy else 1
    found = cv2.morphologyEx(differ.astype(np.uint8), cv2.MORPH_OPEN, np.ones((size, size), np.uint8))
    _, pieces, stats, _ = cv2.connectedComponentsWithStats(found, connectivity=8)
    large = stats[:, cv2.CC_STAT_AREA] >= SPECK * (4 if lossy else 1)
    large[0] = False
    return np.asarray(large[pieces])


def in_regions(hints: Tensor, drawing: Picture) -> np.ndarray:
    """Return which pixels (H, W) are hinted in a hint map (1, 4, H, W), in regions of line art that mostly are."""
    held = (hints[0, 3] > 0).numpy()
    labels, clear = _regions(drawing)
    return np.asarray(held & _mostly(held, labels, clear)[labels])


def _mostly(held: np.ndarray, labels: np.ndarray, clear: np.ndarray) -> np.ndarray:
    """Which regions, by number, are mostly painted: (N,) bool."""
    area, some = (np.bincount(labels[mask], minlength=int(labels.max()) + 1) for mask in (clear, clear & held))
    return np.asarray(some > PAINTED * area)


def _values(picture: Picture) -> Array:
    """A picture on white, (H, W, 3) in [0, 1]."""
    flat = picture.on_white()
    return np.ascontiguousarray(np.broadcast_to(flat.pixels, (*flat.size, 3)) / np.float32(flat.peak), np.float32)


def _most(values: Array) -> Array:
    """The largest of the three channels, (H, W); many times as fast as `max`."""
    return np.maximum(np.maximum(values[..., 0], values[..., 1]), values[..., 2])


def _least(values: Array) -> Array:
    return np.minimum(np.minimum(values[..., 0], values[..., 1]), values[..., 2])


def _chroma(values: Array) -> Array:
    return _most(values) - _least(values)


def _opaque(picture: Picture, size: tuple[int, int]) -> np.ndarray:
    """Where a picture is more than half opaque, at another size (H, W)."""
    if picture.alpha is None:
        return np.ones(size, bool)
    return np.asarray(cv2.resize(picture.alpha, size[::-1], interpolation=cv2.INTER_NEAREST) > picture.peak // 2)


def _blur(copy: Picture, drawing: Picture) -> int:
    """How far around a pixel its copy may have its color from."""
    return NEAR + round(max(drawing.size[0] / copy.size[0], copy.size[0] / drawing.size[0]) - 1)


def _regions(drawing: Picture) -> tuple[np.ndarray, np.ndarray]:
    """The regions of line art, (H, W) from 1, and its pixels without ink."""
    size = fit_size(drawing.size, 1024, enlarge=False)
    paper = ink.paper_share(drawing, size) >= CLEAR
    labels = flat_regions.grown(flat_regions.trapped(paper))
    full = cv2.resize(labels.astype(np.float32), drawing.size[::-1], interpolation=cv2.INTER_NEAREST)
    return full.astype(np.int32), ink.paper_share(drawing, drawing.size) >= CLEAR


def _apart(painted: Array, own: Array, near: int) -> tuple[Array, bool]:
    """How far a copy is from all the colors around in its original, (H, W), and whether it was saved with loss.

    It was if few pixels beside lines, where nothing was painted, are as they were.
    """
    square = np.ones((2 * near + 1, 2 * near + 1), np.uint8)
    low, high = cv2.erode(own, square), cv2.dilate(own, square)
    tinted = _chroma(painted) - cv2.dilate(_chroma(own), square)  # color that gray lines do not hide
    apart = np.asarray(np.maximum(_most(np.maximum(low - painted, painted - high)), tinted), np.float32)
    steep = (_most(high - low) > EDGE) & (apart < NOISE)
    same = _most(np.abs(painted - own)) < 1e-4
    return apart, bool(steep.any()) and float(same[steep].mean()) < LOSSLESS


def _hinted(painted: Array, held: np.ndarray, labels: np.ndarray | None, clear: np.ndarray, lossy: bool) -> Tensor:
    """The hint map of painted pixels; regions that are mostly painted are hinted wholly, JPEG's noise is evened out."""
    if labels is not None:
        whole = held | (clear & _mostly(held, labels, clear)[labels])
        painted = painted.reshape(-1, 3)[flat_regions.nearest_region(held)]
        held = whole
        if lossy:
            _even_out(painted, np.flatnonzero(held), labels.ravel())
    return color_hints.hint_map(torch.from_numpy(painted * 2 - 1), torch.from_numpy(held))


def _even_out(painted: Array, place: np.ndarray, labels: np.ndarray) -> None:
    """Give painted pixels (N,) of each region their median color if they hardly differ from it."""
    place = place[np.argsort(labels[place], kind="stable")]
    flat = painted.reshape(-1, 3)
    for mine in np.split(place, np.flatnonzero(np.diff(labels[place])) + 1):
        middle = np.median(flat[mine], 0)
        if np.quantile(np.abs(flat[mine] - middle).max(1), 0.9) < EVEN:
            flat[mine] = middle


def _sized(picture: Array, size: tuple[int, int]) -> Array:
    """A picture (h, w, 3) at another size (H, W, 3)."""
    how = cv2.INTER_AREA if picture.shape[0] > size[0] else cv2.INTER_LINEAR
    return picture if picture.shape[:2] == size else resized(picture, size, how)


def _check_copy(painted: Array, own: Array, near: int) -> None:
    """Refuse a picture that does not show the edges of the drawing, seen as sharply as the picture is."""
    strength = _range(own, 1)
    strong = strength > min(EDGE, float(np.quantile(strength, 1 - EDGES)))
    found = float((_range(painted, near)[strong] > strength[strong] / 2).mean()) if strong.any() else 1
    if found < 0.6:  # share of its edges that a copy of the drawing still shows; others show less than half
        raise ColorizeError(
            "the hints differ from the drawing nearly everywhere:"
            f" only {100 * found:.0f} % of its lines and outlines are in them",
            "give a copy of this drawing, painted over, or a PNG that is transparent except for the hints",
        )


def _range(picture: Array, near: int) -> Array:
    """How far brightness changes around each pixel: (H, W) in [0, 1]."""
    light, square = picture.mean(2), np.ones((2 * near + 1, 2 * near + 1), np.uint8)
    return np.asarray(cv2.dilate(light, square) - cv2.erode(light, square), np.float32)


def _cores(apart: Array, lossy: bool) -> np.ndarray:
    """The pixels (H, W) that show the full color of a stroke: neither its soft edge, nor noise."""
    wide = 2 * max(2, round(SOFT * min(apart.shape))) + 1
    calm = cv2.medianBlur(apart, 5) if lossy else apart  # JPEG makes pixels differ here and there
    most = cv2.dilate(calm, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (wide, wide)))
    core = ((apart > 0) & (calm > 0) & (calm >= CORE * most)).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(core, connectivity=8)
    strongest = np.zeros(count, np.float32)
    np.maximum.at(strongest, np.asarray(labels.ravel(), np.intp), apart.ravel())
    area = stats[:, cv2.CC_STAT_AREA]
    kept = (area >= SPECK) & ((strongest > SURE) | (area > SURELY))
    kept[0] = False
    return np.asarray(kept[labels], bool)
