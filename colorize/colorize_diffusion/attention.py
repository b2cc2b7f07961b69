"""The transformers of the latent U-Net: attention with weighted tokens, split by a mask, and low-rank changes."""

from __future__ import annotations

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from colorize.colorize_diffusion.condition import LatentCond, Memory, Split
from colorize.networks.unet import zero

Ranks = tuple[float, float]  # of the foreground's and the background's change


def rank(wanted: float, inputs: int, outputs: int) -> int:
    """Return the rank of a change of a layer: below 1 a share of its smaller side, else the number itself."""
    return int(wanted * min(inputs, outputs)) if wanted < 1 else int(wanted)


class LowRankLinear(nn.Linear):
    """A linear layer without bias, and low-rank changes of it for foreground and background (LoRA)."""

    def __init__(self, inputs: int, outputs: int, ranks: Ranks) -> None:
        super().__init__(inputs, outputs, bias=False)
        sizes = [rank(wanted, inputs, outputs) for wanted in ranks]
        self.lora_down_fg = nn.Linear(inputs, sizes[0], bias=False)
        self.lora_up_fg = zero(nn.Linear(sizes[0], outputs, bias=False))
        self.lora_down_bg = nn.Linear(inputs, sizes[1], bias=False)
        self.lora_up_bg = zero(nn.Linear(sizes[1], outputs, bias=False))

    def changed(self, x: Tensor, ground: str) -> Tensor:
        """(B, N, inputs) -> (B, N, outputs); ground: `fg` or `bg`, or empty for the layer as it is."""
        out: Tensor = self(x)
        if ground == "fg":
            out = out + self.lora_up_fg(self.lora_down_fg(x))
        elif ground == "bg":
            out = out + self.lora_up_bg(self.lora_down_bg(x))
        return out


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
        """Let every token of x read from the context, weighted by `scale` before the output layer.

        inside: (B, N, 1), where the first half of the context is read; elsewhere the second.
        """
        if split is None or inside is None:
            mixed = self.attend(x, context)
            if isinstance(scale, Tensor) or scale != 1:
                mixed = scale * mixed
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
        # a gated perceptron, four times as wide inside; the second layer is the published dropout of 0
        perceptron = Gate(width, 4 * width), nn.Identity(), nn.Linear(4 * width, width)
        self.ff = nn.Sequential(OrderedDict(net=nn.Sequential(*perceptron)))
        self.attn2 = Attention(width, context, head, ranks)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))

    def forward(self, x: Tensor, cond: LatentCond, place: int, inside: Tensor | None) -> Tensor:
        """Pass tokens (B, N, C); inside: (B, N, 1) or None, which of them are foreground."""
        x = x + self.self_attention(self.norm1(x), cond.memory, place)
        if cond.tokens is not None:
            read = self.attn2(self.norm2(x), cond.tokens, cond.scale(place), cond.split, inside)
            x = x + read
        out: Tensor = x + self.ff(self.norm3(x))
        return out

    def self_attention(self, x: Tensor, memory: Memory | None, place: int) -> Tensor:
        """Let x attend to itself, and to what another picture left in the memory, if there is one to read."""
        if memory is None:
            out: Tensor = self.attn1(x, x)
            return out
        if memory.writing:
            memory.states.append(x)
            return self.self_attention(x, None, place)
        state = memory.states[place].expand(len(x), -1, -1)
        wide: Tensor = self.attn1(x, torch.cat([x, state], dim=1))
        if memory.own is None:
            return wide
        return torch.lerp(wide, self.attn1(x, x), memory.own.to(wide.dtype))  # autocast's, not x's


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
        size = (x.shape[-2], x.shape[-1])
        inside = None if cond.split is None else foreground(cond.split, size).flatten(2).mT
        h = self.proj_in(self.norm(x)).flatten(2).transpose(1, 2)  # (B, C, H, W) -> (B, H*W, C)
        for block in self.transformer_blocks:
            h = block(h, cond, self.place, inside)
        out: Tensor = x + self.proj_out(h.transpose(1, 2).reshape(x.shape))
        return out


def foreground(split: Split, size: tuple[int, int]) -> Tensor:
    """Return where the mask is above its threshold at a size: (B, 1, H, W), true or false."""
    mask = F.interpolate(split.mask.float(), size, mode="bicubic")
    return mask > split.threshold
