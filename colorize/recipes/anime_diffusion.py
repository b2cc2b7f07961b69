"""AnimeDiffusion and the Coloring Assistant: line art and a reference, learned in two phases.

After Cao et al., "AnimeDiffusion: Anime Diffusion Colorization" (arXiv 2303.11137, TVCG 2024), the variant `official`,
and the Coloring Assistant (Vik-kos 2024), which made phase 2 affordable by an optimizer step at every sampling step.
Both variants are the published networks, tensor by tensor, and are trained as published; DIFFERENCES lists what is not.
Departures of the default: the schedule ends at zero signal, where sampling starts, so the network predicts v; phase 2
starts where sampling starts, not from an inverted picture that leaks the answer, and compares predicted clean pictures;
the reference is bent without folds and black borders, and dropped for some rows; weights are averaged.
"""

from __future__ import annotations

from dataclasses import replace

from colorize.diffusion.schedules import Cosine, Linear
from colorize.model import Sampling
from colorize.networks.conditions import Stack
from colorize.networks.spaces import RGB
from colorize.networks.unet import UNetSpec
from colorize.published.anime_diffusion import AnimeUNetSpec
from colorize.published.coloring_assistant import AssistantUNetSpec
from colorize.recipes.recipe import DenoiserSpec, Denoising, Difference, Mix, Recipe, Stage, Trajectory

RECIPE = Recipe(
    name="anime-diffusion",
    help="Line art and a reference picture, two training phases (AnimeDiffusion, Coloring Assistant)",
    hints=("line", "reference"),
    size=128,
    space=RGB(),
    condition=Stack(("line", "reference")),
    denoiser=DenoiserSpec(UNetSpec((32, 64, 128, 192), (1, 1, 1, 1), attention=(3,), groups=16), predicts="v"),
    schedule=Cosine(zero_snr=True),
    sampling=Sampling(steps=10, sampler="ddim"),
    pretrain=Stage(Denoising(), Mix(reference=0.9), size=128, batch=8, lr=2e-4, warmup=50),
    finetune=Stage(Trajectory(), Mix(reference=0.9), size=128, batch=4, steps=10_000, lr=1e-5, warmup=50),
)

_EPOCH = 31_696  # pictures, one a step
_OFFICIAL_STAGE = Stage(
    objective=Denoising(whole=True),
    mix=Mix(reference=1.0, other=0.0, bend="diagonal", flip=0.0),
    size=256,
    batch=1,
    steps=300 * _EPOCH,
    lr=1e-4,
    warmup=_EPOCH,
    clip=0.0,
    ema=0.0,
    aspects=("1:1",),
    betas=(0.9, 0.999),
)

OFFICIAL = replace(
    RECIPE,
    size=256,
    denoiser=DenoiserSpec(AnimeUNetSpec(), "eps"),
    schedule=Linear(start=1e-6, end=1e-2),
    sampling=Sampling(steps=10, sampler="ddim", eta=1.0, spacing="leading"),
    pretrain=_OFFICIAL_STAGE,
    finetune=replace(_OFFICIAL_STAGE, objective=Trajectory(start="inverted-target", every=10), steps=10 * _EPOCH),
)

_ASSISTANT_STAGE = replace(
    _OFFICIAL_STAGE,
    mix=replace(_OFFICIAL_STAGE.mix, bend="scattered"),
    size=128,
    batch=4,
    steps=4 * 3200,  # 12,801 pictures, four times
    lr=1e-5,
    warmup=0,
    rate="constant",
)

ASSISTANT = replace(
    OFFICIAL,
    size=128,
    denoiser=DenoiserSpec(AssistantUNetSpec(), "eps"),
    schedule=Linear(start=1e-4, end=2e-2),
    sampling=Sampling(steps=25, sampler="ddim", spacing="linspace", start="noised-reference", threshold=None),
    pretrain=_ASSISTANT_STAGE,
    finetune=replace(_ASSISTANT_STAGE, objective=Trajectory(start="inverted-reference", target="next")),
)

VARIANTS = {"official": OFFICIAL, "coloring-assistant": ASSISTANT}

_BOTH = (
    Difference("order of pictures", "epoch by epoch", "drawn with replacement", "a run can stop and go on anywhere"),
    Difference("shape of pictures", "middle square", "any square; samples of any shape", "nothing is cut off a result"),
)
DIFFERENCES = {
    "official": (
        Difference(
            "pretrain.steps", "200 epochs, or 300 by the name of the weights", "", "300 epochs of one row a step"
        ),
        Difference("loss", "sum of squares", "their mean", "the same to AdamW, whatever the batch"),
        Difference(
            "sampling times",
            "stride floor(1000 / N), end at t = 0",
            "stride 1000 / N, end clean",
            "equal for 10 steps but for 0.1 % of noise; right for any number",
        ),
        Difference(
            "noise after the clamp", "as predicted", "recomputed from the clamped picture", "both must add up to x"
        ),
        Difference(
            "phase 2, inversion",
            "without the time, after a step of fresh noise",
            "with the time, no noise",
            "the network was trained with it",
        ),
        Difference(
            "phase 2, compared", "last sample", "last prediction before its clamp", "clamped pixels have no gradient"
        ),
        Difference("pretrain.mix.bend", "bicubic, stretched by a pixel", "", "bilinear, pixel on pixel"),
        *_BOTH,
    ),
    "coloring-assistant": (
        Difference("precision", "float16", "`--precision`", "the last step divides by 0.006"),
        Difference(
            "pretrain.steps", "4 epochs in its code; 16 hours would be many more", "", "raise it for good results"
        ),
        Difference("time 0", "never trained, but sampled", "trained", "the last step is not a guess"),
        Difference("phase 2, inversion", "by a frozen copy", "by the present weights", "half the memory"),
        Difference("pretrain.mix.bend", "shifted by half a pixel, rounded down", "", "pixel on pixel"),
        *_BOTH,
    ),
}
