"""AnimeDiffusion's network (Cao et al. 2024, official code): 52,301,251 weights under their published names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from colorize.diffusion.schedules import Linear
from colorize.errors import ColorizeError
from colorize.networks.unet import Cond
from colorize.published.original import Original, PublishedSystem, angles
from colorize.system import NetSpec

if TYPE_CHECKING:
    from colorize.recipes.recipe import Recipe

GROUPS = 32
BASE = 1000.0  # of the time's waves


@dataclass(frozen=True)
class AnimeUNetSpec(NetSpec):
    """The numbers of AnimeDiffusion's U-Net.

    widths: channels per level, finest first, multiples of 32.
    count: residual blocks per level.
    heads: attention heads.
    """

    home = "colorize.published.anime_diffusion:AnimeDiffusion"
    widths: tuple[int, ...] = (64, 128, 256, 512)
    count: int = 2
    heads: int = 4

    def __post_init__(self) -> None:
        if not self.widths or any(width < GROUPS or width % GROUPS for width in self.widths):
            raise ColorizeError(f"net.widths is {list(self.widths)}", f"choose multiples of {GROUPS}", code=2)

    @property
    def blocks(self) -> tuple[int, ...]:
        """Blocks per level."""
        return (self.count,) * len(self.widths)

    def build(self, inputs: int = 0, outputs: int = 0, tokens: int = 0) -> AnimeUNet:
        """Make the network; its first convolution sees x, line art and reference."""
        return AnimeUNet(self, inputs, outputs)


class Block(nn.Module):
    """Two 3x3 convolutions around a skip, with the time added in between."""

    recomputed = True

    def __init__(self, inputs: int, outputs: int, time: int) -> None:
        super().__init__()
        self.time_emb = nn.Sequential(nn.SiLU(), nn.Linear(time, outputs))
        self.conv1 = _conv(inputs, outputs)
        self.conv2 = _conv(outputs, outputs, nn.Identity())  # in the place of a dropout of 0
        self.skip_connection = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H, W); time: (B, T)."""
        h = self.conv1(x) + self.time_emb(time)[:, :, None, None]
        out: Tensor = self.conv2(h) + self.skip_connection(x)
        return out


def _conv(inputs: int, outputs: int, *between: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.GroupNorm(GROUPS, inputs), nn.SiLU(), *between, nn.Conv2d(inputs, outputs, 3, padding=1))


class Attention(nn.Module):
    """Every place of a map reads from every other; no projection behind it."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention = nn.Sequential(nn.GroupNorm(GROUPS, width), nn.Conv1d(width, 3 * width, 1))

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """Keep the shape (B, C, H, W)."""
        q, k, v = self.attention(x.flatten(2)).unflatten(1, (3, self.heads, -1)).transpose(3, 4).unbind(1)
        read = F.scaled_dot_product_attention(q, k, v)  # (B, heads, H*W, c)
        return x + read.transpose(2, 3).reshape(x.shape)


class Up(nn.ModuleList):
    """A block, then every pixel twice."""

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """(B, inputs, h, w) -> (B, outputs, 2h, 2w)."""
        return F.interpolate(self[0](x, time), scale_factor=2.0, mode="nearest")


class AnimeUNet(Original):
    """The U-Net. The skip of its first convolution is never used, as published."""

    def __init__(self, spec: AnimeUNetSpec, inputs: int, outputs: int) -> None:
        super().__init__(spec.stride)
        self.spec, first, time = spec, spec.widths[0], 4 * spec.widths[0]
        self.time_embedding = nn.Sequential(nn.Linear(first, time), nn.SiLU(), nn.Linear(time, time))
        self.input = nn.Sequential(nn.Conv2d(inputs, first, 1))
        self.encoder_block, self.decoder_block = nn.ModuleList(), nn.ModuleList()
        skips, width = [], first
        for level, wide in enumerate(spec.widths):
            for _ in range(spec.count):
                self.encoder_block.append(Block(width, wide, time))
                width = wide
                skips.append(width)
            if level < len(spec.widths) - 1:
                self.encoder_block.append(nn.AvgPool2d(2))
                skips.append(width)
        middle = Block(width, width, time), Attention(width, spec.heads), Block(width, width, time)
        self.bottom_block = nn.ModuleList(middle)
        for level, wide in reversed(list(enumerate(spec.widths))):
            for last in [False] * spec.count + [True] * (level > 0):
                block = Block(width + skips.pop(), wide, time)
                self.decoder_block.append(Up([block]) if last else block)
                width = wide
        self.output = nn.Sequential(nn.GroupNorm(GROUPS, width), nn.SiLU(), nn.Conv2d(width, outputs, 1))

    def noise(self, x: Tensor, index: Tensor, cond: Cond) -> Tensor:
        """Find the noise in x."""
        wave = angles(index, self.spec.widths[0] // 2, BASE)
        time = self.time_embedding(torch.cat([wave.cos(), wave.sin()], dim=1))
        h, skips = self.input(x), []
        for block in self.encoder_block:
            h = block(h) if isinstance(block, nn.AvgPool2d) else block(h, time)
            skips.append(h)
        for block in self.bottom_block:
            h = block(h, time)
        for block in self.decoder_block:
            h = block(torch.cat([h, skips.pop()], dim=1), time)
        out: Tensor = self.output(h)
        return out


class AnimeDiffusion(PublishedSystem):
    """The official AnimeDiffusion: `ep_300.model.pth` and the like."""

    variant = "official"
    part = "denoise_fn."
    signs = ("denoise_fn.bottom_block.1.attention.1.weight", "denoise_fn.encoder_block.0.conv1.2.weight")

    def described(self, recipe: Recipe, found: Mapping[str, Tensor]) -> Recipe:
        """Read widths from shapes, and the schedule from `gammas`, the only one of its buffers that is needed."""
        if any(".channel_attention." in name for name in found):
            raise ColorizeError("its blocks have attention over channels (CBAM), which was never published")
        shapes = {
            int(match[1]): len(found[name])
            for name in found
            if (match := re.fullmatch(r"denoise_fn\.encoder_block\.(\d+)\.conv1\.2\.weight", name))
        }
        count = next(place for place in range(len(found)) if place not in shapes or place == len(shapes))
        net = AnimeUNetSpec(tuple(shapes[place] for place in sorted(shapes)[::count]), count)
        schedule = linear(found["gammas"]) if "gammas" in found else recipe.schedule
        return replace(recipe, denoiser=replace(recipe.denoiser, net=net), schedule=schedule)


def linear(abar: Tensor) -> Linear:
    """Return the linear schedule with this table (T,). Raises ColorizeError if it is none."""
    known = abar.double()
    beta = 1 - known / torch.cat([known.new_ones(1), known[:-1]])
    places = torch.arange(len(beta), dtype=torch.float64)
    slope = ((places - places.mean()) * beta).sum() / (places - places.mean()).square().sum()
    start = (beta.mean() - slope * places.mean()).item()
    end = start + slope.item() * (len(beta) - 1)
    made = Linear(float(f"{start:.3g}"), float(f"{end:.3g}"), len(beta))
    if not torch.allclose(made.abar(), known, atol=1e-5):
        raise ColorizeError("its noise does not grow linearly", "train it with a linear schedule")
    return made
