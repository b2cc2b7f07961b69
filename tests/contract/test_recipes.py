"""The contract every recipe keeps, at tiny values."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import figure, tiny

from colorize import recipes
from colorize.colorize_diffusion.vae import Latent
from colorize.errors import ColorizeError
from colorize.hints import Hints
from colorize.model import Colorizer
from colorize.recipes.overrides import from_dict, leaves, override, to_dict
from colorize.recipes.recipe import Recipe

NAMES = recipes.names()


def built(recipe: Recipe, seed: int = 0) -> Colorizer:
    """A system whose zero-initialized layers say something, so that differences can be seen."""
    torch.manual_seed(seed)
    model = recipe.build()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.05)
    return model.eval()


def given(recipe: Recipe, height: int = 32, width: int = 32, batch: int = 1) -> Hints:
    """Every hint the recipe takes, for a few drawings."""
    rng = torch.Generator().manual_seed(3)

    def draw(channels: int) -> torch.Tensor:
        return torch.rand(batch, channels, height, width, generator=rng) * 2 - 1

    made = {"line" if "line" in recipe.hints else "gray": draw(1)}
    if "reference" in recipe.hints:
        made["reference"] = draw(3)
    if "hints" in recipe.hints:
        made["hints"] = torch.cat([draw(3), draw(1).sign()], dim=1)
    return Hints(**made)


def sample(model: Colorizer, recipe: Recipe, hints: Hints, seeds: list[int]) -> torch.Tensor:
    with torch.inference_mode():
        return model.sample(hints, recipe.sampling, seeds)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("phase", ["pretrain", "finetune"])
def test_five_steps_move_every_weight(name: str, phase: str, folder: Path) -> None:
    from colorize.training.objectives import add_critic, build
    from colorize.training.options import TrainOptions
    from colorize.training.run import batches

    recipe = tiny(name)
    stage = recipe.stage(phase)
    model = recipe.build()
    add_critic(model, stage)  # a critic, where one is wanted, is trained, too
    learnt = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    assert learnt
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    # A large rate: layers that start at zero need a few steps to wake the ones behind them.
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.0)
    recipe = replace(recipe, **{phase: replace(stage, batch=6)})
    data = batches(recipe, TrainOptions(folder, phase), torch.device("cpu"))
    for step in range(5):
        rng = torch.Generator().manual_seed(step)
        for loss in build(stage, recipe)(model, data.batch(step), rng):
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    now = dict(model.named_parameters())
    same = {name for name in before if torch.equal(before[name], now[name])}
    assert same == set(now) - set(learnt)  # what is frozen stays as it was, and nothing else


@pytest.mark.parametrize("name", NAMES)
def test_each_hint_changes_the_result(name: str) -> None:
    recipe = tiny(name)
    model, hints = built(recipe), given(recipe)
    full = sample(model, recipe, hints, [1])
    for hint in hints:
        if hint in recipe.needs:
            continue
        rest = Hints(**{key: value for key, value in hints.items() if key != hint})
        assert not torch.allclose(sample(model, recipe, rest, [1]), full), hint


@pytest.mark.parametrize("name", [name for name in NAMES if name != "mini"])
def test_a_dropped_hint_is_a_missing_hint(name: str) -> None:
    recipe = tiny(name)
    model, hints = built(recipe), given(recipe)
    everyone = torch.ones(1, dtype=torch.bool)
    x, t = torch.randn(model.space.shape(hints)), torch.tensor([0.7])
    for hint in (one for one in hints if one not in recipe.needs):
        rest = Hints(**{key: value for key, value in hints.items() if key != hint})
        with torch.no_grad():
            dropped = model.denoiser(x, t, model.condition(hints, {hint: everyone}))
            missing = model.denoiser(x, t, model.condition(rest))
        torch.testing.assert_close(dropped, missing, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_equals_single_pictures(name: str) -> None:
    recipe = tiny(name)
    model, hints = built(recipe), given(recipe, batch=2)
    both = sample(model, recipe, hints, [5, 6])
    for row in (0, 1):
        single = sample(model, recipe, hints.rows(slice(row, row + 1)), [5 + row])
        torch.testing.assert_close(both[row : row + 1], single, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(33, 47), (31, 64), (32, 34)])
def test_odd_sizes_come_out_as_they_went_in(name: str, size: tuple[int, int]) -> None:
    recipe = tiny(name)
    model, hints = built(recipe), given(recipe, *size)
    result = sample(model, recipe, hints, [1])
    latent = isinstance(recipe.space, Latent)  # whose canvas is cut off again
    assert result.shape[-2:] == torch.Size(size if latent else model.space.shape(hints)[-2:])
    assert result.shape[1] == 3


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_picture(name: str) -> None:
    recipe = tiny(name)
    model, hints = built(recipe), given(recipe)
    first, again = (sample(model, recipe, hints, [9]) for _ in range(2))
    assert torch.equal(first, again)
    assert recipe.once == torch.equal(first, sample(model, recipe, hints, [10]))


@pytest.mark.parametrize("name", NAMES)
def test_training_starts_where_sampling_starts(name: str) -> None:
    recipe = tiny(name)
    alpha, _ = recipe.schedule(torch.tensor(recipe.sampling.begin))
    published = isinstance(recipe.space, Latent)  # whose weights begin a little before pure noise
    assert published or recipe.sampling.start != "noise" or alpha == 0


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_survives_its_own_text(name: str) -> None:
    recipe = recipes.find(name)
    for key, value in leaves(recipe):
        if isinstance(value, bool | int | float):
            assert override(recipe, f"{key}={str(value).lower()}") == recipe, key


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_reads_back_what_it_wrote(name: str) -> None:
    recipe = tiny(name)
    assert from_dict(recipes.find(name), to_dict(recipe)) == recipe


def test_a_misspelt_setting_names_the_nearest() -> None:
    with pytest.raises(ColorizeError, match=r"denoiser\.net\.widths"):
        override(recipes.find("mini"), "denoiser.net.width=[8]")


def test_a_setting_of_another_type_is_refused() -> None:
    with pytest.raises(ColorizeError, match="a whole number"):
        override(recipes.find("mini"), "pretrain.batch=many")


def test_a_schedule_is_chosen_by_name() -> None:
    recipe = override(recipes.find("mini"), "schedule=ScaledLinear")
    assert type(recipe.schedule).__name__ == "ScaledLinear"


def test_a_misspelt_recipe_names_the_nearest() -> None:
    with pytest.raises(ColorizeError, match="anime-diffusion"):
        recipes.find("anime-difusion")


def test_a_variant_of_a_recipe_without_any_has_a_way_out() -> None:
    with pytest.raises(ColorizeError, match="it has none; write `mini`"):
        recipes.find("mini:small")


def test_variants_have_the_published_widths_and_steps() -> None:
    official = recipes.find("anime-diffusion:official")
    assert official.denoiser.net.widths == (64, 128, 256, 512)
    assert (official.sampling.steps, official.sampling.eta) == (10, 1.0)
    assert recipes.find("anime-diffusion:coloring-assistant").sampling.steps == 25


def test_mini_stays_within_its_budget() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    recipe = recipes.find("mini")
    model = recipe.build().eval()
    assert sum(weight.numel() for weight in model.parameters()) <= 7.6e6
    hints = Hints(line=torch.ones(1, 1, 256, 256), reference=torch.zeros(1, 3, 256, 256))
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        model.sample(hints, recipe.sampling, [0])
    assert counter.get_total_flops() <= 20e9


def test_guidance_of_one_costs_no_call() -> None:
    recipe = tiny("walker")
    model, hints = built(recipe), given(recipe)
    calls = []
    model.denoiser.net.register_forward_hook(lambda *_: calls.append(1))
    with torch.inference_mode():
        model.sample(hints, recipe.sampling, [0], guidance={"reference": 1.0})
    assert len(calls) == recipe.sampling.steps


def test_conditions_are_encoded_once_per_picture() -> None:
    recipe = tiny("walker")
    model, hints = built(recipe), given(recipe)
    calls = []
    model.condition.register_forward_hook(lambda *_: calls.append(1))
    with torch.inference_mode():
        model.sample(hints, recipe.sampling, [0])
    assert len(calls) == 1


def test_guidance_for_a_hint_that_is_not_given_is_refused() -> None:
    recipe = tiny("walker")
    with pytest.raises(ColorizeError, match="referenc"):
        list(built(recipe).walk(given(recipe), recipe.sampling, [0], guidance={"referenc": 2.0}))


def test_more_references_join_their_tokens() -> None:
    recipe = tiny("walker")
    model, hints = built(recipe), given(recipe)
    two = Hints(**{**hints, "reference": hints["reference"].repeat(1, 2, 1, 1)})
    one_cond, two_cond = model.condition(hints), model.condition(two)
    assert two_cond.tokens.shape[1] - 1 == 2 * (one_cond.tokens.shape[1] - 1)


def test_a_gray_row_and_a_gray_picture_are_encoded_alike() -> None:
    recipe = tiny("walker")
    model = built(recipe)
    gray = figure(1, 32).mean(0, keepdim=True)[None] * 2 - 1
    everyone = torch.ones(1, dtype=torch.bool)
    alone = model.condition(Hints(gray=gray))
    row = model.condition(Hints(line=torch.ones_like(gray), gray=gray), {"line": everyone})
    assert torch.equal(alone.stack, row.stack)
