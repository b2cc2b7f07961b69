"""The U-Net of ColorizeDiffusion in Stable Diffusion's latent space, with the names of the published tensors.

It is another than `networks.unet`: sketch maps enter inside its levels, tokens are weighted per place and split by a
mask, self-attention can read another picture, and its 686 tensors have other names.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from colorize.colorize_diffusion.attention import Attention, Ranks, Transformer, foreground
from colorize.colorize_diffusion.condition import LatentCond, Memory
from colorize.errors import ColorizeError
from colorize.networks.unet import Cond, Up, waves, zero
from colorize.system import NetSpec

ENTRIES = 1000  # of the noise table that the published networks were trained with


@dataclass(frozen=True)
class Sizes:
    """The numbers of a latent U-Net; the defaults are Stable Diffusion 2's (Rombach et al. 2022).

    widths: channels per level, finest first; each level halves the map. blocks: residual blocks per level.
    attention: levels (0 = finest) that have transformers; the middle always does. head: channels of an attention
    head.
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


@dataclass(frozen=True)
class LatentUNetSpec(Sizes, NetSpec):
    """The numbers of the denoiser.

    lora: ranks of the foreground's and the background's change of the layers that read tokens, below 1 a
    share of the smaller side; empty for none. tuned: whether the encoder and the decoder have these. sides: with
    version 2's background and style. whole: ask the network at whole entries of the noise table only, as the
    schedulers of `diffusers` do.
    """

    home = "colorize.colorize_diffusion.system:LatentSystem"
    lora: tuple[float, ...] = ()
    tuned: tuple[bool, bool] = (True, True)
    sides: bool = False
    whole: bool = False

    def build(self, inputs: int = 4, outputs: int = 4, tokens: int = 1024) -> LatentUNet:
        """Make the network for latents of `outputs` channels and tokens of a width."""
        return LatentUNet(self, inputs, outputs, tokens)


class Residual(nn.Module):
    """Two 3x3 convolutions around a skip, shifted by the time in between; (B, inputs, H, W) -> (B, outputs, H, W)."""

    def __init__(self, inputs: int, outputs: int, time: int) -> None:
        super().__init__()
        norm = nn.GroupNorm(32, inputs)
        self.in_layers = nn.Sequential(norm, nn.SiLU(), nn.Conv2d(inputs, outputs, 3, padding=1))
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(time, outputs))
        last = zero(nn.Conv2d(outputs, outputs, 3, padding=1))
        dropout = nn.Identity()  # the published rate is 0
        self.out_layers = nn.Sequential(nn.GroupNorm(32, outputs), nn.SiLU(), dropout, last)
        self.skip_connection = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """Pass a map; time: (B, T)."""
        h = self.in_layers(x) + self.emb_layers(time)[:, :, None, None]
        out: Tensor = self.skip_connection(x) + self.out_layers(h)
        return out


class Stage(nn.ModuleList):
    """What stands between two skips of the U-Net: layers, one after the other."""

    recomputed = True

    def forward(self, x: Tensor, time: Tensor, cond: LatentCond) -> Tensor:
        """Pass a map; time: (B, T)."""
        for layer in self:
            if isinstance(layer, Residual):
                x = layer(x, time)
            else:
                x = layer(x, cond) if isinstance(layer, Transformer) else layer(x)
        return x


def encoder_stages(
    sizes: Sizes, inputs: int, tokens: int, places: Iterator[int], ranks: Ranks | None = None
) -> tuple[nn.ModuleList, list[int]]:
    """Build the encoder; return its stages and the width after each of them."""
    width = sizes.widths[0]
    stages, after = [Stage([nn.Conv2d(inputs, width, 3, padding=1)])], [width]
    for level, count in enumerate(sizes.blocks):
        for _ in range(count):
            stage = Stage([Residual(width, sizes.widths[level], sizes.time)])
            width = sizes.widths[level]
            if level in sizes.attention:
                stage.append(Transformer(width, tokens, sizes.head, next(places), ranks))
            stages.append(stage)
            after.append(width)
        if level < len(sizes.widths) - 1:
            halve = nn.Conv2d(width, width, 3, stride=2, padding=1)
            stages.append(Stage([nn.Sequential(OrderedDict(op=halve))]))
            after.append(width)
    return nn.ModuleList(stages), after


def decoder_stages(
    sizes: Sizes, skips: list[int], tokens: int, places: Iterator[int], ranks: Ranks | None = None
) -> tuple[nn.ModuleList, list[int]]:
    """Build the decoder, which takes skips of these widths last in, first out; return the widths, too."""
    skips, width = list(skips), sizes.widths[-1]
    stages, after = nn.ModuleList(), []
    for level, count in reversed(list(enumerate(sizes.blocks))):
        for i in range(count + 1):
            stage = Stage([Residual(width + skips.pop(), sizes.widths[level], sizes.time)])
            width = sizes.widths[level]
            if level in sizes.attention:
                stage.append(Transformer(width, tokens, sizes.head, next(places), ranks))
            if level and i == count:
                stage.append(Up(width))
            stages.append(stage)
            after.append(width)
    return stages, after


def embedding(inputs: int, time: int) -> nn.Sequential:
    """Two layers that turn waves into what residual blocks are shifted by."""
    return nn.Sequential(nn.Linear(inputs, time), nn.SiLU(), nn.Linear(time, time))


class BackgroundAttention(nn.Module):
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


class StyleModulation(nn.ModuleList):
    """Scale and shift a map's channels by a style's numbers and the time (FiLM, Perez et al. 2018)."""

    def __init__(self, width: int, time: int) -> None:
        wide = 2 * width
        super().__init__([nn.LayerNorm(wide), nn.Linear(time, wide), nn.Linear(wide, wide)])

    def forward(self, x: Tensor, style: Tensor, time: Tensor) -> Tensor:
        """x: (B, C, H, W); style: (B or 1, 2C); time: (B, T)."""
        norm, shift_by, out = self
        scale, shift = out(norm(style + shift_by(time)))[:, :, None, None].chunk(2, dim=1)
        changed: Tensor = x * (1 + scale) + shift
        return changed


class LatentUNet(nn.Module):
    """x, t and a LatentCond in, a map like x out; heights and widths must be multiples of the stride."""

    def __init__(self, spec: LatentUNetSpec, inputs: int = 4, outputs: int = 4, tokens: int = 1024) -> None:
        super().__init__()
        self.spec = spec
        ranks: Ranks | None = (spec.lora[0], spec.lora[1]) if spec.lora else None
        down, up = (ranks if tuned else None for tuned in spec.tuned)
        places, width, deep = itertools.count(), spec.widths[0], spec.widths[-1]
        self.time_embed = embedding(width, spec.time)
        self.input_blocks, skips = encoder_stages(spec, inputs, tokens, places, down)
        middle = Transformer(deep, tokens, spec.head, next(places), down)
        first, last = (Residual(deep, deep, spec.time) for _ in range(2))
        self.middle_block = Stage([first, middle, last])
        self.output_blocks, after = decoder_stages(spec, skips, tokens, places, up)
        end = zero(nn.Conv2d(width, outputs, 3, padding=1))
        self.out = nn.Sequential(nn.GroupNorm(32, width), nn.SiLU(), end)
        if spec.sides:
            self.warp_modules = nn.ModuleList([BackgroundAttention(w, spec.head) for w in reversed(skips)])
            self.style_modules = nn.ModuleList([StyleModulation(w, spec.time) for w in after])

    def forward(self, x: Tensor, t: Tensor, cond: Cond) -> Tensor:
        """x: (B, C, H, W); t: (B,) in [0, 1]; the answer has x's shape."""
        index = table_index(t)
        index = index.round() if self.spec.whole else index
        way = (1 - index / (ENTRIES - 1)).float()
        latent = LatentCond.of(cond).at(way).to(self.dtype)
        if latent.injection is not None:
            latent = self.remember(index, way, latent)
        return self.run(x, index, latent)

    @property
    def dtype(self) -> torch.dtype:
        """The kind of numbers that all but time embedding and output layer compute in."""
        return next(self.input_blocks.parameters()).dtype

    def cast(self, dtype: torch.dtype) -> LatentUNet:
        """Bring all but time embedding and output layer to a smaller kind of numbers, and return this."""
        for name, part in self.named_children():
            if name not in ("time_embed", "out"):
                part.to(dtype)
        return self

    def run(self, x: Tensor, index: Tensor, cond: LatentCond) -> Tensor:
        """Encode, and decode with skips; index: (B,), places in the noise table."""
        moment = waves(index, self.spec.widths[0]).to(next(self.time_embed.parameters()).dtype)
        x, time = x.to(self.dtype), self.time_embed(moment).to(self.dtype)
        skips: list[Tensor] = []
        for stage, added in zip(self.input_blocks, place_maps(cond.maps, self.spec), strict=True):
            x = stage(x, time, cond)
            x = x if added is None else x + added
            skips.append(x)
        x = self.middle_block(x, time, cond)
        for k, stage in enumerate(self.output_blocks):
            skip = skips.pop()
            if cond.background and cond.split is not None:
                inside = foreground(cond.split, (skip.shape[-2], skip.shape[-1]))
                skip = torch.where(inside, skip, self.warp_modules[k](skip, cond.background[k]))
            x = stage(torch.cat([x, skip], dim=1), time, cond)
            if cond.style:
                x = self.style_modules[k](x, cond.style[k], time)
        out: Tensor = self.out(x.to(next(self.out.parameters()).dtype))
        return out

    def remember(self, index: Tensor, way: Tensor, cond: LatentCond) -> LatentCond:
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
        self.run(noised.repeat(many, 1, 1, 1), index.round(), other)
        return replace(cond, injection=None, memory=Memory(memory.states, writing=False, own=own))


def table_index(t: Tensor) -> Tensor:
    """Turn times (B,) in [0, 1], with entry i at i / 1000, into published indices -1 to 999."""
    return ENTRIES * t.double() - 1 if t.device.type != "mps" else ENTRIES * t - 1


def place_maps(maps: tuple[Tensor, ...], sizes: Sizes) -> list[Tensor | None]:
    """Give each stage of the encoder its map or None: after the first, after each halving, after the last."""
    stages, last = [0], 0
    for amount in sizes.blocks:
        last += amount + 1
        stages.append(last)
    stages[-1] -= 1
    placed: list[Tensor | None] = [None] * last
    for stage, value in zip(stages, maps, strict=False):
        placed[stage] = value
    return placed
