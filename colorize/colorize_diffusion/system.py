"""All networks of one version of ColorizeDiffusion in one module, whose tensors are named as in its file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

from colorize.colorize_diffusion.attention import Attention
from colorize.colorize_diffusion.condition import LatentCond
from colorize.colorize_diffusion.latent_space import SketchSpec
from colorize.colorize_diffusion.unet import ENTRIES, LatentUNet, LatentUNetSpec
from colorize.colorize_diffusion.unet_blocks import SideSpec
from colorize.colorize_diffusion.vae import VAESpec
from colorize.diffusion.schedules import ScaledLinear
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


Version = Literal["v1", "v1.5", "v2"]
SURE = 0.8  # correlation with the noise from which on a network must predict it


@dataclass(frozen=True)
class SystemSpec:
    """The numbers of a version. tokens: width of a token. predicts: what the published weights do."""

    net: LatentUNetSpec = LatentUNetSpec()
    sketch: SketchSpec = SketchSpec()
    vae: VAESpec = VAESpec()
    tokens: int = 1024
    threshold: ThresholdSpec | None = None
    clusters: ClusterSpec | None = None
    sides: SideSpec | None = None
    predicts: Literal["eps", "v"] = "eps"

    def build(self) -> System:
        """Make the networks with fresh weights."""
        return System(self)


_V1 = SystemSpec()
_V2 = LatentUNetSpec(lora=(4, 4), tuned=(False, True), sides=True)
VERSIONS: dict[Version, SystemSpec] = {
    "v1": _V1,
    "v1.5": replace(_V1, net=LatentUNetSpec(lora=(4, 0.5)), threshold=ThresholdSpec(), clusters=ClusterSpec()),
    "v2": replace(_V1, net=_V2, sides=SideSpec(), predicts="v"),
}


class Inner(nn.Module):
    """Gives the U-Net the prefix it has in the files."""

    def __init__(self, net: LatentUNet) -> None:
        super().__init__()
        self.diffusion_model = net


class System(nn.Module):
    """The networks of a version, and its noise schedule as twelve buffers.

    net, control_encoder and first_stage_model are in every version; thresh_embedder and transformer in 1.5,
    bg_encoder and style_encoder in 2.
    """

    def __init__(self, spec: SystemSpec) -> None:
        super().__init__()
        self.spec, channels = spec, spec.vae.channels
        for name, values in buffers(ScaledLinear(steps=ENTRIES)).items():
            self.register_buffer(name, values)
        self.model = Inner(spec.net.build(channels, channels, spec.tokens))
        self.first_stage_model = spec.vae.build()
        self.control_encoder = spec.sketch.build()
        if spec.threshold is not None:
            self.thresh_embedder = spec.threshold.build()
        if spec.clusters is not None:
            self.transformer = spec.clusters.build()
        if spec.sides is not None:
            self.bg_encoder = spec.sides.build(channels, spec.tokens)
            self.style_encoder = spec.sides.build(channels, spec.tokens, pooled=True)

    @property
    def net(self) -> LatentUNet:
        """The denoising network."""
        return self.model.diffusion_model


def buffers(schedule: ScaledLinear) -> dict[str, Tensor]:
    """Return what the files say of their schedule, (T,) float32 each (Ho et al. 2020, equations 4 and 7)."""
    abar = schedule.abar()
    before = torch.cat([torch.ones(1, dtype=torch.float64), abar[:-1]])
    beta = 1 - abar / before
    spread = beta * (1 - before) / (1 - abar)
    double = {
        "betas": beta,
        "alphas_cumprod": abar,
        "alphas_cumprod_prev": before,
        "sqrt_alphas_cumprod": abar.sqrt(),
        "sqrt_one_minus_alphas_cumprod": (1 - abar).sqrt(),
        "log_one_minus_alphas_cumprod": (1 - abar).log(),
        "sqrt_recip_alphas_cumprod": abar.rsqrt(),
        "sqrt_recipm1_alphas_cumprod": (1 / abar - 1).sqrt(),
        "posterior_variance": spread,
        "posterior_log_variance_clipped": spread.clamp(min=1e-20).log(),
        "posterior_mean_coef1": beta * before.sqrt() / (1 - abar),
        "posterior_mean_coef2": (1 - before) * (1 - beta).sqrt() / (1 - abar),
    }
    return {name: values.float() for name, values in double.items()}


def probed(net: Callable[[Tensor, Tensor, LatentCond], Tensor], noise: Tensor, tokens: Tensor) -> Literal["eps", "v"]:
    """Return what a trained network predicts, by its answer to pure noise (B, C, H, W) at the last time.

    There, one that predicts noise returns its input, and one that predicts v the picture it sees, negated.
    tokens: (B, N, T), zeros will do.
    """
    cond = LatentCond(tokens=tokens)
    with torch.no_grad():
        answer = net(noise, torch.ones(len(noise), device=noise.device), cond)
    both = torch.stack([answer.float().flatten(), noise.float().flatten()])
    return "eps" if torch.corrcoef(both)[0, 1] > SURE else "v"
