"""Make hint maps of color hints: those that a user names by pixels, and simulated ones.

A hint map is (B, 4, H, W): R, G, B in [-1, 1] and a mask, +1 where a hint lies and -1 elsewhere (there R, G and B are
0).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from colorize.errors import ColorizeError
from colorize.images.color_names import parse_color

NUMBER = r"-?\d+(?:\.\d*)?"
PLACE = rf"{NUMBER},{NUMBER}"
FORM = re.compile(rf"({PLACE})(?:,({NUMBER}))?((?:-{PLACE})*)=(.+)")
EXAMPLE = "write a dot as 120,85=#ff8800 or 120,85,6=#ff8800 (radius 6), a stroke as 10,10-80,40=orange"
GRAY = 60 / 127.5  # differences of red, green and blue, together, of what is no hint
RADIUS = 1 / 64  # radius of a dot, as a share of the shorter side


@dataclass(frozen=True)
class ColorHint:
    """A color hint: a dot, or a stroke through several places, in pixels of the drawing from its upper left corner.

    name: what messages call it. places: x, y. color: R, G, B in [-1, 1]. radius: half the width in pixels; None suits
    the size of the drawing. text: as the user wrote it.
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
        raise ColorizeError(f"the radius of {name} is {radius}", "choose more than 0 pixels", code=2)
    pairs = [pair.split(",") for pair in (first, *re.findall(rf"-({PLACE})", others))]
    places = tuple((float(x), float(y)) for x, y in pairs)
    color = tuple(level / 127.5 - 1 for level in parse_color(word, name))
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
        radius = int(min(radius, 16_000))  # pixels of radius; OpenCV draws no wider lines
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

    hints: hint map (B, 4, H, W). line: (B, 1, H, W) in [-1, 1]. Connected pixels are one hint; strokes of black that
    merely cross lines stay.
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


def blank(color: Tensor) -> Tensor:
    """A hint map (B, 4, H, W) without hints, as large as `color`."""
    return F.pad(torch.zeros_like(color[:, :3]), (0, 0, 0, 0, 0, 1), value=-1.0)


COUNT = 6.0  # hints on a picture, on average
MOST = 5  # times as many as on average are the most
SAMPLES = 9  # pixels compared to find the prevailing color under a hint
ALIKE = 0.25  # colors this near to the prevailing one (largest channel, of 2) are averaged


@dataclass(frozen=True)
class _Hints:
    """N hints to be laid on B pictures; lengths in pixels, all tensors (N,) unless said."""

    row: Tensor  # picture in the batch
    x: Tensor
    y: Tensor
    reach: Tensor  # half length of the stroke; 0 makes a dot
    radius: Tensor
    angle: Tensor  # radians
    box: Tensor  # bool: square ends instead of round ones
    samples: Tensor  # (N, SAMPLES, 2) places on the stroke, along and across it, in [-1, 1]


def pick(color: Tensor, share: float, seeds: Sequence[int]) -> Tensor:
    """Random pixels of pictures as hints, except grays: auto-hints of the first manga-colorization (qweasdd 2021).

    color: (B, 3, H, W) in [-1, 1]. Returns (B, 4, H, W). share: of all pixels, 0 to 1. seeds: one for each picture.
    """
    draws = [torch.rand(1, *color.shape[-2:], generator=Generator().manual_seed(seed)) for seed in seeds]
    apart = (color - color.roll(1, 1)).abs().sum(1, keepdim=True)
    chosen = (torch.stack(draws).to(color.device) < share) & (apart > GRAY)
    return torch.cat([torch.where(chosen, color, 0.0), torch.where(chosen, 1.0, -1.0)], dim=1)


def simulate(color: Tensor, rng: Generator, count: float = COUNT) -> Tensor:
    """Hints as a user might give them: a few flat dots, short strokes and boxes at random places.

    color: (B, 3, H, W) in [-1, 1]. Returns (B, 4, H, W). count: hints on a picture on average; their number is
    geometric, from 0 to five times as many. Dots have a radius of 1 to 4 px at 128 px and grow with the picture. A hint
    has one color, the prevailing one under it, so that no texture is copied. Colorful places are hinted more often.
    """
    height, width = color.shape[-2:]
    drawn = _draw(color, rng, count)
    if len(drawn.row) == 0:
        return blank(color)
    window = math.ceil(min(height, width) / 128 * 13) + 1  # a stroke of 10 + 2.5 px reaches no farther
    steps = torch.arange(-window, window + 1, device=color.device)
    down, right = (part.flatten() for part in torch.meshgrid(steps, steps, indexing="ij"))
    cos, sin, radius = torch.cos(drawn.angle)[:, None], torch.sin(drawn.angle)[:, None], drawn.radius[:, None]
    along = (cos * right + sin * down).abs() - drawn.reach[:, None]
    across = (cos * down - sin * right).abs()
    round_end = along.clamp(min=0).square() + across * across <= radius * radius
    inside = torch.where(drawn.box[:, None], torch.maximum(along, across) <= radius, round_end)  # (N, window^2)
    x, y = drawn.x.long()[:, None] + right, drawn.y.long()[:, None] + down
    inside &= (x >= 0) & (x < width) & (y >= 0) & (y < height)
    along = drawn.samples[..., 0] * drawn.reach[:, None]
    across = drawn.samples[..., 1] * radius * 0.7
    right, down = drawn.x[:, None] + cos * along - sin * across, drawn.y[:, None] + sin * along + cos * across
    sampled = _place(drawn, right, down, color)
    return _lay(color, _place(drawn, x, y, color), inside, sampled)


def _draw(color: Tensor, rng: Generator, count: float) -> _Hints:
    """Random hints for every picture; their number per picture is geometric."""
    batch, _, height, width = color.shape
    unit = min(height, width) / 128
    luck = torch.rand(batch, generator=rng, dtype=torch.float64)
    another = math.log(count / (count + 1))  # of the chance of one more hint
    counts = (luck.clamp(min=1e-9).log() / another).long().clamp(max=round(MOST * count))
    row = torch.arange(batch).repeat_interleave(counts)
    x, y, x2, y2, length, thick, angle, kind, ends = torch.rand(9, len(row), generator=rng)
    samples = 2 * torch.rand(len(row), SAMPLES, 2, generator=rng) - 1
    stroke = kind < 0.4
    reach = torch.where(stroke, 2 + 8 * length, 0.0) * unit
    radius = torch.where(stroke, 0.7 + 1.8 * thick, 1 + 3 * thick.square()) * unit
    drawn = _Hints(row, x * width, y * height, reach, radius.clamp(min=0.7), math.pi * angle, ends < 0.3, samples)
    # Move hints to a second place if it is more colorful: few people mark white paper.
    drawn = _Hints(**{name: value.to(color.device) for name, value in vars(drawn).items()})
    x, y = (x2 * width).to(color.device), (y2 * height).to(color.device)
    pixels = color.movedim(1, 3).reshape(-1, 3)
    places = (_place(drawn, a[:, None], b[:, None], color)[:, 0] for a, b in ((drawn.x, drawn.y), (x, y)))
    here, there = (pixels[place] for place in places)
    better = there.amax(1) - there.amin(1) > here.amax(1) - here.amin(1)
    return replace(drawn, x=torch.where(better, x, drawn.x), y=torch.where(better, y, drawn.y))


def _place(drawn: _Hints, x: Tensor, y: Tensor, color: Tensor) -> Tensor:
    """Pixel numbers in the whole batch of places (N, P) of the drawn, moved inside the picture."""
    height, width = color.shape[-2:]
    x, y = x.floor().long().clamp(0, width - 1), y.floor().long().clamp(0, height - 1)
    return (drawn.row[:, None] * height + y) * width + x


def _lay(color: Tensor, place: Tensor, inside: Tensor, sampled: Tensor) -> Tensor:
    """Paint N hints, later ones on top, each in the prevailing color of the pixels it covers.

    place: (N, P) pixel numbers in the whole batch. inside: (N, P). sampled: (N, T) pixels that are compared; the one
    most like the others is taken, so that ink and edges do not count.
    """
    batch, _, height, width = color.shape
    pixels = color.movedim(1, 3).reshape(-1, 3)
    some = pixels[sampled]  # (N, T, 3)
    apart = (some[:, :, None] - some[:, None]).abs().sum((2, 3))
    typical = some[torch.arange(len(some), device=some.device), apart.argmin(1)][:, None]
    under = pixels[place]  # (N, P, 3)
    alike = inside & ((under - typical).abs().amax(2) <= ALIKE)
    total = (under * alike[..., None]).sum(1) + 1e-3 * typical[:, 0]  # alike may be empty
    flat = total / (alike.sum(1, keepdim=True) + 1e-3)
    number = torch.arange(1, len(place) + 1, device=color.device)[:, None]
    top = torch.zeros(len(pixels), dtype=torch.long, device=color.device)
    top.scatter_reduce_(0, place.flatten(), (number * inside).flatten(), "amax")
    table = F.pad(flat, (0, 1, 1, 0), value=1.0)
    table[0] = torch.tensor((0.0, 0.0, 0.0, -1.0))  # no hint
    return table[top].view(batch, height, width, 4).movedim(3, 1).contiguous()


def scatter(color: Tensor, share: float, seed: int) -> Tensor:
    """Square dots at places that depend on `seed` only, until `share` of the pixels is hinted.

    color: (B, 3, H, W) in [-1, 1]; every row has its dots at the same places. share: 0 to 1, say 0.005. Dots have a
    side of 3 px at 256 px and show the prevailing color under them. Same arguments, same hints: made for evaluation.
    """
    batch, _, height, width = color.shape
    side = max(1, round(3 * min(height, width) / 256))
    rng = torch.Generator().manual_seed(seed)
    rows, columns = height // side, width // side
    wanted = min(rows * columns, round(share * height * width / side**2))
    if wanted == 0:
        return blank(color)
    cells = torch.randperm(rows * columns, generator=rng)[:wanted]  # a lattice: no overlaps
    steps = torch.cartesian_prod(torch.arange(side), torch.arange(side)).view(-1, 2)
    y = (cells // columns * side)[:, None] + steps[:, 0]
    x = (cells % columns * side)[:, None] + steps[:, 1]
    place = torch.arange(batch)[:, None, None] * (height * width) + y * width + x
    place = place.flatten(0, 1).to(color.device)  # (B * wanted, side^2)
    return _lay(color, place, torch.ones_like(place, dtype=torch.bool), place)
