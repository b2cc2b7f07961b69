"""The network of manga-colorization-v2 (qweasdd 2022), under the names of its published file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from colorize.errors import ColorizeError
from colorize.manga.networks import SLOPE, Frozen
from colorize.networks.unet import Cond, pad
from colorize.system import NetSpec

STRIDE = 32  # as published; 8 would do
GROUPS = 32  # of grouped convolutions, or as many as there are channels
REDUCTION = 16  # of squeeze-and-excitation
DILATIONS = (1, 1, 2, 2, 4, 4, 2, 1)
UNUSED = ("to4", "tunnel1", "deconv_for_decoder")  # never called, or only a help in training
SIGNS = ("encoder.conv1.weight", "tunnel4.0.weight", "exit.2.weight")  # which other files lack


@dataclass(frozen=True)
class SecondSpec(NetSpec):
    """The numbers of manga-colorization-v2 (qweasdd 2022), all widths in proportion to the first.

    width: channels behind the encoder's first convolution, 64 as published. stages: blocks of the three stages of the
    encoder. tunnels: blocks of the decoder's four parts, the deepest first; the last is unused.
    """

    home = "colorize.manga.system:MangaSystem"
    width: int = 64
    stages: tuple[int, int, int] = (3, 4, 6)
    tunnels: tuple[int, int, int, int] = (20, 8, 8, 5)

    widths = ()  # of a U-Net's levels, which this has none of

    def __post_init__(self) -> None:
        if self.width < 16 or self.width % 16:
            raise ColorizeError(f"net.width is {self.width}", "choose a multiple of 16; 64 is as published", code=2)

    @property
    def blocks(self) -> tuple[int, ...]:
        """Blocks of all parts."""
        return (*self.stages, *self.tunnels)

    @property
    def stride(self) -> int:
        """What sides are padded to multiples of."""
        return STRIDE

    def build(self, inputs: int = 0, outputs: int = 0, tokens: int = 0) -> ColorizationV2:
        """Make the network: 5 planes in beside x, page and color hints with their mask, and 3 out."""
        if (inputs, outputs, tokens) != (8, 3, 0):
            raise ValueError("manga-colorization-v2 takes a page and color hints, and gives RGB")
        return ColorizationV2(self)


class Excitation(nn.Module):
    """Weigh every channel by what all of them are on average (Hu et al. 2018)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width // REDUCTION, 1)
        self.conv2 = nn.Conv2d(width // REDUCTION, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Keep the shape (B, C, H, W)."""
        share = self.conv2(F.relu(self.conv1(x.mean((2, 3), keepdim=True))))
        return x * torch.sigmoid(share)


class FrozenBatchNorm(Frozen, nn.BatchNorm2d):
    """A batch norm that keeps its published statistics in training, too, so that pictures never mix."""


class SEResNeXtBlock(nn.Module):
    """A block of the encoder (SE-ResNeXt): (B, inputs, H, W) -> (B, 4 planes, H/stride, W/stride)."""

    recomputed = True

    def __init__(self, inputs: int, planes: int, stride: int) -> None:
        super().__init__()
        wide, out = 2 * planes, 4 * planes
        groups = min(GROUPS, wide)
        self.conv1, self.bn1 = nn.Conv2d(inputs, wide, 1, bias=False), FrozenBatchNorm(wide)
        self.conv2 = nn.Conv2d(wide, wide, 3, stride, padding=1, groups=groups, bias=False)
        self.bn2 = FrozenBatchNorm(wide)
        self.conv3, self.bn3 = nn.Conv2d(wide, out, 1, bias=False), FrozenBatchNorm(out)
        self.selayer = Excitation(out)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or inputs != out:
            skip = nn.Conv2d(inputs, out, 1, stride, bias=False)
            self.downsample = nn.Sequential(skip, FrozenBatchNorm(out))

    def forward(self, x: Tensor) -> Tensor:
        """Pass a map through."""
        h = F.relu(self.bn1(self.conv1(x)))
        h = F.relu(self.bn2(self.conv2(h)))
        h = self.selayer(self.bn3(self.conv3(h)))
        return F.relu(h + self.downsample(x))


class Encoder(nn.Module):
    """Features of the page alone: four maps at 1/2, 1/2, 1/4 and 1/8 of its size."""

    def __init__(self, width: int, stages: tuple[int, int, int]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = FrozenBatchNorm(width)
        first, second, third = stages
        self.layer1 = stage(width, width, first, 1)
        self.layer2 = stage(4 * width, 2 * width, second, 2)
        self.layer3 = stage(8 * width, 4 * width, third, 2)

    def forward(self, page: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Encode a page (B, 1, H, W) in [0, 1]."""
        first = F.relu(self.bn1(self.conv1(page)))
        second = self.layer1(first)
        third = self.layer2(second)
        return first, second, third, self.layer3(third)


def stage(inputs: int, planes: int, count: int, stride: int) -> nn.Sequential:
    """Blocks of the encoder, of which the first changes the number of channels and the size."""
    return nn.Sequential(
        SEResNeXtBlock(inputs, planes, stride), *(SEResNeXtBlock(4 * planes, planes, 1) for _ in range(count - 1))
    )


class Bottleneck(nn.Module):
    """A block of the decoder, without norms and, but for its excitation, without biases."""

    recomputed = True

    def __init__(self, width: int, groups: int, dilation: int) -> None:
        super().__init__()
        half = width // 2
        self.conv_reduce = nn.Conv2d(width, half, 1, bias=False)
        self.conv_conv = nn.Conv2d(half, half, 3, padding=dilation, dilation=dilation, groups=groups, bias=False)
        self.conv_expand = nn.Conv2d(half, width, 1, bias=False)
        self.selayer = Excitation(width)

    def forward(self, x: Tensor) -> Tensor:
        """Keep the shape (B, C, H, W)."""
        h = F.leaky_relu(self.conv_reduce(x), SLOPE)
        h = F.leaky_relu(self.conv_conv(h), SLOPE)
        out: Tensor = self.selayer(self.conv_expand(h)) + x
        return out


def tunnel(inputs: int, width: int, count: int, groups: int, dilated: bool) -> nn.Sequential:
    """A part of the decoder: (B, inputs, H, W) -> (B, width / 2, 2H, 2W)."""
    rates = [DILATIONS[index % len(DILATIONS)] if dilated else 1 for index in range(count)]
    blocks = (Bottleneck(width, min(groups, width // 2), rate) for rate in rates)
    return nn.Sequential(
        nn.Conv2d(inputs, width, 3, padding=1),
        nn.LeakyReLU(SLOPE),
        nn.Sequential(*blocks),
        nn.Conv2d(width, 2 * width, 3, padding=1),
        nn.PixelShuffle(2),
        nn.LeakyReLU(SLOPE),
    )


def branch(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """A step of the encoder of page and hints: two convolutions, each with a rectifier."""
    first = nn.Conv2d(inputs, outputs, 3, stride, padding=1)
    return nn.Sequential(first, nn.LeakyReLU(SLOPE), nn.Conv2d(outputs, outputs, 3, padding=1), nn.LeakyReLU(SLOPE))


def guide(w: int) -> nn.Sequential:
    """The authors' help in training, which paints the picture a second time from the deepest features."""
    layers: list[nn.Module] = []
    for inputs, outputs, stride in ((4 * w, 2 * w, 2), (2 * w, w, 2), (w, w // 2, 1), (w // 2, 3, 1)):
        layers += [nn.ConvTranspose2d(inputs, outputs, 3, stride, 1, stride - 1), nn.LeakyReLU(SLOPE)]
    return nn.Sequential(*layers)


class ColorizationV2(nn.Module):
    """Page and hints to colors. What the published file holds but its authors never run stays frozen."""

    def __init__(self, spec: SecondSpec) -> None:
        super().__init__()
        w, counts = spec.width, spec.tunnels
        self.spec, self.encoder = spec, Encoder(w, spec.stages)
        third = 92 * w // 64
        self.to0, self.to1 = branch(5, w // 2, 1), branch(w // 2, w, 2)
        self.to2, self.to3 = branch(w, third, 2), branch(third, 2 * w, 2)
        self.to4 = branch(2 * w, 4 * w, 2)
        self.deconv_for_decoder = guide(w)
        self.tunnel4 = tunnel(16 * w + 2 * w, 8 * w, counts[0], GROUPS, dilated=False)
        self.tunnel3 = tunnel(8 * w + 4 * w, 4 * w, counts[1], GROUPS, dilated=True)
        self.tunnel2 = tunnel(4 * w + 2 * w + w, 2 * w, counts[2], GROUPS, dilated=True)
        self.tunnel1 = tunnel(w + w // 2, w, counts[3], GROUPS // 2, dilated=True)
        self.exit = nn.Sequential(
            nn.Conv2d(w + w // 2, w // 2, 3, padding=1), nn.LeakyReLU(SLOPE), nn.Conv2d(w // 2, 3, 1)
        )
        for name in UNUSED:
            getattr(self, name).requires_grad_(False)

    def forward(self, x: Tensor, t: Tensor, cond: Cond) -> Tensor:
        """Color the page in `cond.stack`: (B, 5, H, W), page and hints in [-1, 1], mask in [0, 1].

        x, t: noise and time, not looked at. Returns colors (B, 3, H, W) in [-1, 1].
        """
        assert cond.stack is not None
        height, width = cond.stack.shape[-2:]
        page, hints = torch.split(pad(cond.stack, STRIDE), [1, 4], dim=1)
        page = (page + 1) / 2  # this network saw pages in [0, 1]
        first, second, third, fourth = self.encoder(page)
        fine = self.to0(torch.cat([page, hints], dim=1))
        coarse = self.to3(self.to2(self.to1(fine)))
        h = self.tunnel4(torch.cat([fourth, coarse], dim=1))
        h = self.tunnel3(torch.cat([h, third], dim=1))
        h = self.tunnel2(torch.cat([h, second, first], dim=1))
        out: Tensor = torch.tanh(self.exit(torch.cat([h, fine], dim=1)))
        return out[..., :height, :width]


def spec_of(found: Mapping[str, Tensor]) -> SecondSpec:
    """Return the numbers of the network that has these tensors."""

    def blocks(pattern: str) -> int:
        return len({match.group(1) for name in found if (match := re.match(pattern, name))})

    first, second, third = (blocks(rf"encoder\.layer{n}\.(\d+)\.") for n in (1, 2, 3))
    a, b, c, d = (blocks(rf"tunnel{n}\.2\.(\d+)\.") for n in (4, 3, 2, 1))
    return SecondSpec(len(found[SIGNS[0]]), (first, second, third), (a, b, c, d))
