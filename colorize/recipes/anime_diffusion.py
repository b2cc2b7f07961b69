"""AnimeDiffusion and the Coloring Assistant: line art and a reference, learned in two phases.

After Cao et al., "AnimeDiffusion: Anime Diffusion Colorization" (arXiv 2303.11137, TVCG 2024), and the
Coloring Assistant, which made phase 2 affordable by an optimizer step at every sampling step.
Departures: the schedule ends at zero signal, where sampling starts, so the network predicts v; phase 2 starts
where sampling starts, not from an inverted picture that leaks the answer, and compares predicted clean
pictures (`finetune.objective.start` and `.target` give the originals back); the reference is warped without
folds and black borders, and dropped for some rows; weights are averaged.
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
from colorize.recipes.recipe import DenoiserSpec, Denoising, Mix, Recipe, Stage, Trajectory

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

_OFFICIAL = replace(
    RECIPE,
    size=256,
    denoiser=DenoiserSpec(AnimeUNetSpec(), "eps"),
    schedule=Linear(start=1e-6, end=1e-2),
    sampling=Sampling(steps=10, sampler="ddim", eta=1.0, spacing="leading"),
    pretrain=replace(RECIPE.pretrain, size=256, batch=4, lr=1e-4, ema=0.999),
    finetune=replace(RECIPE.finetune, size=256, batch=1, lr=1e-4, objective=Trajectory(every=10)),
)

_ASSISTANT = replace(
    _OFFICIAL,
    size=128,
    denoiser=DenoiserSpec(AssistantUNetSpec(), "eps"),
    schedule=Linear(start=1e-4, end=2e-2),
    sampling=Sampling(steps=25, sampler="ddim", spacing="linspace", start="noised-reference"),
    pretrain=replace(RECIPE.pretrain, size=128, batch=4, lr=1e-5, ema=0.999),
    finetune=replace(RECIPE.finetune, size=128, batch=4, lr=1e-5, objective=Trajectory(every=1)),
)

VARIANTS = {"official": _OFFICIAL, "coloring-assistant": _ASSISTANT}
