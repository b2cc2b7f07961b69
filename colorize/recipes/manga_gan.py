"""Manga in one call: pix2pix generators trained against a critic, and manga-colorization-v2.

The variants `plain`, `attention`, `extractor` and `full` are the four generators of the "Manga Colorization Model"
(Nyanko-sama 2025), tensor by tensor, attention to a single place included; `v2` is "manga-colorization-v2" (qweasdd
2022). The published files of both open. Departures of the four: pages of any shape, of which deep levels repeat the
last row, and features of the tagger spread over a deepest map of several places; in training, gradients through the
tagger's part of the perceptual loss, colors normalized from [0, 1] for VGG, frozen networks that stay in evaluation
mode, and a critic that is resumed with the run. Departures of v2: the page is its luma; sides are padded to multiples
of 32; unused parts are not run; the guide decoder is not trained. All give gray pages the colors alone and keep their
lightness at full size. The default, made for a laptop, is `plain` with fewer channels, group norms, which work on one
row, too, color hints, pages as line art and in screentone, and an output added to the page; its critic counts a tenth
as much (with 0.01 it soon paints in patches), small errors as their square.
"""

from __future__ import annotations

from dataclasses import replace

from colorize.diffusion.schedules import Cosine
from colorize.manga.networks import GeneratorSpec, TaggerSpec
from colorize.manga.second import SecondSpec
from colorize.manga.system import Page
from colorize.model import Sampling
from colorize.networks.spaces import RGB
from colorize.recipes.recipe import Adversarial, DenoiserSpec, Mix, Recipe, Stage

# Crops are small, so that pages are seen at the size they are sampled at, too.
MIX = Mix(gray=0.6, reference=0.0, hints=0.3, restyle=0.3, degrade=0.3, tone=0.4, printed=0.3, jpeg=0.1, crop=0.4)

_STAGE = Stage(
    objective=Adversarial(adversarial=0.001, robust=0.3, critic=(32, 64, 128, 256)),
    mix=MIX,
    size=128,
    batch=8,
    steps=100_000,
    lr=5e-4,
    warmup=100,
    weight_decay=0.0,
    betas=(0.5, 0.999),
)

RECIPE = Recipe(
    name="manga-gan",
    help="Manga pages in one call, gray or line art: pix2pix with a critic, and manga-colorization-v2",
    hints=("line", "gray", "hints"),
    needs=("line", "gray"),
    size=256,
    space=RGB(),
    condition=Page(hints=True),
    denoiser=DenoiserSpec(GeneratorSpec((32, 64, 128, 192, 192, 192), dropout=0.0, added=True), "x0"),
    schedule=Cosine(zero_snr=True),  # whose end, where nothing is known, is all that one call sees
    sampling=Sampling(steps=1, sampler="ddim"),
    pretrain=_STAGE,
    finetune=replace(_STAGE, size=256, steps=20_000, lr=1e-4, warmup=30),
)

# 17,769 pictures, 50 times, 32 a step; gray pictures as they are.
_PUBLISHED = Stage(
    objective=Adversarial(critic_groups=0),
    mix=Mix(gray=1.0, reference=0.0, flip=0.0),
    size=256,
    batch=32,
    steps=27_750,
    lr=2e-4,
    warmup=0,
    weight_decay=0.0,
    clip=0.0,
    ema=0.0,
    betas=(0.5, 0.999),
)


def _published(attention: bool, extractor: bool) -> Recipe:
    return replace(
        RECIPE,
        hints=("line", "gray"),
        condition=Page(extractor=extractor, body=TaggerSpec(square=True)),
        denoiser=DenoiserSpec(net=GeneratorSpec(attention=attention, groups=0), predicts="x0"),
        pretrain=_PUBLISHED,
        finetune=replace(_PUBLISHED, steps=10_000, lr=2e-5),
    )


# The weights of the first version's training, since that of the second was never published.
_SECOND = Stage(
    objective=Adversarial(adversarial=1.0, direct=10.0, perceptual=1.0),
    mix=replace(MIX, hints=0.5, marks=40.0),
    size=512,
    batch=4,
    steps=100_000,
    lr=1e-4,
    weight_decay=0.0,
    betas=(0.5, 0.9),
)

_V2 = replace(
    RECIPE,
    size=864,  # of the longer side; a page is then 576 pixels wide, the authors' size
    denoiser=DenoiserSpec(SecondSpec(), "x0"),
    pretrain=_SECOND,
    finetune=replace(_SECOND, steps=20_000, lr=1e-5),
)

VARIANTS = {
    "plain": _published(attention=False, extractor=False),
    "attention": _published(attention=True, extractor=False),
    "extractor": _published(attention=False, extractor=True),
    "full": _published(attention=True, extractor=True),
    "v2": _V2,
}
