"""Write a system of your own as one value, train it and use it. Run: python examples/own_recipe.py DATA OUT.

DATA is any folder of color pictures. Ours takes line art and color dots, and predicts the picture itself.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import torch

from colorize.checkpoints import model_files
from colorize.diffusion.schedules import Cosine
from colorize.networks.conditions import Drawing, HintMap, Together
from colorize.networks.spaces import Field
from colorize.networks.unet import UNetSpec
from colorize.recipes import find
from colorize.recipes.recipe import DenoiserSpec, Denoising, Mix, Recipe, Stage
from colorize.training.batches import Pictures
from colorize.training.loop import Loop
from colorize.training.objectives import build
from colorize.training.options import TrainOptions

DOTS = Recipe(
    name="mini",  # a checkpoint names the recipe it starts from; the values below go with it
    help="Line art and color dots",
    hints=("line", "hints"),
    size=64,
    space=Field(patch=2),
    condition=Together((Drawing(2), HintMap(2))),
    denoiser=DenoiserSpec(UNetSpec((16, 32), (1, 1), attention=(1,), groups=8), predicts="x0"),
    schedule=Cosine(zero_snr=True),
    sampling=find("mini").sampling,
    pretrain=Stage(Denoising(pure=0.5), Mix(hints=0.9, gray=0), size=64, batch=4, lr=1e-3),
)


def main(data: str, out: str, steps: int = 20) -> None:
    """Train for a few steps and save a checkpoint that `colorize sample --model` takes."""
    model = DOTS.build()
    stage = replace(DOTS.pretrain, steps=steps)
    pictures = Pictures(Path(data), DOTS, stage, 0, torch.device("cpu"))
    options = TrainOptions(Path(data), out=Path(out), log_every=5, sample_every=0)
    for progress in Loop(model, build(stage, DOTS), pictures, stage, options):
        if progress.loss is not None:
            print(f"step {progress.step}: loss {progress.loss:.3f}")
    model_files.save(model, DOTS, Path(out) / "dots.safetensors")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python own_recipe.py DATA RUN")
    main(*sys.argv[1:])
