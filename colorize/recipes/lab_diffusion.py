"""Color Diffusion: gray pictures, noise on a and b of Lab only.

After "Color-diffusion" (E. Millon 2023), the variant `published`: its networks, tensor by tensor; DIFFERENCES lists how
its training and sampling differ. The picture's own L stays, and a gray encoder's features join the U-Net at every
level. The default also standardizes chroma, so that noise does not drown it until the last steps, predicts it at a
quarter of the size, and predicts v on a schedule that ends in pure noise; its encoder runs once per picture, and
thresholds act on the clean prediction.
"""

from __future__ import annotations

from dataclasses import replace

from colorize.diffusion.denoiser import Dynamic
from colorize.diffusion.schedules import Cosine, Linear
from colorize.model import Sampling
from colorize.networks.conditions import Drawing, Pyramid, Together
from colorize.networks.spaces import Lab
from colorize.networks.unet import UNetSpec
from colorize.published.color_diffusion import ChromaUNetSpec, LightEncoder
from colorize.recipes.recipe import DenoiserSpec, Denoising, Difference, Mix, Recipe, Stage

MIX = Mix(gray=1.0, reference=0.0, crop=0.6)

_STAGE = Stage(Denoising(pure=0.6, robust=0.3), MIX, size=128, batch=8, steps=100_000, lr=5e-4, warmup=100)

RECIPE = Recipe(
    name="lab-diffusion",
    help="Gray pictures and photographs: noise on a and b of Lab only (Color Diffusion)",
    hints=("gray",),
    needs=("gray",),
    size=256,
    space=Lab(patch=4),
    condition=Together((Drawing(4), Pyramid(patch=4))),
    denoiser=DenoiserSpec(UNetSpec((48, 96, 144), (1, 2, 2), attention=(1, 2), feed_forward=1, groups=8), predicts="v"),
    schedule=Cosine(zero_snr=True),
    sampling=Sampling(steps=1, sampler="ddim", threshold=Dynamic(0.995, 5.0)),
    pretrain=_STAGE,
    finetune=replace(_STAGE, size=256, steps=20_000, lr=1e-4, warmup=30),
)

_PUBLISHED = Stage(
    objective=Denoising(whole=True),
    mix=replace(MIX, other=0.0, crop=1.0),
    size=64,
    batch=72,
    steps=14 * 437,  # 31,500 pictures, 14 times
    warmup=0,
    weight_decay=0.028,
    clip=0.0,
    ema=0.9999,
    aspects=("1:1",),
    betas=(0.9, 0.999),
    rate="constant",
)

PUBLISHED = replace(
    RECIPE,
    size=64,
    space=Lab(patch=1, center=(0.0, 0.0), spread=(110.0, 110.0), lightness=True),
    condition=LightEncoder(),
    denoiser=DenoiserSpec(ChromaUNetSpec(), "eps"),
    schedule=Linear(start=1e-4, end=2e-2, steps=350),
    sampling=Sampling(steps=350, sampler="ddpm", eta=1.0, spacing="leading", threshold=None),
    pretrain=_PUBLISHED,
    finetune=replace(_PUBLISHED, lr=1e-6),
)

VARIANTS = {"published": PUBLISHED}

DIFFERENCES = {
    "published": (
        Difference(
            "pretrain.lr",
            "1e-6, or 1e-4 where none is given",
            "",
            "1e-6 teaches little in 14 epochs; `finetune` has it",
        ),
        Difference("pretrain.batch", "36, gradients of two added", "", "the same"),
        Difference(
            "pretrain.ema", "0.9999, U-Net only, lost when saved", "", "averaged weights, of both networks, are saved"
        ),
        Difference(
            "colors", "brightness, saturation 1 to 2 and hue jittered", "as they are", "else results are too colorful"
        ),
        Difference(
            "shape of pictures", "squeezed into 64 x 64", "cut to squares; samples of any shape", "nothing is distorted"
        ),
        Difference(
            "order of pictures", "epoch by epoch", "drawn with replacement", "a run can stop and go on anywhere"
        ),
        Difference("dropout at use", "on in one of two programs", "off", "it adds noise"),
        Difference(
            "fewer steps", "another schedule", "the same schedule, skipped through", "the network knows this one"
        ),
        Difference("result", "64 x 64 pixels", "the original's size and L", "only colors are missing"),
    )
}
