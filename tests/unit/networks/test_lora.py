"""Low-rank changes of both U-Nets. Bugs guarded: changes that change before they learnt, or stay after they went."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from golden import R, fill, filled
from saved import NET
from torch import Generator, Tensor, nn

from colorize.colorize_diffusion.condition import LatentCond, Split
from colorize.colorize_diffusion.unet import LatentUNetSpec
from colorize.errors import ColorizeError
from colorize.networks import lora
from colorize.networks.unet import Cond

Call = Callable[[nn.Module], Tensor]
TIMES = torch.tensor([0.2, 0.9])
TOKENS, HALVES, MAP = fill(1, (2, 9, 24), R), fill(2, (2, 18, 24), R), fill(3, (2, 4, 16, 16), R)
SPLIT = Split((fill(4, (2, 1, 16, 16), 1) + 1) / 2, 0.5, tuned=(True, True))


def house() -> nn.Module:
    """The house's U-Net, none of whose weights is zero."""
    return filled(NET.build(4, 4, 24))


def latent() -> nn.Module:
    """The latent U-Net with low-rank changes of its own for halves of the tokens."""
    return filled(LatentUNetSpec((32, 64), (1, 1), (0, 1), head=16, lora=(4, 0.5)).build(tokens=24))


CASES: dict[str, tuple[Callable[[], nn.Module], Call]] = {
    "house": (house, lambda net: net(MAP, TIMES, Cond(tokens=TOKENS))),
    "latent": (latent, lambda net: net(MAP, TIMES, LatentCond(tokens=TOKENS))),
    "halves": (latent, lambda net: net(MAP, TIMES, LatentCond(tokens=HALVES, split=SPLIT))),
}
EVERY = pytest.mark.parametrize(("make", "call"), CASES.values(), ids=CASES)


def learnt(net: nn.Module, rank: int = 2, seed: int = 0) -> dict[str, Tensor]:
    """Tensors of an adapter as if it had been trained."""
    rng, found = Generator().manual_seed(seed), {}
    for name, layer in lora.adaptable_layers(net).items():
        for part, shape in zip(("down", "up"), lora.shapes(layer, rank), strict=True):
            found[f"{name}.{part}"] = torch.randn(shape, generator=rng) / shape[1] ** 0.5
    return found


def described(net: nn.Module) -> dict[str, type]:
    """The kinds of all parts by name."""
    return {name: type(part) for name, part in net.named_modules()}


@EVERY
def test_before_it_is_trained_an_adapter_changes_nothing(make, call):
    net = make()
    before = call(net)
    lora.begin(net, 2, Generator().manual_seed(0))
    assert torch.equal(call(net), before)


@EVERY
def test_only_the_adapter_is_trained_and_it_learns(make, call):
    net = make().requires_grad_(True)
    lora.begin(net, 2, Generator().manual_seed(0))
    trained = {name: p for name, p in net.named_parameters() if p.requires_grad}
    assert len(trained) == 2 * len(lora.adaptable_layers(net))
    assert all(".lora.0." in name for name in trained)
    for _ in range(2):  # in the first step `up` is zero, so that `down` does not move
        gradients = torch.autograd.grad(call(net).square().mean(), [*trained.values()])
        for parameter, gradient in zip(trained.values(), gradients, strict=True):
            parameter.data -= 0.1 * gradient
    assert all(gradient.any() for gradient in gradients)


@EVERY
def test_merged_is_stacked_and_leaves_a_network_of_the_same_parts(make, call):
    net = make()
    before, parts, names = call(net), described(net), set(net.state_dict())
    lora.stack(net, learnt(net), 0.5)
    stacked = call(net)
    assert (stacked - before).abs().max() > 0.1
    lora.merge(net)
    torch.testing.assert_close(call(net), stacked, atol=1e-5, rtol=0)
    assert described(net) == parts
    assert set(net.state_dict()) == names


@EVERY
def test_removed_it_never_was(make, call):
    net = make()
    before, parts = call(net), described(net)
    lora.stack(net, learnt(net), 1.0)
    other = copy.deepcopy(net)  # which must not share what it is freed of
    lora.remove(net)
    assert torch.equal(call(net), before)
    assert described(net) == parts
    assert not torch.equal(call(other), before)
    lora.remove(other)
    assert torch.equal(call(other), before)


@EVERY
def test_several_adapters_add_up_by_their_weights(make, call):
    net, expected = make(), make()
    first, second = learnt(net), learnt(net, 3, seed=1)
    for name, layer in lora.adaptable_layers(expected).items():
        one, two = (given[f"{name}.up"] @ given[f"{name}.down"] for given in (first, second))
        layer.weight.data += (0.7 * one + 0.2 * two).reshape(layer.weight.shape)
    lora.stack(net, first, 0.7)
    lora.stack(net, second, 0.2)
    torch.testing.assert_close(call(net), call(expected), atol=1e-5, rtol=0)


def test_a_weight_of_nothing_is_nothing():
    net, call = house(), CASES["house"][1]
    before = call(net)
    lora.stack(net, learnt(net), 0.0)
    assert torch.equal(call(net), before)


def test_halves_keep_the_changes_that_were_published():
    # Guards against layers that are replaced by others without `changed`, which attention then leaves out.
    net, call = latent(), CASES["halves"][1]
    lora.stack(net, learnt(net), 1.0)
    with_sides = call(net)
    for layer in net.modules():
        if isinstance(layer, lora.LowRankLinear):
            layer.lora_up_fg.weight.data.zero_()
    assert (call(net) - with_sides).abs().max() > 1e-3


def test_the_layers_of_the_house_are_the_projections_of_its_transformers():
    inside = {"enter", "out", "feed_forward.enter", "feed_forward.out"}
    inside |= {f"{kind}_attention.{part}" for kind in ("self", "cross") for part in ("query", "key", "value", "out")}
    found = {name.rpartition("transformer.")[2] for name in lora.adaptable_layers(house())}
    assert found == inside
    assert {name.partition(".transformer.")[0] for name in lora.adaptable_layers(house())} == {
        *("encoder.2", "middle.0", "decoder.0", "decoder.1")
    }


def test_the_layers_of_the_latent_network_are_too():
    inside = {"proj_in", "proj_out", "ff.net.0.proj", "ff.net.2"}
    inside |= {f"attn{k}.to_{part}" for k in (1, 2) for part in ("q", "k", "v", "out.0")}
    names = [re.sub(r".*\.1\.(transformer_blocks\.0\.)?", "", n) for n in lora.adaptable_layers(latent())]
    assert set(names) == inside
    assert len(names) == 12 * 7  # transformers: two on the way down, one in the middle, four up


def test_no_rank_is_above_the_smaller_side_of_its_layer():
    net = house()
    lora.begin(net, 256, Generator().manual_seed(0))
    tensors = lora.tensors_of(net)
    assert tensors["encoder.2.transformer.cross_attention.key.down"].shape == (16, 24)
    assert tensors["encoder.2.transformer.feed_forward.enter.up"].shape == (32, 16)


def test_what_is_taken_out_is_what_was_put_in():
    net = house()
    lora.stack(net, learnt(net, seed=1), 0.3)
    given = learnt(net)
    lora.stack(net, given, 1.0)
    taken = lora.tensors_of(net)
    assert taken.keys() == given.keys()
    assert all(torch.equal(taken[name], given[name]) for name in given)


def test_the_same_seed_begins_the_same_adapter():
    starts = []
    for seed in (0, 0, 1):
        net = house()
        lora.begin(net, 2, Generator().manual_seed(seed))
        starts.append(lora.tensors_of(net)["encoder.2.transformer.enter.down"])
    assert torch.equal(starts[0], starts[1])
    assert not torch.equal(starts[0], starts[2])


def test_bfloat16_rounds_and_does_no_more():
    net, call = house(), CASES["house"][1]
    lora.stack(net, learnt(net), 1.0)
    exact = call(net)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = call(net)
    assert (rounded - exact).abs().mean() < 0.05 * exact.abs().mean()


def test_a_network_of_halves_takes_an_adapter_and_merges_it():
    net, call = latent(), CASES["latent"][1]
    lora.stack(net, learnt(net), 0.5)
    exact = call(net)
    lora.remove(net)
    net.cast(torch.bfloat16)
    lora.stack(net, learnt(net), 0.5)
    light = call(net)
    assert (light - exact).abs().mean() < 0.05 * exact.abs().mean()
    lora.merge(net)
    assert lora.adaptable_layers(net)["middle_block.1.proj_in"].weight.dtype is torch.bfloat16
    assert (call(net) - exact).abs().mean() < 0.05 * exact.abs().mean()


@pytest.mark.parametrize("rank", [0, -1, 257])
def test_a_rank_out_of_range_is_refused(rank):
    with pytest.raises(ColorizeError, match=f"rank of an adapter is {rank} .choose 1 to 256"):
        lora.begin(house(), rank, Generator())


def test_a_network_without_attention_is_refused():
    net = replace(NET, attention=()).build(4, 4)
    with pytest.raises(ColorizeError, match="this one has none"):
        lora.begin(net, 2, Generator())
