"""Draw color hints, dots and strokes that a user names by pixels, as hint maps.

A hint map is (B, 4, H, W): R, G, B in [-1, 1] and a mask, +1 where a hint lies and -1 elsewhere (there R, G and B
are 0).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from colorize.errors import ColorizeError
from colorize.images import palettes

NUMBER = r"-?\d+(?:\.\d*)?"
PLACE = rf"{NUMBER},{NUMBER}"
FORM = re.compile(rf"({PLACE})(?:,({NUMBER}))?((?:-{PLACE})*)=(.+)")
EXAMPLE = "write a dot as 120,85=#ff8800 or 120,85,6=#ff8800 (radius 6), a stroke as 10,10-80,40=orange"
WIDEST = 16_000  # pixels of radius; OpenCV draws no wider lines
RADIUS = 1 / 64  # radius of a dot, as a share of the shorter side


@dataclass(frozen=True)
class ColorHint:
    """A color hint: a dot, or a stroke through several places, in pixels of the drawing from its upper left corner.

    name: what messages call it. places: x, y. color: R, G, B in [-1, 1]. radius: half the width in
    pixels; None suits the size of the drawing. text: as the user wrote it.
    """

    name: str
    places: tuple[tuple[float, float], ...]
    color: tuple[float, ...]
    radius: float | None = None
    text: str = ""


def parse_hint(text: str) -> ColorHint:
    """Read a hint such as `120,85=#ff8800`, `120,85,6=navy` of radius 6, or the stroke `10,10-80,40=orange`.

    Raises ColorizeError (wrong usage) for other forms and for unknown colors.
    """
    name = f"the hint `{text}`"
    found = FORM.fullmatch(re.sub(r"\s", "", text))
    if not found:
        raise ColorizeError(f"{name} is not a place and a color", EXAMPLE, code=2)
    first, radius, others, word = found.groups()
    if radius is not None and float(radius) <= 0:
        raise ColorizeError(f"the radius of {name} is {radius}", "give more than 0 pixels", code=2)
    pairs = [pair.split(",") for pair in (first, *re.findall(rf"-({PLACE})", others))]
    places = tuple((float(x), float(y)) for x, y in pairs)
    color = tuple(level / 127.5 - 1 for level in palettes.parse_color(word, name))
    return ColorHint(name, places, color, None if radius is None else float(radius), text)


def draw(hints: Iterable[ColorHint], size: tuple[int, int]) -> Tensor:
    """Return the hint map (1, 4, H, W) of hints on a drawing of `size` (H, W), the later ones on top.

    Edges are not smooth, since a hint is there or not. Raises ColorizeError for a place outside.
    """
    canvas = np.zeros((*size, 3), np.float32)
    mask = np.zeros(size, np.uint8)
    for hint in hints:
        for x, y in hint.places:
            if not (0 <= x < size[1] and 0 <= y < size[0]):
                raise ColorizeError(
                    f"{hint.name} is at ({x:g}, {y:g}), outside the drawing of {size[1]} x {size[0]} pixels",
                    "x counts from the left and y from the top, in pixels of the drawing",
                )
        radius = max(1.0, min(size) * RADIUS) if hint.radius is None else hint.radius
        radius = int(min(radius, WIDEST))
        line = np.floor(np.array(hint.places)).astype(np.int32).reshape(-1, 1, 2)
        for image, value in ((canvas, hint.color), (mask, (1.0,))):
            cv2.polylines(image, [line], False, value, max(1, 2 * radius))  # 2 radius + 1 wide
            for x, y in line[[0, -1], 0].tolist():
                cv2.circle(image, (x, y), radius, value, cv2.FILLED)
    return hint_map(torch.from_numpy(canvas), torch.from_numpy(mask > 0))


def hint_map(rgb: Tensor, held: Tensor) -> Tensor:
    """Hint map (1, 4, H, W) of colors (H, W, 3) in [-1, 1] and the mask (H, W) of hinted pixels."""
    color = torch.where(held[..., None], rgb, 0.0).movedim(2, 0)
    return torch.cat((color, held[None] * 2.0 - 1))[None]


INK = 0.6  # in [-1, 1]; darker pixels of line art hold ink
SHARE = 0.3  # of a hint's pixels that lie on ink
NEUTRAL = 0.3  # of 2; how far the channels of a color without hue lie apart
LIGHT = 0.8  # in [-1, 1]; what is lighter is white, no ink


def off_ink(hints: Tensor, line: Tensor) -> Tensor:
    """Leave out hints that lie on ink and have its color: gray dots on lines say nothing of the area.

    hints: hint map (B, 4, H, W). line: (B, 1, H, W) in [-1, 1]. Connected pixels are one hint; strokes of black
    that merely cross lines stay.
    """
    colors = hints[:, :3]
    neutral = (colors.amax(1) - colors.amin(1) < NEUTRAL) & (colors.amax(1) < LIGHT)
    dropped = []
    for rows in zip(hints[:, 3] > 0, line[:, 0] < INK, neutral, strict=True):
        held, ink, gray = (row.cpu().numpy() for row in rows)
        count, labels = cv2.connectedComponents(held.astype(np.uint8), connectivity=4)
        sizes, on_ink, grays = (np.bincount(labels.ravel(), one, count) for one in (None, ink.ravel(), gray.ravel()))
        drop = (on_ink / sizes >= SHARE) & (grays / sizes > 0.5)
        drop[0] = False
        dropped.append(torch.from_numpy(drop[labels]))
    empty = torch.tensor((0.0, 0.0, 0.0, -1.0)).to(hints)[:, None, None]
    return torch.where(torch.stack(dropped)[:, None].to(hints.device), empty, hints)
