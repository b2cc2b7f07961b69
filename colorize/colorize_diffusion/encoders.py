"""The encoders around the U-Net: of sketches, of tokens and thresholds (version 1.5), of pictures (version 2)."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from colorize.colorize_diffusion.condition import LatentCond
from colorize.colorize_diffusion.unet import Attention, Sizes, embedding, encoder_stages
from colorize.networks.unet import waves, zero

STEM = ((3, 16, 1), (16, 16, 1), (16, 32, 2), (32, 32, 1), (32, 96, 2), (96, 96, 1), (96, 256, 2))


@dataclass(frozen=True)
class SketchSpec:
    """The numbers of the sketch encoder. widths: channels of the U-Net's levels, finest first."""

    widths: tuple[int, ...] = (320, 640, 1280, 1280)

    def build(self) -> SketchEncoder:
        """Make the encoder."""
        return SketchEncoder(self)


class SketchEncoder(nn.Module):
    """Sketches (B, 3, H, W) in [-1, 1], lines 1 on paper -1, into maps at 1/8, 1/16, 1/32, 1/64 and 1/64."""

    recomputed = True

    def __init__(self, spec: SketchSpec) -> None:
        super().__init__()
        first = spec.widths[0]
        layers: list[nn.Module] = []
        for inputs, outputs, stride in STEM:
            layers += [nn.Conv2d(inputs, outputs, 3, stride, 1), nn.SiLU()]
        self.model = nn.Sequential(*layers, nn.Conv2d(STEM[-1][1], first, 3, padding=1))
        self.zero_layer = nn.Sequential(zero(nn.Conv2d(first, first, 1)))
        self.output_blocks, self.zero_blocks = nn.ModuleList(), nn.ModuleList()
        for level, (inputs, outputs) in enumerate(itertools.pairwise((first, *spec.widths))):
            stride = 2 if level < len(spec.widths) - 1 else 1
            halve = nn.Conv2d(inputs, outputs, 3, stride, 1)
            keep = nn.Conv2d(outputs, outputs, 3, padding=1)
            self.output_blocks.append(nn.Sequential(nn.SiLU(), halve, nn.SiLU(), keep))
            self.zero_blocks.append(nn.Sequential(zero(nn.Conv2d(outputs, outputs, 1))))

    def forward(self, sketch: Tensor) -> tuple[Tensor, ...]:
        """Return the five maps, the finest first."""
        h = self.model(sketch)
        maps = [self.zero_layer(h)]
        for block, out in zip(self.output_blocks, self.zero_blocks, strict=True):
            h = block(h)
            maps.append(out(h))
        return tuple(maps)


@dataclass(frozen=True)
class ClusterSpec:
    """The numbers of the token transformer.

    width: width of a token.
    queries: learnt queries.
    layers: blocks of attention.
    head: channels of a head.
    """

    width: int = 1024
    queries: int = 256
    layers: int = 6
    head: int = 64

    def build(self) -> ClusterTransformer:
        """Make the transformer."""
        return ClusterTransformer(self)


class ClusterTransformer(nn.Module):
    """Learnt queries gather tokens (B, N, C) into (B, queries, C)."""

    def __init__(self, spec: ClusterSpec) -> None:
        super().__init__()
        width = spec.width
        self.embedding = nn.Parameter(nn.init.normal_(torch.empty(spec.queries, width), std=0.02))
        self.layers = nn.ModuleList()
        for _ in range(spec.layers):
            wide = nn.Linear(width, 4 * width), nn.SiLU(), nn.Linear(4 * width, width)
            norms = nn.LayerNorm(width), nn.LayerNorm(width)
            gather = Attention(width, width, spec.head)
            self.layers.append(nn.ModuleList([*norms, gather, nn.Sequential(*wide)]))

    def forward(self, tokens: Tensor) -> Tensor:
        """Gather the tokens."""
        x = self.embedding.expand(len(tokens), -1, -1)
        for layer in self.layers:
            assert isinstance(layer, nn.ModuleList)
            first, second, gather, wide = layer
            x = x + gather(first(x), tokens)
            x = x + wide(second(x))
        return x


@dataclass(frozen=True)
class ThresholdSpec:
    """The numbers of the threshold embedder.

    waves: waves that a threshold is written as.
    width: width of a token.
    """

    waves: int = 256
    width: int = 1024

    def build(self) -> ThresholdEmbedder:
        """Make the embedder."""
        return ThresholdEmbedder(self)


class ThresholdEmbedder(nn.Module):
    """Thresholds (B,) in [0, 1] into what is added to tokens: (B, 1, width)."""

    def __init__(self, spec: ThresholdSpec) -> None:
        super().__init__()
        self.waves = spec.waves
        self.embed_layer = embedding(spec.waves, spec.width)

    def forward(self, thresholds: Tensor) -> Tensor:
        """Embed thresholds."""
        out: Tensor = self.embed_layer(waves(thresholds, self.waves))
        return out[:, None]


@dataclass(frozen=True)
class SideSpec(Sizes):
    """The numbers of a picture encoder.

    widths: channels per level, finest first.
    blocks: residual blocks per level.
    attention: the levels (0 is the finest) that carry transformers.
    head: channels of an attention head.
    labels: numbers that tell a picture's proportions.
    """

    labels: int = 512

    def build(self, inputs: int = 4, tokens: int = 1024, pooled: bool = False) -> PictureEncoder:
        """Make the encoder; pooled: for style, else for background."""
        return PictureEncoder(self, inputs, tokens, pooled)


class PictureEncoder(nn.Module):
    """The encoder of a U-Net, each of whose stages gives features to a stage of the decoder of the denoiser."""

    def __init__(self, spec: SideSpec, inputs: int, tokens: int, pooled: bool) -> None:
        super().__init__()
        self.spec, self.pooled = spec, pooled
        self.time_embed = embedding(spec.widths[0], spec.time)
        self.label_emb = nn.ModuleList([embedding(spec.labels, spec.time)])
        self.input_blocks, after = encoder_stages(spec, inputs, tokens, itertools.count())
        ups = [w for w, blocks in zip(spec.widths, spec.blocks, strict=True) for _ in range(blocks + 1)]
        self.zero_layers = nn.ModuleList()
        for width, up in zip(after, ups, strict=True):
            self.zero_layers.append(zero(nn.Linear(width, 2 * up) if pooled else nn.Conv2d(width, width, 1)))

    def forward(self, latent: Tensor, labels: Tensor, tokens: Tensor) -> tuple[Tensor, ...]:
        """Return the features for each stage of the decoder, the coarsest first.

        latent: (B, 4, h, w), of the picture squashed to the output's size. labels: (B, L), see `proportions`. tokens:
        (B, N, T), of the picture. A background gives (B, cells, C) tokens, a style (B, 2C) numbers.
        """
        clean = latent.new_zeros(len(latent))
        time = self.time_embed(waves(clean, self.spec.widths[0])) + self.label_emb[0](labels)
        cond, x, features = LatentCond(tokens=tokens), latent, []
        for stage, layer in zip(self.input_blocks, self.zero_layers, strict=True):
            x = stage(x, time, cond)
            features.append(layer(x.mean((2, 3))) if self.pooled else layer(x).flatten(2).mT)
        return tuple(reversed(features))


def proportions(given: tuple[int, int], size: tuple[int, int], labels: int = 512) -> Tensor:
    """Return a picture's proportions as an encoder takes them: (1, labels).

    given, size: height and width in pixels of the picture and of the output. A picture smaller than the output counts
    as enlarged: its height by the longer side of the output, its width in proportion.
    """
    height, width = given
    if height < size[0] or width < size[1]:
        tall = height + max(size)
        height, width = tall, width / height * tall  # type: ignore[assignment]
    shares = torch.tensor([height / size[0], width / size[1]])
    return waves(shares, labels // 2).flatten()[None]
