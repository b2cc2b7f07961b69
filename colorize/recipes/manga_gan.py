"""Manga in one call: pix2pix generators trained against a critic, and manga-colorization-v2.

The variants `plain`, `attention`, `extractor` and `full` are the four generators of the "Manga Colorization Model"
(Nyanko-sama 2025), tensor by tensor, trained as published; `v2` is "manga-colorization-v2" (qweasdd 2022), whose
training was not published, so that the numbers of its first version stand in. DIFFERENCES lists what is not as
published. All give gray pages the colors alone and keep their lightness at full size. The default, made for a laptop,
is `plain` with fewer channels, group norms, which work on one row, too, color hints, pages as line art and in
screentone, averaged weights, and an output added to the page; its critic counts a tenth as much (with 0.01 it soon
paints in patches), small errors as their square.
"""

from __future__ import annotations

from dataclasses import replace

from colorize.diffusion.schedules import Cosine
from colorize.manga.networks import GeneratorSpec, TaggerSpec
from colorize.manga.second import SecondSpec
from colorize.manga.system import Page
from colorize.model import Sampling
from colorize.networks.spaces import RGB
from colorize.recipes.recipe import Adversarial, DenoiserSpec, Difference, Mix, Recipe, Stage

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
    aspects=("1:1",),
    betas=(0.5, 0.999),
    rate="constant",
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


_SECOND = Stage(
    objective=Adversarial(adversarial=1.0, direct=10.0, perceptual=1.0),
    mix=replace(MIX, hints=0.5, marks=40.0),
    size=512,
    batch=4,
    steps=100_000,
    lr=1e-4,
    warmup=0,
    weight_decay=0.0,
    clip=0.0,
    ema=0.0,
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

_ORDER = Difference(
    "order of pictures", "epoch by epoch", "drawn with replacement", "a run can stop and go on anywhere"
)
_FOUR = (
    Difference("tagger's part of the loss", "without gradients", "with gradients", "else it teaches nothing"),
    Difference("colors for VGG", "from [-1, 1]", "from [0, 1]", "what it was trained on"),
    Difference("tagger", "in training mode, drifting", "in evaluation mode", "it is frozen"),
    Difference(
        "shape of pictures", "256 x 256", "cut to squares; samples of any shape", "deep levels repeat a last row"
    ),
    Difference("lightness of results", "the generator's", "the page's", "only colors are missing"),
    _ORDER,
)
_TRAINED = "the first version's, as far as it is known; the second's was not published"
DIFFERENCES = {
    **dict.fromkeys(("plain", "attention", "extractor", "full"), _FOUR),
    "v2": (
        Difference("page", "its red or blue channel", "its luma", "what an eye sees"),
        Difference("padding", "32 pixels more, also where none are needed", "what is missing to 32", "less to compute"),
        Difference("size", "576 wide, or 1.5 times as high where wider than high", "longer side 864", "the same pages"),
        Difference("results", "of the inner size, with the generator's lightness", "the page's own", "lines stay"),
        Difference("idle parts", "run, or in the file only", "never run", "nothing depends on them"),
        Difference("guide decoder", "0.9 of the distance, in training", "not trained", "a help only"),
        Difference("critic", "SE-ResNeXt with spectral norms, at 4e-4", "patches, at the generator's rate", _TRAINED),
        Difference("white penalty, unpaired pages", "in training", "none", "gray pages keep their own white"),
        Difference("pretrain.lr", "1e-4, from the 10th of 15 epochs on 1e-5", "", _TRAINED),
        Difference("pretrain.mix.hints", "single pixels in 0.5 of the rows, all in 0.01", "", "dots and strokes"),
        _ORDER,
    ),
}
