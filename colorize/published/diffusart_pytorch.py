"""Diffusart-pytorch's networks (Piwowarski 2023): 151,944,799 weights, of which 1,818,624 never act."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from colorize.checkpoints.weights_io import Renamed
from colorize.hints import Hints
from colorize.networks.conditions import Drop, Strength, masked
from colorize.networks.unet import Cond, pad
from colorize.published.diffusart import (
    GROUPS,
    HEAD,
    HEADS,
    Block,
    Diffusart,
    DiffusartUNet,
    DiffusartUNetSpec,
    check,
    down,
    heads,
    unheads,
)
from colorize.system import ConditionSpec, NetSpec

if TYPE_CHECKING:
    from colorize.recipes.recipe import Recipe

UNUSED = re.compile(r"(downs|ups|conditioning_encoder)\..*\.to_[qkv]\.weight")  # their rows in `to_qkv` act


@dataclass(frozen=True)
class DiffusartPytorchUNetSpec(NetSpec):
    """The numbers of Diffusart-pytorch's U-Net, which its authors tie to the pixels a side.

    widths: channels per level, finest first, multiples of 8.
    first: channels behind the first convolution.
    waves: numbers that tell the time; four times as many behind their first layer.
    """

    home = "colorize.published.diffusart_pytorch:DiffusartPytorch"
    widths: tuple[int, ...] = (128, 256, 512, 1024)
    first: int = 84
    waves: int = 128

    def __post_init__(self) -> None:
        check(self.widths, self.first, self.waves, GROUPS)

    blocks, stride = DiffusartUNetSpec.blocks, DiffusartUNetSpec.stride

    def build(self, inputs: int = 0, outputs: int = 0, tokens: int = 0) -> DiffusartPytorchUNet:
        """Make the network; its first convolution sees x, then line art, once instead of in three equal planes."""
        return DiffusartPytorchUNet(self, inputs, outputs)


class PlainCrossAttention(nn.Module):
    """Read a map of the hints, whole, around a skip; what is read is not normed."""

    def __init__(self, width: int) -> None:
        super().__init__()
        inner = HEADS * HEAD
        q, kv = nn.Conv2d(width, inner, 1, bias=False), nn.Conv2d(width, 2 * inner, 1, bias=False)
        layers = nn.ModuleDict({"to_q": q, "to_kv": kv, "out": nn.Conv2d(inner, width, 1)})
        self.fn = nn.ModuleDict({"norm": nn.GroupNorm(1, width), "fn": layers})

    def forward(self, x: Tensor, hints: Tensor) -> Tensor:
        """Keep the shape of x, (B, C, H, W), also that of the hints."""
        layers: Any = self.fn["fn"]
        q, k, v = heads(layers["to_q"](self.fn["norm"](x)), *layers["to_kv"](hints).chunk(2, dim=1))
        read = F.scaled_dot_product_attention(q.mT, k.mT, v.mT).mT
        out: Tensor = x + layers["out"](unheads(read, x))
        return out


class DiffusartPytorchUNet(DiffusartUNet):
    """The community's U-Net."""

    stack_first = False
    side, attend = 7, True

    def head(self, width: int, outputs: int) -> nn.Sequential:
        """Make the last layers."""
        return nn.Sequential(Block(width, width), nn.Conv2d(width, outputs, 1))

    def add_middle(self, width: int, time: int) -> None:
        """Make the layers of the coarsest map."""
        self.mid_block1, self.mid_block2 = Block(width, width, time), Block(width, width, time)
        crosses = (PlainCrossAttention(width) for _ in range(3))
        self.cross_attention_1, self.cross_attention_2, self.cross_attention_3 = crosses

    def middle(self, h: Tensor, time: Tensor, maps: tuple[Tensor, ...]) -> Tensor:
        """Pass the coarsest map through, (B, C, h, w). maps: one of the hints."""
        h = self.mid_block1(self.cross_attention_1(h, maps[0]), time)
        h = self.mid_block2(self.cross_attention_2(h, maps[0]), time)
        out: Tensor = self.cross_attention_3(h, maps[0])
        return out


@dataclass(frozen=True)
class PaintedLineMap(ConditionSpec):
    """Line art, joined to x, and a map of its copy that is painted over with the scribbles.

    first: channels behind the first convolution.
    """

    first: int = 84

    stacked, tokens = 1, 0

    def build(self, widths: tuple[int, ...] = ()) -> nn.Module:
        """Make the module."""
        return PaintedLine(self, widths)


class PaintedLine(nn.Module):
    """The encoder of `PaintedLineMap`."""

    def __init__(self, spec: PaintedLineMap, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.spec, self.stride = spec, 2 ** (len(widths) - 1)
        self.conditioning_init = nn.Conv2d(3, spec.first, 7, padding=3)
        self.conditioning_encoder = down((spec.first, *widths), 0, 1, True)

    def forward(self, hints: Hints, drop: Drop | None = None, strength: Strength | None = None) -> Cond:
        """Encode line art and scribbles."""
        line = hints["line"]
        marks = masked(hints, drop or {}, (strength or {}).get("hints", 1.0))
        h = self.conditioning_init(pad(marks[:, :3] + (1 - marks[:, 3:]) * line, self.stride))
        for level in self.conditioning_encoder:
            _, h = level(h)
        return Cond(stack=line, maps=(h,))


class DiffusartPytorch(Diffusart):
    """The community's Diffusart-pytorch: `model-epoch_95.pt`."""

    variant = "community"
    signs = ("cross_attention_1.fn.fn.to_kv.weight", "conditioning_init.weight", "init_conv.weight")
    condition = "conditioning_init.weight"

    def described(self, recipe: Recipe, found: Mapping[str, Tensor]) -> Recipe:
        """Read widths and size from shapes: there are as many numbers of time as pixels a side."""
        recipe = super().described(recipe, found)
        assert isinstance(recipe.denoiser.net, DiffusartPytorchUNetSpec)
        return replace(recipe, size=recipe.denoiser.net.waves)

    def renamed(self, found: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Leave out what never acts, and add up what three equal planes of line art would give."""
        own: dict[str, Tensor] = {}
        used = Renamed(found, {name: name for name in found if not UNUSED.fullmatch(name)})
        first = found["init_conv.weight"]
        own.update(used, **{"init_conv.weight": torch.cat([first[:, :3], first[:, 3:].sum(1, keepdim=True)], dim=1)})
        return own
