"""Version 2's doors for a background and a style: the encoders, and where their answers enter the U-Net."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count

import torch
from torch import Tensor, nn

from colorize.networks.blocks import waves, zero
from colorize.networks.latent.attention import Attention
from colorize.networks.latent.blocks import Sizes, descent, embedding
from colorize.networks.latent.cond import LatentCond


class Warp(nn.Module):
    """Let a map read a background's tokens and pass a perceptron: (B, C, H, W) in and out."""

    def __init__(self, width: int, head: int) -> None:
        super().__init__()
        self.attn = Attention(width, width, head)
        self.ff = nn.Sequential(nn.Linear(width, 4 * width), nn.SiLU(), nn.Linear(4 * width, width))
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """context: (B or 1, N, C)."""
        h = x.flatten(2).transpose(1, 2)  # (B, C, H, W) -> (B, H*W, C)
        h = h + self.attn(self.norm1(h), context.expand(len(h), -1, -1))
        h = h + self.ff(self.norm2(h))
        out: Tensor = h.transpose(1, 2).reshape(x.shape)
        return out


class Style(nn.ModuleList):
    """Scale and shift a map's channels by a style's numbers and the time (FiLM, Perez et al. 2018)."""

    def __init__(self, width: int, time: int) -> None:
        wide = 2 * width
        super().__init__([nn.LayerNorm(wide), nn.Linear(time, wide), nn.Linear(wide, wide)])

    def forward(self, x: Tensor, style: Tensor, time: Tensor) -> Tensor:
        """x: (B, C, H, W); style: (B or 1, 2C); time: (B, T)."""
        norm, moment, out = self
        scale, shift = out(norm(style + moment(time)))[:, :, None, None].chunk(2, dim=1)
        changed: Tensor = x * (1 + scale) + shift
        return changed


@dataclass(frozen=True)
class SideSpec(Sizes):
    """The numbers of an encoder: those of the U-Net it speaks to, and of the numbers `y` it is told."""

    labels: int = 512

    def build(self, inputs: int = 4, tokens: int = 1024, pooled: bool = False) -> SideEncoder:
        """Make the encoder; pooled: for style, else for background."""
        return SideEncoder(self, inputs, tokens, pooled)


class SideEncoder(nn.Module):
    """The way down of a U-Net, whose every rung says something to an output block."""

    def __init__(self, spec: SideSpec, inputs: int, tokens: int, pooled: bool) -> None:
        super().__init__()
        self.spec, self.pooled = spec, pooled
        self.time_embed = embedding(spec.widths[0], spec.time)
        self.label_emb = nn.ModuleList([embedding(spec.labels, spec.time)])
        self.input_blocks, after = descent(spec, inputs, tokens, count())
        ups = [
            w for w, blocks in zip(spec.widths, spec.blocks, strict=True) for _ in range(blocks + 1)
        ]
        self.zero_layers = nn.ModuleList(
            [
                zero(nn.Linear(width, 2 * up) if pooled else nn.Conv2d(width, width, 1))
                for width, up in zip(after, ups, strict=True)
            ]
        )

    def forward(self, latent: Tensor, labels: Tensor, tokens: Tensor) -> tuple[Tensor, ...]:
        """Return what to say to each output block, the coarsest first.

        latent: (B, 4, h, w), of the picture squashed to the output's size. labels: (B, L), see `proportions`.
        tokens: (B, N, T), of the picture. A background says (B, cells, C) tokens, a style (B, 2C) numbers.
        """
        clean = latent.new_zeros(len(latent))
        time = self.time_embed(waves(clean, self.spec.widths[0])) + self.label_emb[0](labels)
        cond, x, said = LatentCond(tokens=tokens), latent, []
        for rung, layer in zip(self.input_blocks, self.zero_layers, strict=True):
            x = rung(x, time, cond)
            said.append(layer(x.mean((2, 3))) if self.pooled else layer(x).flatten(2).mT)
        return tuple(reversed(said))


def proportions(given: tuple[int, int], size: tuple[int, int], labels: int = 512) -> Tensor:
    """Return what an encoder is told of a picture's size: (1, labels).

    given, size: height and width in pixels of the picture and of the output. A picture smaller than the
    output counts as enlarged: its height by the longer side of the output, its width in proportion.
    """
    height, width = given
    if height < size[0] or width < size[1]:
        tall = height + max(size)
        height, width = tall, width / height * tall  # type: ignore[assignment]
    shares = torch.tensor([height / size[0], width / size[1]])
    return waves(shares, labels // 2).flatten()[None]
