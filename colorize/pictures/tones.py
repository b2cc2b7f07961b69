"""Screentone: shades of a color picture as printed dots, hatching or flat gray over line art.

Line art is (B, 1, H, W), paper +1, ink -1. Knows nothing of networks.
"""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

from colorize.pictures.color import luminance

SHADES = 4  # tones of a page, paper included
DARKEST = 0.75  # share of ink in the darkest tone


def screen(line: Tensor, color: Tensor, rng: Generator) -> Tensor:
    """Print tones over line art where the color picture is dark, each row in its own way.

    line: (B, 1, H, W). color: (B, 3, H, W) in [-1, 1]. A third of the rows get dots, a third
    parallel strokes, 2.5 to 6 pixels apart at any angle; a third flat gray, which is what a page
    looks like once it is shrunk. Bright areas stay paper.
    """
    batch, _, height, width = line.shape
    kind, angle, pitch, bright, dark = torch.rand(5, batch, generator=rng)

    def per_row(values: Tensor) -> Tensor:
        return values.view(-1, 1, 1, 1).to(line)

    light = (luminance(color) + 1) / 2
    shade = (per_row(0.6 + 0.35 * bright) - light).clamp(min=0) * SHADES
    ink = shade.ceil().clamp(max=SHADES - 1) / (SHADES - 1) * DARKEST * per_row(0.4 + 0.6 * dark)
    wave = per_row(2 * math.pi / (2.5 + 3.5 * pitch))
    turn = per_row(math.pi * angle)
    down = torch.arange(height, device=line.device)[:, None].to(line)
    right = torch.arange(width, device=line.device).to(line)
    along, across = (
        torch.cos(wave * (torch.cos(turn) * right + torch.sin(turn) * down)),
        torch.cos(wave * (torch.cos(turn) * down - torch.sin(turn) * right)),
    )
    dots = (along + across + 2) / 4  # its quantiles are near enough to even
    strokes = torch.acos(along.clamp(-1, 1)) / math.pi
    pattern = torch.where(per_row(kind) < 1 / 3, dots, strokes)
    printed = (4 * (ink - pattern) + 0.5).clamp(0, 1) * (ink > 0)
    printed = torch.where(per_row(kind) > 2 / 3, ink, printed)
    return torch.minimum(line, 1 - 2 * printed)
