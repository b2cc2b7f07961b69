"""See lines: a U-Net that tells every cell of a drawing what it is part of, for drawings and references alike."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from colorize.networks.blocks import Down, Residual, Transformer, Up
from colorize.networks.unet import pad

if TYPE_CHECKING:
    from colorize.networks.regions.net import RegionNetSpec

PATCH = 4  # pixels of the drawing a side, joined in one cell of the features
GROUPS = 8  # of the group norms


class LineEncoder(nn.Module):
    """A U-Net over line art: (B, 1, H, W) to (B, outputs, H/4, W/4)."""

    def __init__(self, spec: RegionNetSpec, outputs: int) -> None:
        super().__init__()
        widths, last = spec.widths, len(spec.widths) - 1
        self.stride = PATCH * 2**last

        self.enter = nn.Conv2d(PATCH**2 + 1, widths[0], 3, padding=1)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        skips, width = [widths[0]], widths[0]
        for at in range(len(widths)):
            for _ in range(spec.blocks[at]):
                self.down.append(_level(spec, width, at))
                width = widths[at]
                skips.append(width)
            if at < last:
                self.down.append(Down(width))
                skips.append(width)
        self.middle = nn.Sequential(_level(spec, width, last), Residual(width, width, 0, GROUPS))
        for at in reversed(range(len(widths))):
            for _ in range(spec.blocks[at] + 1):
                self.up.append(_level(spec, width + skips.pop(), at))
                width = widths[at]
            if at:
                self.up.append(Up(width))
        self.norm = nn.GroupNorm(math.gcd(GROUPS, width), width)
        self.out = nn.Conv2d(width, outputs, 3, padding=1)
        nn.init.normal_(self.out.weight, std=0.02)

    def forward(self, drawing: Tensor, gray: Tensor) -> Tensor:
        """drawing: (B, 1, H, W) in [-1, 1]. gray: (B,), whether it is a gray picture and no line art."""
        height, width = (-(-side // PATCH) for side in drawing.shape[-2:])
        x = F.pixel_unshuffle(pad(drawing, self.stride), PATCH)
        flag = gray.to(x)[:, None, None, None].expand(-1, 1, *x.shape[-2:])
        x = torch.cat([x, flag], 1).contiguous(memory_format=torch.channels_last)
        x = self.enter(x)
        skips = [x]
        for block in self.down:
            x = block(x)
            skips.append(x)
        x = self.middle(x)
        for block in self.up:
            x = block(x) if isinstance(block, Up) else block(torch.cat([x, skips.pop()], 1))
        out: Tensor = self.out(F.silu(self.norm(x)))
        return out[..., :height, :width]


def _level(spec: RegionNetSpec, inputs: int, at: int) -> nn.Sequential:
    """A residual block and, at the coarsest level, a transformer."""
    parts: list[nn.Module] = [Residual(inputs, spec.widths[at], 0, GROUPS)]
    if at == len(spec.widths) - 1:
        parts.append(Attending(spec.widths[at], spec.heads))
    return nn.Sequential(*parts)


class Attending(Transformer):
    """A transformer without a context, as one argument."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__(width, 0, heads, 1, GROUPS)

    def forward(self, x: Tensor, *_: object) -> Tensor:
        """Keep the shape (B, C, H, W)."""
        return super().forward(x, None)
