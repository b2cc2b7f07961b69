"""Claims about what the latent U-Net is told: weights of places, windows, joined rows, other pictures."""

from dataclasses import replace
from functools import cache

import pytest
import torch
from golden import R, fill, filled

from colorize.colorize_diffusion.condition import Injection, LatentCond, ReferenceWeights, Split, Window, joined
from colorize.colorize_diffusion.unet import LatentUNet, LatentUNetSpec, Sizes, place_maps, table_index
from colorize.errors import ColorizeError
from colorize.networks.unet import Cond

X, C = fill(1, (1, 4, 8, 8), R), fill(2, (1, 6, 24), R)
OTHER = fill(3, (1, 4, 8, 8), R)
T = torch.tensor([0.5])
WARPED = (128, 128, 128, 128, 128, 64, 64, 64, 32, 32, 32, 32)  # of the skips, the coarsest first
STYLED = (128, 128, 128, 128, 128, 128, 64, 64, 64, 32, 32, 32)  # of the output blocks


@cache
def net(**changes: object) -> LatentUNet:
    return filled(LatentUNetSpec((32, 64, 128, 128), head=16, **changes).build(tokens=24))


def same(a, b):
    torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_the_houses_cond_is_understood():
    assert torch.equal(net()(X, T, Cond(tokens=C)), net()(X, T, LatentCond(tokens=C)))


def test_times_meet_the_published_indices():
    assert table_index(torch.tensor([0.001, 0.5, 1.0])).tolist() == pytest.approx([0, 499, 999], abs=1e-4)


def test_a_whole_network_rounds_the_time_it_is_asked_at():
    asked = net(whole=True)(X, torch.tensor([0.5004]), LatentCond(tokens=C))
    assert torch.equal(asked, net()(X, T, LatentCond(tokens=C)))
    assert not torch.equal(asked, net()(X, torch.tensor([0.5004]), LatentCond(tokens=C)))


def test_maps_enter_after_the_rungs_0_3_6_9_and_11():
    maps = tuple(torch.full((1,), float(i)) for i in range(5))
    placed = place_maps(maps, Sizes())
    assert [k for k, value in enumerate(placed) if value is not None] == [0, 3, 6, 9, 11]
    assert [value.item() for value in placed if value is not None] == [0, 1, 2, 3, 4]


def test_a_map_changes_what_its_rung_passes_on():
    maps = [torch.zeros(1, w, s, s) for w, s in ((32, 8), (32, 4), (64, 2), (128, 1), (128, 1))]
    plain = net()(X, T, LatentCond(tokens=C))
    same(net()(X, T, LatentCond(tokens=C, maps=tuple(maps))), plain)
    for k in range(5):
        one = [value + (i == k) for i, value in enumerate(maps)]
        assert (net()(X, T, LatentCond(tokens=C, maps=tuple(one))) - plain).abs().max() > 1e-3


# Weights of places


def test_weights_cover_all_places():
    told = ReferenceWeights(0.5, encoder=2.0, middle=1.5, low=0.5).of_places()
    assert told == (1, 1, 0.75, 0.75, 0.25, 0.25, 0.5, 0.25, 0.25, 0.25, 0.75, 0.75, 0.75, 0.5, 0.5, 0.5)


def test_as_published_four_places_keep_their_weight():
    told = ReferenceWeights(0.5, encoder=2.0).of_places(compat=True)
    assert [told[place] for place in (6, 13, 14, 15)] == [1] * 4
    assert told[0] == 1.0
    assert told[7] == 0.5


def test_another_number_of_weights_is_refused():
    with pytest.raises(ColorizeError, match="15 weights were given for 16 places"):
        ReferenceWeights(places=(1.0,) * 15)


# Windows


@pytest.mark.parametrize(
    ("window", "way", "counts"),
    [
        (Window(), [0.0, 0.5, 1.0], [1, 1, 1]),
        (Window(start=0.3, end=0.8), [0.0, 0.5, 1.0], [0, 1, 0]),
        (Window(pause=(0.4, 0.6)), [0.0, 0.5, 1.0], [1, 0, 1]),
    ],
)
def test_a_window_says_when_tokens_count(window, way, counts):
    assert window(torch.tensor(way)).tolist() == counts


def test_outside_its_window_a_reference_is_as_if_it_were_zero_and_comes_back_inside():
    cond = LatentCond(tokens=C, window=Window(start=0.4))
    late, early = torch.tensor([0.1]), torch.tensor([0.9])
    same(net()(X, early, cond), net()(X, early, LatentCond(tokens=0 * C)))
    same(net()(X, late, cond), net()(X, late, LatentCond(tokens=C)))


def test_a_window_works_with_halves():
    halves = Split(torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0)), 0.5)
    cond = LatentCond(tokens=C, split=halves, window=Window(start=0.9))
    same(net()(X, T, cond), net()(X, T, LatentCond(tokens=0 * C)))


# Other pictures


def injection(**changes: object) -> LatentCond:
    return LatentCond(tokens=C, injection=Injection(lambda index: OTHER, **changes))


def test_another_picture_changes_the_answer_and_own_attention_alone_does_not():
    plain = net()(X, T, LatentCond(tokens=C))
    assert (net()(X, T, injection()) - plain).abs().max() > 1e-2
    same(net()(X, T, injection(own=torch.ones(1, 1, 1))), plain)


def test_before_its_start_another_picture_is_not_looked_at():
    cond = injection(start=0.4)
    early, late = torch.tensor([0.9]), torch.tensor([0.1])
    assert torch.equal(net()(X, early, cond), net()(X, early, LatentCond(tokens=C)))
    assert torch.equal(net()(X, late, cond), net()(X, late, injection()))
    both = net()(X.repeat(2, 1, 1, 1), torch.cat([early, late]), replace(cond, tokens=C.repeat(2, 1, 1)))
    same(both, torch.cat([net()(X, early, cond), net()(X, late, cond)]))


def test_another_picture_is_noised_for_whole_entries_of_the_table():
    asked = []
    noised = lambda index: asked.append(index.tolist()) or OTHER
    net()(X, torch.tensor([0.5004]), LatentCond(tokens=C, injection=Injection(noised)))
    assert asked == [[499.0]]


# Smaller numbers


def test_a_lightened_network_answers_nearly_the_same_in_full_numbers():
    spec = LatentUNetSpec((32, 64, 128, 128), head=16, lora=(4, 4), sides=True)
    full, light = (filled(spec.build(tokens=24)) for _ in range(2))
    assert light.cast(torch.bfloat16).dtype == torch.bfloat16
    assert light.time_embed[0].weight.dtype == light.out[2].weight.dtype == torch.float32
    cond = LatentCond(
        tokens=C,
        maps=(fill(6, (1, 32, 8, 8), 1),),
        token_scale=torch.ones(1, 1, 1),
        split=Split(fill(5, (1, 1, 8, 8), 1), 0.1, tuned=(True, True)),
        background=tuple(0.1 * fill(9, (1, 4, w), 1) for w in WARPED),
        style=tuple(0.1 * fill(9, (1, 2 * w), 1) for w in STYLED),
        window=Window(0.1, 0.9),
        injection=Injection(lambda index: OTHER, own=torch.full((1, 1, 1), 0.5)),
    )
    want, got = full(X, T, cond), light(X, T, cond)
    assert got.dtype == torch.float32
    assert torch.corrcoef(torch.stack([want.flatten(), got.flatten()]))[0, 1] > 0.995


# One call for all


def test_joined_conditions_answer_as_each_does_alone():
    mask = fill(5, (1, 1, 8, 8), 1)
    base = LatentCond(
        tokens=C, maps=(fill(6, (1, 32, 8, 8), 1),), split=Split(mask, 0.1), injection=Injection(lambda index: OTHER)
    )
    own = torch.full((1, 1, 1), 0.5)
    without = replace(base, tokens=0 * C, injection=replace(base.injection, own=own))
    unsketched = replace(base, maps=(fill(7, (1, 32, 8, 8), 1),), token_scale=0.5)
    conds = [base, without, unsketched]
    together = net()(X.repeat(3, 1, 1, 1), T.repeat(3), joined(conds, 1))
    same(together, torch.cat([net()(X, T, cond) for cond in conds]))


def test_joined_conditions_without_tokens_stay_without():
    assert joined([LatentCond(), LatentCond()], 1).tokens is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"widths": (320, 640)}, "2 levels and net.blocks 4"),
        ({"widths": (100, 640, 1280, 1280)}, "net.widths holds 100"),
        ({"head": 48}, "multiples of 32 and of net.head=48"),
    ],
)
def test_impossible_sizes_are_refused(changes, words):
    with pytest.raises(ColorizeError, match=words):
        LatentUNetSpec(**changes)
