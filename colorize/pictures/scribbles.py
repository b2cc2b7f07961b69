"""Read the color hints that a user made, a transparent picture or JSON, and fit them to a size.

Knows nothing of files: it is given pixels or text. Hint maps are described in `strokes`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from colorize.errors import ColorizeError, nearest

POINT = ("x", "y", "color", "radius")
STROKE = ("points", "color", "width")
EXAMPLE = 'an example: {"points": [{"x": 40, "y": 25, "color": "#d02030", "radius": 3}]}'
SAVE = "save the hints as a PNG that is transparent except for the hints"


def parse(source: np.ndarray | str, size: tuple[int, int]) -> Tensor:
    """Return the hint map (1, 4, H, W) of a user's hints for a drawing of `size` (height, width).

    source: RGBA pixels (h, w, 4), uint8 or uint16, whose pixels are hints where they are more than
    half opaque; another size is resized if its proportions are the drawing's. Or JSON text:
    {"points": [{"x", "y", "color": "#rrggbb", "radius"}], "strokes": [{"points": [[x, y], ...],
    "color", "width"}]}, in pixels of the drawing from its upper left corner; radius and width may
    be left out. Later hints lie on top, strokes above points.

    Raises ColorizeError for text that is not such JSON, for colors that are not hex, for hints
    outside the drawing, for pictures of other proportions, and if there is no hint at all.
    """
    if isinstance(source, str):
        return _from_json(source, size)
    return resize(_from_pixels(source, size), size)


def resize(hints: Tensor, size: tuple[int, int]) -> Tensor:
    """Hint map at another size: no hint is lost, and no color is mixed with the emptiness around.

    hints: (B, 4, H, W). size: (height, width). Shrinking takes the mean of the hinted pixels of a
    cell; a cell is hinted if a tenth of it is, or if no neighbor holds more of the hint.
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


def blank(color: Tensor) -> Tensor:
    """A hint map (B, 4, H, W) without hints, as large as `color`."""
    return F.pad(torch.zeros_like(color[:, :3]), (0, 0, 0, 0, 0, 1), value=-1.0)


def _from_pixels(rgba: np.ndarray, size: tuple[int, int]) -> Tensor:
    """Hint map of RGBA pixels at their own size."""
    if rgba.ndim != 3 or rgba.shape[2] != 4:
        raise ColorizeError("the hints have no transparency", SAVE)
    height, width = rgba.shape[:2]
    if abs(math.log(width * size[0] / (height * size[1]))) > 0.02:
        raise ColorizeError(
            f"the hints are {width} x {height} pixels, the drawing is {size[1]} x {size[0]}",
            "paint the hints on a layer above the drawing and save that layer at the same size",
        )
    share = torch.from_numpy(rgba.astype(np.float32) / np.iinfo(rgba.dtype).max)
    held = share[..., 3] > 0.5
    if not bool(held.any()):
        raise ColorizeError("the hints are transparent everywhere: there is no hint", SAVE)
    if bool(held.all()):
        raise ColorizeError("the hints are opaque everywhere: they would hide the drawing", SAVE)
    return _hint_map(share[..., :3] * 2 - 1, held)


def _hint_map(rgb: Tensor, held: Tensor) -> Tensor:
    """Hint map (1, 4, H, W) of colors (H, W, 3) in [-1, 1] and the mask (H, W) of hinted pixels."""
    color = torch.where(held[..., None], rgb, 0.0).movedim(2, 0)
    return torch.cat((color, held[None] * 2.0 - 1))[None]


def _from_json(text: str, size: tuple[int, int]) -> Tensor:
    """Hint map of JSON text, drawn without smooth edges, since a hint is there or not."""
    try:
        given = json.loads(text)
    except json.JSONDecodeError as error:
        raise ColorizeError(
            f"the hints are not valid JSON: {error.msg} in line {error.lineno},"
            f" column {error.colno}",
            EXAMPLE,
        ) from error
    points, strokes = _lists(given)
    canvas = np.zeros((*size, 3), np.float32)
    mask = np.zeros(size, np.uint8)
    usual = max(1.0, min(size) / 64)
    for number, point in enumerate(points, 1):
        name = f"point {number}"
        dot = _known(name, point, POINT)
        place = _place(name, (dot.get("x"), dot.get("y")), size)
        _draw(canvas, mask, [place], 2 * _number(name, dot, "radius", usual), _color(name, dot))
    for number, stroke in enumerate(strokes, 1):
        name = f"stroke {number}"
        line = _known(name, stroke, STROKE)
        width = _number(name, line, "width", 2 * usual)
        _draw(canvas, mask, _places(name, line, size), width, _color(name, line))
    return _hint_map(torch.from_numpy(canvas), torch.from_numpy(mask > 0))


def _lists(given: object) -> tuple[Sequence[object], Sequence[object]]:
    """Return the points and the strokes of the JSON value."""
    if not isinstance(given, dict):
        raise ColorizeError(f"the hints are a JSON {type(given).__name__}, not an object", EXAMPLE)
    _known("the hints", given, ("points", "strokes"))
    points, strokes = given.get("points", []), given.get("strokes", [])
    if not isinstance(points, list) or not isinstance(strokes, list):
        raise ColorizeError("`points` and `strokes` of the hints must be lists", EXAMPLE)
    if not points and not strokes:
        raise ColorizeError("the hints hold no point and no stroke", EXAMPLE)
    return points, strokes


def _known(name: str, given: object, keys: Sequence[str]) -> Mapping[str, object]:
    """Return the JSON object if it has none but known keys."""
    if not isinstance(given, dict):
        raise ColorizeError(f"{name} is `{given}`, not an object with {', '.join(keys)}", EXAMPLE)
    for key in given:
        if key not in keys:
            raise ColorizeError(f"{name} has an unknown key `{key}`", nearest(key, keys))
    return given


def _places(
    name: str, stroke: Mapping[str, object], size: tuple[int, int]
) -> list[tuple[float, float]]:
    """Corners of a stroke's line."""
    pairs = stroke.get("points")
    if not isinstance(pairs, list) or not pairs:
        raise ColorizeError(f"{name} has no points", EXAMPLE)
    return [_place(name, pair, size) for pair in pairs]


def _place(name: str, pair: object, size: tuple[int, int]) -> tuple[float, float]:
    """Return x, y inside the drawing."""
    if not isinstance(pair, list | tuple) or len(pair) != 2 or not all(map(_is_number, pair)):
        raise ColorizeError(f"{name} has no place x, y but `{pair}`", EXAMPLE)
    x, y = float(pair[0]), float(pair[1])
    if not (0 <= x < size[1] and 0 <= y < size[0]):
        raise ColorizeError(
            f"{name} is at ({x:g}, {y:g}), outside the drawing of {size[1]} x {size[0]} pixels",
            "x counts from the left and y from the top, in pixels of the drawing",
        )
    return x, y


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(name: str, given: Mapping[str, object], key: str, usual: float) -> float:
    """Return a positive number of pixels, or the usual one if the key is missing."""
    value = given.get(key, usual)
    if not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ColorizeError(
            f"the {key} of {name} is `{value}`, not a positive number of pixels", EXAMPLE
        )
    return float(value)


def _color(name: str, given: Mapping[str, object]) -> tuple[float, float, float]:
    """Return R, G, B in [-1, 1] of "#rrggbb"."""
    value = given.get("color")
    if not isinstance(value, str) or not re.fullmatch("#[0-9a-fA-F]{6}", value):
        raise ColorizeError(
            f"the color of {name} is `{value}`", "write colors as hex: #rrggbb, such as #d02030"
        )
    red, green, blue = (int(value[i : i + 2], 16) / 127.5 - 1 for i in (1, 3, 5))
    return red, green, blue


def _draw(
    canvas: np.ndarray,
    mask: np.ndarray,
    places: Sequence[tuple[float, float]],
    width: float,
    color: tuple[float, float, float],
) -> None:
    """Draw a line of round ends, or a dot for one place, into colors (H, W, 3) and mask (H, W)."""
    line = np.floor(np.array(places)).astype(np.int32).reshape(-1, 1, 2)
    radius = int(width / 2)
    for image, value in ((canvas, color), (mask, (1.0,))):
        cv2.polylines(image, [line], False, value, 2 * radius + 1)
        for x, y in line[[0, -1], 0].tolist():
            cv2.circle(image, (x, y), radius, value, cv2.FILLED)
