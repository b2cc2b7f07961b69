"""Blocks computed twice. Bugs guarded: other gradients, other dropout, other names, nothing saved."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
import tiny as small
import torch
from conftest import tiny
from torch import Tensor, nn
from typer.testing import CliRunner

from colorize.cli.app import app
from colorize.colorize_diffusion.condition import LatentCond
from colorize.colorize_diffusion.encoders import SketchSpec
from colorize.colorize_diffusion.unet import LatentUNetSpec
from colorize.networks.unet import Cond, UNetSpec
from colorize.training import run
from colorize.training.loop import recomputing
from colorize.training.options import TrainOptions

SPEC = UNetSpec((8, 16), (1, 1), attention=(1,), heads=2, groups=4, dropout=0.2)
LATENT = LatentUNetSpec((32, 64), (1, 1), attention=(1,), head=32)
SKETCH = SketchSpec((32, 64))


class Latent(nn.Module):
    """A small latent U-Net and its sketch encoder."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.sketch = LATENT.build(4, 4, 6), SKETCH.build()

    def forward(self, x: Tensor, t: Tensor, cond: Cond) -> Tensor:
        maps = self.sketch(torch.linspace(-1, 1, 64).expand(2, 3, 64, 64))
        return self.net(x, t, LatentCond(tokens=cond.tokens, maps=maps))


def house() -> nn.Module:
    return SPEC.build(4, 4, tokens=6)


def woken(build: Callable[[], nn.Module]) -> nn.Module:
    """Make a network none of whose weights are zero, the same every time."""
    torch.manual_seed(0)
    network = build().train()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.1)
    return network


def learnt(network: nn.Module) -> tuple[list[Tensor], int]:
    """Gradients of one loss, with those of the tokens, and the bytes that were kept for them."""
    kept: dict[int, int] = {}

    def note(value: Tensor) -> Tensor:
        kept[value.untyped_storage().data_ptr()] = value.untyped_storage().nbytes()
        return value

    rng = torch.Generator().manual_seed(1)
    x, tokens = (torch.randn(size, generator=rng) for size in ((2, 4, 8, 8), (2, 5, 6)))
    tokens.requires_grad_()
    torch.manual_seed(2)  # of dropout
    with torch.autograd.graph.saved_tensors_hooks(note, lambda value: value):
        loss = network(x, torch.tensor([0.3, 0.8]), Cond(tokens=tokens)).square().mean()
    loss.backward()
    grown = [p.grad for p in network.parameters() if p.grad is not None]
    assert tokens.grad is not None
    weights = {p.untyped_storage().data_ptr() for p in network.parameters()}
    return [*grown, tokens.grad], sum(size for place, size in kept.items() if place not in weights)


@pytest.mark.parametrize("build", [house, Latent])
def test_gradients_are_the_same_and_less_is_kept_for_them(build):
    plain, much = learnt(woken(build))
    network = woken(build)
    assert recomputing(network) >= 5
    again, little = learnt(network)
    for one, other in zip(plain, again, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-6)
    assert little < 0.25 * much


@pytest.mark.parametrize("build", [house, Latent])
def test_blocks_are_computed_twice_even_if_it_is_asked_for_twice(build, monkeypatch):
    calls = []
    inner = torch.nn.functional.group_norm
    monkeypatch.setattr(torch.nn.functional, "group_norm", lambda *a, **k: calls.append(0) or inner(*a, **k))
    learnt(woken(build))
    once = len(calls)
    network = woken(build)
    recomputing(network)
    recomputing(network)
    learnt(network)
    assert len(calls) - once == 2 * once - 1  # the last norm is in no block


def test_names_of_weights_stay():
    network = Latent()
    before = list(network.state_dict())
    recomputing(network)
    assert list(network.state_dict()) == before


def test_without_gradients_nothing_is_computed_twice():
    network = woken(house).eval()
    x, t = torch.randn(1, 4, 8, 8), torch.tensor([0.5])
    with torch.no_grad():
        before = network(x, t, Cond())
        recomputing(network)
        assert torch.equal(network(x, t, Cond()), before)


def test_blocks_are_computed_again_in_the_precision_of_the_first_time():
    def gradients(again: bool) -> list[Tensor]:
        network = woken(house)
        if again:
            recomputing(network)
        with torch.autocast("cpu", torch.bfloat16):
            return learnt(network)[0]

    for one, other in zip(gradients(False), gradients(True), strict=True):
        assert torch.equal(one, other)


def test_a_run_ends_with_the_same_weights(folder, tmp_path):
    ends = []
    for again in (False, True):
        recipe = tiny("walker")
        options = TrainOptions(
            folder, out=tmp_path / str(again), steps=2, device="cpu", sample_every=0, gradient_checkpointing=again
        )
        training = run.Training(recipe, options)
        list(training.steps())
        ends.append(training.model)
    assert any("forward" in vars(part) for part in ends[1].modules())
    small.same(*ends)


def test_a_model_without_blocks_trains_as_ever(tmp_path):
    model, _ = small.train(tmp_path / "a", small.denoising(), steps=1, gradient_checkpointing=True)
    small.same(model, small.train(tmp_path / "b", small.denoising(), steps=1)[0])


@pytest.mark.parametrize("command", ["train", "finetune"])
def test_both_commands_offer_it(command, folder):
    given = [command, "mini", str(folder), "--gradient-checkpointing", "--dry-run"]
    result = CliRunner().invoke(app, given)
    assert json.loads(result.stdout)["options"]["gradient_checkpointing"] is True
