"""CLIP, the encoders of pictures and texts (Radford et al. 2021), under the names of OpenCLIP's tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from colorize.errors import ColorizeError
from colorize.networks.unet import named

MEAN = (0.48145466, 0.4578275, 0.40821073)  # of CLIP's training pictures, R, G, B from 0 to 1
SPREAD = (0.26862954, 0.26130258, 0.27577711)
LENGTH = 77  # tokens of a text


@dataclass(frozen=True)
class TowerSpec:
    """The numbers of one tower.

    width: width of a token inside.
    layers: blocks of attention.
    head: channels of an attention head.
    """

    width: int
    layers: int
    head: int


@dataclass(frozen=True)
class CLIPSpec:
    """The numbers of a CLIP; the defaults are those of OpenCLIP's ViT-H-14.

    embed: width of the tokens that come out.
    vision: the tower that sees pictures.
    patch: pixels a side of a patch.
    size: pixels a side of the picture.
    text: the tower that reads words.
    length: tokens of a text.
    words: tokens of the vocabulary.
    """

    embed: int = 1024
    vision: TowerSpec = TowerSpec(1280, 32, 80)
    patch: int = 14
    size: int = 224
    text: TowerSpec = TowerSpec(1024, 24, 64)
    length: int = LENGTH
    words: int = 49408

    def build(self) -> CLIP:
        """Make both towers."""
        return CLIP(self)


class Attention(nn.Module):
    """Multi-head self-attention with one layer for queries, keys and values; causal: no token sees those behind it."""

    def __init__(self, width: int, head: int, causal: bool) -> None:
        super().__init__()
        self.heads, self.causal = width // head, causal
        self.in_proj_weight = nn.Parameter(_normal(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, C) -> the same."""
        rows, count, width = x.shape
        three = F.linear(x, self.in_proj_weight, self.in_proj_bias)
        split = three.reshape(rows, count, 3, self.heads, width // self.heads)
        q, k, v = split.permute(2, 0, 3, 1, 4)  # (3, B, heads, N, c)
        h = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        out: Tensor = self.out_proj(h.transpose(1, 2).reshape(rows, count, width))
        return out


class Block(nn.Module):
    """Attention and a perceptron, each added to its input."""

    def __init__(self, spec: TowerSpec, causal: bool) -> None:
        super().__init__()
        width = spec.width
        self.ln_1, self.attn = nn.LayerNorm(width), Attention(width, spec.head, causal)
        enter, leave = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.ln_2, self.mlp = nn.LayerNorm(width), named(c_fc=enter, gelu=nn.GELU(), c_proj=leave)

    def forward(self, x: Tensor) -> Tensor:
        """Pass tokens (B, N, C)."""
        x = x + self.attn(self.ln_1(x))
        out: Tensor = x + self.mlp(self.ln_2(x))
        return out


def blocks(spec: TowerSpec, causal: bool = False) -> nn.Sequential:
    """Make a tower's blocks."""
    return named(resblocks=nn.Sequential(*(Block(spec, causal) for _ in range(spec.layers))))


class Vision(nn.Module):
    """Pictures into one token for the whole and one for each patch."""

    def __init__(self, spec: CLIPSpec) -> None:
        super().__init__()
        self.spec, width = spec, spec.vision.width
        self.class_embedding = nn.Parameter(_normal(width))
        count = (spec.size // spec.patch) ** 2 + 1
        self.positional_embedding = nn.Parameter(_normal(count, width))
        self.proj = nn.Parameter(_normal(width, spec.embed))
        self.conv1 = nn.Conv2d(3, width, spec.patch, spec.patch, bias=False)
        self.ln_pre, self.ln_post = nn.LayerNorm(width), nn.LayerNorm(width)
        self.transformer = blocks(spec.vision)

    def forward(self, picture: Tensor) -> Tensor:
        """Return tokens (B, 1 + N, embed), the whole picture's first and none of unit length.

        picture: (B, 3, H, W) in [-1, 1] of any size, which is squashed to a square.
        """
        small = F.interpolate(picture, 2 * (self.spec.size,), mode="bicubic", align_corners=True, antialias=True)
        mean, spread = (torch.tensor(row).to(small)[:, None, None] for row in (MEAN, SPREAD))
        x = self.conv1(((small + 1) / 2 - mean) / spread).flatten(2).transpose(1, 2)  # (B, N, C)
        whole = self.class_embedding.expand(len(x), 1, -1)
        x = self.ln_pre(torch.cat([whole, x], dim=1) + self.positional_embedding)
        out: Tensor = self.ln_post(self.transformer(x)) @ self.proj
        return out


class Words(nn.Module):
    """Texts into one vector each."""

    def __init__(self, spec: CLIPSpec) -> None:
        super().__init__()
        width = spec.text.width
        self.positional_embedding = nn.Parameter(_normal(spec.length, width))
        self.text_projection = nn.Parameter(_normal(width, spec.embed))
        self.logit_scale = nn.Parameter(torch.zeros(()))  # of its training; nothing here reads it
        self.transformer = blocks(spec.text, causal=True)
        self.token_embedding = nn.Embedding(spec.words, width)
        self.ln_final = nn.LayerNorm(width)

    def say(self, words: Tensor, skip: int = 0) -> Tensor:
        """Return what texts mean, of unit length: words (B, 77) -> (B, 1, embed). See `tokenized`.

        skip: how many of the last blocks to leave out; 1 is what later versions of ColorizeDiffusion do.
        """
        x = self.token_embedding(words) + self.positional_embedding[: words.shape[1]]
        layers = cast(nn.Sequential, self.transformer[0])
        x = self.ln_final(layers[: len(layers) - skip](x)) @ self.text_projection
        last = words.argmax(1)  # the end of a text has the largest number
        return F.normalize(x[torch.arange(len(x), device=x.device), last], dim=-1)[:, None]


class CLIP(Words):
    """Both towers; the words' lies at the top, as in OpenCLIP's files."""

    def __init__(self, spec: CLIPSpec) -> None:
        super().__init__(spec)
        self.visual = Vision(spec)


def tokenized(texts: list[str]) -> Tensor:
    """Return texts as numbers of CLIP's vocabulary, (B, 77), begin, end and zeros included.

    Raises ColorizeError if open_clip is not installed, and for a text that CLIP could not read to its end.
    """
    try:
        import open_clip
    except ImportError as error:
        hint = "install it with pip install open_clip_torch"
        raise ColorizeError("changing colors by text needs the package open_clip", hint) from error
    words: Tensor = open_clip.tokenize(texts, LENGTH + 1)
    for text, longer in zip(texts, words[:, LENGTH], strict=True):
        if longer:
            message = f"`{text[:30]}...` is longer than the {LENGTH - 2} word pieces that CLIP reads"
            raise ColorizeError(message, "use fewer words", code=2)
    return words[:, :LENGTH]


def _normal(*shape: int) -> Tensor:
    return nn.init.normal_(torch.empty(shape), std=0.02)
