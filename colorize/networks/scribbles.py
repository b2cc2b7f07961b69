"""Scribbles into tokens for cross-attention, as in Diffusart. Knows nothing of noise, files or training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn

from colorize.hints import Hints
from colorize.networks.blocks import Down, Residual
from colorize.networks.colors import planes_size
from colorize.networks.references import Drop, Strength, kept
from colorize.networks.unet import Cond, pad


@dataclass(frozen=True)
class ScribbleTokens:
    """Line art and scribbles together into tokens, one for each cell of the coarsest level.

    widths: channels per level; each but the last halves the picture, the last is a token's width.
    waves: how many frequencies tell where a cell lies, on the tokens and, as planes of the stack, on
    x; 0 for none, as published, where a network can only guess which scribble is near. patch: x is
    smaller than the drawing by this factor.
    """

    widths: tuple[int, ...] = (32, 64, 128, 128)
    waves: int = 3
    patch: int = 1

    channels: ClassVar = 5  # line, color under the mask, mask

    @property
    def tokens(self) -> int:
        """The width of the tokens."""
        return self.widths[-1]

    @property
    def stacked(self) -> int:
        """How many channels the stack door receives: sine and cosine of x and y per wave."""
        return 4 * self.waves

    def build(self, widths: tuple[int, ...] = ()) -> nn.Module:
        """Make the module."""
        return ScribbleEncoder(self)


class ScribbleEncoder(nn.Module):
    """A convolutional encoder without time: it runs once per picture, not once per step."""

    def __init__(self, spec: ScribbleTokens) -> None:
        super().__init__()
        self.spec, widths = spec, spec.widths
        self.enter = nn.Conv2d(spec.channels, widths[0], 3, padding=1)
        self.levels = nn.ModuleList(
            nn.Sequential(Residual(a, a, 0, 8), Down(a), Residual(a, b, 0, 8))
            for a, b in pairwise(widths)
        )
        self.place = nn.Linear(spec.stacked, widths[-1]) if spec.waves else None
        self.norm = nn.LayerNorm(widths[-1])

    def forward(
        self, hints: Hints, drop: Drop | None = None, strength: Strength | None = None
    ) -> Cond:
        """Encode the drawing and its scribbles: tokens (B, N, width), and planes of places."""
        scale = (strength or {}).get("hints", 1.0)
        given = hints.drawing.new_zeros(hints.batch, 4, *hints.size)
        scribbles = hints.get("hints")
        if scribbles is not None:
            mask = (scribbles[:, 3:] + 1) / 2 * kept(hints, "hints", drop or {})
            given = torch.cat([scribbles[:, :3] * mask, mask], dim=1)
        stride = 2 ** len(self.levels)
        h = self.enter(pad(torch.cat([hints.drawing, given], dim=1), stride))
        for level in self.levels:
            h = level(h)
        tokens = h.flatten(2).transpose(1, 2)  # (B, C, h, w) -> (B, N, C)
        if self.place is None:
            return Cond(tokens=self.norm(tokens), token_scale=scale)
        size = h.shape[-2] * stride, h.shape[-1] * stride
        where = places(size, stride, self.spec.waves).to(h).flatten(1).T  # (N, 4 waves)
        planes = places(hints.size, self.spec.patch, self.spec.waves).to(h)
        stack = planes[None].expand(hints.batch, -1, *planes_size(hints, self.spec.patch))
        return Cond(stack, self.norm(tokens + self.place(where)), token_scale=scale)


def places(size: tuple[int, int], cell: int, waves: int) -> Tensor:
    """Sines and cosines of where cells lie, (4 * waves, h, w): waves of 512, 128, 32 ... pixels.

    size: height and width in pixels; cells of `cell` pixels begin at the upper left corner, so that
    planes of other cells tell the same place alike, whatever the picture's size.
    """
    down, across = (torch.arange(-(-side // cell)) * cell + cell / 2 for side in size)
    y, x = torch.meshgrid(down, across, indexing="ij")
    angles = [2 * math.pi / (512 / 4**wave) * axis for wave in range(waves) for axis in (x, y)]
    return torch.stack([part for angle in angles for part in (angle.sin(), angle.cos())])
