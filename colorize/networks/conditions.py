"""Conditions: encode the hints of a picture, once, into the other inputs of the network."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from colorize.errors import ColorizeError
from colorize.hints import HINTS, Hints
from colorize.images.hint_files import resize
from colorize.images.under_ink import spread
from colorize.networks.unet import Cond, Down, Residual, cells, darkest, pad

Drop = Mapping[str, Tensor]  # hint -> (B,) bool, True in rows that do without it
Strength = Mapping[str, float]  # hint -> how much of it to let in, 1 as trained


def kept(hints: Hints, name: str, drop: Drop) -> Tensor:
    """Return (B, 1, 1, 1) of 1 where a hint is given and kept, and 0 where it is missing or dropped."""
    rows = hints.drawing.new_full((hints.batch, 1, 1, 1), float(name in hints))
    return rows * (1 - drop[name].to(rows).view(-1, 1, 1, 1)) if name in drop else rows


def shown(hints: Hints, drop: Drop) -> Tensor:
    """Return what there is to color, (B, 1, H, W): line art or, where that is missing or dropped, gray."""
    line, gray = hints.get("line"), hints.get("gray")
    if line is None or gray is None:
        return hints.drawing
    lined = kept(hints, "line", drop)
    return lined * line + (1 - lined) * gray


def masked(hints: Hints, drop: Drop, strength: float = 1.0) -> Tensor:
    """Return the colors of color hints, 0 where there are none, and their mask from 0 to 1: (B, 4, H, W)."""
    given = hints.get("hints")
    if given is None:
        return hints.drawing.new_zeros(hints.batch, 4, *hints.size)
    mask = (given[:, 3:] + 1) / 2 * kept(hints, "hints", drop) * strength
    return torch.cat([given[:, :3] * mask, mask], dim=1)


def single(reference: Tensor, model: str) -> Tensor:
    """Refuse more references than the model can take: (B, 3, H, W) in and out."""
    if reference.shape[1] > 3:
        message = f"{reference.shape[1] // 3} references were given; {model} takes one"
        raise ColorizeError(message, "give one --ref, or choose a model that joins several: mini", code=2)
    return reference


class Encoder(nn.Module):
    """The module that a condition builds; it runs once per picture, not once per step."""

    def __init__(self, spec: Condition) -> None:
        super().__init__()
        self.spec: Any = spec

    def forward(self, hints: Hints, drop: Drop | None = None, strength: Strength | None = None) -> Cond:
        """Encode the hints; one that is dropped looks like one that is missing."""
        return self.encode(hints, drop or {}, strength or {})

    def encode(self, hints: Hints, drop: Drop, strength: Strength) -> Cond:
        """Encode the hints."""
        return Cond(stack=self.spec.planes(hints, drop, strength))


class Condition:
    """A condition as a value: how many channels it joins to x (`stacked`), and how wide its tokens are.

    One without weights says which `planes` it joins to x; any other builds an encoder of its own.
    """

    @property
    def stacked(self) -> int:
        """Channels that are joined to x."""
        return 0

    @property
    def tokens(self) -> int:
        """Width of the tokens."""
        return 0

    def build(self, widths: tuple[int, ...] = ()) -> Encoder:
        """Make the module. widths: of the U-Net's levels, which its maps must have."""
        return Encoder(self)

    def planes(self, hints: Hints, drop: Drop, strength: Strength) -> Tensor:
        """Return what is joined to x, (B, stacked, H, W)."""
        raise NotImplementedError


@dataclass(frozen=True)
class Stack(Condition):
    """Join hints to x channel by channel, at full size; the first is required, the others are 0 where missing.

    names: the hints, in their order.
    """

    names: tuple[str, ...] = ("line", "reference")

    @property
    def stacked(self) -> int:
        """Channels that are joined to x."""
        return sum(HINTS[name].channels for name in self.names)

    def planes(self, hints: Hints, drop: Drop, strength: Strength) -> Tensor:
        """Return the hints, (B, stacked, H, W)."""
        _ = hints[self.names[0]]  # raises if it is missing
        parts = []
        for name in self.names:
            value = hints.get(name)
            if value is None:
                parts.append(hints.drawing.new_zeros(hints.batch, HINTS[name].channels, *hints.size))
                continue
            if name == "reference":
                value = F.interpolate(single(value, "this model"), hints.size, mode="bilinear")
            parts.append(value * kept(hints, name, drop) * strength.get(name, 1.0))
        return torch.cat(parts, dim=1)


@dataclass(frozen=True)
class Drawing(Condition):
    """Line art or gray at full size into a stack at 1/`patch` of it, with a plane that is +1 for line art, -1 for gray.

    With `patch` = 2 the four pixels of a cell become four channels (pixel-unshuffle, Shi et al. 2016).
    """

    patch: int = 2

    @property
    def stacked(self) -> int:
        """Channels that are joined to x."""
        return self.patch**2 + 1

    def planes(self, hints: Hints, drop: Drop, strength: Strength) -> Tensor:
        """Return the drawing's planes; rows whose line is dropped or missing show their gray instead."""
        drawing = F.pixel_unshuffle(pad(shown(hints, drop), self.patch), self.patch)
        kind = (2 * kept(hints, "line", drop) - 1).expand(-1, 1, *drawing.shape[-2:])
        return torch.cat([drawing, kind], dim=1)


@dataclass(frozen=True)
class HintMap(Condition):
    """Color hints in a stack at 1/`patch` of the drawing, as given and as spread up to the next line.

    Channels: RGB and mask as given, RGB and mask as spread; RGB is 0 and the mask -1 where there is nothing.
    """

    patch: int = 2

    stacked = 8

    def planes(self, hints: Hints, drop: Drop, strength: Strength) -> Tensor:
        """Return the hints, shrunk so that none is lost and no two colors mix; dropped ones look like an empty map."""
        size = cells(hints.size, self.patch)
        value, line = hints.get("hints"), hints.get("line")
        empty = hints.drawing.new_zeros(hints.batch, 8, *size)
        empty[:, 3::4] = -1
        if value is None:
            return empty
        paper = empty.new_ones(hints.batch, 1, *size)  # where color may pass; a gray picture has no walls
        if line is not None:
            lined = kept(hints, "line", drop)
            paper = lined * darkest(line, self.patch) + (1 - lined)
        given = resize(value, size)
        full = torch.cat([given, spread(given, paper)], dim=1)
        return torch.lerp(empty, full, kept(hints, "hints", drop) * strength.get("hints", 1.0))


@dataclass(frozen=True)
class ReferenceTokens(Condition):
    """References into tokens for cross-attention: one learnt token for "no reference", and one per 1/8 cell.

    The tokens of R references are (B, 1 + R * N, width); each also carries the plain mean color of its cell. size: the
    reference's longer side is brought to this many pixels. width: of a token.
    """

    width: int = 192
    size: int = 128

    @property
    def tokens(self) -> int:
        """Width of the tokens."""
        return self.width

    def build(self, widths: tuple[int, ...] = ()) -> Encoder:
        """Make the module."""
        return _ReferenceEncoder(self)


class _ReferenceEncoder(Encoder):
    def __init__(self, spec: ReferenceTokens) -> None:
        super().__init__(spec)
        width, half = spec.width, spec.width // 2
        self.enter = nn.Conv2d(48, half, 3, padding=1)
        self.fine = Residual(half, half, 0, 8)
        self.down = nn.Conv2d(half, width, 3, stride=2, padding=1)
        self.coarse = Residual(width, width, 0, 8)
        self.color = nn.Linear(3, width)
        self.norm = nn.LayerNorm(width)
        self.none = nn.Parameter(nn.init.normal_(torch.empty(1, 1, width), std=0.02))

    def encode(self, hints: Hints, drop: Drop, strength: Strength) -> Cond:
        none = self.none.expand(hints.batch, -1, -1)
        scale = strength.get("reference", 1.0)
        if "reference" not in hints:
            return Cond(tokens=none, token_scale=scale)
        rows = kept(hints, "reference", drop)[:, :, 0]  # (B, 1, 1)
        reference = hints["reference"]
        tokens = self.picture_tokens(reference.reshape(-1, 3, *reference.shape[-2:]))  # (B * R, N, C)
        tokens = tokens.reshape(hints.batch, -1, tokens.shape[-1])  # (B, R * N, C)
        # A dropped reference becomes copies of `none`: attention over copies equals attention over one.
        tokens = none + rows * (tokens - none)
        return Cond(tokens=torch.cat([none, tokens], dim=1), token_scale=scale)

    def picture_tokens(self, picture: Tensor) -> Tensor:
        wanted, longer = self.spec.size, max(picture.shape[-2:])
        if longer != wanted:
            size = [max(8, round(side * wanted / longer)) for side in picture.shape[-2:]]
            picture = F.interpolate(picture, size, mode="bilinear", antialias=True)
        picture = pad(picture, 8).contiguous(memory_format=torch.channels_last)
        h = self.fine(self.enter(F.pixel_unshuffle(picture, 4)))
        h = self.coarse(self.down(h))
        colors = F.avg_pool2d(picture, 8).flatten(2).transpose(1, 2)  # (B, N, 3)
        out: Tensor = self.norm(h.flatten(2).transpose(1, 2) + self.color(colors))
        return out


@dataclass(frozen=True)
class Pyramid(Condition):
    """Encode the drawing or gray picture by a U-Net's way down of its own, a map for each level.

    Color Diffusion concatenates such maps to the U-Net's before a linear layer, which is the same as adding a linear
    image of them behind it: W [x, g] = W' x + W'' g. So they are added, and all that belongs to them is computed once
    per picture. blocks: residual blocks per level, as wide as the U-Net's. patch: x is smaller than the drawing by this
    factor.
    """

    blocks: int = 1
    patch: int = 1

    def build(self, widths: tuple[int, ...] = ()) -> Encoder:
        """Make the module. widths: of the U-Net's levels."""
        return _PyramidEncoder(self, widths)


class _PyramidEncoder(Encoder):
    def __init__(self, spec: Pyramid, widths: tuple[int, ...]) -> None:
        super().__init__(spec)
        self.enter = nn.Conv2d(spec.patch**2, widths[0], 3, padding=1)
        self.levels, self.downs, self.out = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for before, width in pairwise((widths[0], *widths)):
            steps = pairwise([before, *spec.blocks * [width]])
            self.levels.append(nn.Sequential(*(Residual(a, b, 0, 8) for a, b in steps)))
            norm = nn.GroupNorm(math.gcd(8, width), width)  # `out` adapts a level's features to the U-Net's
            self.out.append(nn.Sequential(norm, nn.SiLU(), nn.Conv2d(width, width, 3, padding=1)))
        self.downs.extend(Down(width) for width in widths[:-1])

    def encode(self, hints: Hints, drop: Drop, strength: Strength) -> Cond:
        stride = self.spec.patch * 2 ** len(self.downs)
        h = self.enter(F.pixel_unshuffle(pad(shown(hints, drop), stride), self.spec.patch))
        maps: list[Tensor] = []
        for level, out in zip(self.levels, self.out, strict=True):
            if maps:
                h = self.downs[len(maps) - 1](h)
            h = level(h)
            maps.append(out(h))
        return Cond(maps=tuple(maps))


@dataclass(frozen=True)
class ScribbleTokens(Condition):
    """Line art and scribbles together into tokens, one for each cell of the coarsest level.

    widths: channels per level; each but the last halves the picture, the last is a token's width. waves: how many
    frequencies tell where a cell lies, on the tokens and, as planes of the stack, on x; 0 for none, as published, where
    a network can only guess which scribble is near. patch: x is smaller than the drawing by this factor.
    """

    widths: tuple[int, ...] = (32, 64, 128, 128)
    waves: int = 3
    patch: int = 1

    @property
    def tokens(self) -> int:
        """Width of the tokens."""
        return self.widths[-1]

    @property
    def stacked(self) -> int:
        """Channels that are joined to x: sine and cosine of x and y per wave."""
        return 4 * self.waves

    def build(self, widths: tuple[int, ...] = ()) -> Encoder:
        """Make the module."""
        return _ScribbleEncoder(self)


class _ScribbleEncoder(Encoder):
    def __init__(self, spec: ScribbleTokens) -> None:
        super().__init__(spec)
        widths = spec.widths
        self.enter = nn.Conv2d(5, widths[0], 3, padding=1)  # line, color under the mask, mask
        self.levels = nn.ModuleList(
            nn.Sequential(Residual(a, a, 0, 8), Down(a), Residual(a, b, 0, 8)) for a, b in pairwise(widths)
        )
        self.place = nn.Linear(spec.stacked, widths[-1]) if spec.waves else None
        self.norm = nn.LayerNorm(widths[-1])

    def encode(self, hints: Hints, drop: Drop, strength: Strength) -> Cond:
        scale = strength.get("hints", 1.0)
        stride = 2 ** len(self.levels)
        h = self.enter(pad(torch.cat([hints.drawing, masked(hints, drop)], dim=1), stride))
        for level in self.levels:
            h = level(h)
        tokens = h.flatten(2).transpose(1, 2)  # (B, C, h, w) -> (B, N, C)
        if self.place is None:
            return Cond(tokens=self.norm(tokens), token_scale=scale)
        size = h.shape[-2] * stride, h.shape[-1] * stride
        where = places(size, stride, self.spec.waves).to(h).flatten(1).T  # (N, 4 waves)
        planes = places(hints.size, self.spec.patch, self.spec.waves).to(h)
        return Cond(planes.expand(hints.batch, *planes.shape), self.norm(tokens + self.place(where)), token_scale=scale)


def places(size: tuple[int, int], cell: int, waves: int) -> Tensor:
    """Sines and cosines of where cells lie, (4 * waves, h, w): waves of 512, 128, 32 ... pixels.

    size: height and width in pixels; cells of `cell` pixels begin at the upper left corner, so that planes of other
    cells tell the same place alike, whatever the picture's size.
    """
    down, across = (torch.arange(count) * cell + cell / 2 for count in cells(size, cell))
    y, x = torch.meshgrid(down, across, indexing="ij")
    angles = [2 * math.pi / (512 / 4**wave) * axis for wave in range(waves) for axis in (x, y)]
    return torch.stack([part for angle in angles for part in (angle.sin(), angle.cos())])


@dataclass(frozen=True)
class Together(Condition):
    """Several conditions at once: their stacks are joined, so are their tokens; one may have maps.

    parts: the conditions.
    """

    parts: tuple[Drawing | HintMap | Pyramid | ReferenceTokens | ScribbleTokens | Stack, ...] = ()

    @property
    def stacked(self) -> int:
        """Channels that are joined to x."""
        return sum(part.stacked for part in self.parts)

    @property
    def tokens(self) -> int:
        """The width of the tokens; all parts that have tokens share it."""
        return max((part.tokens for part in self.parts), default=0)

    def build(self, widths: tuple[int, ...] = ()) -> Encoder:
        """Make the module. widths: of the U-Net's levels, which its maps must have."""
        return _TogetherEncoder(self, widths)


class _TogetherEncoder(Encoder):
    def __init__(self, spec: Together, widths: tuple[int, ...]) -> None:
        super().__init__(spec)
        self.parts = nn.ModuleList(part.build(widths) for part in spec.parts)

    def encode(self, hints: Hints, drop: Drop, strength: Strength) -> Cond:
        conds = [part(hints, drop, strength) for part in self.parts]
        stacks = [cond.stack for cond in conds if cond.stack is not None]
        tokens = [cond.tokens for cond in conds if cond.tokens is not None]
        scales = [cond.token_scale for cond in conds if cond.tokens is not None]
        return Cond(
            stack=torch.cat(stacks, dim=1) if stacks else None,
            tokens=torch.cat(tokens, dim=1) if tokens else None,
            maps=next((cond.maps for cond in conds if cond.maps), ()),
            token_scale=scales[0] if scales else 1.0,
        )
