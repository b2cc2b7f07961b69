"""Frozen networks that compare or describe pictures: a tagger of drawings, and VGG16."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

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

    size: of the longer side of what it sees.
    """

    layers: tuple[int, int, int, int] = (3, 4, 6, 3)
    size: int = 360

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
        height, width = (max(32, round(s * self.spec.size / longer)) for s in picture.shape[-2:])
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
