"""A drawing or gray picture into features for every level of the U-Net. Knows nothing of noise, files or training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from colorize.hints import Hints
from colorize.networks.blocks import Down, Residual
from colorize.networks.references import Drop, Strength, shown
from colorize.networks.unet import Cond, pad


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

    def forward(
        self, hints: Hints, drop: Drop | None = None, strength: Strength | None = None
    ) -> Cond:
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
