"""Small encoders of versions 1.5 and 2: of tokens, and of thresholds."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from colorize.colorize_diffusion.attention import Attention
from colorize.networks.layers import waves


@dataclass(frozen=True)
class ClusterSpec:
    """The numbers of the token transformer: width of a token, learnt queries, layers, channels of a head."""

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
    """The numbers of the threshold embedder: of its waves, and of a token."""

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
        self.embed_layer = nn.Sequential(
            nn.Linear(spec.waves, spec.width), nn.SiLU(), nn.Linear(spec.width, spec.width)
        )

    def forward(self, thresholds: Tensor) -> Tensor:
        """Embed thresholds."""
        out: Tensor = self.embed_layer(waves(thresholds, self.waves))
        return out[:, None]
