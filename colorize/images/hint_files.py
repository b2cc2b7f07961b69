"""Read color hints from a transparent picture, JSON, or a painted copy of the drawing, and resize hint maps."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from colorize.errors import ColorizeError, nearest
from colorize.images import color_hints, palettes
from colorize.images.color_hints import ColorHint
from colorize.images.image import Picture
from colorize.images.resize import Array, resized

POINT = ("x", "y", "color", "radius")
STROKE = ("points", "color", "width", "radius")
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
    if abs(math.log(width * size[0] / (height * size[1]))) > 0.02:
        raise ColorizeError(
            f"the hints are {width} x {height} pixels, the drawing is {size[1]} x {size[0]}",
            "paint the hints on a layer above the drawing and save that layer at the same size",
        )


def _from_json(text: str, size: tuple[int, int]) -> Tensor:
    """Hint map of JSON text."""
    try:
        given = json.loads(text)
    except json.JSONDecodeError as error:
        where = f"in line {error.lineno}, column {error.colno}"
        raise ColorizeError(f"the hints are not valid JSON: {error.msg} {where}", EXAMPLE) from error
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
        if not isinstance(pair, list | tuple) or [type(one) in (int, float) for one in pair] != [True, True]:
            raise ColorizeError(f"{name} needs a place x, y, not `{pair}`", EXAMPLE)
    half = {}
    for key, share in (("width", 0.5), ("radius", 1.0)):
        number = given.get(key, 1)
        if not isinstance(number, int | float) or not 0 < number < math.inf:
            raise ColorizeError(f"the {key} of {name} is `{number}`, not a positive number of pixels", EXAMPLE)
        half[key] = share * number if key in given else None
    radius = half["width"] if half["radius"] is None else half["radius"]
    value = given.get("color")
    try:
        color = palettes.parse_color(value if isinstance(value, str) else "", name)
    except ColorizeError:
        advice = "write #rrggbb, such as #d02030, or a name: orange"
        raise ColorizeError(f"the color of {name} is `{value}`", advice) from None
    places = tuple((float(x), float(y)) for x, y in pairs)
    return ColorHint(name, places, tuple(level / 127.5 - 1 for level in color), radius)


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
CORE = 0.92  # of the largest difference nearby; less is the soft edge of a stroke
SOFT = 1 / 96  # width of soft edges, as a share of the shorter side
SPECK = 6  # pixels; smaller differences are noise
EDGE = 0.2  # of [0, 1]; lines and outlines are stronger edges
EDGES = 0.05  # share of the picture that counts as its edges at least


def parse_copy(copy: Picture, drawing: Picture) -> Tensor:
    """Return the hint map (1, 4, H, W) of a drawing from a copy of it that was painted over.

    The copy may be of another size, if its proportions are the drawing's, may have been saved as a JPEG, and painted
    with soft brushes. What is as light as the drawing and as gray is no hint, nor is the drawing's own ink. Raises
    ColorizeError for other proportions, if nothing differs, and if the picture is no copy of the drawing.
    """
    check_size(copy.size, drawing.size)
    own, painted = (
        np.ascontiguousarray(np.broadcast_to(flat.pixels, (*flat.size, 3)) / np.float32(flat.peak), np.float32)
        for flat in (drawing.on_white(), copy.on_white())
    )
    painted = _sized(painted, drawing.size)
    near = NEAR + round(max(drawing.size[0] / copy.size[0], copy.size[0] / drawing.size[0]) - 1)
    _check_copy(painted, _sized(_sized(own, copy.size), drawing.size), near)
    square = np.ones((2 * near + 1, 2 * near + 1), np.uint8)
    low, high = cv2.erode(own, square), cv2.dilate(own, square)
    tinted = np.ptp(painted, axis=2) - cv2.dilate(np.ptp(own, axis=2), square)  # color that gray lines do not hide
    apart = np.maximum(np.maximum(low - painted, painted - high).max(2), tinted)  # from all colors around in own
    held = _cores(np.asarray(np.where(apart > NOISE, apart, 0), np.float32))
    if not held.any():
        raise ColorizeError(
            "the hints do not differ from the drawing: nothing was painted over it",
            "paint on a copy of the drawing in strong colors, or on a transparent layer above it",
        )
    return color_hints.hint_map(torch.from_numpy(painted * 2 - 1), torch.from_numpy(held))


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


def _cores(apart: Array) -> np.ndarray:
    """The pixels (H, W) that show the full color of a stroke: neither its soft edge, nor noise."""
    wide = 2 * max(2, round(SOFT * min(apart.shape))) + 1
    most = cv2.dilate(apart, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (wide, wide)))
    core = ((apart > 0) & (apart >= CORE * most)).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(core, connectivity=8)
    strongest = np.zeros(count, np.float32)
    np.maximum.at(strongest, np.asarray(labels.ravel(), np.intp), apart.ravel())
    kept = (stats[:, cv2.CC_STAT_AREA] >= SPECK) & (strongest > 0.2)  # a stroke differs by this at some pixel
    kept[0] = False
    return np.asarray(kept[labels], bool)
