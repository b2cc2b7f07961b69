"""The small model inside the package: it gives every region of a drawing one of the given colors.

Absorbing-state diffusion over regions and given colors, see `region_diffusion/network.py`. A regression of
the color would answer with the mean of what is likely, one hue over everything.
"""

from __future__ import annotations

from dataclasses import replace

from colorize.model import Sampling
from colorize.networks.spaces import Regions
from colorize.recipes.recipe import Choosing, DenoiserSpec, Mix, Recipe, Stage
from colorize.region_diffusion.network import RegionNetSpec

# Sampled by set and not by file, so that icons do not drown drawings; the rest shares what is left.
SETS = (
    ("posed_quaternius", 0.24),
    ("art4apps", 0.09),
    ("objects_quaternius", 0.07),
    ("storybook", 0.07),
    ("taisei", 0.05),
    ("bookdash", 0.025),
    ("wesnoth", 0.025),
    ("photo", 0.02),
    ("misc", 0.015),
)

# Views are always turned, zoomed, mirrored and bent; the other numbers of a `Mix` are not used.
MIX = Mix(gray=0.12, other=0.88, alike=0.5, palette=0.5, hue=0.5, restyle=0.38, degrade=0.6, tone=0.06, sets=SETS)

PRETRAIN = Stage(objective=Choosing(), mix=MIX, size=128, batch=24, steps=60_000, lr=6e-4, warmup=150, ema=0.998)

RECIPE = Recipe(
    name="mini",
    help="Embedded, seconds on a CPU: line art or gray, with references, palettes, hints, or nothing",
    hints=("line", "gray", "reference", "hints"),
    needs=("line", "gray"),
    size=256,
    space=Regions(),
    denoiser=DenoiserSpec(net=RegionNetSpec(), predicts="x0"),
    # One call and the likeliest colors answer best; more steps let the surest regions go first.
    sampling=Sampling(steps=1),
    pretrain=PRETRAIN,
    finetune=replace(PRETRAIN, size=160, steps=10_000, lr=2e-4),
)
