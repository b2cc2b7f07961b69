"""The U-Net with its layers, and its condition: a stack, tokens and maps, next to x and t."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from colorize.errors import ColorizeError


def waves(values: Tensor, width: int) -> Tensor:
    """Turn numbers (B,) into (B, width) cosines and sines of falling frequency (Vaswani et al. 2017)."""
    half = width // 2
    rates = torch.exp(-math.log(10_000) * torch.arange(half, device=values.device) / half)
    angles = values.float()[:, None] * rates
    return torch.cat([angles.cos(), angles.sin()], dim=1)


def zero(module: nn.Conv2d | nn.Linear) -> nn.Module:
    """Start a layer at zero, so that the block around it starts as the identity."""
    nn.init.zeros_(module.weight)
    if module.bias is not None:
        nn.init.zeros_(module.bias)
    return module


def named(**layers: nn.Module) -> nn.Sequential:
    """Run layers one after the other, under names."""
    return nn.Sequential(OrderedDict(layers))


class Residual(nn.Module):
    """Two 3x3 convolutions around a skip, shifted by the time in between; (B, inputs, H, W) -> (B, outputs, H, W)."""

    recomputed = True  # for its gradient, see `training.gradient_checkpointing`

    def __init__(self, inputs: int, outputs: int, time: int, groups: int = 32, dropout: float = 0.0) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(math.gcd(groups, inputs), inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.time = nn.Linear(time, outputs) if time else None
        self.norm2 = nn.GroupNorm(math.gcd(groups, outputs), outputs)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = zero(nn.Conv2d(outputs, outputs, 3, padding=1))
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, time: Tensor | None = None) -> Tensor:
        """Pass a map through; time is the embedded time (B, T), or None for a block without time."""
        h = self.conv1(F.silu(self.norm1(x)))
        if self.time is not None and time is not None:
            h = h + self.time(F.silu(time))[:, :, None, None]
        h = self.conv2(self.dropout(F.silu(self.norm2(h))))
        out: Tensor = self.skip(x) + h
        return out


class Attention(nn.Module):
    """Multi-head attention of tokens (B, N, C) over a context (B, M, D), or over themselves."""

    def __init__(self, width: int, context: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(context, width, bias=False)
        self.value = nn.Linear(context, width, bias=False)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """Let every token of x read from the context."""
        flat = self.query(x), self.key(context), self.value(context)
        q, k, v = (y.unflatten(2, (self.heads, -1)).transpose(1, 2) for y in flat)  # (B, heads, N, c)
        out: Tensor = self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return out


class FeedForward(nn.Module):
    """A gated two-layer perceptron on every token (GEGLU, Shazeer 2020)."""

    def __init__(self, width: int, factor: int) -> None:
        super().__init__()
        self.enter = nn.Linear(width, 2 * factor * width)
        self.out = zero(nn.Linear(factor * width, width))

    def forward(self, x: Tensor) -> Tensor:
        """Keep the shape (B, N, C)."""
        value, gate = self.enter(x).chunk(2, dim=-1)
        out: Tensor = self.out(value * F.gelu(gate))
        return out


class Transformer(nn.Module):
    """Self-attention, attention to tokens of width `context` (0 leaves it out), and a perceptron, on a whole map."""

    adaptable = True  # by low-rank adapters, see `networks.lora`

    def __init__(self, width: int, context: int, heads: int, factor: int, groups: int = 32) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(math.gcd(groups, width), width)
        self.enter = nn.Linear(width, width)
        self.norm1, self.self_attention = nn.LayerNorm(width), Attention(width, width, heads)
        self.norm2 = nn.LayerNorm(width) if context else None
        self.cross_attention = Attention(width, context, heads) if context else None
        self.norm3, self.feed_forward = nn.LayerNorm(width), FeedForward(width, factor)
        self.out = zero(nn.Linear(width, width))

    def forward(self, x: Tensor, tokens: Tensor | None, token_scale: Tensor | float = 1.0) -> Tensor:
        """Pass a map (B, C, H, W); tokens (B, N, context); token_scale (B, 1, 1) or a number weighs what they say."""
        height, width = x.shape[-2:]
        h = self.enter(self.norm(x).flatten(2).transpose(1, 2))  # (B, C, H, W) -> (B, H*W, C)
        normed = self.norm1(h)
        h = h + self.self_attention(normed, normed)
        if self.cross_attention is not None and self.norm2 is not None and tokens is not None:
            h = h + token_scale * self.cross_attention(self.norm2(h), tokens)
        h = h + self.feed_forward(self.norm3(h))
        out: Tensor = x + self.out(h).transpose(1, 2).unflatten(2, (height, width))
        return out


class Down(nn.Module):
    """Halve a map by a 3x3 convolution of stride 2."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H/2, W/2)."""
        out: Tensor = self.conv(x)
        return out


class Up(nn.Module):
    """Double a map by repeating pixels, then smooth it by a 3x3 convolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, 2H, 2W)."""
        out: Tensor = self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return out


@dataclass(frozen=True)
class Cond:
    """The condition: the hints, encoded once per picture.

    stack: (B, S, H, W) joined to the noisy x, or None. tokens: (B, N, T) read by cross-attention, or None. maps: one
    (B, M, h, w) per level, finest first, added to the encoder's output there; may be empty. token_scale: (B, 1, 1), how
    much the tokens count; 1 is as trained.
    """

    stack: Tensor | None = None
    tokens: Tensor | None = None
    maps: tuple[Tensor, ...] = ()
    token_scale: Tensor | float = 1.0


@dataclass(frozen=True)
class UNetSpec:
    """The numbers of a U-Net.

    widths: channels per level, finest first; each level halves the picture.
    blocks: residual blocks per level.
    attention: the levels (0 is the finest) that carry transformers.
    heads: attention heads.
    feed_forward: width factor of the perceptron behind attention.
    groups: groups of a group norm.
    dropout: share of activations left out in training.
    """

    widths: tuple[int, ...] = (64, 128, 256, 512)
    blocks: tuple[int, ...] = (2, 2, 2, 2)
    attention: tuple[int, ...] = (3,)
    heads: int = 4
    feed_forward: int = 4
    groups: int = 32
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if len(self.widths) != len(self.blocks) or not self.widths:
            message = f"net.widths has {len(self.widths)} levels and net.blocks {len(self.blocks)}"
            hint = "give both the same number of levels, such as widths=[64,128] blocks=[2,2]"
            raise ColorizeError(message, hint, code=2)
        if self.heads < 1:
            raise ColorizeError(f"net.heads is {self.heads}", "choose 1 or more", code=2)
        if wrong := [w for w in self.widths if w < 8 or w % self.heads]:
            hint = f"choose multiples of net.heads={self.heads} that are at least 8"
            raise ColorizeError(f"net.widths holds {wrong[0]}", hint, code=2)

    @property
    def stride(self) -> int:
        """How many pixels of x share one pixel of the coarsest level."""
        return int(2 ** (len(self.widths) - 1))

    def build(self, inputs: int, outputs: int, tokens: int = 0) -> UNet:
        """Make the network for x of `outputs` channels, with `inputs` channels in (x and stack)."""
        return UNet(self, inputs, outputs, tokens)


class Level(nn.Module):
    """A residual block and, at levels with attention, a transformer."""

    recomputed = True

    def __init__(self, spec: UNetSpec, inputs: int, level: int, tokens: int) -> None:
        super().__init__()
        width, time = spec.widths[level], 4 * spec.widths[0]
        self.residual = Residual(inputs, width, time, spec.groups, spec.dropout)
        self.transformer = (
            Transformer(width, tokens, spec.heads, spec.feed_forward, spec.groups) if level in spec.attention else None
        )

    def forward(self, x: Tensor, time: Tensor, cond: Cond) -> Tensor:
        """(B, inputs, H, W) -> (B, width, H, W)."""
        x = self.residual(x, time)
        return x if self.transformer is None else self.transformer(x, cond.tokens, cond.token_scale)


class UNet(nn.Module):
    """A U-Net laid out as Stable Diffusion's (Rombach et al. 2022): x, t and a Cond in, a map like x out.

    Any height and width: x and stack are padded to the stride by repeating their border, the answer is cropped.
    """

    def __init__(self, spec: UNetSpec, inputs: int, outputs: int, tokens: int = 0) -> None:
        super().__init__()
        self.spec = spec
        widths, time = spec.widths, 4 * spec.widths[0]
        self.time = nn.Sequential(nn.Linear(widths[0], time), nn.SiLU(), nn.Linear(time, time))
        self.enter = nn.Conv2d(inputs, widths[0], 3, padding=1)
        self.encoder, self.decoder = nn.ModuleList(), nn.ModuleList()
        skips, width = [widths[0]], widths[0]
        for level, count in enumerate(spec.blocks):
            for _ in range(count):
                self.encoder.append(Level(spec, width, level, tokens))
                width = widths[level]
                skips.append(width)
            if level < len(widths) - 1:
                self.encoder.append(Down(width))
                skips.append(width)
        self.middle = nn.ModuleList([Level(spec, width, len(widths) - 1, tokens)])
        self.middle.append(Residual(width, width, time, spec.groups, spec.dropout))
        for level, count in reversed(list(enumerate(spec.blocks))):
            for _ in range(count + 1):
                self.decoder.append(Level(spec, width + skips.pop(), level, tokens))
                width = widths[level]
            if level:
                self.decoder.append(Up(width))
        self.norm = nn.GroupNorm(math.gcd(spec.groups, width), width)
        self.out = zero(nn.Conv2d(width, outputs, 3, padding=1))

    def forward(self, x: Tensor, t: Tensor, cond: Cond) -> Tensor:
        """x: (B, C, H, W); t: (B,) in [0, 1]; the answer has x's shape (its channels may differ)."""
        height, width = x.shape[-2:]
        if cond.stack is not None:
            x = torch.cat([x, cond.stack], dim=1)
        x = pad(x, self.spec.stride).contiguous(memory_format=torch.channels_last)
        time = self.time(waves(1000 * t.float(), self.spec.widths[0]))  # as in DDPM, Ho et al. 2020
        x = self.enter(x)
        skips, maps = [x], list(cond.maps)
        for block in self.encoder:
            if isinstance(block, Down) and maps:
                x = x + maps.pop(0)
            x = block(x) if isinstance(block, Down) else block(x, time, cond)
            skips.append(x)
        first, second = self.middle
        x = second(first(x + maps.pop(0) if maps else x, time, cond), time)
        for block in self.decoder:
            x = block(x) if isinstance(block, Up) else block(torch.cat([x, skips.pop()], dim=1), time, cond)
        out: Tensor = self.out(F.silu(self.norm(x)))
        return out[..., :height, :width]


def cells(size: tuple[int, int], patch: int) -> tuple[int, int]:
    """Return how many cells of `patch` pixels a height and a width have; the last ones may be cut off."""
    return -(-size[0] // patch), -(-size[1] // patch)


def darkest(line: Tensor, patch: int) -> Tensor:
    """The darkest of each cell's pixels, (B, 1, H, W) to (B, 1, h, w): thin lines stay walls."""
    return -F.max_pool2d(-pad(line, patch), patch)


def pad(x: Tensor, stride: int) -> Tensor:
    """Repeat the right and lower border until both sides are multiples of the stride."""
    height, width = x.shape[-2:]
    right, below = -width % stride, -height % stride
    return F.pad(x, (0, right, 0, below), mode="replicate") if right or below else x
