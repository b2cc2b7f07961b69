"""The networks of the manga GAN: generators (a page in and colors out in one call), critic, and frozen networks."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from colorize.errors import ColorizeError
from colorize.images.color import luminance
from colorize.networks.unet import Cond, named, pad
from colorize.system import NetSpec

SLOPE = 0.2  # of leaky rectifiers, as published
LEAST = 4  # halvings
WIDTHS = (64, 128, 256, 512)  # channels of the critic, as published
MULTIPLE = 32  # pixels of a page for the critic; fewer have no patch to judge
SMALLEST = 4  # channels of a group; one number alone would be normalized to nothing
WIDTH, DEPTH = 96, 12  # channels and convolutions of FFDNet's RGB version
PLANES = 12  # of an RGB picture whose cells of 2 x 2 pixels became channels
DROPPED = 3  # deepest levels of the way up that have dropout, as published


@dataclass(frozen=True)
class GeneratorSpec(NetSpec):
    """The numbers of a generator (Isola et al. 2017, "pix2pix").

    widths: channels after each halving, the finest first.
    attention: self-attention on the deepest map, a single place for 256 x 256 pixels and the published 8 halvings.
    groups: groups of a group norm; 0 for batch norms, as published.
    dropout: share of activations left out in training, in the three deepest levels of the way up.
    added: the answer is what color adds to the page, nothing at first, rather than a picture made anew.
    """

    home = "colorize.manga.system:MangaSystem"
    widths: tuple[int, ...] = (64, 128, 256, 512, 512, 512, 512, 512)
    attention: bool = False
    groups: int = 8
    dropout: float = 0.5
    added: bool = False

    def __post_init__(self) -> None:
        if len(self.widths) < LEAST or min(self.widths, default=0) < 8:
            hint = f"give at least {LEAST} halvings of 8 channels or more, such as [32,64,128,128]"
            raise ColorizeError(f"net.widths is {list(self.widths)}", hint, code=2)

    @property
    def blocks(self) -> tuple[int, ...]:
        """One block for each halving."""
        return (1,) * len(self.widths)

    @property
    def stride(self) -> int:
        """What sides are best multiples of; deeper levels repeat the last row where they must."""
        return int(2**LEAST)

    def build(self, inputs: int = 0, outputs: int = 0, tokens: int = 0) -> Generator:
        """Make the network for `inputs` channels, those of x included, and tokens of a width for its depth."""
        return Generator(self, inputs - outputs, outputs, tokens)


def norm(groups: int, width: int) -> nn.Module:
    """A norm within one picture, which works on a single place, too; for 0 groups a batch norm, of as many weights."""
    if not groups:
        return nn.BatchNorm2d(width)
    return nn.GroupNorm(math.gcd(groups, width) if width >= SMALLEST * groups else 1, width)


class Down(nn.Module):
    """Halve a map by a 4x4 convolution, rounding up: (B, inputs, H, W) -> (B, outputs, H/2, W/2)."""

    def __init__(self, inputs: int, outputs: int, groups: int) -> None:
        super().__init__()
        self.recomputed = bool(groups)  # a batch norm would count its batch twice
        self.conv = nn.Conv2d(inputs, outputs, 4, stride=2, padding=1)
        self.bn = norm(groups, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Pass a map through."""
        return F.leaky_relu(self.bn(self.conv(pad(x, 2))), SLOPE)


class Up(nn.Sequential):
    """Double a map by a transposed 4x4 convolution: (B, inputs, h, w) -> (B, outputs, 2h, 2w)."""

    def __init__(self, inputs: int, outputs: int, groups: int, dropout: float) -> None:
        deconv = nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1)
        parts = {"deconv": deconv, "bn": norm(groups, outputs), "relu": nn.ReLU(), "dropout": nn.Dropout(dropout)}
        super().__init__(OrderedDict(parts))
        self.recomputed = bool(groups)


class SelfAttention(nn.Module):
    """Let every place of a map read from every other, faded in from nothing (Zhang et al. 2019, "SAGAN")."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1))
        self.query_conv = nn.Conv2d(width, width // 8, 1)
        self.key_conv = nn.Conv2d(width, width // 8, 1)
        self.value_conv = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Keep the shape (B, C, H, W)."""
        parts = (conv(x) for conv in (self.query_conv, self.key_conv, self.value_conv))
        q, k, v = (part.flatten(2).transpose(1, 2) for part in parts)  # (B, C, H, W) -> (B, H*W, C)
        read = F.scaled_dot_product_attention(q, k, v, scale=1.0).transpose(1, 2).reshape(x.shape)
        out: Tensor = x + self.gamma * read
        return out


class Generator(nn.Module):
    """A U-Net of strided convolutions. Any height and width: a level repeats its last row where it is odd.

    Its tensors have their published names: `down1`, `attn`, `up1`; the last of the way up has no norm.
    """

    def __init__(self, spec: GeneratorSpec, inputs: int, outputs: int, tokens: int) -> None:
        super().__init__()
        self.spec, widths = spec, spec.widths
        for level, (a, b) in enumerate(pairwise((inputs, *widths)), 1):
            self.add_module(f"down{level}", Down(a, b, spec.groups))
        wide = widths[-1] + tokens
        self.attn = SelfAttention(wide) if spec.attention else None
        for level, width in enumerate(reversed(widths[:-1]), 1):
            dropout = spec.dropout if level <= DROPPED else 0.0
            self.add_module(f"up{level}", Up(wide, width, spec.groups, dropout))
            wide = 2 * width
        last = nn.ConvTranspose2d(wide, outputs, 4, stride=2, padding=1)
        self.add_module(f"up{len(widths)}", last)
        if spec.added:
            for value in last.parameters():
                nn.init.zeros_(value)

    def forward(self, x: Tensor, t: Tensor, cond: Cond) -> Tensor:
        """Color the page in `cond.stack`, (B, S, H, W), with tokens (B, N, T) of all of it.

        x, t: noise and time, not looked at. Returns colors (B, outputs, H, W), in [-1, 1] unless they are added to the
        page, which can lead beyond.
        """
        assert cond.stack is not None
        h, depth = cond.stack.contiguous(memory_format=torch.channels_last), len(self.spec.widths)
        skips, sizes = [], []
        for level in range(1, depth + 1):
            sizes.append(h.shape[-2:])
            h = getattr(self, f"down{level}")(h)
            skips.append(h)
        if cond.tokens is not None:
            features = cond.tokens.mean(1)[:, :, None, None].expand(-1, -1, *h.shape[-2:])
            h = torch.cat([h, features], dim=1)
        if self.attn is not None:
            h = self.attn(h)
        skips.pop()
        for level in range(1, depth + 1):
            h = cut(getattr(self, f"up{level}")(h), sizes.pop())
            h = torch.cat([h, skips.pop()], dim=1) if skips else h
        return cond.stack[:, :1] + h if self.spec.added else torch.tanh(h)


def cut(x: Tensor, size: tuple[int, ...]) -> Tensor:
    """Leave out the last row or column where a level was odd."""
    return x[..., : size[0], : size[1]]


class PatchCritic(nn.Module):
    """Four halvings and a 4x4 convolution: one logit for each patch of 94 pixels (Isola et al. 2017).

    widths: channels after each halving. groups: of the norms behind all convolutions but the first, see `norm`; batch
    norms, as published, let the rows of a batch mix.
    """

    def __init__(self, page: int = 1, color: int = 3, widths: tuple[int, ...] = WIDTHS, groups: int = 8) -> None:
        super().__init__()
        pairs = pairwise((page + color, *widths))
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 4, stride=2, padding=1) for a, b in pairs)
        self.norms = nn.ModuleList(norm(groups, width) for width in widths[1:])
        self.out = nn.Conv2d(widths[-1], 1, 4, padding=1)

    def forward(self, page: Tensor, color: Tensor) -> Tensor:
        """Judge pages (B, 1, H, W) and their colors (B, 3, H, W): logits (B, 1, H/16 - 1, W/16 - 1)."""
        h = pad(torch.cat([page, color], dim=1), MULTIPLE)
        h = F.leaky_relu(self.convs[0](h), SLOPE)
        for conv, scale in zip(self.convs[1:], self.norms, strict=True):
            h = F.leaky_relu(scale(conv(h)), SLOPE)
        out: Tensor = self.out(h)
        return out


FEATURES = 512  # numbers that the tagger gives of a picture
TAPS = (3, 8, 15)  # VGG16's layers relu1_2, relu2_2, relu3_3
VGG_MEAN, VGG_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, for [0, 1]
TAGGER_MEAN, TAGGER_STD = (0.7137, 0.6628, 0.6519), (0.2970, 0.3017, 0.2979)  # of Danbooru


class Frozen(nn.Module):
    """A network that is never trained: without gradients of its own, and in evaluation mode for good."""

    def freeze(self) -> Self:
        """Make it so; gradients still pass through to what it looks at."""
        return self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode, whatever the rest of a model does."""
        return super().train(False)


def scaled(picture: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """From [-1, 1] over [0, 1] to what a network was trained on; gray (B, 1, H, W) becomes three planes."""
    share = (picture.expand(-1, 3, -1, -1) + 1) / 2
    center, spread = (torch.tensor(row).to(share)[:, None, None] for row in (mean, std))
    return (share - center) / spread


@dataclass(frozen=True)
class TaggerSpec:
    """A ResNet of bottleneck blocks; the published one has 50 layers and sees 360 pixels.

    layers: blocks of the four levels.
    size: pixels of the longer side of what it sees.
    square: pages of any shape are squeezed into a square, as published.
    """

    layers: tuple[int, int, int, int] = (3, 4, 6, 3)
    size: int = 360
    square: bool = False

    def build(self) -> Tagger:
        """Make it with fresh weights."""
        return Tagger(self)


class MaxAndMean(nn.Module):
    """The largest and the mean value of every channel, one behind the other: (B, C, h, w) -> (B, 2C)."""

    def forward(self, x: Tensor) -> Tensor:
        """Pool a map."""
        return torch.cat([x.amax((2, 3)), x.mean((2, 3))], dim=1)


class Tagger(Frozen):
    """A tagger of drawings, up to the 512 numbers before its last rectifier.

    RF5/danbooru-pretrained, a ResNet-50 that names 6000 tags: its body, and its head's first five layers.
    """

    def __init__(self, spec: TaggerSpec) -> None:
        super().__init__()
        from torchvision.models.resnet import Bottleneck, ResNet

        self.spec = spec
        self.body = nn.Sequential(*list(ResNet(Bottleneck, list(spec.layers)).children())[:-2])
        wide = 2 * 512 * Bottleneck.expansion
        layers = (nn.Flatten(), nn.BatchNorm1d(wide), nn.Dropout(0.25), nn.Linear(wide, FEATURES))
        self.head = nn.Sequential(MaxAndMean(), *layers)
        self.freeze()

    def forward(self, picture: Tensor) -> Tensor:
        """Look at color or gray pictures in [-1, 1], as whole as they are: (B, 512)."""
        longer = max(picture.shape[-2:])
        sides = [longer] * 2 if self.spec.square else picture.shape[-2:]
        height, width = (max(32, round(side * self.spec.size / longer)) for side in sides)
        seen = scaled(picture, TAGGER_MEAN, TAGGER_STD)
        seen = F.interpolate(seen, (height, width), mode="bilinear", antialias=True)
        out: Tensor = self.head(self.body(seen))
        return out


class VGG(Frozen):
    """The first seven convolutions of VGG16 (Simonyan and Zisserman 2015): maps of three depths.

    Names are torchvision's; its other 127 million weights are not needed.
    """

    def __init__(self) -> None:
        super().__init__()
        from torchvision.models.vgg import cfgs, make_layers

        self.features = make_layers(cfgs["D"][:9])  # up to relu3_3
        self.freeze()

    def forward(self, picture: Tensor) -> list[Tensor]:
        """Look at color pictures (B, 3, H, W) in [-1, 1]."""
        h, maps = scaled(picture, VGG_MEAN, VGG_STD), []
        for index, layer in enumerate(self.features):
            h = layer(h)
            if index in TAPS:
                maps.append(h)
        return maps


class Perceptual(Frozen):
    """The perceptual distance of two pictures: share * tagger + (1 - share) * VGG, or the one there is.

    Both are mean squares; gradients reach the first picture through both.
    """

    def __init__(self, vgg: VGG | None, tagger: Tagger | None, share: float = 0.1) -> None:
        super().__init__()
        assert vgg or tagger
        self.vgg, self.tagger = vgg, tagger
        self.share = share if vgg and tagger else float(tagger is not None)

    def forward(self, made: Tensor, true: Tensor) -> Tensor:
        """Compare color pictures (B, 3, H, W) in [-1, 1]: a scalar."""
        total = made.new_zeros(())
        if self.vgg is not None:
            with torch.no_grad():
                wanted = self.vgg(true)
            pairs = zip(self.vgg(made), wanted, strict=True)
            total = total + (1 - self.share) * sum(F.mse_loss(a, b) for a, b in pairs)
        if self.tagger is not None:
            with torch.no_grad():
                known = self.tagger(true)
            total = total + self.share * F.mse_loss(self.tagger(made), known)
        return total


class FFDNet(Frozen):
    """The RGB version of FFDNet (Zhang et al. 2018; this file: Tassano et al., IPOL 2019).

    The second name is misspelt in the published file, and so here.
    """

    def __init__(self) -> None:
        super().__init__()

        def conv(inputs: int, outputs: int) -> nn.Conv2d:
            return nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)

        layers: list[nn.Module] = [conv(3 + PLANES, WIDTH), nn.ReLU()]
        for _ in range(DEPTH - 2):
            layers += [conv(WIDTH, WIDTH), nn.BatchNorm2d(WIDTH), nn.ReLU()]
        chain = nn.Sequential(*layers, conv(WIDTH, PLANES))
        self.intermediate_dncnn = named(itermediate_dncnn=chain)
        self.freeze()

    def forward(self, page: Tensor, sigma: float) -> Tensor:
        """Clean gray pages (B, 1, H, W) in [-1, 1]. sigma: of the noise to take out, in levels of 255."""
        height, width = page.shape[-2:]
        noisy = pad((page.expand(-1, 3, -1, -1) + 1) / 2, 2)
        cells = F.pixel_unshuffle(noisy, 2)
        level = torch.full_like(cells[:, :3], sigma / 255)
        found = self.intermediate_dncnn(torch.cat([level, cells], dim=1))
        clean = (noisy - F.pixel_shuffle(found, 2)).clamp(0, 1)[..., :height, :width]
        return luminance(2 * clean - 1)
