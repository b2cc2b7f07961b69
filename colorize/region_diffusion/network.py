"""The network that lets regions of a drawing choose among given colors.

Absorbing-state diffusion (Austin et al. 2021, D3PM; Chang et al. 2022, MaskGIT; Sahoo et al. 2024, MDLM).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from colorize.errors import ColorizeError
from colorize.images.color import lab_of, luminance
from colorize.networks.unet import Down, Residual, Transformer, Up, pad
from colorize.region_diffusion.pieces import GEOMETRY, contacts, geometry, membership, pooled
from colorize.system import NetSpec

BOOK = 48  # colors of the code book, which stand in where nothing is given
REFERENCE, CODEBOOK, PALETTE = range(3)  # where a color comes from
REGION, PART, COLOR, NOTHING = range(4)  # what a token stands for
INKED = 0.02  # what a pixel that is all ink counts in a region's mean
FAINT = 0.1  # in [-1, 1]; a lighter pixel does not separate two regions
DRAWN = 0.5  # in [-1, 1]; where something darker lies there is a figure
PATCH = 4  # pixels of the drawing a side, joined in one cell of the features
GROUPS = 8  # of the group norms
LIMIT = 25.0  # of the logarithm of a part's vote
# Where learning starts: a region is like the part that is nearest in place and size. In the order of `geometry`.
NEAR = (0.2, 0.1, 2.5, 1.0, 0.3, 0.3, 0.5, 1.8, 0.8, 0.5)


class Pieces(NamedTuple):
    """Regions of a drawing, or parts of a reference.

    pooled: (B, N, F) mean features. geometry: (B, N, 10). look: (B, N, E) of length one, by which likeness is
    measured. mass: (B, N), pixels of paper; 0 for what is no piece.
    """

    pooled: Tensor
    geometry: Tensor
    look: Tensor
    mass: Tensor

    def rows(self, rows: Tensor) -> Pieces:
        """Take rows of the batch, some perhaps several times."""
        return Pieces(*(numbers[rows] for numbers in self))

    def first(self, count: int) -> Pieces:
        """Take the first `count` pieces."""
        return Pieces(*(numbers[:, :count] for numbers in self))


@dataclass(frozen=True)
class Choices:
    """What a region may choose from: colors, and parts of references that pass a vote on to their color.

    colors: (B, K, 3) in [-1, 1]; valid: (B, K). tokens: (B, K, T). parts: P of them, with tokens
    part_tokens (B, P, T); owner: (B, P), the color of each, -1 where there is no part.
    """

    colors: Tensor
    valid: Tensor
    tokens: Tensor
    parts: Pieces
    part_tokens: Tensor
    owner: Tensor

    def rows(self, rows: Tensor) -> Choices:
        """Take rows of the batch, some perhaps several times."""
        tensors: dict[str, Any] = {
            one.name: getattr(self, one.name)[rows] for one in fields(self) if one.name != "parts"
        }
        return Choices(**tensors, parts=self.parts.rows(rows))


def joined(choices: Sequence[Choices]) -> Choices:
    """All of several offers at once, in their order."""
    if len(choices) == 1:
        return choices[0]
    owner, before = [], 0
    for one in choices:
        owner.append(torch.where(one.owner >= 0, one.owner + before, -1))
        before += one.colors.shape[1]
    parts = Pieces(*(torch.cat(numbers, 1) for numbers in zip(*(one.parts for one in choices), strict=True)))
    names = ("colors", "valid", "tokens", "part_tokens")
    others = {name: torch.cat([getattr(one, name) for one in choices], 1) for name in names}
    return Choices(**others, parts=parts, owner=torch.cat(owner, 1))


@dataclass(frozen=True)
class RegionNetSpec(NetSpec):
    """The numbers of the network.

    widths: channels per level of the line encoder, finest first; the finest has a quarter of the drawing's size.
    blocks: residual blocks per level.
    heads: heads of the encoder's attention, at its coarsest level.
    tokens: width of the tokens of regions, parts and colors.
    token_heads: heads of the attention among tokens.
    depth: blocks of attention among tokens.
    keys: width in which regions, pixels and colors are compared.
    features: width of what the encoder tells of every cell.
    shade: width of the layers that predict shade.
    """

    home = "colorize.region_diffusion.system:RegionSystem"
    widths: tuple[int, ...] = (48, 96, 144)
    blocks: tuple[int, ...] = (2, 2, 2)
    heads: int = 4
    tokens: int = 160
    token_heads: int = 5
    depth: int = 4
    keys: int = 48
    features: int = 96
    shade: int = 64

    def __post_init__(self) -> None:
        if len(self.widths) != len(self.blocks) or not self.widths:
            message = f"net.widths has {len(self.widths)} levels and net.blocks {len(self.blocks)}"
            raise ColorizeError(message, "give both the same number of levels", code=2)
        for name in ("heads", "token_heads"):
            if getattr(self, name) < 1:
                raise ColorizeError(f"net.{name} is {getattr(self, name)}", "choose 1 or more", code=2)
        if self.widths[-1] % self.heads or self.tokens % self.token_heads:
            message = f"net.widths ends in {self.widths[-1]} and net.tokens is {self.tokens}"
            raise ColorizeError(message, "choose multiples of net.heads and net.token_heads", code=2)

    @property
    def stride(self) -> int:
        """How many pixels of a drawing share one cell of the coarsest level."""
        return int(PATCH * 2 ** (len(self.widths) - 1))

    def build(self, inputs: int = 0, outputs: int = 0, tokens: int = 0) -> RegionNet:
        """Make the network with fresh weights."""
        return RegionNet(self)


class Block(nn.Module):
    """Self-attention among all tokens, in which regions that touch attend to each other more or less."""

    adaptable = True

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.enter, self.leave = nn.Linear(width, 3 * width), nn.Linear(3 * width, width)
        self.contact = nn.Parameter(torch.zeros(heads, 2))
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.leave.weight)

    def forward(self, x: Tensor, bar: Tensor, contact: Tensor) -> Tensor:
        """x: (B, N, C). bar: (B, 1, 1, N), very negative for what is to be ignored. contact: (B, 2, M, M), M <= N."""
        batch, count, width = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(batch, count, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        # Written out: the fused kernel's backward is slow in bf16 on processors.
        score = (q * (width // self.heads) ** -0.5) @ k.mT + bar
        touching = contact.shape[-1]
        weight = 4 * self.contact.to(contact)
        bias = torch.einsum("bcmn,hc->bhmn", contact, weight)
        score[:, :, :touching, :touching] += bias.to(score)
        h = score.softmax(-1) @ v
        x = x + self.out(h.transpose(1, 2).reshape(batch, count, width))
        out: Tensor = x + self.leave(F.gelu(self.enter(self.norm2(x))))
        return out


class RegionNet(nn.Module):
    """Encode lines once, let regions choose some times, shade once."""

    book: Tensor

    def __init__(self, spec: RegionNetSpec) -> None:
        super().__init__()
        self.spec = spec
        width, keys, features = spec.tokens, spec.keys, spec.features
        self.register_buffer("book", torch.zeros(BOOK, 3))
        self.lines = LineEncoder(spec, keys + features)
        self.color = nn.Sequential(nn.Linear(10, width), nn.SiLU(), nn.Linear(width, width))
        self.piece = nn.Sequential(nn.Linear(features + GEOMETRY + 1, width), nn.SiLU(), nn.Linear(width, width))
        self.kinds = nn.Parameter(nn.init.normal_(torch.empty(4, width), std=0.02))
        self.nothing = nn.Parameter(nn.init.normal_(torch.empty(1, 1, width), std=0.02))
        self.known = nn.Linear(width, width)
        self.blocks = nn.ModuleList(Block(width, spec.token_heads) for _ in range(spec.depth))
        self.norm = nn.LayerNorm(width)
        self.of_region, self.of_color = nn.Linear(width, keys), nn.Linear(width, keys)
        self.of_part, self.for_pixel = nn.Linear(width, keys), nn.Linear(width, keys)
        self.bias = nn.Linear(width, 1)
        self.look = nn.Linear(features, keys, bias=False)
        start = math.log(2 / math.sqrt(keys))
        self.scale = nn.Parameter(torch.tensor([start, start, math.log(4.0)]))
        self.near = nn.Parameter(torch.tensor(NEAR))
        # How much place, size and likeness count for a region: as they are at first.
        self.trust = nn.Linear(width, GEOMETRY + 1)
        nn.init.zeros_(self.trust.weight)
        nn.init.zeros_(self.trust.bias)
        self.agree = nn.Parameter(torch.tensor(0.3))
        self.shade_in = nn.Conv2d(features + 4, spec.shade, 3, padding=1)
        self.shade_mid = Residual(spec.shade, spec.shade, 0, 8)
        self.shade_out = nn.Conv2d(spec.shade, 12, 3, padding=1)
        nn.init.zeros_(self.shade_out.weight)

    def encode(self, drawing: Tensor, gray: Tensor) -> tuple[Tensor, Tensor]:
        """Line art or gray (B, 1, H, W): queries of the cells (B, E, H/4, W/4), and features (B, F, H/4, W/4)."""
        out = self.lines(drawing, gray).float()
        return out[:, : self.spec.keys], out[:, self.spec.keys :]

    def regions(self, drawing: Tensor, features: Tensor, labels: Tensor, count: int) -> Pieces:
        """The regions of drawings (B, 1, H, W); labels (B, h, w) from 0, at half their size or so."""
        size = (features.shape[-2], features.shape[-1])
        paper = F.adaptive_avg_pool2d((drawing + 1) / 2, (labels.shape[-2], labels.shape[-1]))[:, 0]
        members = membership(labels, count, size, INKED + paper)
        dark = -F.adaptive_max_pool2d(-drawing, labels.shape[-2:])[:, 0]
        return self._pieces(pooled(features, members), geometry(labels, count, dark < DRAWN), members.sum(-1))

    def parts(self, line: Tensor, features: Tensor, labels: Tensor, owner: Tensor) -> Pieces:
        """The parts of references, by their lines (B, 1, H, W); labels (B, S, S), -1 for none; owner: (B, P)."""
        size = (features.shape[-2], features.shape[-1])
        members = membership(labels, owner.shape[1], size)
        dark = -F.adaptive_max_pool2d(-line, labels.shape[-2:])[:, 0]
        place, mass = geometry(labels, owner.shape[1], dark < DRAWN), members.sum(-1) * (owner >= 0)
        return self._pieces(pooled(features, members), place, mass)

    def _pieces(self, features: Tensor, place: Tensor, mass: Tensor) -> Pieces:
        return Pieces(features, place, F.normalize(self.look(features).float(), dim=-1), mass)

    def contacts(self, drawing: Tensor, labels: Tensor, count: int) -> Tensor:
        """How regions touch, see `pieces.contacts`."""
        light = -F.adaptive_max_pool2d(-drawing, labels.shape[-2:])[:, 0] > FAINT
        return contacts(labels, count, light)

    def from_reference(self, rgb: Tensor, share: Tensor, valid: Tensor, parts: Pieces, owner: Tensor) -> Choices:
        """Offer the main colors (B, K, 3) of references, and their parts."""
        tokens = self.embedded(rgb, share, REFERENCE)
        own = tokens.gather(1, owner.clamp(min=0)[..., None].expand(-1, -1, tokens.shape[-1]))
        flag = torch.ones_like(parts.geometry[..., :1])
        tokens_of_parts = self.piece(torch.cat([parts.pooled, parts.geometry, flag], -1)) + self.known(own)
        return Choices(rgb, valid, tokens + self.kinds[COLOR], parts, tokens_of_parts + self.kinds[PART], owner)

    def from_palette(self, rgb: Tensor, valid: Tensor, origin: int = PALETTE) -> Choices:
        """Offer bare colors (B, K, 3)."""
        tokens = self.embedded(rgb, torch.zeros_like(rgb[..., 0]), origin) + self.kinds[COLOR]
        batch, spec = len(rgb), self.spec
        empty = [rgb.new_zeros(batch, 0, wide) for wide in (spec.features, GEOMETRY, spec.keys, spec.tokens)]
        none = Pieces(empty[0], empty[1], empty[2], rgb.new_zeros(batch, 0))
        owner = torch.zeros(batch, 0, dtype=torch.long, device=rgb.device)
        return Choices(rgb, valid, tokens, none, empty[3], owner)

    def from_book(self, batch: int) -> Choices:
        """Offer the code book."""
        rgb = self.book[None].expand(batch, -1, -1)
        return self.from_palette(rgb, torch.ones_like(rgb[..., 0], dtype=torch.bool), CODEBOOK)

    def embedded(self, rgb: Tensor, share: Tensor, origin: int) -> Tensor:
        """Tokens of colors (B, K, 3) in [-1, 1] that fill a share (B, K) of their picture: (B, K, T)."""
        lab = lab_of(rgb) / 50 - rgb.new_tensor([1.0, 0, 0])
        kind = F.one_hot(torch.full(rgb.shape[:-1], origin, device=rgb.device), 3).float()
        out: Tensor = self.color(torch.cat([rgb, lab, share[..., None].clamp(0, 1).sqrt(), kind], -1))
        return out

    def forward(
        self, regions: Pieces, contact: Tensor, choices: Choices, hue: Tensor, known: Tensor
    ) -> tuple[Tensor, Tensor]:
        """One call: how likely each region has each color, as log-probabilities (B, N, K), and the colors' tokens.

        contact: (B, N, N, 2). hue: (B, N, 3) in [-1, 1], the colors that are known; known: (B, N), 1 where they
        are. The tokens (B, K, T) are for `pixels`.
        """
        count, number = hue.shape[1], choices.owner.shape[1]
        own = torch.cat([regions.pooled, regions.geometry, known[..., None]], -1)
        token = self.piece(own) + self.kinds[REGION]
        token = token + known[..., None] * self.known(self.embedded(hue.clamp(-1, 1), 0 * known, PALETTE))
        nothing = self.nothing.expand(len(hue), -1, -1) + self.kinds[NOTHING]
        z = torch.cat([t.float() for t in (token, nothing, choices.part_tokens, choices.tokens)], 1)
        there = torch.ones_like(known[:, :1], dtype=torch.bool)
        mask = torch.cat([regions.mass > 0, there, choices.owner >= 0, choices.valid], 1)
        kind = torch.bfloat16 if torch.is_autocast_enabled(z.device.type) else torch.float32
        bar = (mask[:, None, None].to(kind) - 1) * 1e4
        touching = contact.to(kind).permute(0, 3, 1, 2).contiguous()
        for block in self.blocks:
            z = block(z, bar, touching)
        z = self.norm(z)
        at_region, _, at_part, at_color = z.split([count, 1, number, choices.colors.shape[1]], 1)
        query = self.of_region(at_region)
        strength = self.scale.exp()
        direct = query @ self.of_color(at_color).mT * strength[0] + self.bias(at_color).mT
        votes = direct.float().masked_fill(~choices.valid[:, None], -1e4)
        if number:
            votes = torch.logaddexp(votes, self._passed(query, at_region, at_part, regions, choices))
        votes = votes.masked_fill(~choices.valid[:, None], -1e4).log_softmax(-1)
        pull = contact[..., 0].float() @ votes.clamp(min=-12)
        return (votes + self.agree * pull).masked_fill(~choices.valid[:, None], -1e4), at_color

    def _passed(self, query: Tensor, at_region: Tensor, at_part: Tensor, regions: Pieces, choices: Choices) -> Tensor:
        """Votes for parts, passed on to their colors: (B, N, K) logarithms."""
        strength = self.scale.exp()
        trust = 2 * self.trust(at_region).float().sigmoid()
        weight = trust[..., :GEOMETRY]
        mine, theirs = regions.geometry * self.near, choices.parts.geometry * self.near
        apart = (weight * mine.square()).sum(-1, keepdim=True) - 2 * (weight * mine) @ theirs.mT
        apart = apart + weight @ theirs.square().mT
        alike = trust[..., GEOMETRY:] * (regions.look @ choices.parts.look.mT) * strength[2]
        via = (query @ self.of_part(at_part).mT * strength[0] + alike - apart).float()
        there = choices.owner >= 0
        owner = F.one_hot(choices.owner.clamp(min=0), choices.colors.shape[1]).float() * there[..., None]
        passed: Tensor = (via.clamp(-LIMIT, LIMIT).exp() * there[:, None] @ owner).clamp(min=1e-13).log()
        return passed

    def pixels(self, queries: Tensor, at_color: Tensor) -> Tensor:
        """What single cells add to their region's vote: (B, K, h, w)."""
        keys = self.for_pixel(at_color).float()
        return torch.einsum("behw,bke->bkhw", queries, keys) * self.scale[1].exp()

    def shade(self, features: Tensor, flat: Tensor) -> Tensor:
        """Light and shadow to add to flat colors (B, 3, 2 h, 2 w) in [-1, 1]; features (B, F, h, w)."""
        quarter = F.avg_pool2d(flat, 2)
        x = torch.cat([features, quarter, luminance(quarter)], 1)
        x = self.shade_in(x.contiguous(memory_format=torch.channels_last))
        out: Tensor = self.shade_out(F.silu(self.shade_mid(x)))
        return 0.5 * F.pixel_shuffle(out, 2).float()


class LineEncoder(nn.Module):
    """A U-Net over line art: (B, 1, H, W) to (B, outputs, H/4, W/4)."""

    def __init__(self, spec: RegionNetSpec, outputs: int) -> None:
        super().__init__()
        widths, last = spec.widths, len(spec.widths) - 1
        self.stride = PATCH * 2**last
        self.enter = nn.Conv2d(PATCH**2 + 1, widths[0], 3, padding=1)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        skips, width = [widths[0]], widths[0]
        for at in range(len(widths)):
            for _ in range(spec.blocks[at]):
                self.down.append(_level(spec, width, at))
                width = widths[at]
                skips.append(width)
            if at < last:
                self.down.append(Down(width))
                skips.append(width)
        self.middle = nn.Sequential(_level(spec, width, last), Residual(width, width, 0, GROUPS))
        for at in reversed(range(len(widths))):
            for _ in range(spec.blocks[at] + 1):
                self.up.append(_level(spec, width + skips.pop(), at))
                width = widths[at]
            if at:
                self.up.append(Up(width))
        self.norm = nn.GroupNorm(math.gcd(GROUPS, width), width)
        self.out = nn.Conv2d(width, outputs, 3, padding=1)
        nn.init.normal_(self.out.weight, std=0.02)

    def forward(self, drawing: Tensor, gray: Tensor) -> Tensor:
        """drawing: (B, 1, H, W) in [-1, 1]. gray: (B,), whether it is a gray picture and no line art."""
        height, width = (-(-side // PATCH) for side in drawing.shape[-2:])
        x = F.pixel_unshuffle(pad(drawing, self.stride), PATCH)
        flag = gray.to(x)[:, None, None, None].expand(-1, 1, *x.shape[-2:])
        x = torch.cat([x, flag], 1).contiguous(memory_format=torch.channels_last)
        x = self.enter(x)
        skips = [x]
        for block in self.down:
            x = block(x)
            skips.append(x)
        x = self.middle(x)
        for block in self.up:
            x = block(x) if isinstance(block, Up) else block(torch.cat([x, skips.pop()], 1))
        out: Tensor = self.out(F.silu(self.norm(x)))
        return out[..., :height, :width]


def _level(spec: RegionNetSpec, inputs: int, at: int) -> nn.Sequential:
    """A residual block and, at the coarsest level, a transformer."""
    parts: list[nn.Module] = [Residual(inputs, spec.widths[at], 0, GROUPS)]
    if at == len(spec.widths) - 1:
        parts.append(Attending(spec.widths[at], spec.heads))
    return nn.Sequential(*parts)


class Attending(Transformer):
    """A transformer without a context, as one argument."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__(width, 0, heads, 1, GROUPS)

    def forward(self, x: Tensor, *_: object) -> Tensor:
        """Keep the shape (B, C, H, W)."""
        return super().forward(x, None)
