"""The Coloring Assistant's network (Vik-kos 2024): 33,543,555 weights under their published names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from colorize.errors import ColorizeError
from colorize.networks.unet import Cond
from colorize.published.original import Original, PublishedSystem, angles
from colorize.system import NetSpec

if TYPE_CHECKING:
    from colorize.recipes.recipe import Recipe

BASE = 10_000.0  # of the time's waves
HEADS = 4


@dataclass(frozen=True)
class AssistantUNetSpec(NetSpec):
    """The numbers of the Coloring Assistant's U-Net.

    width: channels of the finest level, twice as many on each of the three others.
    time: numbers that tell the time; its authors take as many as a picture has pixels a side.
    """

    home = "colorize.published.coloring_assistant:ColoringAssistant"
    width: int = 64
    time: int = 128

    blocks = (2, 2, 2, 2)
    stride = 8

    def __post_init__(self) -> None:
        if self.width < 2 or self.width % 2 or self.time < 2 or self.time % 2:
            hint = "choose even numbers; 64 and 128 are as published"
            raise ColorizeError(f"net.width is {self.width}, net.time {self.time}", hint, code=2)

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels per level."""
        return tuple(self.width * 2**level for level in range(4))

    def build(self, inputs: int = 0, outputs: int = 0, tokens: int = 0) -> AssistantUNet:
        """Make the network; its first convolution sees line art, reference and x."""
        return AssistantUNet(self, inputs, outputs)


class DoubleConv(nn.Module):
    """Two 3x3 convolutions, each with a norm; around a skip where inputs equal outputs."""

    recomputed = True

    def __init__(self, inputs: int, outputs: int, between: int = 0, residual: bool = False) -> None:
        super().__init__()
        between, self.residual = between or outputs, residual
        self.double_conv = nn.Sequential(
            nn.Conv2d(inputs, between, 3, padding=1, bias=False),
            nn.GroupNorm(1, between),
            nn.GELU(),
            nn.Conv2d(between, outputs, 3, padding=1, bias=False),
            nn.GroupNorm(1, outputs),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H, W)."""
        h: Tensor = self.double_conv(x)
        return F.gelu(x + h) if self.residual else h


def _time(time: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.SiLU(), nn.Linear(time, outputs))


class Down(nn.Module):
    """Half the size: (B, inputs, H, W) -> (B, outputs, H/2, W/2), with the time added."""

    def __init__(self, inputs: int, outputs: int, time: int) -> None:
        super().__init__()
        convs = DoubleConv(inputs, inputs, residual=True), DoubleConv(inputs, outputs)
        self.maxpool_conv = nn.Sequential(nn.MaxPool2d(2), *convs)
        self.emb_layer = _time(time, outputs)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """Pass a map through; time: (B, T)."""
        out: Tensor = self.maxpool_conv(x) + self.emb_layer(time)[:, :, None, None]
        return out


class Up(nn.Module):
    """Twice the size, behind the map of the way down, with the time added."""

    def __init__(self, inputs: int, outputs: int, time: int) -> None:
        super().__init__()
        convs = DoubleConv(inputs, inputs, residual=True), DoubleConv(inputs, outputs, inputs // 2)
        self.conv, self.emb_layer = nn.Sequential(*convs), _time(time, outputs)

    def forward(self, x: Tensor, skip: Tensor, time: Tensor) -> Tensor:
        """x: (B, C, h, w); skip: (B, D, 2h, 2w)."""
        large = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=True)
        out: Tensor = self.conv(torch.cat([skip, large], dim=1)) + self.emb_layer(time)[:, :, None, None]
        return out


class SelfAttention(nn.Module):
    """Every place of a map reads from every other; then a perceptron. Without positions, so that any size will do."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mha = nn.MultiheadAttention(width, HEADS, batch_first=True)
        self.ln = nn.LayerNorm(width)
        self.ff_self = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))

    def forward(self, x: Tensor) -> Tensor:
        """Keep the shape (B, C, H, W)."""
        flat = x.flatten(2).transpose(1, 2)  # (B, C, H, W) -> (B, H*W, C)
        normed = self.ln(flat)
        flat = flat + self.mha(normed, normed, normed, need_weights=False)[0]
        out: Tensor = flat + self.ff_self(flat)
        return out.transpose(1, 2).reshape(x.shape)


class AssistantUNet(Original):
    """The U-Net. The first block takes no time, and the way up keeps the deepest level's channels, as published."""

    stack_first = True

    def __init__(self, spec: AssistantUNetSpec, inputs: int, outputs: int) -> None:
        super().__init__(spec.stride)
        self.spec = spec
        w, time = spec.width, spec.time
        self.inc = DoubleConv(inputs, w)
        self.down1, self.down2, self.down3 = Down(w, 2 * w, time), Down(2 * w, 4 * w, time), Down(4 * w, 8 * w, time)
        self.sa1 = SelfAttention(8 * w)
        self.up1, self.up2, self.up3 = Up(12 * w, 8 * w, time), Up(10 * w, 2 * w, time), Up(3 * w, w, time)
        self.outc = nn.Conv2d(w, outputs, 1)

    def noise(self, x: Tensor, index: Tensor, cond: Cond) -> Tensor:
        """Find the noise in x."""
        wave = angles(index, self.spec.time // 2, BASE)
        time = torch.cat([wave.sin(), wave.cos()], dim=1)
        first = self.inc(x)
        second = self.down1(first, time)
        third = self.down2(second, time)
        h = self.up1(self.sa1(self.down3(third, time)), third, time)
        out: Tensor = self.outc(self.up3(self.up2(h, second, time), first, time))
        return out


class ColoringAssistant(PublishedSystem):
    """The Coloring Assistant: `trial-0.ckpt` of either phase."""

    variant = "coloring-assistant"
    signs = ("sa1.mha.in_proj_weight", "inc.double_conv.0.weight", "down1.emb_layer.1.weight")

    def described(self, recipe: Recipe, found: Mapping[str, Tensor]) -> Recipe:
        """Read width and size from shapes: there are as many numbers of time as pixels a side."""
        net = AssistantUNetSpec(len(found[self.signs[1]]), found[self.signs[2]].shape[1])
        return replace(recipe, denoiser=replace(recipe.denoiser, net=net), size=net.time)
