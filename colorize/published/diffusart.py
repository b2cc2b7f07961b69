"""Diffusart's networks (Carrillo et al. 2023, official code): 93,255,749 weights under their published names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from colorize.errors import ColorizeError
from colorize.hints import Hints
from colorize.model import Colorizer
from colorize.networks.conditions import Drop, Strength, masked
from colorize.networks.unet import Cond, pad
from colorize.published.original import Original, PublishedSystem, angles
from colorize.system import ConditionSpec, NetSpec

if TYPE_CHECKING:
    from colorize.recipes.recipe import Recipe

BASE = 10_000.0  # of the time's waves
GROUPS = 8
HEADS, HEAD = 4, 32  # heads of attention, and channels of one
WIDE = 96  # channels of a head of the official cross-attention, which is scaled as if they were 32
OUT_GROUPS = 32  # of the official network's last norm


def check(widths: tuple[int, ...], first: int, waves: int, groups: int) -> None:
    """Refuse numbers that no such U-Net can have (ColorizeError, wrong usage)."""
    if not widths or any(width < groups or width % groups for width in widths):
        raise ColorizeError(f"net.widths is {list(widths)}", f"choose multiples of {groups}", code=2)
    if first < 1 or waves < 4 or waves % 2:
        raise ColorizeError(f"net.first is {first}, net.waves {waves}", "choose 1 or more, and an even number", code=2)


@dataclass(frozen=True)
class DiffusartUNetSpec(NetSpec):
    """The numbers of Diffusart's U-Net.

    widths: channels per level, finest first, multiples of 32.
    first: channels behind the first convolution.
    waves: numbers that tell the time; four times as many behind their first layer.
    """

    home = "colorize.published.diffusart:Diffusart"
    widths: tuple[int, ...] = (128, 256, 512, 512)
    first: int = 64
    waves: int = 256

    def __post_init__(self) -> None:
        check(self.widths, self.first, self.waves, OUT_GROUPS)

    @property
    def blocks(self) -> tuple[int, ...]:
        """Blocks per level."""
        return (2,) * len(self.widths)

    def build(self, inputs: int = 0, outputs: int = 0, tokens: int = 0) -> DiffusartUNet:
        """Make the network; its first convolution sees line art, then x."""
        return DiffusartUNet(self, inputs, outputs)


class Conv(nn.Module):
    """A 3x3 convolution, a norm, and a rectifier: (B, inputs, H, W) -> (B, outputs, H, W)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.proj, self.norm = nn.Conv2d(inputs, outputs, 3, padding=1), nn.GroupNorm(GROUPS, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve."""
        return F.silu(self.norm(self.proj(x)))


class Block(nn.Module):
    """Two convolutions around a skip, with the time, if it takes any, added in between."""

    recomputed = True

    def __init__(self, inputs: int, outputs: int, time: int = 0) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.SiLU(), nn.Linear(time, outputs)) if time else None
        self.block1, self.block2 = Conv(inputs, outputs), Conv(outputs, outputs)
        self.res_conv = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, time: Tensor | None = None) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H, W); time: (B, T)."""
        h = self.block1(x)
        if self.mlp is not None:
            h = h + self.mlp(time)[:, :, None, None]
        out: Tensor = self.block2(h) + self.res_conv(x)
        return out


def heads(*maps: Any) -> list[Tensor]:
    """Maps (B, 4 c, H, W) as (B, 4, c, H W)."""
    return [part.flatten(2).unflatten(1, (HEADS, -1)) for part in maps]


def unheads(read: Tensor, like: Tensor) -> Tensor:
    """What heads read, (B, 4, c, H W), as a map (B, 4 c, H, W) of the size of another."""
    return read.reshape(len(like), -1, *like.shape[-2:])


class LinearAttention(nn.Module):
    """Attention of a map to itself around a skip, linear in its places (Shen et al. 2021)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        inner = HEADS * HEAD
        out = nn.Sequential(nn.Conv2d(inner, width, 1), nn.GroupNorm(1, width))
        layers = nn.ModuleDict({"to_qkv": nn.Conv2d(width, 3 * inner, 1, bias=False), "to_out": out})
        self.fn = nn.ModuleDict({"norm": nn.GroupNorm(1, width), "fn": layers})

    def forward(self, x: Tensor, time: Tensor | None = None) -> Tensor:
        """Keep the shape (B, C, H, W)."""
        layers: Any = self.fn["fn"]
        q, k, v = heads(*layers["to_qkv"](self.fn["norm"](x)).chunk(3, dim=1))
        read = v @ k.softmax(-1).mT @ q.softmax(-2) * HEAD**-0.5
        out: Tensor = x + layers["to_out"](unheads(read, x))
        return out


class CrossAttention(nn.Module):
    """Read a map of the hints, whole. One norm serves both, and the skip carries what is normed, as published."""

    def __init__(self, width: int) -> None:
        super().__init__()
        inner = HEADS * WIDE
        self.norm, self.fn = nn.GroupNorm(1, width), nn.Module()
        self.fn.gamma = nn.Parameter(torch.zeros(1))
        self.fn.to_q, self.fn.to_k, self.fn.to_v = (nn.Conv2d(width, inner, 1, bias=False) for _ in range(3))
        self.fn.to_out = nn.Conv2d(inner, width, 1)

    def forward(self, x: Tensor, hints: Tensor) -> Tensor:
        """Keep the shape of x, (B, C, H, W), also that of the hints."""
        fn: Any = self.fn
        x, context = self.norm(x), self.norm(hints)
        q, k, v = heads(fn.to_q(x), fn.to_k(context), fn.to_v(context))
        read = F.scaled_dot_product_attention(q.mT, k.mT, v.mT, scale=HEAD**-0.5).mT
        out: Tensor = fn.gamma * fn.to_out(unheads(read, x)) + x
        return out


class Level(nn.ModuleList):
    """Blocks, attention where there is any, and a change of size."""

    def forward(self, x: Tensor, time: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the map before and after the change of size."""
        *parts, scale = self
        for part in parts:
            x = part(x, time)
        return x, scale(x)


def down(widths: tuple[int, ...], time: int, count: int, attend: bool) -> nn.ModuleList:
    """Levels of `count` blocks, behind widths[0] channels; each but the last halves the map."""
    levels = nn.ModuleList()
    for inputs, width in pairwise(widths):
        blocks = (Block(before, width, time) for before in [inputs, *(count - 1) * [width]])
        last = len(levels) == len(widths) - 2
        halve = nn.Identity() if last else nn.Conv2d(width, width, 4, stride=2, padding=1)
        levels.append(Level([*blocks, *[LinearAttention(width)] * attend, halve]))
    return levels


class DiffusartUNet(Original):
    """The U-Net. The skip of the finest level is never used, as published."""

    stack_first = True
    side, attend = 3, False  # of the first convolution; whether levels have attention

    def __init__(self, spec: Any, inputs: int, outputs: int) -> None:
        super().__init__(spec.stride)
        self.spec, widths, time = spec, spec.widths, 4 * spec.waves
        self.init_conv = nn.Conv2d(inputs, spec.first, self.side, padding=self.side // 2)
        layers = nn.Linear(spec.waves, time), nn.GELU(), nn.Linear(time, time)
        self.time_mlp = nn.Sequential(nn.Identity(), *layers)
        self.downs, self.ups = down((spec.first, *widths), time, 2, self.attend), nn.ModuleList()
        for after, before in reversed(list(pairwise(widths))):
            blocks = Block(2 * before, after, time), Block(after, after, time)
            double = nn.ConvTranspose2d(after, after, 4, stride=2, padding=1)
            self.ups.append(Level([*blocks, *[LinearAttention(after)] * self.attend, double]))
        self.final_conv = self.head(widths[0], outputs)
        self.add_middle(widths[-1], time)

    def head(self, width: int, outputs: int) -> nn.Sequential:
        """Make the last layers."""
        norm = nn.GroupNorm(OUT_GROUPS, width)
        return nn.Sequential(Block(width, width), norm, nn.Conv2d(width, outputs, 3, padding=1))

    def add_middle(self, width: int, time: int) -> None:
        """Make the layers of the coarsest map."""
        self.mid_block1, self.mid_block2, self.mid_block3 = (Block(width, width, time) for _ in range(3))
        self.mid_cross_attn_1, self.mid_cross_attn_2 = CrossAttention(width), CrossAttention(width)
        self.mid_attn_1, self.mid_attn_2 = LinearAttention(width), LinearAttention(width)

    def middle(self, h: Tensor, time: Tensor, maps: tuple[Tensor, ...]) -> Tensor:
        """Pass the coarsest map through, (B, C, h, w). maps: of the hints."""
        h = self.mid_attn_1(self.mid_block1(self.mid_cross_attn_1(h, maps[0]), time))
        h = self.mid_cross_attn_2(self.mid_block2(h, time), maps[1])
        out: Tensor = self.mid_block3(self.mid_attn_2(h), time)
        return out

    def noise(self, x: Tensor, index: Tensor, cond: Cond) -> Tensor:
        """Find the noise in x. cond.maps: of the hints, as coarse as the coarsest level."""
        half = self.spec.waves // 2
        wave = angles(index, half, BASE, half - 1)
        time = self.time_mlp(torch.cat([wave.sin(), wave.cos()], dim=1))
        h, skips = self.init_conv(x), []
        for level in self.downs:
            skip, h = level(h, time)
            skips.append(skip)
        h = self.middle(h, time, cond.maps)
        for level in self.ups:
            _, h = level(torch.cat([h, skips.pop()], dim=1), time)
        out: Tensor = self.final_conv(h)
        return out


@dataclass(frozen=True)
class ScribbleMaps(ConditionSpec):
    """Line art, joined to x, and two maps of it with the scribbles, their colors and their mask.

    first: channels behind the first convolution.
    """

    first: int = 64

    stacked, tokens = 1, 0

    def build(self, widths: tuple[int, ...] = ()) -> nn.Module:
        """Make the module."""
        return Scribbles(self, widths)


class Scribbles(nn.Module):
    """The encoder of `ScribbleMaps`."""

    def __init__(self, spec: ScribbleMaps, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.spec, self.stride = spec, 2 ** (len(widths) - 1)
        self.encod_sketch: Any = nn.Module()
        self.encod_sketch.init_conv_encd = nn.Conv2d(5, spec.first, 3, padding=1)
        self.encod_sketch.downs_encd = down((spec.first, *widths), 0, 1, False)
        self.encod_sketch.mid_block1_encd = Block(widths[-1], widths[-1])

    def forward(self, hints: Hints, drop: Drop | None = None, strength: Strength | None = None) -> Cond:
        """Encode line art and scribbles."""
        line, encoder = hints["line"], self.encod_sketch
        marks = masked(hints, drop or {}, (strength or {}).get("hints", 1.0))
        h = encoder.init_conv_encd(pad(torch.cat([line, marks], dim=1), self.stride))
        for level in encoder.downs_encd:
            _, h = level(h)
        return Cond(stack=line, maps=(h, encoder.mid_block1_encd(h)))


class Diffusart(PublishedSystem):
    """The official Diffusart: `diffusart_v1.pth`."""

    variant = "official"
    signs = ("mid_cross_attn_1.fn.gamma", "encod_sketch.init_conv_encd.weight", "init_conv.weight")
    condition = "encod_sketch.init_conv_encd.weight"

    def described(self, recipe: Recipe, found: Mapping[str, Tensor]) -> Recipe:
        """Read widths from shapes."""
        net, condition, widths = recipe.denoiser.net, recipe.condition, list[int]()
        while (name := f"downs.{len(widths)}.0.block1.proj.weight") in found:
            widths.append(len(found[name]))
        first, waves = len(found["init_conv.weight"]), found["time_mlp.1.weight"].shape[1]
        net = replace(net, widths=tuple(widths), first=first, waves=waves)  # type: ignore[type-var]
        condition = replace(condition, first=len(found[self.condition]))  # type: ignore[type-var]
        return replace(recipe, denoiser=replace(recipe.denoiser, net=net), condition=condition)

    def networks(self, colorizer: Colorizer) -> nn.Module:
        """Return the parts of U-Net and encoder, side by side."""
        parts = nn.Module()
        for network in (colorizer.network, colorizer.condition):
            for name, part in network.named_children():
                parts.add_module(name, part)
        return parts
