"""Claims about how the tensors of published checkpoints are found and changed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from colorize import recipes
from colorize.checkpoints import model_files, pickles
from colorize.checkpoints.weights_io import prefix
from colorize.cli.app import app
from colorize.errors import ColorizeError
from colorize.published.coloring_assistant import AssistantUNetSpec
from colorize.published.original import angles, index
from colorize.recipes.overrides import override

ONE = torch.ones(1)


def test_a_network_is_found_behind_any_prefix() -> None:
    assert prefix({"state_dict.model.module.a.b": ONE, "state_dict.model.module.c": ONE}, ("a.b", "c")) == (
        "state_dict.model.module."
    )
    assert prefix({"a.b": ONE, "c": ONE}, ("a.b", "c")) == ""
    assert prefix({"xa.b": ONE, "xc": ONE}, ("a.b", "c")) is None
    assert prefix({"one.a.b": ONE, "two.c": ONE}, ("a.b", "c")) is None


def test_copies_beside_the_trained_network_are_passed_over() -> None:
    both = {"forward_noise_model.a": ONE, "ema_shadow.a": ONE, "model.a": ONE}
    assert prefix(both, ("a",)) == "model."


def test_time_becomes_a_place_in_the_table_counted_from_zero() -> None:
    entries = torch.arange(1, 1001)
    assert index(entries / 1000, 1000).tolist() == list(range(1000))
    assert index(torch.tensor([0.0, 0.0105]), 1000).tolist() == [0.0, 9.5]


def test_waves_fall_from_the_first_to_their_base() -> None:
    torch.testing.assert_close(angles(torch.tensor([2.0]), 3, 100.0, 2), torch.tensor([[2.0, 0.2, 0.02]]))


def test_a_checkpoint_is_described_by_what_its_tensors_are_of(tmp_path: Path) -> None:
    torch.save(AssistantUNetSpec(2, 16).build(7, 3).state_dict(), tmp_path / "trial-0.ckpt")
    told = CliRunner().invoke(app, ["models", "info", str(tmp_path / "trial-0.ckpt")])
    assert "recipe:    anime-diffusion" in told.stdout
    assert "takes:     line, reference" in told.stdout


def test_the_state_of_an_optimizer_is_not_read(tmp_path: Path) -> None:
    torch.save(
        {"state_dict": {"a": ONE}, "optimizer_states": [{"exp_avg": ONE}], "optim_dict": {"b": ONE}}, tmp_path / "a"
    )
    assert list(pickles.read(tmp_path / "a")) == ["state_dict.a"]


def refusal(path: Path, **changes: torch.Tensor | None) -> str:
    """What is said of a checkpoint of the Coloring Assistant with other tensors under some names."""
    state = {**AssistantUNetSpec(2, 16).build(7, 3).state_dict(), **changes}
    torch.save({name: value for name, value in state.items() if value is not None}, path)
    with pytest.raises(ColorizeError) as caught:
        model_files.load(path)
    return caught.value.message


def test_a_damaged_checkpoint_is_refused_by_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "trial-0.ckpt"
    assert "lacks the tensor `outc.bias`" in refusal(path, **{"outc.bias": None})
    assert "holds `outc.bias` as 4; the recipe needs 3" in refusal(path, **{"outc.bias": torch.zeros(4)})
    assert "holds `more`" in refusal(path, more=ONE)
    odd = refusal(path, **{"inc.double_conv.0.weight": torch.zeros(3, 7, 3, 3)})
    assert "cannot be read as anime-diffusion:coloring-assistant: net.width is 3" in odd
    assert "is a PyTorch file of no model that colorize knows" in refusal(path, **{"sa1.mha.in_proj_weight": None})


def test_a_threshold_can_be_switched_off() -> None:
    recipe = override(recipes.find("anime-diffusion:official"), "sampling.threshold=none")
    assert recipe.sampling.threshold is None
