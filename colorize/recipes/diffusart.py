"""Diffusart: line art and scribbles, read by cross-attention.

After Carrillo et al., "Diffusart: Enhancing Line Art Colorization with Conditional Diffusion Models" (CVPRW 2023), the
variant `official`, and Diffusart-pytorch (Piwowarski 2023), the variant `community`. Both are the published networks,
tensor by tensor, but for what never acts; their hint encoders run once per picture. The default, made for a laptop,
also diffuses the color under the ink at half the size, predicts v on a schedule that ends in pure noise, stacks the
scribbles, as drawn and as spread up to the next line, and gives positions to both sides of cross-attention, without
which a network cannot tell which scribble is near; scribbles are simulated in one flat color each, since strokes cut
out of the answer leak its texture; hints are dropped for some rows; weights are averaged.
"""

from __future__ import annotations

from dataclasses import replace

from colorize.diffusion.schedules import Cosine, Linear
from colorize.model import Sampling
from colorize.networks.conditions import Drawing, HintMap, ScribbleTokens, Together
from colorize.networks.spaces import RGB, Field
from colorize.networks.unet import UNetSpec
from colorize.published.diffusart import DiffusartUNetSpec, ScribbleMaps
from colorize.published.diffusart_pytorch import DiffusartPytorchUNetSpec, PaintedLineMap
from colorize.recipes.recipe import DenoiserSpec, Denoising, Mix, Recipe, Stage

MIX = Mix(reference=0.0, hints=0.9, marks=20.0, hue=0.5, restyle=0.3, degrade=0.4, jpeg=0.1, crop=0.7, turn=0.2)

_STAGE = Stage(Denoising(pure=0.6, robust=0.3), MIX, size=128, batch=8, steps=100_000, lr=5e-4, warmup=100)

RECIPE = Recipe(
    name="diffusart",
    help="Line art and scribbles, read by cross-attention (Diffusart)",
    hints=("line", "hints"),
    size=256,
    space=Field(patch=2),
    condition=Together((Drawing(2), HintMap(2), ScribbleTokens((16, 48, 96, 128), patch=2))),
    denoiser=DenoiserSpec(
        UNetSpec((32, 64, 96, 160), (1, 1, 2, 1), attention=(2, 3), feed_forward=1, groups=8), predicts="v"
    ),
    schedule=Cosine(zero_snr=True),
    sampling=Sampling(steps=1, sampler="ddim"),
    pretrain=_STAGE,
    finetune=replace(_STAGE, size=192, steps=20_000, lr=2e-4, warmup=30),
)

_PUBLISHED = replace(MIX, hints=0.95, marks=30.0, hue=0.0, crop=1.0, turn=0.0)

OFFICIAL = replace(
    RECIPE,
    size=256,
    space=RGB(),
    condition=ScribbleMaps(),
    denoiser=DenoiserSpec(DiffusartUNetSpec(), "eps"),
    schedule=Linear(start=1e-4, end=2e-2),
    sampling=Sampling(steps=50, sampler="ddpm", eta=1.0, spacing="leading"),
    pretrain=Stage(mix=_PUBLISHED, size=256, batch=4, steps=200_000, lr=1e-4, warmup=2000),
    finetune=Stage(mix=_PUBLISHED, size=256, batch=4, steps=20_000, lr=2e-5, warmup=200),
)

COMMUNITY = replace(
    OFFICIAL,
    size=128,
    condition=PaintedLineMap(),
    denoiser=DenoiserSpec(DiffusartPytorchUNetSpec(), "eps"),
    schedule=Cosine(steps=4000),
    sampling=Sampling(steps=100, sampler="ddpm", eta=1.0, spacing="leading"),
    pretrain=Stage(mix=_PUBLISHED, size=128, batch=4, steps=1_000_000, lr=2e-4, warmup=5000, clip=0.1),
    finetune=Stage(mix=_PUBLISHED, size=128, batch=4, steps=20_000, lr=2e-5, warmup=200, clip=0.1),
)

VARIANTS = {"official": OFFICIAL, "community": COMMUNITY}
