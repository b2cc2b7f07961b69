"""Claims about whole walks, checked with denoisers known in closed form."""

import importlib.util
import math
from pathlib import Path

import pytest
import torch
from closed_form import MEAN, MILD, SPREAD, ZERO, end, fresh, gaussian, ideal, start

from colorize.diffusion.denoiser import Static
from colorize.diffusion.names import SAMPLERS
from colorize.diffusion.samplers import walk
from colorize.diffusion.schedules import times
from colorize.errors import ColorizeError

PICTURES = start(8, 3, 2, 2, seed=7).clamp(-1, 1)


@pytest.mark.parametrize("rule", ["trailing", "karras"])
@pytest.mark.parametrize("schedule", [MILD, ZERO])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_walk_with_the_ideal_denoiser_finds_a_picture(sampler, schedule, rule):
    x = start(6, 3, 2, 2)
    denoise, stops = ideal(PICTURES, schedule), times(schedule, 50, rule=rule)
    last = end(denoise, x, stops, schedule, sampler, noise=fresh(x))
    away = torch.cdist(last.x.flatten(1), PICTURES.flatten(1)).min(1).values
    assert away.max() < 1e-3


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_walks_from_different_noise_find_different_pictures(sampler):
    x = start(16, 3, 2, 2)
    last = end(ideal(PICTURES, ZERO), x, times(ZERO, 20), ZERO, sampler, noise=fresh(x))
    found = torch.cdist(last.x.flatten(1), PICTURES.flatten(1)).argmin(1)
    assert len(found.unique()) >= 4  # half of the data set


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_samples_have_the_mean_and_spread_of_the_data(eta):
    # 20,000 samples: the standard error of the mean is 0.0035, of the spread 0.0025.
    x = start(5000, 1, 2, 2)
    last = end(gaussian(ZERO), x, times(ZERO, 200), ZERO, eta=eta, noise=fresh(x))
    assert last.x.mean().item() == pytest.approx(MEAN, abs=0.014)
    assert last.x.std().item() == pytest.approx(SPREAD, abs=0.014)


@pytest.mark.parametrize("schedule", [MILD, ZERO])
@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_a_walk_ends_exactly_at_its_expected_picture(sampler, schedule, steps):
    x = start(2, 3, 2, 2)
    last = end(ideal(PICTURES, schedule), x, times(schedule, steps), schedule, sampler, noise=fresh(x))
    assert last.t == 0
    assert torch.allclose(last.x, last.x0, atol=1e-6)


def test_one_step_from_pure_noise_is_the_denoisers_answer():
    x = start(2, 3, 2, 2)
    want = ideal(PICTURES, ZERO)(x, torch.ones(2))
    assert torch.equal(end(ideal(PICTURES, ZERO), x, times(ZERO, 1), ZERO).x, want)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_batch_of_two_equals_two_batches_of_one(sampler):
    x, noises = start(2, 3, 2, 2), start(9, 2, 3, 2, 2, seed=5)
    stops, denoise = times(ZERO, 9), ideal(PICTURES, ZERO)
    both = end(denoise, x, stops, ZERO, sampler, noise=lambda i: noises[i]).x
    for row in range(2):
        pick = slice(row, row + 1)
        alone = end(denoise, x[pick], stops, ZERO, sampler, noise=lambda i, p=pick: noises[i, p]).x
        assert torch.allclose(alone, both[pick], atol=1e-5)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_gradients_flow_through_the_whole_walk(sampler):
    x = start(1, 1, 2, 2).requires_grad_()
    last = end(gaussian(MILD), x, times(MILD, 4), MILD, sampler, noise=lambda _: torch.zeros(()))
    last.x.sum().backward()
    assert (x.grad != 0).all()


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_threshold_bounds_the_last_picture(sampler):
    x = start(2, 1, 2, 2)
    last = end(lambda x, t: 3 * x, x, times(ZERO, 5), ZERO, sampler, noise=fresh(x), threshold=Static(1.0))
    assert last.x.abs().max() <= 1 + 1e-6


# Costs, order and refusals


@pytest.mark.parametrize(
    ("sampler", "schedule", "calls"),
    [
        ("ddim", ZERO, 6),
        ("dpmpp", ZERO, 6),
        ("unipc", ZERO, 6),
        ("lms", ZERO, 6),
        ("dpmpp-3m", ZERO, 6),
        ("dpmpp-heun", ZERO, 6),
        ("heun", ZERO, 10),
        ("heun", MILD, 11),
        ("dpm2", ZERO, 10),
        ("dpm2", MILD, 11),
        ("dpmpp-2s", ZERO, 10),
        ("dpmpp-sde", ZERO, 10),
        ("dpmpp-sde", MILD, 11),
        ("pndm", ZERO, 1 + 3 * 4 + 2),
        ("pndm", MILD, 3 * 4 + 3),
    ],
)
def test_a_walk_of_six_steps_calls_the_denoiser_this_often(sampler, schedule, calls):
    asked = []
    denoise = lambda x, t: asked.append(t) or x
    x, stops = start(1, 1, 1, 1), times(schedule, 6)
    list(walk(denoise, x, stops, schedule, sampler, noise=fresh(x)))
    assert len(asked) == calls


def test_a_walk_takes_no_step_before_it_is_asked():
    path = walk(lambda x, t: 1 / 0, start(1, 1, 1, 1), times(ZERO, 3), ZERO)
    with pytest.raises(ZeroDivisionError):
        next(path)


def test_states_name_the_time_they_have_reached():
    states = walk(lambda x, t: x, start(1, 1, 1, 1), torch.tensor([1.0, 0.5, 0.0]), ZERO)
    assert [(state.index, state.t) for state in states] == [(0, 0.5), (1, 0.0)]


def test_noise_is_asked_for_every_step_but_the_last():
    asked = []
    noise = lambda i: asked.append(i) or torch.zeros(())
    list(walk(lambda x, t: x, start(1, 1, 1, 1), times(ZERO, 4), ZERO, "ddpm", noise=noise))
    assert asked == [0, 1, 2]


def test_ddpm_is_ddim_with_eta_one():
    x = start(2, 3, 2, 2)
    ends = [
        end(ideal(PICTURES, MILD), x, times(MILD, 5), MILD, name, eta=eta, noise=fresh(x)).x
        for name, eta in (("ddpm", 0.0), ("ddim", 1.0))
    ]
    assert torch.equal(*ends)


def test_an_unknown_sampler_names_the_nearest():
    with pytest.raises(ColorizeError, match="did you mean `unipc`"):
        walk(lambda x, t: x, start(1, 1, 1, 1), times(ZERO, 4), ZERO, "unicp")


def test_eta_for_a_sampler_without_noise_is_refused():
    with pytest.raises(ColorizeError, match="adds no noise"):
        walk(lambda x, t: x, start(1, 1, 1, 1), times(ZERO, 4), ZERO, "unipc", eta=0.5)


def test_an_eta_above_one_is_refused():
    with pytest.raises(ColorizeError, match="between 0 and 1"):
        walk(lambda x, t: x, start(1, 1, 1, 1), times(ZERO, 4), ZERO, eta=math.inf)


def test_rising_times_are_refused():
    with pytest.raises(ValueError, match="must fall"):
        walk(lambda x, t: x, start(1, 1, 1, 1), torch.tensor([0.0, 1.0]), ZERO)


def test_the_toy_example_learns_its_ring():
    path = Path(__file__).parents[2].parent / "examples" / "toy_2d.py"
    spec = importlib.util.spec_from_file_location("toy_2d", path)
    toy = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(toy)
    assert max(toy.main(batches=300).values()) < 0.25  # noise lies 0.5 away
