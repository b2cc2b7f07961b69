"""References into tokens for cross-attention, and what all conditions share. Knows nothing of noise."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from colorize.errors import ColorizeError
from colorize.hints import Hints
from colorize.networks.layers import Down, Residual
from colorize.networks.unet import Cond, pad

Drop = Mapping[str, Tensor]
Strength = Mapping[str, float]


def kept(hints: Hints, name: str, drop: Drop) -> Tensor:
    """Return (B, 1, 1, 1) of 1 where a hint is given and kept, and 0 where it is missing or dropped."""
    like = hints.drawing
    if name not in hints:
        return like.new_zeros(hints.batch, 1, 1, 1)
    left_out = drop.get(name)
    if left_out is None:
        return like.new_ones(hints.batch, 1, 1, 1)
    return 1 - left_out.to(like)[:, None, None, None]


def shown(hints: Hints, drop: Drop) -> Tensor:
    """Return what there is to color, (B, 1, H, W): line art or, where that is missing or dropped, gray."""
    line, gray = hints.get("line"), hints.get("gray")
    if line is None or gray is None:
        return hints.drawing
    lined = kept(hints, "line", drop)
    return lined * line + (1 - lined) * gray


def single(reference: Tensor, model: str) -> Tensor:
    """Refuse more references than the model can take: (B, 3, H, W) in and out."""
    if reference.shape[1] > 3:
        raise ColorizeError(
            f"{reference.shape[1] // 3} references were given; {model} takes one",
            "give one --ref, or choose a model that joins several: mini",
            code=2,
        )
    return reference


@dataclass(frozen=True)
class ReferenceTokens:
    """References into tokens for cross-attention: one per 1/8 cell, plus one learnt token for "no reference".

    size: the reference's longer side is brought to this many pixels. width: of a token.
    """

    width: int = 192
    size: int = 128

    stacked: ClassVar = 0  # channels that the stack door receives

    @property
    def tokens(self) -> int:
        """The width of the tokens."""
        return self.width

    def build(self, widths: tuple[int, ...] = ()) -> nn.Module:
        """Make the module."""
        return ReferenceEncoder(self.width, self.size)


class ReferenceEncoder(nn.Module):
    """A small convolutional encoder; every token also carries the plain mean color of its cell."""

    def __init__(self, width: int, size: int) -> None:
        super().__init__()
        self.size, half = size, width // 2
        self.enter = nn.Conv2d(48, half, 3, padding=1)
        self.fine = Residual(half, half, 0, 8)
        self.down = nn.Conv2d(half, width, 3, stride=2, padding=1)
        self.coarse = Residual(width, width, 0, 8)
        self.color = nn.Linear(3, width)
        self.norm = nn.LayerNorm(width)
        self.none = nn.Parameter(nn.init.normal_(torch.empty(1, 1, width), std=0.02))

    def forward(self, hints: Hints, drop: Drop | None = None, strength: Strength | None = None) -> Cond:
        """Encode all references of a picture into one row of tokens (B, 1 + R * N, width)."""
        none = self.none.expand(hints.batch, -1, -1)
        scale = (strength or {}).get("reference", 1.0)
        if "reference" not in hints:
            return Cond(tokens=none, token_scale=scale)
        rows = kept(hints, "reference", drop or {})[:, :, 0]  # (B, 1, 1)
        reference = hints["reference"]
        several = reference.reshape(hints.batch, -1, 3, *reference.shape[-2:])  # (B, R, 3, h, w)
        tokens = self.encode(several.flatten(0, 1))
        tokens = tokens.reshape(hints.batch, -1, tokens.shape[-1])  # (B * R, N, C) -> (B, R * N, C)
        # A dropped reference becomes copies of `none`: attention over copies equals attention over one.
        tokens = none + rows * (tokens - none)
        return Cond(tokens=torch.cat([none, tokens], dim=1), token_scale=scale)

    def encode(self, picture: Tensor) -> Tensor:
        """One picture (B, 3, h, w) in [-1, 1] into (B, N, width)."""
        longer = max(picture.shape[-2:])
        if longer != self.size:
            size = [max(8, round(side * self.size / longer)) for side in picture.shape[-2:]]
            picture = F.interpolate(picture, size, mode="bilinear", antialias=True)
        picture = pad(picture, 8).contiguous(memory_format=torch.channels_last)
        h = self.fine(self.enter(F.pixel_unshuffle(picture, 4)))
        h = self.coarse(self.down(h))
        cells = F.avg_pool2d(picture, 8).flatten(2).transpose(1, 2)  # (B, N, 3)
        out: Tensor = self.norm(h.flatten(2).transpose(1, 2) + self.color(cells))
        return out


@dataclass(frozen=True)
class Pyramid:
    """Encode the drawing or gray picture by a U-Net's way down of its own, a map for each level.

    Color Diffusion concatenates such maps to the U-Net's before a linear layer, which is the same as
    adding a linear image of them behind it: W [x, g] = W' x + W'' g. So they are added, and all that
    belongs to them is computed once per picture. blocks: residual blocks per level, as wide as the
    U-Net's. patch: x is smaller than the drawing by this factor.
    """

    blocks: int = 1
    patch: int = 1

    stacked: ClassVar = 0  # channels that the stack door receives
    tokens: ClassVar = 0

    def build(self, widths: tuple[int, ...]) -> nn.Module:
        """Make the module. widths: of the U-Net's levels."""
        return PyramidDoor(self, widths)


class PyramidDoor(nn.Module):
    """The encoder, and a convolution per level that adapts its features to the U-Net's."""

    def __init__(self, spec: Pyramid, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.spec = spec
        self.enter = nn.Conv2d(spec.patch**2, widths[0], 3, padding=1)
        self.levels, self.downs, self.out = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        before = widths[0]
        for width in widths:
            steps = pairwise([before, *spec.blocks * [width]])
            self.levels.append(nn.Sequential(*(Residual(a, b, 0, 8) for a, b in steps)))
            norm = nn.GroupNorm(math.gcd(8, width), width)
            self.out.append(nn.Sequential(norm, nn.SiLU(), nn.Conv2d(width, width, 3, padding=1)))
            before = width
        self.downs.extend(Down(width) for width in widths[:-1])

    def forward(self, hints: Hints, drop: Drop | None = None, strength: Strength | None = None) -> Cond:
        """Encode what there is to color into one map (B, width, h, w) per level, finest first."""
        stride = self.spec.patch * 2 ** len(self.downs)
        h = self.enter(F.pixel_unshuffle(pad(shown(hints, drop or {}), stride), self.spec.patch))
        maps: list[Tensor] = []
        for level, out in zip(self.levels, self.out, strict=True):
            if maps:
                h = self.downs[len(maps) - 1](h)
            h = level(h)
            maps.append(out(h))
        return Cond(maps=tuple(maps))
