"""The bricks of the latent U-Net around its transformers: residual, resampling, and the numbers of it all."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from colorize.colorize_diffusion.attention import Attention, Ranks, Transformer
from colorize.colorize_diffusion.condition import LatentCond
from colorize.errors import ColorizeError
from colorize.networks.layers import Up, waves, zero


@dataclass(frozen=True)
class Sizes:
    """The numbers of a latent U-Net; the defaults are Stable Diffusion 2's (Rombach et al. 2022).

    widths: channels per level, finest first; each level halves the map. blocks: residual blocks per level.
    attention: levels (0 = finest) that carry transformers; the middle always does. head: channels of an
    attention head.
    """

    widths: tuple[int, ...] = (320, 640, 1280, 1280)
    blocks: tuple[int, ...] = (2, 2, 2, 2)
    attention: tuple[int, ...] = (0, 1, 2)
    head: int = 64

    def __post_init__(self) -> None:
        if len(self.widths) != len(self.blocks) or not self.widths:
            raise ColorizeError(
                f"net.widths has {len(self.widths)} levels and net.blocks {len(self.blocks)}",
                "give both the same number of levels",
                code=2,
            )
        wrong = [width for width in self.widths if width < 32 or width % 32 or width % self.head]
        if wrong:
            raise ColorizeError(
                f"net.widths holds {wrong[0]}", f"choose multiples of 32 and of net.head={self.head}", code=2
            )

    @property
    def stride(self) -> int:
        """How many cells of the latent share one cell of the coarsest level."""
        return int(2 ** (len(self.widths) - 1))

    @property
    def time(self) -> int:
        """The width of the embedded time."""
        return 4 * self.widths[0]


class Residual(nn.Module):
    """Two 3x3 convolutions around a skip, shifted by the time in between; (B, inputs, H, W) -> (B, outputs, H, W)."""

    def __init__(self, inputs: int, outputs: int, time: int) -> None:
        super().__init__()
        norm = nn.GroupNorm(32, inputs)
        self.in_layers = nn.Sequential(norm, nn.SiLU(), nn.Conv2d(inputs, outputs, 3, padding=1))
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(time, outputs))
        last = zero(nn.Conv2d(outputs, outputs, 3, padding=1))
        self.out_layers = nn.Sequential(
            nn.GroupNorm(32, outputs), nn.SiLU(), nn.Identity(), last
        )  # the third is the published dropout of 0
        same = inputs == outputs
        self.skip_connection = nn.Identity() if same else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """Pass a map; time: (B, T)."""
        h = self.in_layers(x) + self.emb_layers(time)[:, :, None, None]
        out: Tensor = self.skip_connection(x) + self.out_layers(h)
        return out


class Down(nn.Module):
    """Halve a map by a 3x3 convolution of stride 2."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.op = nn.Conv2d(width, width, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H/2, W/2)."""
        out: Tensor = self.op(x)
        return out


class Rung(nn.ModuleList):
    """Bricks of one place of the ladder, one after the other."""

    recomputed = True

    def forward(self, x: Tensor, time: Tensor, cond: LatentCond) -> Tensor:
        """Pass a map; time: (B, T)."""
        for brick in self:
            if isinstance(brick, Residual):
                x = brick(x, time)
            else:
                x = brick(x, cond) if isinstance(brick, Transformer) else brick(x)
        return x


def descent(
    sizes: Sizes, inputs: int, tokens: int, places: Iterator[int], ranks: Ranks | None = None
) -> tuple[nn.ModuleList, list[int]]:
    """Build the way down and return it with the width after each of its rungs."""
    width = sizes.widths[0]
    rungs = nn.ModuleList([Rung([nn.Conv2d(inputs, width, 3, padding=1)])])
    after = [width]
    for level, count in enumerate(sizes.blocks):
        for _ in range(count):
            rung = Rung([Residual(width, sizes.widths[level], sizes.time)])
            width = sizes.widths[level]
            if level in sizes.attention:
                rung.append(Transformer(width, tokens, sizes.head, next(places), ranks))
            rungs.append(rung)
            after.append(width)
        if level < len(sizes.widths) - 1:
            rungs.append(Rung([Down(width)]))
            after.append(width)
    return rungs, after


def ascent(
    sizes: Sizes, below: list[int], tokens: int, places: Iterator[int], ranks: Ranks | None = None
) -> tuple[nn.ModuleList, list[int]]:
    """Build the way up, which takes maps of the widths `below` last in, first out; and the width after each rung."""
    skips, width = list(below), sizes.widths[-1]
    rungs, after = nn.ModuleList(), []
    for level, count in reversed(list(enumerate(sizes.blocks))):
        for i in range(count + 1):
            rung = Rung([Residual(width + skips.pop(), sizes.widths[level], sizes.time)])
            width = sizes.widths[level]
            if level in sizes.attention:
                rung.append(Transformer(width, tokens, sizes.head, next(places), ranks))
            if level and i == count:
                rung.append(Up(width))
            rungs.append(rung)
            after.append(width)
    return rungs, after


def embedding(inputs: int, time: int) -> nn.Sequential:
    """Two layers that turn waves into what residual blocks are shifted by."""
    return nn.Sequential(nn.Linear(inputs, time), nn.SiLU(), nn.Linear(time, time))


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
        self.input_blocks, after = descent(spec, inputs, tokens, itertools.count())
        ups = [w for w, blocks in zip(spec.widths, spec.blocks, strict=True) for _ in range(blocks + 1)]
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
