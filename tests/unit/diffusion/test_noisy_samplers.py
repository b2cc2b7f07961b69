"""Claims about samplers that add fresh noise: how much, when, and what comes of it."""

import math

import pytest
import torch
from closed_form import MILD, SPREAD, ZERO, end, ideal, start
from torch import Tensor

from colorize.diffusion import names
from colorize.diffusion.samplers import walk
from colorize.diffusion.schedules import Schedule, expand, times
from colorize.errors import ColorizeError

NOISY = [(name, eta) for name in names.FREE for eta in (0.5, 1.0)] + [("dpmpp-sde", 1.0)]
STOPS = torch.tensor([0.6, 0.5])


def spread(sampler: str, eta: float, steps: int, schedule: Schedule = MILD) -> float:
    """How far the deviation of what is drawn lies from that of Gaussian data, relatively.

    Not sampled but exact: the denoiser is linear, so each pixel carries the share of another noise.
    """
    alpha, sigma = (part.double().item() for part in schedule(torch.ones(())))
    sources = torch.eye(2 * steps + 1, dtype=torch.float64)
    rows = iter(sources[1:])

    def denoise(x: Tensor, t: Tensor) -> Tensor:
        a, s = (expand(part.double(), x) for part in schedule(t))
        return SPREAD**2 * a / (SPREAD**2 * a**2 + s**2) * x

    x = (sources[0] * math.hypot(alpha * SPREAD, sigma)).view(1, 1, 1, -1)
    noise = lambda i: next(rows).view_as(x)
    stops = times(schedule, steps, rule="karras")
    last = end(denoise, x, stops, schedule, sampler, eta=eta, noise=noise)
    return abs(last.x.norm().item() / SPREAD - 1)


@pytest.mark.parametrize("schedule", [MILD, ZERO])
@pytest.mark.parametrize(("sampler", "eta"), NOISY)
def test_pictures_are_as_spread_as_the_data(sampler, eta, schedule):
    most = {"ddim": 0.07, "dpmpp-heun": 0.012}.get(sampler, 0.006)
    assert spread(sampler, eta, 80, schedule) < most


@pytest.mark.parametrize(("sampler", "eta"), NOISY)
def test_twice_the_steps_spread_better(sampler, eta):
    # First order for ddim; second for the others, whose noise does not undo it.
    share = 0.55 if sampler == "ddim" else 0.35
    assert spread(sampler, eta, 160) < share * spread(sampler, eta, 80)


@pytest.mark.parametrize("sampler", names.FREE)
def test_eta_changes_the_walk_and_its_noise_is_that_of_ddim(sampler):
    # One step with x0 = 0 all the way: what stays of x and what comes in are the shares of `blend`.
    x, noise = start(1, 1, 2, 2, dtype=torch.float64), start(1, 1, 2, 2, seed=1).double()
    ends = [
        end(lambda x, t: 0 * x, x, STOPS, MILD, name, eta=0.6, noise=lambda i: noise).x for name in (sampler, "ddim")
    ]
    still = end(lambda x, t: 0 * x, x, STOPS, MILD, sampler).x
    assert torch.allclose(*ends)
    assert not torch.allclose(ends[0], still, atol=0.1)


def ancestral(eta: float) -> tuple[Tensor, float, float]:
    """Levels sigma / alpha of one step, and the two of k-diffusion's ancestral steps, sigma_down and sigma_up."""
    alpha, sigma = (part.double() for part in MILD(STOPS))
    now, after = (sigma / alpha).tolist()
    up = eta * (after**2 * (now**2 - after**2) / now**2) ** 0.5
    return alpha, (after**2 - up**2) ** 0.5, up


@pytest.mark.parametrize("eta", [0.3, 1.0])
def test_ddim_is_the_ancestral_rule_of_euler(eta):
    # So Euler a needs no name of its own. Karras et al. 2022 for the slope, Crowson for the rule.
    x, x0, noise = start(3, 1, 1, 2, 2, dtype=torch.float64).unbind()
    alpha, down, up = ancestral(eta)
    now = (MILD(STOPS)[1].double() / alpha)[0]
    y = x / alpha[0]
    want = y + (down - now) * (y - x0) / now + up * noise
    got = end(lambda x, t: x0, x, STOPS, MILD, "ddim", eta=eta, noise=lambda i: noise).x
    assert torch.allclose(got, alpha[1] * want, rtol=1e-6)


@pytest.mark.parametrize("sampler", ["dpm2", "dpmpp-2s"])
@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
def test_singlestep_solvers_call_in_the_middle_and_add_noise_at_the_end(sampler, eta):
    x, noise = start(2, 1, 1, 2, 2, dtype=torch.float64).unbind()
    asked = []

    def denoise(x: Tensor, t: Tensor) -> Tensor:
        asked.append((x / MILD(t)[0].double(), t))
        return 0.4 * x + 0.1

    got = end(denoise, x, STOPS, MILD, sampler, eta=eta, noise=lambda i: noise).x
    alpha, down, up = ancestral(eta)
    (y, t), (half, t_half) = asked
    now, middle = ((sigma / a).double().item() for a, sigma in (MILD(t), MILD(t_half)))
    assert middle == pytest.approx((now * down) ** 0.5, rel=1e-5)
    x0 = denoise(x, t)
    assert torch.allclose(half, x0 + middle / now * (y - x0), rtol=1e-5)
    x0_half = denoise(half * MILD(t_half)[0].double(), t_half)
    slope = (half - x0_half) / middle
    want = y + (down - now) * slope if sampler == "dpm2" else x0_half + down / now * (y - x0_half)
    assert torch.allclose(got, alpha[1] * (want + up * noise), rtol=1e-5)


def test_the_sde_solver_goes_on_with_the_noise_of_its_middle():
    # k-diffusion's DPM++ SDE for one step: one Brownian path, whose clock is sigma / alpha.
    x, one, two = start(3, 1, 1, 2, 2, dtype=torch.float64).unbind()
    asked, noises = [], iter([one, two])

    def denoise(x: Tensor, t: Tensor) -> Tensor:
        asked.append((x / MILD(t)[0].double(), t))
        return 0.4 * x + 0.1

    got = end(denoise, x, STOPS, MILD, "dpmpp-sde", noise=lambda i: next(noises)).x
    alpha, down, up = ancestral(1.0)
    (y, t), (half, t_half) = asked
    now, middle = ((sigma / a).double().item() for a, sigma in (MILD(t), MILD(t_half)))
    after = math.hypot(down, up)
    assert middle == pytest.approx((now * after) ** 0.5, rel=1e-5)
    x0, up_half = denoise(x, t), middle * (1 - (middle / now) ** 2) ** 0.5
    assert torch.allclose(half, x0 + (middle / now) ** 2 * (y - x0) + up_half * one, rtol=1e-5)
    x0_half = denoise(half * MILD(t_half)[0].double(), t_half)
    path = (now - middle) ** 0.5 * one + (middle - after) ** 0.5 * two
    want = x0_half + down / now * (y - x0_half) + up * path / (now - after) ** 0.5
    assert torch.allclose(got, alpha[1] * want, rtol=1e-5)


@pytest.mark.parametrize("sampler", [*names.FREE, "dpmpp-sde"])
def test_noise_is_asked_for_every_step_but_the_last(sampler):
    asked, x = [], start(1, 1, 1, 1)
    noise = lambda i: asked.append(i) or torch.zeros(())
    list(walk(lambda x, t: x, x, times(MILD, 4), MILD, sampler, eta=1.0, noise=noise))
    assert asked == ([0, 0, 1, 1, 2, 2] if sampler == "dpmpp-sde" else [0, 1, 2])


@pytest.mark.parametrize("sampler", [*names.FREE, "dpmpp-sde"])
def test_a_noisy_walk_from_pure_noise_finds_a_picture(sampler):
    pictures, x = start(8, 3, 2, 2, seed=7).clamp(-1, 1), start(6, 3, 2, 2)
    noises = start(200, 6, 3, 2, 2, seed=9)
    last = end(ideal(pictures, ZERO), x, times(ZERO, 50), ZERO, sampler, eta=1.0, noise=noises.__getitem__)
    assert torch.cdist(last.x.flatten(1), pictures.flatten(1)).min(1).values.max() < 1e-3


@pytest.mark.parametrize("sampler", names.FREE)
def test_noise_without_a_source_is_the_callers_mistake(sampler):
    with pytest.raises(TypeError, match="needs `noise`"):
        walk(lambda x, t: x, start(1, 1, 1, 1), times(ZERO, 4), ZERO, sampler, eta=0.5)


@pytest.mark.parametrize("sampler", [name for name, sampler in names.SAMPLERS.items() if sampler.eta == "none"])
def test_eta_is_refused_where_it_means_nothing(sampler):
    with pytest.raises(ColorizeError, match=f"`{sampler}` adds no noise, so eta = 0.5"):
        names.settle(sampler, 0.5)
