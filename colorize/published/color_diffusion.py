"""Color Diffusion's networks (Millon 2023): 61,504,386 weights under their published names, gray encoder included."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from colorize.checkpoints.weights_io import Renamed
from colorize.errors import ColorizeError
from colorize.hints import Hints
from colorize.images.color import rgb_to_lab
from colorize.model import Colorizer
from colorize.networks.conditions import Drop, Strength
from colorize.networks.unet import Cond, pad
from colorize.published.original import Original, PublishedSystem, angles
from colorize.system import ConditionSpec, NetSpec

if TYPE_CHECKING:
    from colorize.recipes.recipe import Recipe

BASE = 10_000.0  # of the time's waves
GROUPS = 8
HEADS, HEAD = 4, 32  # heads of attention, and channels of one
PARTS = ("unet.", "encoder.")  # of a file


@dataclass(frozen=True)
class ChromaUNetSpec(NetSpec):
    """The numbers of Color Diffusion's U-Net.

    widths: channels behind each level, of which the first is also that of the first convolution; multiples of 8.
    dropout: share of channels left out in training where maps are halved and where they are doubled.
    """

    home = "colorize.published.color_diffusion:ColorDiffusion"
    widths: tuple[int, ...] = (128, 256, 384, 384)
    dropout: tuple[float, float] = (0.3, 0.15)

    def __post_init__(self) -> None:
        if not self.widths or any(width < GROUPS or width % GROUPS for width in self.widths):
            raise ColorizeError(f"net.widths is {list(self.widths)}", f"choose multiples of {GROUPS}", code=2)

    @property
    def blocks(self) -> tuple[int, ...]:
        """Blocks per level."""
        return (2,) * len(self.widths)

    def build(self, inputs: int = 0, outputs: int = 0, tokens: int = 0) -> ChromaUNet:
        """Make the network; its first convolution sees L, then a and b."""
        return ChromaUNet(self, inputs, outputs)


@dataclass(frozen=True)
class LightEncoder(ConditionSpec):
    """L of Lab, joined to x, and a way down of its own that looks at it, whose maps join those of the U-Net's.

    dropout: share of channels left out in training where maps are halved.
    """

    dropout: float = 0.3

    stacked = 1
    tokens = 0

    def build(self, widths: tuple[int, ...] = ()) -> nn.Module:
        """Make the module."""
        return Light(self, widths)


class Standardized(nn.Conv2d):
    """A 3x3 convolution whose filters have mean 0 and variance 1 (Qiao et al. 2019)."""

    def forward(self, x: Tensor) -> Tensor:
        """Convolve."""
        spread, mean = torch.var_mean(self.weight, dim=(1, 2, 3), keepdim=True, correction=0)
        eps = 1e-5 if x.dtype == torch.float32 else 1e-3
        return F.conv2d(x, (self.weight - mean) * (spread + eps).rsqrt(), self.bias, padding=1)


class Conv(nn.Module):
    """A convolution, a norm, and a rectifier."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.proj, self.norm = Standardized(inputs, outputs, 3), nn.GroupNorm(GROUPS, outputs)

    def forward(self, x: Tensor, change: Tensor | None = None) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H, W). change: (B, 2 outputs, 1, 1), scale and shift."""
        h = self.norm(self.proj(x))
        if change is not None:
            scale, shift = change.chunk(2, dim=1)
            h = h * (scale + 1) + shift
        return F.silu(h)


class Block(nn.Module):
    """Two convolutions around a skip, the first scaled and shifted by the time."""

    recomputed = True

    def __init__(self, inputs: int, outputs: int, time: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.SiLU(), nn.Linear(time, 2 * outputs))
        self.block1, self.block2 = Conv(inputs, outputs), Conv(outputs, outputs)
        self.res_conv = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, time: Tensor | None = None) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H, W); time: (B, T), or None for a gray encoder."""
        change = None if time is None else self.mlp(time)[:, :, None, None]
        out: Tensor = self.block2(self.block1(x, change)) + self.res_conv(x)
        return out


class ChannelNorm(nn.Module):
    """A norm over the channels of each place, with gains alone."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.g = nn.Parameter(torch.ones(1, width, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Keep the shape (B, C, H, W)."""
        spread, mean = torch.var_mean(x, dim=1, keepdim=True, correction=0)
        return (x - mean) * (spread + (1e-5 if x.dtype == torch.float32 else 1e-3)).rsqrt() * self.g


class Heads(nn.Module):
    """Attention of a map to itself, by four heads; linear in its places (Shen et al. 2021), or whole."""

    def __init__(self, width: int, linear: bool) -> None:
        super().__init__()
        self.linear, inner = linear, HEADS * HEAD
        self.to_qkv, out = nn.Conv2d(width, 3 * inner, 1, bias=False), nn.Conv2d(inner, width, 1)
        self.to_out = nn.Sequential(out, ChannelNorm(width)) if linear else out

    def forward(self, x: Tensor) -> Tensor:
        """Keep the shape (B, C, H, W)."""
        q, k, v = self.to_qkv(x).flatten(2).unflatten(1, (3, HEADS, HEAD)).unbind(1)  # (B, heads, c, H*W)
        if self.linear:
            k, v = k.softmax(-1), v / v.shape[-1]
            read = v @ k.mT @ q.softmax(-2) * HEAD**-0.5
        else:
            read = F.scaled_dot_product_attention(q.mT, k.mT, v.mT).mT
        out: Tensor = self.to_out(read.flatten(1, 2).unflatten(2, x.shape[-2:]))
        return out


class Normed(nn.Module):
    """A norm, then attention."""

    def __init__(self, width: int, linear: bool) -> None:
        super().__init__()
        self.fn, self.norm = Heads(width, linear), ChannelNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """Keep the shape."""
        out: Tensor = self.fn(self.norm(x))
        return out


class Added(nn.Module):
    """Attention around a skip."""

    def __init__(self, width: int, linear: bool = True) -> None:
        super().__init__()
        self.fn = Normed(width, linear)

    def forward(self, x: Tensor) -> Tensor:
        """Keep the shape."""
        out: Tensor = x + self.fn(x)
        return out


def levels(widths: tuple[int, ...]) -> list[tuple[int, int, bool]]:
    """Return for each level its channels, those behind it, and whether it is the last, which keeps the size."""
    last = len(widths) - 1
    pairs = enumerate(pairwise((widths[0], *widths)))
    return [(before, after, level == last) for level, (before, after) in pairs]


class WayDown(nn.Module):
    """First convolution, time and levels of both networks. joined: how many maps are joined before a map is halved."""

    def __init__(self, widths: tuple[int, ...], inputs: int, dropout: float, joined: int) -> None:
        super().__init__()
        first = widths[0]
        self.init_conv, time = nn.Conv2d(inputs, first, 7, padding=3), 4 * first
        self.time_mlp = nn.Sequential(nn.Identity(), nn.Linear(first, time), nn.GELU(), nn.Linear(time, time))
        self.downs: Any = nn.ModuleList()
        for width, after, last in levels(widths):
            wide = joined * width
            halve = nn.PixelUnshuffle(2), nn.Dropout(dropout), nn.Conv2d(4 * wide, after, 1)
            down = nn.Conv2d(wide, after, 3, padding=1) if last else nn.Sequential(*halve)
            blocks = Block(width, width, time), Block(width, width, time)
            self.downs.append(nn.ModuleList([*blocks, Added(width), down]))


class ChromaUNet(Original):
    """The U-Net: L, a and b in, and the noise of a and b out."""

    stack_first = True

    def __init__(self, spec: ChromaUNetSpec, inputs: int, outputs: int) -> None:
        super().__init__(spec.stride)
        self.spec, widths = spec, spec.widths
        way = WayDown(widths, inputs, spec.dropout[0], joined=2)
        self.init_conv, self.time_mlp, self.downs = way.init_conv, way.time_mlp, way.downs
        first, deep, time = widths[0], widths[-1], 4 * widths[0]
        self.mid_block1, self.mid_block2 = Block(deep, deep, time), Block(deep, deep, time)
        self.mid_attn = Added(deep, linear=False)
        self.ups: Any = nn.ModuleList()
        for width, after, _ in reversed(levels(widths)):
            up: nn.Module = nn.Conv2d(after, width, 3, padding=1)
            if len(self.ups) < len(widths) - 1:
                up = nn.Sequential(nn.Upsample(scale_factor=2), nn.Dropout(spec.dropout[1]), up)
            blocks = Block(after + width, after, time), Block(after + width, after, time)
            self.ups.append(nn.ModuleList([*blocks, Added(after), up]))
        self.final_res_block, self.final_conv = Block(2 * first, first, time), nn.Conv2d(first, outputs, 1)

    def noise(self, x: Tensor, index: Tensor, cond: Cond) -> Tensor:
        """Find the noise in x. cond.maps: those of the gray encoder, finest first."""
        half = self.spec.widths[0] // 2
        wave = angles(index, half, BASE, half - 1)
        time = self.time_mlp(torch.cat([wave.sin(), wave.cos()], dim=1))
        first = h = self.init_conv(x)
        skips = []
        for (block, other, attention, down), gray in zip(self.downs, cond.maps, strict=True):
            skips.append(block(h, time))
            skips.append(attention(other(skips[-1], time)))
            h = down(torch.cat([skips[-1], gray], dim=1))
        h = self.mid_block2(self.mid_attn(self.mid_block1(h, time)), time)
        for block, other, attention, up in self.ups:
            h = block(torch.cat([h, skips.pop()], dim=1), time)
            h = up(attention(other(torch.cat([h, skips.pop()], dim=1), time)))
        out: Tensor = self.final_conv(self.final_res_block(torch.cat([h, first], dim=1), time))
        return out


class Light(nn.Module):
    """The gray encoder. What its file holds of time, and its last convolution, never act, and stay frozen."""

    def __init__(self, spec: LightEncoder, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.spec, self.encoder = spec, WayDown(widths, 1, spec.dropout, joined=1)
        self.stride = 2 ** (len(widths) - 1)
        times = [block.mlp for level in self.encoder.downs for block in level[:2]]
        for unused in (self.encoder.time_mlp, self.encoder.downs[-1][3], *times):
            unused.requires_grad_(False)

    def forward(self, hints: Hints, drop: Drop | None = None, strength: Strength | None = None) -> Cond:
        """Encode the gray picture, (B, 1, H, W)."""
        light = rgb_to_lab(hints["gray"].expand(-1, 3, -1, -1))[:, :1] / 50 - 1
        h, maps = self.encoder.init_conv(pad(light, self.stride)), []
        for block, other, attention, down in self.encoder.downs:
            maps.append(attention(other(block(h))))
            h = maps[-1] if len(maps) == len(self.encoder.downs) else down(maps[-1])
        return Cond(stack=light, maps=tuple(maps))


class ColorDiffusion(PublishedSystem):
    """Color Diffusion: `last.ckpt`, without averaged weights, which its program does not save."""

    variant = "published"
    signs = ("unet.downs.0.2.fn.fn.to_qkv.weight", "encoder.downs.0.2.fn.fn.to_qkv.weight", "unet.init_conv.weight")

    def described(self, recipe: Recipe, found: Mapping[str, Tensor]) -> Recipe:
        """Read widths from shapes."""
        downs = sorted(name for name in found if re.fullmatch(r"unet\.downs\.\d\.3\.(2\.)?weight", name))
        net = ChromaUNetSpec(tuple(len(found[name]) for name in downs))
        return replace(recipe, denoiser=replace(recipe.denoiser, net=net))

    def networks(self, colorizer: Colorizer) -> nn.Module:
        """Return U-Net and gray encoder."""
        both = nn.Module()
        both.unet, both.encoder = colorizer.network, colorizer.condition.encoder
        return both

    def renamed(self, found: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Return the tensors of both."""
        return Renamed(found, {name: name for name in found if name.startswith(PARTS)})
