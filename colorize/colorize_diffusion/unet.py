"""The U-Net of ColorizeDiffusion in Stable Diffusion's latent space, with the names of the published tensors.

It is not the house's U-Net (colorize/networks/unet.py), because sketch maps enter inside its levels, tokens
are weighted per place and read in halves, self-attention can look at another picture, and its projections
are convolutions: all of that would be switches there, and a map of 686 names besides.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from colorize.colorize_diffusion.attention import Ranks, Transformer, foreground
from colorize.colorize_diffusion.condition import LatentCond, Memory
from colorize.colorize_diffusion.unet_blocks import Residual, Rung, Sizes, Style, Warp, ascent, descent, embedding
from colorize.networks.layers import waves, zero
from colorize.networks.unet import Cond
from colorize.system import NetSpec

ENTRIES = 1000  # of the noise table that the published networks were trained with


def table_index(t: Tensor) -> Tensor:
    """Turn the house's times, (B,) in [0, 1] with entry i at i / 1000, into published indices -1 to 999."""
    return ENTRIES * t.double() - 1 if t.device.type != "mps" else ENTRIES * t - 1


@dataclass(frozen=True)
class LatentUNetSpec(Sizes, NetSpec):
    """The numbers of the denoiser.

    lora: ranks of the foreground's and the background's change of the layers that read tokens, below 1 a
    share of the smaller side; empty for none. tuned: in which half of the ladder these are. sides: with
    the doors for version 2's background and style. whole: ask the network at whole entries of the noise
    table only, as the schedulers of `diffusers` do.
    """

    home = "colorize.colorize_diffusion.system:LatentSystem"

    lora: tuple[float, ...] = ()
    tuned: tuple[bool, bool] = (True, True)
    sides: bool = False
    whole: bool = False

    def build(self, inputs: int = 4, outputs: int = 4, tokens: int = 1024) -> LatentUNet:
        """Make the network for latents of `outputs` channels and tokens of a width."""
        return LatentUNet(self, inputs, outputs, tokens)


class LatentUNet(nn.Module):
    """x, t and a LatentCond in, a map like x out; heights and widths must be multiples of the stride."""

    def __init__(self, spec: LatentUNetSpec, inputs: int = 4, outputs: int = 4, tokens: int = 1024) -> None:
        super().__init__()
        self.spec = spec
        ranks: Ranks | None = (spec.lora[0], spec.lora[1]) if spec.lora else None
        down, up = (ranks if tuned else None for tuned in spec.tuned)
        places, width, deep = itertools.count(), spec.widths[0], spec.widths[-1]
        self.time_embed = embedding(width, spec.time)
        self.input_blocks, below = descent(spec, inputs, tokens, places, down)
        middle = Transformer(deep, tokens, spec.head, next(places), down)
        ends = (Residual(deep, deep, spec.time) for _ in range(2))
        self.middle_block = Rung([next(ends), middle, next(ends)])
        self.output_blocks, after = ascent(spec, below, tokens, places, up)
        last = zero(nn.Conv2d(width, outputs, 3, padding=1))
        self.out = nn.Sequential(nn.GroupNorm(32, width), nn.SiLU(), last)
        if spec.sides:
            self.warp_modules = nn.ModuleList([Warp(w, spec.head) for w in reversed(below)])
            self.style_modules = nn.ModuleList([Style(w, spec.time) for w in after])

    def forward(self, x: Tensor, t: Tensor, cond: Cond) -> Tensor:
        """x: (B, C, H, W); t: (B,) in [0, 1]; the answer has x's shape."""
        index = table_index(t)
        index = index.round() if self.spec.whole else index
        way = (1 - index / (ENTRIES - 1)).float()
        known = LatentCond.of(cond).at(way).to(self.dtype)
        if known.injection is not None:
            known = self.remembering(index, way, known)
        return self.walk(x, index, known)

    @property
    def dtype(self) -> torch.dtype:
        """The kind of numbers that the ladder computes in."""
        return next(self.input_blocks.parameters()).dtype

    def lighten(self, dtype: torch.dtype) -> LatentUNet:
        """Bring the ladder to a smaller kind of numbers and return this; time and output stay as they are."""
        for name, part in self.named_children():
            if name not in ("time_embed", "out"):
                part.to(dtype)
        return self

    def walk(self, x: Tensor, index: Tensor, cond: LatentCond) -> Tensor:
        """Down, across and up; index: (B,), places in the noise table."""
        told = waves(index, self.spec.widths[0]).to(next(self.time_embed.parameters()).dtype)
        x, time = x.to(self.dtype), self.time_embed(told).to(self.dtype)
        skips: list[Tensor] = []
        for rung, maps in zip(self.input_blocks, spread(cond.maps, self.spec), strict=True):
            x = rung(x, time, cond)
            x = x if maps is None else x + maps
            skips.append(x)
        x = self.middle_block(x, time, cond)
        for k, rung in enumerate(self.output_blocks):
            skip = self.behind(skips.pop(), cond, k)
            x = rung(torch.cat([x, skip], dim=1), time, cond)
            if cond.style:
                x = self.style_modules[k](x, cond.style[k], time)
        out: Tensor = self.out(x.to(next(self.out.parameters()).dtype))
        return out

    def behind(self, skip: Tensor, cond: LatentCond, k: int) -> Tensor:
        """Let a background picture speak where the mask shows no foreground: (B, C, H, W) in and out."""
        if not cond.background or cond.split is None:
            return skip
        inside = foreground(cond.split, (skip.shape[-2], skip.shape[-1]))
        return torch.where(inside, skip, self.warp_modules[k](skip, cond.background[k]))

    def remembering(self, index: Tensor, way: Tensor, cond: LatentCond) -> LatentCond:
        """Pass the other picture with as much noise as x, and return a cond that remembers it.

        Rows before the injection's start keep their plain self-attention.
        """
        injection = cond.injection
        assert injection is not None
        early = (way < injection.start)[:, None, None]
        if bool(early.all()):
            return replace(cond, injection=None)
        own = injection.own
        if bool(early.any()):
            own = torch.where(early, 1.0, 0.0 if own is None else own).to(self.dtype)
        memory = Memory()
        other = replace(cond, maps=injection.maps, injection=None, memory=memory)
        noised = injection.noised(index.round())
        many = len(index) // len(noised)  # pictures of a batch lie one after the other, joined or not
        self.walk(noised.repeat(many, 1, 1, 1), index.round(), other)
        return replace(cond, injection=None, memory=Memory(memory.states, writing=False, own=own))


def spread(maps: tuple[Tensor, ...], sizes: Sizes) -> list[Tensor | None]:
    """Give each rung of the way down its map or None: after the first, after each halving, after the last."""
    rungs, last = [0], 0
    for amount in sizes.blocks:
        last += amount + 1
        rungs.append(last)
    rungs[-1] -= 1
    placed: list[Tensor | None] = [None] * last
    for rung, value in zip(rungs, maps, strict=False):
        placed[rung] = value
    return placed
