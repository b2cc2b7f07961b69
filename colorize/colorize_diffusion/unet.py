"""The U-Net of ColorizeDiffusion in Stable Diffusion's latent space, with the names of the published tensors.

Other than in `networks.unet`, sketch maps enter inside its levels, tokens are weighted per place and split by a mask,
and self-attention can read another picture.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from colorize.colorize_diffusion.condition import LatentCond, Memory, Split
from colorize.errors import ColorizeError
from colorize.networks.lora import LowRankLinear, Ranks
from colorize.networks.unet import Cond, Up, named, waves, zero
from colorize.system import NetSpec

ENTRIES = 1000  # of the noise table that the published networks were trained with


class Attention(nn.Module):
    """Multi-head attention of tokens (B, N, C) over a context (B, M, D); `head` channels a head."""

    def __init__(self, width: int, context: int, head: int, ranks: Ranks | None = None) -> None:
        super().__init__()
        self.heads = width // head
        self.to_q, self.to_k, self.to_v = (
            LowRankLinear(inputs, width, ranks) if ranks else nn.Linear(inputs, width, bias=False)
            for inputs in (width, context, context)
        )
        self.to_out = nn.ModuleList([nn.Linear(width, width)])

    def forward(
        self,
        x: Tensor,
        context: Tensor,
        scale: Tensor | float = 1.0,
        split: Split | None = None,
        inside: Tensor | None = None,
    ) -> Tensor:
        """Let x read from the context, weighted by `scale`: of two halves the first where `inside` (B, N, 1)."""
        if split is None or inside is None:
            mixed = scale * self.attend(x, context)
        else:
            first, second = context.chunk(2, dim=1)
            front = self.attend(x, first, "fg" if split.tuned[0] else "")
            back = self.attend(x, second, "bg" if split.tuned[1] else "")
            front, back = scale * split.foreground * front, scale * split.background * back
            mixed = torch.where(inside, torch.lerp(front, back, split.merge), back)
        out: Tensor = self.to_out[0](mixed)
        return out

    def attend(self, x: Tensor, context: Tensor, ground: str = "") -> Tensor:
        """Return what the heads read, joined: (B, N, C), before the output layer; ground: see `LowRankLinear`."""
        rows, shape = len(x), (self.heads, x.shape[2] // self.heads)
        layers = (self.to_q, x), (self.to_k, context), (self.to_v, context)
        read = (f.changed(y, ground) if isinstance(f, LowRankLinear) else f(y) for f, y in layers)
        q, k, v = (y.reshape(rows, -1, *shape).transpose(1, 2) for y in read)
        return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


class Gate(nn.Module):
    """One layer whose second half gates its first (GEGLU, Shazeer 2020)."""

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.proj = nn.Linear(width, 2 * outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, width) -> (B, N, outputs)."""
        value, gate = self.proj(x).chunk(2, dim=-1)
        out: Tensor = value * F.gelu(gate)
        return out


class Block(nn.Module):
    """Self-attention, attention to the tokens, and a perceptron, each added to what comes in."""

    def __init__(self, width: int, context: int, head: int, ranks: Ranks | None = None) -> None:
        super().__init__()
        self.attn1 = Attention(width, width, head)
        perceptron = Gate(width, 4 * width), nn.Identity(), nn.Linear(4 * width, width)  # a dropout of 0 in the middle
        self.ff = named(net=nn.Sequential(*perceptron))
        self.attn2 = Attention(width, context, head, ranks)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))

    def forward(self, x: Tensor, cond: LatentCond, place: int, inside: Tensor | None) -> Tensor:
        """Pass tokens (B, N, C); inside: (B, N, 1) or None, which of them are foreground."""
        x = x + self.self_attention(self.norm1(x), cond.memory, place)
        if cond.tokens is not None:
            x = x + self.attn2(self.norm2(x), cond.tokens, cond.scale(place), cond.split, inside)
        out: Tensor = x + self.ff(self.norm3(x))
        return out

    def self_attention(self, x: Tensor, memory: Memory | None, place: int) -> Tensor:
        """Let x attend to itself, and to what another picture left in the memory, if there is one to read."""
        out: Tensor
        if memory is None or memory.writing:
            if memory is not None:
                memory.states.append(x)
            out = self.attn1(x, x)
            return out
        state = memory.states[place].expand(len(x), -1, -1)
        out = self.attn1(x, torch.cat([x, state], dim=1))
        return out if memory.own is None else torch.lerp(out, self.attn1(x, x), memory.own.to(out.dtype))


class Transformer(nn.Module):
    """One block on every position of a map, between two 1x1 convolutions; `place` is its number in the network."""

    adaptable = True

    def __init__(self, width: int, context: int, head: int, place: int, ranks: Ranks | None = None) -> None:
        super().__init__()
        self.place = place
        self.norm = nn.GroupNorm(32, width, eps=1e-6)
        self.proj_in = nn.Conv2d(width, width, 1)
        self.transformer_blocks = nn.ModuleList([Block(width, context, head, ranks)])
        self.proj_out = zero(nn.Conv2d(width, width, 1))

    def forward(self, x: Tensor, cond: LatentCond) -> Tensor:
        """(B, C, H, W) -> the same."""
        inside = None if cond.split is None else foreground(cond.split, x).flatten(2).mT
        h = self.proj_in(self.norm(x)).flatten(2).transpose(1, 2)  # (B, C, H, W) -> (B, H*W, C)
        for block in self.transformer_blocks:
            h = block(h, cond, self.place, inside)
        out: Tensor = x + self.proj_out(h.transpose(1, 2).reshape(x.shape))
        return out


def foreground(split: Split, like: Tensor) -> Tensor:
    """Return where the mask is above its threshold, at the size of a map: (B, 1, H, W), true or false."""
    return F.interpolate(split.mask.float(), like.shape[-2:], mode="bicubic") > split.threshold


@dataclass(frozen=True)
class Sizes:
    """The numbers of a latent U-Net; the defaults are Stable Diffusion 2's (Rombach et al. 2022).

    widths: channels per level, finest first; each level halves the map. blocks: residual blocks per level. attention:
    levels (0 = finest) that have transformers; the middle always does. head: channels of an attention head.
    """

    widths: tuple[int, ...] = (320, 640, 1280, 1280)
    blocks: tuple[int, ...] = (2, 2, 2, 2)
    attention: tuple[int, ...] = (0, 1, 2)
    head: int = 64

    def __post_init__(self) -> None:
        if len(self.widths) != len(self.blocks) or not self.widths:
            message = f"net.widths has {len(self.widths)} levels and net.blocks {len(self.blocks)}"
            raise ColorizeError(message, "give both the same number of levels", code=2)
        if wrong := [width for width in self.widths if width < 32 or width % 32 or width % self.head]:
            hint = f"choose multiples of 32 and of net.head={self.head}"
            raise ColorizeError(f"net.widths holds {wrong[0]}", hint, code=2)

    @property
    def time(self) -> int:
        """The width of the embedded time."""
        return 4 * self.widths[0]


@dataclass(frozen=True)
class LatentUNetSpec(Sizes, NetSpec):
    """The numbers of the denoiser.

    widths, blocks: channels and residual blocks per level, finest first.
    attention, head: the levels (0 is the finest) that carry transformers, and channels of their heads.
    lora: ranks, see `LowRankLinear`, of the layers that read tokens; empty for none.
    tuned, sides: whether encoder and decoder have these, and version 2's encoders of background and style.
    whole: ask the network at whole entries of the noise table only, as the schedulers of `diffusers` do.
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


def _stage(sizes: Sizes, inputs: int, level: int, tokens: int, places: Iterator[int], ranks: Ranks | None) -> Stage:
    width = sizes.widths[level]
    stage = Stage([Residual(inputs, width, sizes.time)])
    if level in sizes.attention:
        stage.append(Transformer(width, tokens, sizes.head, next(places), ranks))
    return stage


def encoder_stages(
    sizes: Sizes, inputs: int, tokens: int, places: Iterator[int], ranks: Ranks | None = None
) -> tuple[nn.ModuleList, list[int]]:
    """Build the encoder; return its stages and the width after each of them."""
    width = sizes.widths[0]
    stages, after = [Stage([nn.Conv2d(inputs, width, 3, padding=1)])], [width]
    for level, count in enumerate(sizes.blocks):
        for _ in range(count):
            stages.append(_stage(sizes, width, level, tokens, places, ranks))
            width = sizes.widths[level]
            after.append(width)
        if level < len(sizes.widths) - 1:
            halve = nn.Conv2d(width, width, 3, stride=2, padding=1)
            stages.append(Stage([named(op=halve)]))
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
            stage = _stage(sizes, width + skips.pop(), level, tokens, places, ranks)
            width = sizes.widths[level]
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
        index = table_index(t).round() if self.spec.whole else table_index(t)
        way = (1 - index / (ENTRIES - 1)).float()
        latent = LatentCond.of(cond).at(way).to(self.dtype)
        return self.run(x, index, self.remember(index, way, latent))

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
                skip = torch.where(foreground(cond.split, skip), skip, self.warp_modules[k](skip, cond.background[k]))
            x = stage(torch.cat([x, skip], dim=1), time, cond)
            if cond.style:
                x = self.style_modules[k](x, cond.style[k], time)
        out: Tensor = self.out(x.to(next(self.out.parameters()).dtype))
        return out

    def remember(self, index: Tensor, way: Tensor, cond: LatentCond) -> LatentCond:
        """Pass the other picture, as noisy as x, and return a cond that remembers it in rows past the start of that."""
        if (injection := cond.injection) is None:
            return cond
        early, own = (way < injection.start)[:, None, None], injection.own
        if bool(early.all()):
            return replace(cond, injection=None)
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
    stages = [0, *itertools.accumulate(amount + 1 for amount in sizes.blocks)]
    placed: list[Tensor | None] = [None] * stages[-1]
    stages[-1] -= 1
    for stage, value in zip(stages, maps, strict=False):
        placed[stage] = value
    return placed
