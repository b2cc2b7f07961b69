"""Color Diffusion: gray pictures, noise on a and b of Lab only. Knows no file.

After "Color-diffusion" (E. Millon 2023), whose sizes are the variant `published`: the picture's own L
stays, and a gray encoder's features join the U-Net at every level.
Departures, each of which mends a defect:
the gray encoder runs once per picture, not once per step, and has no time layers that never act; full-size
L is kept bit for bit, and chroma is enlarged along its edges; pictures keep their aspect; any number of
steps walks the same schedule; thresholds act on the clean prediction, never on noisy chroma; dropout is off
at use; weights are averaged, kept and used; colors are trained as they are, not over-saturated.
The default differs further: chroma is standardized, so that noise does not drown it until the last steps;
it is predicted at a quarter of the size; and the network predicts v on a schedule that ends in pure noise.
"""

from __future__ import annotations

from dataclasses import replace

from colorize.diffusion.denoiser import Dynamic
from colorize.diffusion.schedules import Cosine, Linear
from colorize.model import Sampling
from colorize.networks.conditions import Drawing, Pyramid, Stack, Together
from colorize.networks.spaces import Lab
from colorize.networks.unet import UNetSpec
from colorize.recipes.objective import Denoising
from colorize.recipes.recipe import DenoiserSpec, Mix, Recipe, Stage

MIX = Mix(gray=1.0, reference=0.0, crop=0.6)

_STAGE = Stage(
    objective=Denoising(pure=0.6, robust=0.3), mix=MIX, size=128, batch=8, steps=100_000, lr=5e-4, warmup=100
)

RECIPE = Recipe(
    name="lab-diffusion",
    help="Gray pictures and photographs: noise on a and b of Lab only (Color Diffusion)",
    hints=("gray",),
    needs=("gray",),
    size=256,
    space=Lab(patch=4),
    condition=Together((Drawing(4), Pyramid(patch=4))),
    denoiser=DenoiserSpec(
        net=UNetSpec(widths=(48, 96, 144), blocks=(1, 2, 2), attention=(1, 2), heads=4, feed_forward=1, groups=8),
        predicts="v",
    ),
    schedule=Cosine(zero_snr=True),
    sampling=Sampling(steps=1, sampler="ddim", threshold=Dynamic(0.995, 5.0)),
    pretrain=_STAGE,
    finetune=replace(_STAGE, size=256, steps=20_000, lr=1e-4, warmup=30),
)

_PUBLISHED = Stage(mix=replace(MIX, crop=1.0), size=64, batch=36, steps=26_000, weight_decay=0.028, ema=0.9999)

PUBLISHED = replace(
    RECIPE,
    size=64,
    space=Lab(patch=1, center=(0.0, 0.0), spread=(110.0, 110.0)),
    condition=Together((Stack(("gray",)), Pyramid())),
    denoiser=DenoiserSpec(
        net=UNetSpec(
            widths=(128, 256, 384, 384),
            blocks=(1, 1, 1, 1),
            attention=(3,),
            heads=4,
            feed_forward=1,
            groups=8,
            dropout=0.15,
        ),
        predicts="eps",
    ),
    schedule=Linear(start=1e-4, end=2e-2, steps=350),
    sampling=Sampling(steps=350, sampler="ddpm", eta=1.0, spacing="leading", threshold=Dynamic(0.8, 1.0)),
    pretrain=_PUBLISHED,
    finetune=replace(_PUBLISHED, lr=1e-6),
)

VARIANTS = {"published": PUBLISHED}
