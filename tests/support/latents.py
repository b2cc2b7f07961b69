"""A latent system small enough for every test, its file in the published layout, and CLIP's beside it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import torch
from conftest import tiny
from safetensors.torch import save_file
from torch import nn

from colorize.colorize_diffusion import published
from colorize.colorize_diffusion.conditioner import SketchAndReference
from colorize.colorize_diffusion.encoders import ClusterSpec, SideSpec, ThresholdSpec
from colorize.recipes import overrides
from colorize.recipes.recipe import Recipe

LEVELS = {"widths": (32, 32), "blocks": (1, 1), "attention": (0, 1), "head": 16}


def recipe(version: str = "v1", encoder: str = "") -> Recipe:
    """The tiny recipe of a version."""
    base = tiny("colorize-diffusion")
    condition, net = base.condition, base.denoiser.net
    assert isinstance(condition, SketchAndReference)
    condition = replace(condition, encoder=encoder)
    if version == "v1.5":
        net = replace(net, lora=(4, 0.5))
        condition = replace(condition, threshold=ThresholdSpec(16, 24), clusters=ClusterSpec(24, 256, 1, 8))
    if version == "v2":
        net = replace(net, lora=(4, 4), tuned=(False, True), sides=True)
        condition = replace(condition, sides=SideSpec(**LEVELS, labels=32))
    denoiser = replace(base.denoiser, net=net, predicts="v" if version == "v2" else "eps")
    return replace(base, condition=condition, denoiser=denoiser)


def random(module: nn.Module, seed: int = 0) -> nn.Module:
    """Give all weights values as if they were trained."""
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in module.parameters():
            fan = max(1, value[0].numel()) if value.dim() > 1 else 4
            value.copy_(torch.randn(value.shape, generator=rng) / fan**0.5)
    return module


def clip_file(path: Path, of: Recipe) -> Path:
    """Write CLIP's weights under OpenCLIP's names."""
    assert isinstance(of.condition, SketchAndReference)
    save_file(random(of.condition.clip.build(), 1).state_dict(), path)
    return path


def published_folder(folder: Path, version: str = "v1", told: bool = True) -> Path:
    """Write a folder as one of the authors' might be: weights, CLIP's beside them, a description if it is told."""
    folder.mkdir(parents=True, exist_ok=True)
    own = recipe(version)
    encoder = clip_file(folder / "clip.safetensors", own)
    described = recipe(version, str(encoder))
    system = random(latent_system(described), 2)
    state = {name: value.contiguous() for name, value in system.state_dict().items()}
    save_file(state, folder / "model.safetensors")
    if told:
        (folder / "config.json").write_text(json.dumps(overrides.to_dict(described)), "utf-8")
    return folder


def latent_system(of: Recipe) -> nn.Module:
    """The networks of a recipe under their published names, with fresh weights."""
    return published.networks(of.build())


def letters(texts: list[str]) -> torch.Tensor:
    """Return texts as numbers of a vocabulary of letters, for where CLIP's is not installed."""
    words = torch.zeros(len(texts), 77, dtype=torch.long)
    for row, text in zip(words, texts, strict=True):
        row[: len(text) + 2] = torch.tensor([49406, *map(ord, text), 49407])
    return words
