"""Claims about training the networks of published systems: all that acts learns, from the data as it was published."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from colorize import recipes
from colorize.images.color import rgb_to_lab
from colorize.recipes.overrides import override
from colorize.recipes.recipe import Recipe
from colorize.training import objectives
from colorize.training.batches import Pictures

SMALL = {
    "anime-diffusion:official": ("denoiser.net.widths=[32,32]", "sampling.steps=2", "finetune.objective.every=2"),
    "anime-diffusion:coloring-assistant": ("denoiser.net.width=2", "sampling.steps=2"),
    "lab-diffusion:published": ("denoiser.net.widths=[8,8]",),
    "diffusart:official": ("denoiser.net.widths=[32,32]", "denoiser.net.waves=8", "condition.first=8"),
    "diffusart:community": ("denoiser.net.widths=[8,16]", "denoiser.net.waves=8", "condition.first=8"),
}
WAKING = 2  # steps; behind what begins at zero, weights move from the second on
STAGES = [f"{phase}.{text}" for phase in ("pretrain", "finetune") for text in ("size=32", "batch=4")]


def small(name: str) -> Recipe:
    return override(recipes.find(name), *SMALL[name], *STAGES)


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("phase", ["pretrain", "finetune"])
def test_a_step_moves_every_weight_that_acts(name: str, phase: str, folder: Path) -> None:
    recipe = small(name)
    stage = recipe.stage(phase)
    torch.manual_seed(0)
    model = recipe.build().train()
    data = Pictures(folder, recipe, stage, 0, torch.device("cpu"))
    before = {key: weight.detach().clone() for key, weight in model.named_parameters()}
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.0)
    for step in range(WAKING):
        for loss in objectives.build(stage, recipe)(model, data.batch(step), torch.Generator().manual_seed(step)):
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    same = {key for key, weight in model.named_parameters() if torch.equal(weight, before[key])}
    assert same == {key for key, weight in model.named_parameters() if not weight.requires_grad}


def test_published_systems_learn_at_the_entries_of_their_tables(folder: Path) -> None:
    recipe = small("lab-diffusion:published")
    model, seen = recipe.build(), []
    model.network.register_forward_hook(lambda _, given, __: seen.append(given[1]))
    batch = Pictures(folder, recipe, recipe.pretrain, 0, torch.device("cpu")).batch(0)
    next(objectives.build(recipe.pretrain, recipe)(model, batch, torch.Generator().manual_seed(0)))
    entries = 350 * seen[0].double()
    torch.testing.assert_close(entries, entries.round(), atol=1e-3, rtol=0)


def test_the_gray_of_color_diffusion_has_the_lightness_of_the_picture(folder: Path) -> None:
    recipe = small("lab-diffusion:published")
    batch = Pictures(folder, recipe, recipe.pretrain, 0, torch.device("cpu")).batch(0)
    gray = batch.hints["gray"].expand(-1, 3, -1, -1)
    torch.testing.assert_close(rgb_to_lab(gray)[:, 0], rgb_to_lab(batch.color)[:, 0], atol=0.02, rtol=0)
    luma = replace(recipe, space=replace(recipe.space, lightness=False))
    other = Pictures(folder, luma, luma.pretrain, 0, torch.device("cpu")).batch(0)
    assert (other.hints["gray"] - batch.hints["gray"]).abs().max() > 0.01


def test_every_difference_names_a_setting_or_says_what_is_done_here() -> None:
    for name in recipes.names():
        for variant, differences in recipes.differences(name).items():
            assert variant in recipes.variants(name)
            assert all(one.ours or "." in one.what for one in differences)
