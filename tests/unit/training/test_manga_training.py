"""Claims about training against a critic: two losses that keep apart, resuming, and the weights of helpers."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from conftest import SMALL_STAGE, tiny
from safetensors.torch import load_file
from torch import Generator, nn

from colorize import recipes
from colorize.checkpoints import model_files
from colorize.errors import ColorizeError
from colorize.hints import Batch, Hints
from colorize.manga.networks import VGG, Perceptual
from colorize.recipes.overrides import override
from colorize.recipes.recipe import Adversarial
from colorize.training import objectives, run
from colorize.training.batches import Pictures
from colorize.training.options import TrainOptions

RECIPE = tiny("manga-gan")
TINY_STAGE = [f"pretrain.{text}" for text in (*SMALL_STAGE, "objective.critic=[8,8,8,8]")]
PUBLISHED = override(recipes.find("manga-gan:attention"), "denoiser.net.widths=[8,8,16,16,16]", *TINY_STAGE)


def ready(recipe=RECIPE):
    torch.manual_seed(0)
    model = recipe.build()
    objectives.add_critic(model, recipe.pretrain)
    return model


def batch(seed: int = 0) -> Batch:
    rng = Generator().manual_seed(seed)
    color = torch.rand(2, 3, 32, 32, generator=rng) * 2 - 1
    return Batch(color, Hints(gray=color.mean(1, keepdim=True)))


def losses(model, objective=None):
    objective = objective or objectives.build(RECIPE.pretrain, RECIPE)
    return objective(model, batch(), Generator().manual_seed(0))


def moved(module: nn.Module) -> bool:
    return any(value.grad is not None for value in module.parameters())


def training(data: Path, out: Path, recipe=RECIPE, **changes) -> run.Training:
    options = TrainOptions(data, out=out, device="cpu", precision="fp32", sample_every=0, log_every=1)
    return run.Training(recipe, replace(options, **changes))


def adversarial(eyes=None, **weights):
    return partial(objectives.adversarial_losses, Adversarial(**weights), eyes)


# The two losses


def test_the_generator_s_loss_does_not_teach_the_critic():
    model = ready()
    next(losses(model)).backward()
    assert moved(model.denoiser)
    assert not moved(model.critic)


def test_the_critic_s_loss_does_not_teach_the_generator():
    model = ready()
    walk = losses(model)
    next(walk)
    next(walk).backward()
    assert moved(model.critic)
    assert not moved(model.denoiser)


def test_each_part_of_the_loss_has_its_weight():
    model = ready()
    with torch.no_grad():
        parts = [
            float(next(losses(model, adversarial(adversarial=critic, direct=direct))))
            for critic, direct in ((1, 0), (0, 1), (0.01, 1))
        ]
    assert parts[2] == pytest.approx(0.01 * parts[0] + parts[1])


def test_small_errors_count_as_their_square_and_large_ones_as_they_are():
    true, small, large = torch.zeros(1), torch.tensor([1e-2]), torch.tensor([100.0])
    assert float(objectives.distance(small, true, 0.3)) == pytest.approx(1e-4 / 0.6, rel=1e-2)
    assert float(objectives.distance(large, true, 0.3)) == pytest.approx(99.7, rel=1e-4)
    assert float(objectives.distance(large, true)) == 100


def test_frozen_eyes_add_to_the_loss_of_the_generator():
    model, eyes = ready(), Perceptual(VGG(), None)
    with torch.no_grad():
        plain = float(next(losses(model, adversarial())))
        seen = float(next(losses(model, adversarial(eyes))))
    assert seen > plain


def test_the_critic_learns_to_tell_truth_from_what_is_made():
    model = ready()
    optimizer = torch.optim.Adam(model.critic.parameters(), 1e-3, (0.5, 0.999))
    told = []
    for _ in range(30):
        walk = losses(model)
        next(walk)
        loss = next(walk)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        told.append(loss.item())
    assert told[-1] < 0.5 < told[0]


def test_a_system_that_walks_is_refused():
    walker = override(tiny("diffusart"), "pretrain.objective=Adversarial")
    with pytest.raises(ColorizeError, match="`diffusart` samples in steps"):
        objectives.build(walker.pretrain, walker)
    with pytest.raises(ColorizeError, match="`mini` cannot be trained with the objective Adversarial"):
        objectives.build(walker.pretrain, tiny("mini"))


def test_a_single_row_is_too_few_for_batch_norms():
    alone = override(PUBLISHED, "pretrain.batch=1")
    with pytest.raises(ColorizeError, match="batch is 1, too few for batch norms"):
        objectives.build(alone.pretrain, alone)


# Runs


@pytest.mark.parametrize("recipe", [RECIPE, PUBLISHED], ids=["default", "published"])
def test_a_run_that_was_cut_goes_on_to_the_same_curve_and_weights(tmp_path, folder, recipe):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for progress in training(folder, whole, recipe, save_every=0).steps():
        if progress.step == 2:
            shutil.copytree(whole, cut)
    list(training(folder, cut, recipe).steps())
    curves = [(path / "log.jsonl").read_text().splitlines() for path in (whole, cut)]
    ours, theirs = ([json.loads(row)["loss"] for row in curve] for curve in curves)
    assert ours == pytest.approx(theirs, abs=1e-6)
    ends = [load_file(path / "state.safetensors") for path in (whole, cut)]
    assert any(name.startswith("weight/critic.") for name in ends[0])
    for name, value in ends[0].items():
        torch.testing.assert_close(value, ends[1][name], atol=1e-6, rtol=0)


def test_the_critic_is_no_part_of_the_model_s_file(tmp_path, folder):
    list(training(folder, tmp_path / "run").steps())
    assert not any("critic" in name for name in load_file(tmp_path / "run/model.safetensors"))
    assert model_files.load(tmp_path / "run").colorizer.critic is None


def test_training_without_frozen_eyes_says_so(tmp_path, folder):
    (note,) = training(folder, tmp_path / "run").notes
    assert "no perceptual part" in note
    plain = override(RECIPE, "pretrain.objective.perceptual=0")
    assert training(folder, tmp_path / "other", plain).notes == ()


def test_grays_are_printed_as_screentone_for_their_share(folder):
    shares = ((0.0, 0), (1.0, 1))
    grays = []
    for share, _ in shares:
        recipe = override(RECIPE, "pretrain.mix.gray=1", f"pretrain.mix.printed={share:g}")
        data = Pictures(folder, recipe, recipe.pretrain, 0, torch.device("cpu"))
        grays.append(data.batch(0).hints["gray"])
    assert not torch.equal(*grays)


@pytest.mark.parametrize("variant", ["", *recipes.variants("manga-gan")])
def test_every_setting_of_every_variant_survives_its_own_text(variant):
    from colorize.recipes.overrides import from_dict, leaves, to_dict

    recipe = recipes.find(f"manga-gan:{variant}".removesuffix(":"))
    assert from_dict(recipes.find("manga-gan"), to_dict(recipe)) == recipe
    for key, value in leaves(recipe):
        if isinstance(value, bool | int | float):
            assert override(recipe, f"{key}={str(value).lower()}") == recipe, key


def test_published_stages_are_the_published_numbers():
    recipe = recipes.find("manga-gan:full")
    stage = recipe.pretrain
    assert (stage.lr, stage.betas, stage.weight_decay, stage.batch) == (2e-4, (0.5, 0.999), 0.0, 32)
    assert (stage.ema, stage.clip, stage.warmup, stage.mix.flip, stage.mix.gray) == (0, 0, 0, 0, 1)
    objective = recipe.pretrain.objective
    assert (objective.adversarial, objective.direct, objective.perceptual) == (0.01, 1.0, 0.1)
