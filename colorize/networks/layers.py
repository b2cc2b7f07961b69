"""The layers of the U-Net: residual blocks, attention, resampling, and the embedding of time."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


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
