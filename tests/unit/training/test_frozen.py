"""Weights that are not trained. Bugs guarded: trained all the same, stored with every state, lost on resuming."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny as small
import torch
from conftest import tiny
from safetensors.torch import load_file
from torch import nn

from colorize.checkpoints import model_files
from colorize.errors import ColorizeError
from colorize.recipes.recipe import Recipe
from colorize.training import run
from colorize.training.options import TrainOptions
from colorize.training.run_folder import STATE

FIRST = ("first.weight", "first.bias")


def half_frozen(shift: float = 0.0) -> nn.Module:
    """The small model whose network's first layer is frozen, its weights moved by `shift`."""
    model = small.model()
    first = model.denoiser.net.first.requires_grad_(False)
    first.weight.data += shift
    return model


def trained(folder: Path, model: nn.Module, steps: int = 4, **changes: object) -> nn.Module:
    given = small.settings(steps=4, start="another model", **changes)
    for progress in small.fit(model, small.denoising(), small.Flat(), given, folder):
        if progress.step == steps:
            break
    return model


def test_frozen_weights_are_neither_changed_nor_averaged_nor_stored(tmp_path):
    before = half_frozen().state_dict()
    after = trained(tmp_path, half_frozen()).state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    frozen = {f"denoiser.net.{name}" for name in FIRST}
    assert moved == before.keys() - frozen
    stored = load_file(tmp_path / "state.safetensors")
    assert not {name for name in stored if name.partition("/")[2] in frozen}
    assert {f"weight/{name}" for name in moved} <= stored.keys()


def test_buffers_that_change_are_stored(tmp_path):
    def counting() -> nn.Module:
        model = half_frozen()
        model.denoiser.net.first = nn.Sequential(model.denoiser.net.first, nn.BatchNorm2d(8))
        return model

    whole = trained(tmp_path / "whole", counting())
    trained(tmp_path / "cut", counting(), steps=2)
    small.same(trained(tmp_path / "cut", counting()), whole)


def test_a_state_without_frozen_weights_goes_on_as_if_never_stopped(tmp_path):
    whole = trained(tmp_path / "whole", half_frozen())
    trained(tmp_path / "cut", half_frozen(), steps=2)
    small.same(trained(tmp_path / "cut", half_frozen()), whole)


def test_other_frozen_weights_are_refused(tmp_path):
    trained(tmp_path, half_frozen(), steps=2)
    with pytest.raises(ColorizeError, match="goes with other frozen weights"):
        trained(tmp_path, half_frozen(shift=1e-4))
    with pytest.raises(ColorizeError, match="belongs to another model"):
        trained(tmp_path, small.model())


def test_frozen_weights_that_began_with_the_run_are_stored(tmp_path):
    given = small.settings(steps=2)
    list(small.fit(half_frozen(), small.denoising(), small.Flat(), given, tmp_path))
    model = half_frozen(shift=1.0)  # as another draw of random weights would be
    list(small.fit(model, small.denoising(), small.Flat(), small.settings(steps=3), tmp_path))
    torch.testing.assert_close(model.denoiser.net.first.weight, half_frozen().denoiser.net.first.weight)


def test_a_state_that_holds_all_is_read_by_a_run_that_leaves_out_the_frozen(tmp_path):
    list(small.fit(half_frozen(), small.denoising(), small.Flat(), small.settings(steps=2), tmp_path))
    model = trained(tmp_path, half_frozen(shift=1.0))
    torch.testing.assert_close(model.denoiser.net.first.weight, half_frozen().denoiser.net.first.weight)


@pytest.fixture
def frozen_recipe(monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """A recipe whose condition is never trained; built with other random weights every time."""
    build = Recipe.build

    def built(recipe: Recipe) -> nn.Module:
        torch.seed()
        model = build(recipe)
        model.condition.requires_grad_(False)
        return model

    monkeypatch.setattr(Recipe, "build", built)
    return tiny("walker")


@pytest.mark.parametrize("begun", [True, False])
def test_a_stopped_run_finds_its_frozen_weights_again(frozen_recipe, folder, tmp_path, begun):
    start = str(tmp_path / "start.safetensors") if begun else ""
    if begun:
        model_files.save(frozen_recipe.build(), frozen_recipe, Path(start), {"license": "CC0"})
    options = TrainOptions(folder, start=start, out=tmp_path / "run", device="cpu", precision="fp32")
    first = run.Training(frozen_recipe, options)
    frozen = {name: value.clone() for name, value in first.model.condition.state_dict().items()}
    for progress in first.steps():
        if progress.step == 2:
            break
    held = {name for name in load_file(options.folder / STATE) if "/condition." in name}
    assert bool(held) is not begun
    second = run.Training(frozen_recipe, options)
    assert second.step == 2
    list(second.steps())
    for name, value in second.model.condition.state_dict().items():
        assert torch.equal(value, frozen[name])
    assert second.facts.get("license") == ("CC0" if begun else None)
