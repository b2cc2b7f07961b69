"""Diffusart: line art and scribbles, read by cross-attention.

After Carrillo et al., "Diffusart: Enhancing Line Art Colorization with Conditional Diffusion Models" (CVPRW 2023), the
variant `official`, and Diffusart-pytorch (Piwowarski 2023), the variant `community`. Both are the published networks,
tensor by tensor, trained as published; DIFFERENCES lists what is not. The default, made for a laptop,
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
from colorize.recipes.recipe import DenoiserSpec, Denoising, Difference, Mix, Recipe, Stage

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

# Of training no program was published; the numbers are those that its compiled leftovers hold.
_OFFICIAL_STAGE = Stage(
    objective=Denoising(whole=True, robust=1.0),
    mix=Mix(reference=0.0, hints=0.7, marks=37.0, flip=0.0),
    size=256,
    batch=4,
    steps=200 * 50_000,  # 200,000 pictures, 200 times
    lr=1e-4,
    warmup=2000,
    clip=0.0,
    ema=0.995,
    betas=(0.9, 0.999),
)

OFFICIAL = replace(
    RECIPE,
    size=256,
    space=RGB(),
    condition=ScribbleMaps(),
    denoiser=DenoiserSpec(DiffusartUNetSpec(), "eps"),
    schedule=Linear(start=1e-4, end=2e-2),
    sampling=Sampling(steps=1000, sampler="ddpm", eta=1.0, spacing="leading", threshold=None),
    pretrain=_OFFICIAL_STAGE,
    finetune=replace(_OFFICIAL_STAGE, steps=20_000, lr=2e-5, warmup=200),
)

_COMMUNITY_STAGE = Stage(
    objective=Denoising(whole=True),
    mix=Mix(reference=0.0, hints=1.0, marks=16.0, flip=0.0),
    size=128,
    batch=4,
    steps=100 * 10_221,  # 40,884 pictures, 100 times
    lr=2e-4,
    warmup=0,
    weight_decay=0.0,
    clip=0.1,
    ema=0.0,
    aspects=("1:1",),
    betas=(0.9, 0.999),
    rate="onecycle",
)

COMMUNITY = replace(
    OFFICIAL,
    size=128,
    condition=PaintedLineMap(),
    denoiser=DenoiserSpec(DiffusartPytorchUNetSpec(), "eps"),
    schedule=Cosine(steps=4000),
    sampling=Sampling(steps=100, sampler="ddpm", eta=1.0, spacing="leading"),
    pretrain=_COMMUNITY_STAGE,
    finetune=replace(_COMMUNITY_STAGE, steps=20_000, lr=2e-5),
)

VARIANTS = {"official": OFFICIAL, "community": COMMUNITY}

_BOTH = (
    Difference(
        "scribbles",
        "cut out of the answer",
        "one flat color each",
        "users do not paint textures, and they give it away",
    ),
    Difference("hint encoder", "at every step", "once per picture", "it does not see the time"),
    Difference("order of pictures", "epoch by epoch", "drawn with replacement", "a run can stop and go on anywhere"),
)
DIFFERENCES = {
    "official": (
        Difference("loss", "smooth L1", "pseudo-Huber, twice as large", "the same for small and for large errors"),
        Difference("pretrain.ema", "0.95, from the 20th epoch on 0.995", "", "it rises by itself"),
        Difference(
            "pretrain.mix.hints", "single pixels in 0.7 of the rows, or 5 to 49 strokes", "", "dots and strokes"
        ),
        Difference("line art", "two learned extractors", "stored or extracted lines", "neither comes with the program"),
        Difference(
            "shape of pictures", "squares, black around", "white around; samples of any shape", "paper is white"
        ),
        Difference("seed", "2", "`--seed`", "several results to choose from"),
        *_BOTH,
    ),
    "community": (
        Difference(
            "line art", "three equal planes", "one, whose weights are their sum", "the same, for a third of the work"
        ),
        Difference("idle weights", "1,818,624", "left out", "the same"),
        Difference("black scribbles", "unseen", "seen", "a mask tells where they are"),
        Difference("sampling times", "entries 3961, 3921, ... 1", "3962, 3922, ... 2", "one rule for all systems"),
        Difference(
            "shape of pictures", "squeezed into squares", "cut to squares; samples of any shape", "nothing is distorted"
        ),
        *_BOTH,
    ),
}
