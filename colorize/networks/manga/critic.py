"""The patch critic: how far each part of a colored page looks real. Knows nothing of losses or files."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from colorize.networks.manga.generator import SLOPE, norm
from colorize.networks.unet import pad

WIDTHS = (64, 128, 256, 512)  # as published
MULTIPLE = 32  # pixels; less than so many have no patch to judge


class PatchCritic(nn.Module):
    """Four halvings and a 4x4 convolution: one logit for each patch of 94 pixels (Isola et al. 2017).

    widths: channels after each halving. The first convolution has no norm; those behind it have group
    norms, with as many weights as the published batch norms, which would let the rows of a batch mix.
    """

    def __init__(
        self, page: int = 1, color: int = 3, widths: tuple[int, ...] = WIDTHS, groups: int = 8
    ) -> None:
        super().__init__()
        before = (page + color, *widths[:-1])
        self.convs = nn.ModuleList(
            nn.Conv2d(a, b, 4, stride=2, padding=1) for a, b in zip(before, widths, strict=True)
        )
        self.norms = nn.ModuleList(norm(groups, width) for width in widths[1:])
        self.out = nn.Conv2d(widths[-1], 1, 4, padding=1)

    def forward(self, page: Tensor, color: Tensor) -> Tensor:
        """Judge pages (B, 1, H, W) and their colors (B, 3, H, W): logits (B, 1, H/16 - 1, W/16 - 1)."""
        h = pad(torch.cat([page, color], dim=1), MULTIPLE)
        h = F.leaky_relu(self.convs[0](h), SLOPE)
        for conv, scale in zip(self.convs[1:], self.norms, strict=True):
            h = F.leaky_relu(scale(conv(h)), SLOPE)
        out: Tensor = self.out(h)
        return out
