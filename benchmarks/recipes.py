"""Count weights and operations of recipes and of the published systems. Run: python benchmarks/recipes.py [NAME...].

Without names all are counted but the latent ones, which `latent.py` measures. With `--time` the encoding of the hints
and one call are timed, too, and seconds per picture computed for the own number of steps and for 10. Run that on a
quiet machine; weights are random, which costs as much time as good ones.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace

import torch
from torch.utils.flop_counter import FlopCounterMode

from colorize import recipes
from colorize.hints import HINTS, OPTIONAL, Hints
from colorize.model import Colorizer
from colorize.recipes.recipe import Recipe
from colorize.region_diffusion.system import RegionColorizer

# variant -> million weights of the original and its operations per call, in 10^9, at our variant's size. The
# Diffusarts and Color Diffusion encode their hints at every step anew, which is counted.
PUBLISHED = {
    "anime-diffusion:official": (52.30, 273.4),
    "anime-diffusion:coloring-assistant": (33.54, 147.8),
    "diffusart:official": (93.26, 585.8),
    "diffusart:community": (151.94, 187.7),
    "lab-diffusion:published": (48.09 + 13.41, 50.0),
    "manga-gan:plain": (54.42, 12.0),
    "manga-gan:attention": (54.75, 12.0),
    "manga-gan:v2": (32.14, 1614),
}
FEW = 10  # steps, for comparison


def given(recipe: Recipe) -> Hints:
    """Every hint that a recipe takes, at its own size."""
    side = recipe.size
    made = {"line" if "line" in recipe.hints else "gray": torch.ones(1, 1, side, side)}
    for name in set(OPTIONAL) & set(recipe.hints):
        made[name] = torch.zeros(1, HINTS[name].channels, side, side)
    return Hints(**made)


def seconds(model: Colorizer, hints: Hints, steps: int) -> dict[str, float]:
    """Seconds per picture at the system's own steps and at FEW, from one encoding and one call."""
    spans = []
    x, t = torch.zeros(model.space.shape(hints)), torch.full((1,), 0.5)
    with torch.inference_mode():
        for _ in range(2):  # the first time warms up
            begin = time.perf_counter()
            cond = model.condition(hints)
            middle = time.perf_counter()
            model.denoiser(x, t, cond)
            spans = [middle - begin, time.perf_counter() - middle]
    return {f"seconds_of_{count}_steps": round(spans[0] + count * spans[1], 2) for count in sorted({steps, FEW})}


def chosen(model: RegionColorizer, recipe: Recipe, hints: Hints, timed: bool) -> dict[str, float]:
    """The same numbers for a system that chooses: a call of it is attention alone, and encoding is all the rest."""
    with torch.inference_mode():
        counts = []
        for steps in (1, 2):
            model.forget()
            walk = replace(recipe.sampling, steps=steps)
            with FlopCounterMode(display=False) as counter:
                model.sample(hints, walk, [0])
            counts.append(counter.get_total_flops() / 1e9)
        row = {"pixels": recipe.size, "steps": 1}
        row["gigaflop_once_per_picture"] = round(2 * counts[0] - counts[1], 1)
        row["gigaflop_per_call"] = round(counts[1] - counts[0], 2)
        for steps in (1, FEW) if timed else ():
            for _ in range(2):  # the first time warms up
                model.forget()
                begin = time.perf_counter()
                model.sample(hints, replace(recipe.sampling, steps=steps), [0])
                row[f"seconds_of_{steps}_steps"] = round(time.perf_counter() - begin, 2)
    return row


def usual() -> list[str]:
    """All recipes that need no weights from elsewhere."""
    return [
        name
        for system in recipes.names()
        for name in (system, *(f"{system}:{variant}" for variant in recipes.variants(system)))
        if system != "colorize-diffusion" and name not in ("manga-gan:extractor", "manga-gan:full")
    ]


def main(timed: bool, names: list[str]) -> None:
    """Print one JSON object per recipe."""
    torch.manual_seed(0)
    for name in names or usual():
        recipe, row = recipes.find(name), {"recipe": name}
        model, hints = recipe.build().eval().to(memory_format=torch.channels_last), given(recipe)
        weights = sum(weight.numel() for weight in model.parameters()) / 1e6
        row["million_weights"] = round(weights, 2)
        if name in PUBLISHED:
            row["original_million_weights"] = round(PUBLISHED[name][0], 2)
            row["original_gigaflop_per_call"] = PUBLISHED[name][1]
        if isinstance(model, RegionColorizer):
            print(json.dumps(row | chosen(model, recipe, hints, timed)), flush=True)
            continue
        with torch.inference_mode():
            with FlopCounterMode(display=False) as once:
                cond = model.condition(hints)
            x = torch.zeros(model.space.shape(hints))
            with FlopCounterMode(display=False) as call:
                model.denoiser(x, torch.full((1,), 0.5), cond)
        row |= {"pixels": recipe.size, "steps": recipe.sampling.steps}
        row["gigaflop_once_per_picture"] = round(once.get_total_flops() / 1e9, 1)
        row["gigaflop_per_call"] = round(call.get_total_flops() / 1e9, 1)
        if timed:
            row |= seconds(model, hints, recipe.sampling.steps)
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main("--time" in sys.argv, [name for name in sys.argv[1:] if name != "--time"])
