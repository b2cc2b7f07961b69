"""Invent color hints from a color picture, for training and for evaluation."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from colorize.images.hint_files import blank

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


def simulate(color: Tensor, rng: Generator, count: float = COUNT) -> Tensor:
    """Hints as a user might give them: a few flat dots, short strokes and boxes at random places.

    color: (B, 3, H, W) in [-1, 1]. Returns (B, 4, H, W). count: hints on a picture on average; their
    number is geometric, from 0 to five times as many. Dots have a radius of 1 to 4 px at 128 px and
    grow with the picture. A hint has one color, the prevailing one under it, so that no texture is
    copied. Colorful places are hinted more often.
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
    across = drawn.samples[..., 1] * drawn.radius[:, None] * 0.7
    sampled = _place(
        drawn, drawn.x[:, None] + cos * along - sin * across, drawn.y[:, None] + sin * along + cos * across, color
    )
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
    here, there = (
        pixels[_place(drawn, across[:, None], down[:, None], color)[:, 0]]
        for across, down in ((drawn.x, drawn.y), (x, y))
    )
    better = there.amax(1) - there.amin(1) > here.amax(1) - here.amin(1)
    return replace(drawn, x=torch.where(better, x, drawn.x), y=torch.where(better, y, drawn.y))


def _place(drawn: _Hints, x: Tensor, y: Tensor, color: Tensor) -> Tensor:
    """Pixel numbers in the whole batch of places (N, P) of the drawn, moved inside the picture."""
    height, width = color.shape[-2:]
    x, y = x.floor().long().clamp(0, width - 1), y.floor().long().clamp(0, height - 1)
    return (drawn.row[:, None] * height + y) * width + x


def _lay(color: Tensor, place: Tensor, inside: Tensor, sampled: Tensor) -> Tensor:
    """Paint N hints, later ones on top, each in the prevailing color of the pixels it covers.

    place: (N, P) pixel numbers in the whole batch. inside: (N, P). sampled: (N, T) pixels that are
    compared; the one most like the others is taken, so that ink and edges do not count.
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

    color: (B, 3, H, W) in [-1, 1]; every row has its dots at the same places. share: 0 to 1, say
    0.005. Dots have a side of 3 px at 256 px and show the prevailing color under them. Same
    arguments, same hints: made for evaluation.
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
