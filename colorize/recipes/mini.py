"""The small model inside the package: line art or gray, with any of reference, hints, or nothing. Knows no file.

Measured at 256 px, see `benchmarks/`: the count of weights and of operations per call is kept by a test.
"""

from __future__ import annotations

from colorize.colorizer import Sampling
from colorize.diffusion.schedule import Cosine
from colorize.networks.colors import HintMap, ReferenceTone
from colorize.networks.conditions import Drawing, Together
from colorize.networks.references import ReferenceTokens
from colorize.networks.spaces import Field
from colorize.networks.unet import UNetSpec
from colorize.recipes.recipe import DenoiserSpec, Denoising, Mix, Recipe, Stage

# Sampled by set and not by file, so that icons do not drown drawings; the rest shares what is left.
SETS = (
    ("taisei", 0.07),
    ("art4apps", 0.18),
    ("storybook", 0.14),
    ("bookdash", 0.06),
    ("wesnoth", 0.03),
    ("photo", 0.05),
    ("misc", 0.02),
)

MIX = Mix(
    gray=0.2,
    reference=0.7,
    hints=0.35,
    other=0.6,
    alike=0.7,
    warp=0.06,
    loose=0.5,
    shuffle=0.2,
    palette=0.2,
    hue=0.5,
    restyle=0.3,
    degrade=0.5,
    tone=0.12,
    jpeg=0.2,
    crop=0.7,
    turn=0.3,
    sets=SETS,
)

RECIPE = Recipe(
    name="mini",
    help="Embedded, seconds on a CPU: line art or gray, with references, hints, or nothing",
    hints=("line", "gray", "reference", "hints"),
    needs=("line", "gray"),
    size=256,
    space=Field(patch=2),
    condition=Together(
        (Drawing(2), HintMap(2), ReferenceTone(2), ReferenceTokens(width=160, size=128))
    ),
    denoiser=DenoiserSpec(
        net=UNetSpec(
            widths=(32, 64, 96, 160),
            blocks=(1, 2, 2, 1),
            attention=(2, 3),
            heads=4,
            feed_forward=1,
            groups=8,
        ),
        predicts="v",
    ),
    schedule=Cosine(zero_snr=True),
    # One call from pure noise is the regression answer, and scores best as long as training is short;
    # `--steps 8` walks on from there.
    sampling=Sampling(
        steps=1, sampler="ddim", guidance=(("reference", 0.85),), apart=(("reference", 1.35),)
    ),
    pretrain=Stage(
        objective=Denoising(pure=0.75, robust=0.3),
        mix=MIX,
        size=128,
        batch=8,
        steps=200_000,
        lr=5e-4,
        ema=0.999,
    ),
    finetune=Stage(
        objective=Denoising(pure=0.75, robust=0.3),
        mix=MIX,
        size=192,
        batch=8,
        steps=50_000,
        lr=5e-4,
        warmup=30,
        ema=0.999,
    ),
)
