"""What all tests share: quiet threads, and small pictures and systems to try things on."""

from __future__ import annotations

import os
import tempfile

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch: a busy neighbor costs 15 times

os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp()  # prepared pictures of tests go there
os.environ["XDG_CONFIG_HOME"] = tempfile.mkdtemp()  # no user's colorize.toml changes what tests see

from pathlib import Path

import pytest
import torch
from PIL import Image
from saved import WALKER
from saved import file as file
from saved import system as system

from colorize import recipes
from colorize.recipes.overrides import override
from colorize.recipes.recipe import Recipe

TINY = {
    "mini": (
        "denoiser.net.widths=[8,16]",
        "denoiser.net.blocks=[1,1]",
        "denoiser.net.heads=2",
        "denoiser.net.tokens=20",
        "denoiser.net.depth=1",
        "denoiser.net.keys=8",
        "denoiser.net.features=8",
        "denoiser.net.shade=8",
        "space.remembered=4",
        "sampling.steps=2",
        "size=32",
    ),
    "anime-diffusion": (
        "denoiser.net.widths=[8,16]",
        "denoiser.net.blocks=[1,1]",
        "denoiser.net.attention=[1]",
        "denoiser.net.heads=2",
        "denoiser.net.groups=8",
        "sampling.steps=2",
        "size=32",
    ),
}
TINY["diffusart"] = TINY["anime-diffusion"][:4] + TINY["anime-diffusion"][-2:]
TINY["lab-diffusion"] = (
    "denoiser.net.widths=[8,16,16]",
    "denoiser.net.blocks=[1,1,1]",
    "denoiser.net.attention=[2]",
    "denoiser.net.heads=2",
    "sampling.steps=2",
    "size=32",
)
TINY["colorize-diffusion"] = (
    "denoiser.net.widths=[32,32]",
    "denoiser.net.blocks=[1,1]",
    "denoiser.net.attention=[0,1]",
    "denoiser.net.head=16",
    "space.vae.widths=[32,32,32,32]",
    "space.vae.blocks=1",
    "space.multiple=16",
    "condition.encoder=",
    "condition.clip.embed=24",
    "condition.clip.vision.width=32",
    "condition.clip.vision.layers=1",
    "condition.clip.vision.head=16",
    "condition.clip.text.width=32",
    "condition.clip.text.layers=1",
    "condition.clip.text.head=16",
    "sampling.steps=2",
    "size=32",
)
TINY["manga-gan"] = (
    "denoiser.net.widths=[8,8,16,16,16]",
    "size=32",
    "pretrain.objective.critic=[8,8,8,8]",
    "finetune.objective.critic=[8,8,8,8]",
)
TINY["walker"] = (
    "denoiser.net.widths=[8,16]",
    "denoiser.net.blocks=[1,1]",
    "denoiser.net.attention=[1]",
    "denoiser.net.heads=2",
    "sampling.steps=2",
    "size=32",
)
SMALL_STAGE = ("size=32", "batch=2", "steps=4", "warmup=1", "lr=0.001")


def tiny(name: str) -> Recipe:
    """A recipe with a network small enough for a test, its stages at 32 px."""
    recipe = WALKER if name == "walker" else recipes.find(name)
    stages = [f"{stage}.{text}" for stage in ("pretrain", "finetune") for text in SMALL_STAGE]
    return override(recipe, *TINY[name], *stages)


def figure(seed: int, side: int = 48) -> torch.Tensor:
    """A color picture (3, side, side) in [0, 1]: a colored square with a black outline on white."""
    rng = torch.Generator().manual_seed(seed)
    picture = torch.ones(3, side, side)
    low, high = side // 5, side - side // 5
    picture[:, low:high, low:high] = 0
    inner = torch.rand(3, 1, 1, generator=rng) * 0.8 + 0.1
    picture[:, low + 2 : high - 2, low + 2 : high - 2] = inner
    return picture


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data folder: six training and two validation pictures without metadata."""
    for split, count in (("train", 6), ("validation", 2)):
        for index in range(count):
            pixels = (figure(index + 10 * len(split)) * 255).byte().permute(1, 2, 0).numpy()
            path = tmp_path / "data" / split / f"picture{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
    return tmp_path / "data"


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder with a drawing, a reference, and two pages; by a tiny model."""
    from drawings import furnish

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLORIZE_MODEL", "tiny.safetensors")
    monkeypatch.setenv("COLORIZE_DEVICE", "cpu")
    furnish()
