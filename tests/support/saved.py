"""A system small enough to save in every test, and ways to spoil its file. Knows nothing of what is claimed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from colorize import recipes
from colorize.checkpoints.model_files import load, save
from colorize.diffusion.schedules import Cosine
from colorize.errors import ColorizeError
from colorize.model import Colorizer
from colorize.networks.conditions import Drawing, HintMap, ReferenceTokens, Together
from colorize.networks.spaces import Field
from colorize.networks.unet import UNetSpec
from colorize.recipes import overrides
from colorize.recipes.recipe import DenoiserSpec, Denoising, Mix, Recipe, Stage

# A system that takes every hint and walks from noise to the color under the ink, through two of the U-Net's doors.
WALK = Stage(
    objective=Denoising(pure=0.75, robust=0.3),
    mix=Mix(
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
    ),
)
WALKER = replace(
    recipes.find("mini"),
    space=Field(patch=2),
    condition=Together((Drawing(2), HintMap(2), ReferenceTokens(width=16, size=16))),
    denoiser=DenoiserSpec(net=UNetSpec(attention=(1,), heads=2, feed_forward=1, groups=8), predicts="v"),
    schedule=Cosine(zero_snr=True),
    pretrain=WALK,
    finetune=WALK,
)


NET = UNetSpec(widths=(8, 16), blocks=(1, 1), attention=(1,), heads=2, feed_forward=1, groups=4)
TINY = replace(
    WALKER,
    denoiser=DenoiserSpec(net=NET, predicts="v"),
    condition=Together((Drawing(2), HintMap(2), ReferenceTokens(width=16, size=16))),
)
CONV = "denoiser.net.enter.weight"  # (8, 12, 3, 3)


def randomized(recipe: Recipe = TINY, seed: int = 0) -> Colorizer:
    """A system none of whose weights is zero, as if it were trained."""
    rng, colorizer = torch.Generator().manual_seed(seed), recipe.build()
    for value in colorizer.parameters():
        value.data = 0.2 * torch.randn(value.shape, generator=rng)
    return colorizer


@pytest.fixture(scope="module")
def system() -> Colorizer:
    """One such system for all tests of a file, which leave it as it is."""
    return randomized()


@pytest.fixture
def file(system: Colorizer, tmp_path: Path) -> Path:
    """The file of that system, with one fact."""
    path = tmp_path / "model.safetensors"
    save(system, TINY, path, {"license": "CC0-1.0"})
    return path


def changed(
    file: Path, header: dict[str, str | None] | None = None, tensors: dict[str, Tensor | None] | None = None
) -> Path:
    """The same file with other words in its header, and other tensors (None: without)."""
    with safe_open(file, "pt") as old:
        words = old.metadata() | (header or {})
    weights = load_file(file) | (tensors or {})
    save_file(
        {name: value for name, value in weights.items() if value is not None},
        file,
        {name: word for name, word in words.items() if word is not None},
    )
    return file


def described(file: Path, **settings: object) -> Path:
    """The same file with other values of the recipe."""
    data = json.loads(json.dumps(overrides.to_dict(TINY)))
    for way, value in settings.items():
        *parents, last = way.split("__")
        place = data
        for parent in parents:
            place = place[parent]
        place[last] = value
    return changed(file, {"config": json.dumps(data)})


def refusal(model: str | Path) -> ColorizeError:
    with pytest.raises(ColorizeError) as caught:
        load(model)
    return caught.value
