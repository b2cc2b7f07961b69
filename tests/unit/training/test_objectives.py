"""Objectives. Bugs guarded: gradients cut or leaking between groups, and wrong starts."""

from dataclasses import replace
from functools import partial

import pytest
import tiny
import torch
from tiny import denoising
from torch import Generator, nn

from colorize.errors import ColorizeError
from colorize.model import Sampling
from colorize.recipes import find
from colorize.recipes.recipe import Denoising, Trajectory
from colorize.training import objectives

WALK = Sampling(steps=4, threshold=None)


class Gains(nn.Module):
    """A network whose k-th call has a weight of its own: gradients tell which calls they reach."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.full((16,), 0.5))
        self.seen = []

    def forward(self, x, t, cond):
        self.seen.append((x.detach(), t[0].item(), cond.detach()))
        return x * self.gain[len(self.seen) - 1]


def trajectory(sampling=WALK, start="sampling", **numbers):
    return partial(objectives.trajectory_losses, Trajectory(start, **numbers), sampling)


def losses(objective, net=None, seed=0, model=None):
    model = model or tiny.model(net)
    return objective(model, tiny.Flat().batch(0), Generator().manual_seed(seed))


def reached(every, **changes):
    """For each loss of a walk, the calls its gradient reaches."""
    net, result = Gains(), []
    for loss in losses(trajectory(every=every, **changes), net):
        net.gain.grad = None
        loss.backward()
        result.append(net.gain.grad.nonzero().flatten().tolist())
    return result


def begun(start, sampling=WALK):
    """What the network sees at the first call of the walk itself."""
    net = Gains()
    next(losses(trajectory(sampling, start), net))
    return net.seen[-1]


def test_denoising_is_one_loss():
    assert len(list(losses(denoising()))) == 1


def test_denoising_repeats_with_its_seed():
    assert next(losses(denoising())) == next(losses(denoising()))


def test_denoising_differs_with_its_seed():
    assert next(losses(denoising())) != next(losses(denoising(), seed=1))


def test_denoising_teaches_the_condition_too():
    model = tiny.model()
    next(losses(denoising(), model=model)).backward()
    assert model.condition.conv.weight.grad.abs().sum() > 0


def test_pure_rows_are_at_the_end_of_the_schedule():
    net = Gains()
    next(losses(denoising(pure=1.0), net))
    assert net.seen[0][1] == 1.0


def test_offset_noise_shifts_whole_channels():
    plain, shifted = Gains(), Gains()
    next(losses(denoising(pure=1.0), plain))
    next(losses(denoising(pure=1.0, offset=1.0), shifted))
    shift = shifted.seen[0][0] - plain.seen[0][0]
    torch.testing.assert_close(shift, shift[..., :1, :1].expand_as(shift))


def test_places_the_space_calls_unseen_count_less(monkeypatch):
    full = next(losses(denoising()))
    blind = torch.zeros(4, 1, 6, 6)
    monkeypatch.setattr("colorize.networks.spaces.RGB.weight", lambda self, hints: blind)
    assert full > 0 == next(losses(denoising()))


def test_the_target_keeps_its_precision_under_autocast(monkeypatch):
    # bf16 pictures have 8 bits less than fp32; encoding through a convolution would round them
    weight = torch.full((3, 3, 1, 1), 1 / 3)
    monkeypatch.setattr(
        "colorize.networks.spaces.RGB.encode", lambda self, color, hints: nn.functional.conv2d(color, weight)
    )
    with torch.autocast("cpu", torch.bfloat16):
        assert objectives.truth(tiny.model(), tiny.Flat().batch(0)).dtype is torch.float32


@pytest.mark.parametrize(("every", "count"), [(1, 4), (2, 2), (4, 1)])
def test_a_walk_gives_one_loss_for_each_group_of_calls(every, count):
    assert len(reached(every)) == count


def test_gradients_reach_back_to_the_first_call_of_their_group():
    assert reached(4) == [[0, 1, 2, 3]]


def test_gradients_stop_at_the_border_of_their_group():
    assert reached(2) == [[0, 1], [2, 3]]


def test_one_call_per_group_learns_from_the_predicted_picture():
    assert reached(1) == [[0], [1], [2], [3]]


def test_the_condition_follows_the_weights_from_group_to_group():
    net = Gains()
    model = tiny.model(net)
    for _ in losses(trajectory(every=2), model=model):
        with torch.no_grad():
            model.condition.conv.bias += 1.0
    same = [torch.equal(net.seen[i][2], net.seen[i + 1][2]) for i in range(3)]
    assert same == [True, False, True]


def test_comparing_the_next_picture_is_another_loss():
    assert next(losses(trajectory())) != next(losses(trajectory(target="next")))


def test_both_targets_agree_where_the_walk_ends():
    # at time 0 the next picture is the predicted one
    assert next(losses(trajectory(every=4))) == next(losses(trajectory(every=4, target="next")))


def test_every_start_is_another():
    kinds = ("noise", "noised-reference", "inverted-reference", "inverted-target")
    starts = [begun(kind)[0] for kind in kinds]
    assert all(not torch.allclose(a, b) for i, a in enumerate(starts) for b in starts[:i])


def test_training_starts_where_sampling_does():
    # the Coloring Assistant trained from an inverted reference and sampled from a noised one
    sampling = replace(WALK, start="noised-reference", begin=0.5)
    x, t, _ = begun("sampling", sampling)
    noise = torch.randn(x.shape, generator=Generator().manual_seed(0))
    expected = tiny.model().start(tiny.Flat().batch(0).hints, sampling, noise)
    assert t == 0.5
    torch.testing.assert_close(x, expected)


def test_an_inverted_start_leads_back_to_its_picture():
    class Truth(nn.Module):
        """Predicts v so that x0 is always the true picture."""

        def forward(self, x, t, cond):
            alpha, sigma = tiny.Linear(steps=100)(t[:1])
            return (alpha * x - tiny.Flat().batch(0).color) / sigma

    model = tiny.model(Truth())
    batch = tiny.Flat().batch(0)
    stops = torch.tensor([0.8, 0.4, 0.0])
    x = objectives._invert(model, batch, batch.color, stops)
    alpha, _ = model.denoiser.schedule(torch.tensor(0.8))
    # the clean picture stands for x at the smallest time, hence not exactly alpha * picture
    torch.testing.assert_close(x, alpha * batch.color, atol=0.02, rtol=0)


def test_inversion_does_not_cost_the_walk_its_gradients():
    # up to 2.10, PyTorch's autocast kept the weights inversion converted without a gradient
    model = tiny.model()
    with torch.autocast("cpu", torch.bfloat16):
        loss = next(losses(trajectory(start="inverted-target"), model=model))
    loss.backward()
    assert all(p.grad is not None for p in model.parameters())


def test_inversion_leaves_the_model_in_training():
    model = tiny.model().train()
    next(losses(trajectory(start="inverted-target"), model=model))
    assert model.training


def test_groups_must_divide_the_steps():
    recipe = find("anime-diffusion")
    with pytest.raises(ColorizeError, match="10 steps cannot be divided into groups of 3"):
        objectives.build(replace(recipe.finetune, objective=Trajectory(every=3)), recipe)


@pytest.mark.parametrize("wrong", [{"pure": 1.5}, {"robust": -0.1}])
def test_a_denoising_out_of_range_is_refused(wrong):
    with pytest.raises(ColorizeError, match=f"objective.{next(iter(wrong))}"):
        Denoising(**wrong)
