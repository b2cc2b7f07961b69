"""One change of the weights, and its rate. Bugs guarded: fp16 left scaled, clips left out."""

import pytest
import tiny
import torch
from torch import nn

from colorize.errors import ColorizeError
from colorize.training.optimizer import HIGHEST_SCALE, Ranks, Update, first_beta, learning_rate


def updated(gradient, half=False, **changes):
    """One update of one weight of 1 by a gradient."""
    weight = nn.Parameter(torch.ones(1))
    update = Update([weight], tiny.settings(**changes).stage, half, Ranks())
    update.backward((weight * gradient).sum())
    update.step(0.1)
    return update


def test_fp16_gradients_are_scaled_back():
    plain, half = updated(1e-3), updated(1e-3, half=True)
    torch.testing.assert_close(half.parameters[0], plain.parameters[0])


def test_fp16_halves_its_scale_after_an_overflow():
    assert updated(torch.inf, half=True).guard[0] == HIGHEST_SCALE / 2


def test_long_gradients_are_clipped():
    update = updated(100.0, clip=0.5)
    moment = update.optimizer.state[update.parameters[0]]["exp_avg"]
    torch.testing.assert_close(moment, torch.tensor([0.05]))  # (1 - 0.9) * 0.5


def test_gradients_are_not_clipped_without_a_clip():
    update = updated(100.0, clip=0.0)
    moment = update.optimizer.state[update.parameters[0]]["exp_avg"]
    torch.testing.assert_close(moment, torch.tensor([10.0]))


def test_the_average_soon_forgets_the_random_start():
    # after one update 0.999 would keep 99.9 % of it; (1 + 1) / (10 + 1) keeps 18 %
    update = updated(1.0, weight_decay=0.0)
    torch.testing.assert_close(update.average[0], torch.tensor([1 - 0.1 * 9 / 11]))


@pytest.mark.parametrize(("step", "rate"), [(0, 0.25), (3, 1.0), (4, 1.0), (22, 0.5), (40, 0.0), (99, 0.0)])
def test_the_rate_warms_up_and_falls_along_half_a_cosine(step, rate):
    assert learning_rate(*tiny.settings(lr=1.0, warmup=4, steps=40), step, 0.0) == pytest.approx(rate)


def test_a_constant_rate_stays():
    rates = [learning_rate(*tiny.settings(lr=0.5, warmup=0, steps=40, rate="constant"), step, 0.0) for step in (0, 39)]
    assert rates == [0.5, 0.5]


def test_one_cycle_is_that_of_pytorch():
    weight = nn.Parameter(torch.ones(1))
    theirs = torch.optim.Adam([weight])
    cycle = torch.optim.lr_scheduler.OneCycleLR(theirs, max_lr=2e-4, total_steps=50)
    for step in range(50):
        stage, options = tiny.settings(lr=2e-4, steps=50, rate="onecycle")
        (group,) = theirs.param_groups
        assert learning_rate(stage, options, step, 0.0) == pytest.approx(group["lr"])
        assert first_beta(stage, options, step) == pytest.approx(group["betas"][0])
        theirs.step()
        if step < 49:
            cycle.step()


def test_the_first_beta_of_a_step_is_used():
    weight = nn.Parameter(torch.ones(1))
    update = Update([weight], tiny.settings(betas=(0.9, 0.999), clip=0.0).stage, False, Ranks())
    update.backward(weight.sum())
    update.step(0.1, 0.8)
    torch.testing.assert_close(update.optimizer.state[weight]["exp_avg"], torch.tensor([0.2]))


def test_short_runs_warm_up_for_a_tenth_of_their_steps():
    assert learning_rate(*tiny.settings(lr=1.0, warmup=500, steps=40), 3, 0.0) == pytest.approx(1.0)


@pytest.mark.parametrize(("elapsed", "rate"), [(0, 1.0), (80, 1.0), (90, 0.5), (100, 0.0)])
def test_the_rate_falls_in_the_last_fifth_of_a_budget(elapsed, rate):
    settings = tiny.settings(lr=1.0, steps=None, budget=100.0, anneal=True)
    assert learning_rate(*settings, 0, elapsed) == pytest.approx(rate)


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_a_seed_that_no_generator_takes_is_refused(seed):
    with pytest.raises(ColorizeError, match=f"seed is {seed}"):
        tiny.settings(seed=seed)


def test_the_largest_seed_trains(tmp_path):
    assert tiny.train(tmp_path, tiny.mean_color, steps=1, seed=2**63 - 1)[1][-1].step == 1


@pytest.mark.parametrize("wrong", [{"lr": -1.0}, {"lr": float("nan")}, {"ema": 1.5}, {"clip": -1.0}])
def test_numbers_that_mean_nothing_are_refused_by_name(wrong):
    with pytest.raises(ColorizeError, match=next(iter(wrong))):
        tiny.settings(**wrong)
