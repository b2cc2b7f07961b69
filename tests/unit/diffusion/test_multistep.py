"""Claims about samplers that look back at earlier steps, against their formulas written out."""

from itertools import pairwise

import pytest
import torch
from closed_form import MILD, ZERO, start
from torch import Tensor

from colorize.diffusion.samplers import walk
from colorize.diffusion.schedules import Schedule, expand, times

STOPS = torch.tensor([0.8, 0.71, 0.6, 0.52, 0.4, 0.33, 0.3])


def levels(stops: Tensor, schedule: Schedule = MILD) -> tuple[Tensor, Tensor]:
    alpha, sigma = schedule(stops)
    return alpha.double(), sigma.double()


def told(noises, schedule: Schedule = MILD):
    """A denoiser whose answers mean these noises, one per call."""
    answers = iter(noises)

    def denoise(x: Tensor, t: Tensor) -> Tensor:
        alpha, sigma = (expand(part.double(), x) for part in schedule(t))
        return (x - sigma * next(answers)) / alpha

    return denoise


def rises(path, x: Tensor, stops: Tensor, schedule: Schedule = MILD) -> list[float]:
    """How far x / alpha goes at each step, per unit of sigma / alpha."""
    alpha, sigma = levels(stops, schedule)
    places = torch.stack([x, *(state.x for state in path)]).flatten() / alpha
    return (places.diff() / (sigma / alpha).diff()).tolist()


def test_lms_follows_noise_that_is_a_cubic_of_the_ratio():
    # Exact from the fourth step on, when four levels are known, however uneven the steps are.
    alpha, sigma = levels(STOPS)
    ratio = sigma / alpha
    x = start(1, 1, 1, 1, dtype=torch.float64)
    cubic, area = (lambda s: 1 - s + 2 * s**3), (lambda s: s - s**2 / 2 + s**4 / 2)
    got = rises(walk(told(cubic(ratio)), x, STOPS, MILD, "lms"), x, STOPS)
    want = (area(ratio).diff() / ratio.diff()).tolist()
    assert got[3:] == pytest.approx(want[3:], rel=1e-6)
    assert got[0] == pytest.approx(cubic(ratio[0]).item())  # the first step is Euler's
    assert abs(got[2] - want[2]) > 1e-4


def test_pndm_begins_as_runge_and_kutta_and_goes_on_as_adams_and_bashforth():
    # Liu et al. 2022, algorithm 2; the noise of the steps' beginnings goes into later steps.
    e = [float(number) for number in start(15)]
    x = start(1, 1, 1, 1, dtype=torch.float64)
    got = rises(walk(told(e), x, STOPS, MILD, "pndm"), x, STOPS)
    want = [(e[k] + 2 * e[k + 1] + 2 * e[k + 2] + e[k + 3]) / 6 for k in (0, 4, 8)]
    began = [e[0], e[4], e[8], *e[12:]]
    for d, c, b, a in zip(began, began[1:], began[2:], began[3:], strict=False):
        want.append((55 * a - 59 * b + 37 * c - 9 * d) / 24)
    assert got == pytest.approx(want, rel=1e-6)


@pytest.mark.parametrize("sampler", ["lms", "pndm"])
def test_a_step_from_pure_noise_is_no_part_of_what_is_drawn_on(sampler):
    # At alpha = 0 the ratio is infinite: the walk goes on as one that begins at the second stop.
    x, stops = start(1, 1, 2, 2, dtype=torch.float64), times(ZERO, 8)
    denoise = lambda x, t: 0.7 * x + t
    first, *rest = walk(denoise, x, stops, ZERO, sampler)
    later = list(walk(denoise, first.x, stops[1:], ZERO, sampler))
    alpha, sigma = levels(stops[1:2], ZERO)
    assert torch.allclose(first.x, alpha * first.x0 + sigma * x)
    assert torch.equal(later[-1].x, rest[-1].x)


@pytest.mark.parametrize("eta", [0.0, 1.0])
@pytest.mark.parametrize(("sampler", "power"), [("dpmpp-3m", 2), ("dpmpp-heun", 1)])
def test_a_parabola_and_a_line_are_integrated_exactly(sampler, power, eta):
    # The reverse equation, x / alpha = y: dy = (1 + eta^2) (x0 - y) dh, here with noise 0.
    alpha, sigma = levels(STOPS)
    place = (alpha / sigma).log()
    answers = iter((place - place[1]) ** power)
    x = start(1, 1, 1, 1, dtype=torch.float64)
    still = lambda i: torch.zeros(())
    denoise = lambda x, t: next(answers).expand_as(x)
    path = [x, *(s.x for s in walk(denoise, x, STOPS, MILD, sampler, eta, still))]
    for i in (2, 3, 4):
        fine = torch.linspace(0, 1, 20001, dtype=torch.float64)
        fine = place[i] + fine * (place[i + 1] - place[i])
        rate = 1 + eta**2
        fade = (rate * (fine - place[i + 1])).exp()
        area = torch.trapezoid(rate * fade * (fine - place[1]) ** power, fine)
        want = alpha[i + 1] * (fade[0] * path[i] / alpha[i] + area)
        assert torch.allclose(path[i + 1], want, rtol=1e-7)


def test_dpmpp_with_eta_one_is_the_sde_formula_of_its_paper():
    # Lu et al. 2022 (arXiv 2211.01095), SDE-DPM-Solver++(2M), written out for the second step.
    answers, noises = start(2, 1, 1, 2, 2, dtype=torch.float64), start(2, 4, dtype=torch.float64)
    x, asked = start(1, 1, 2, 2, seed=3, dtype=torch.float64), iter(answers)
    first, second = walk(lambda x, t: next(asked), x, STOPS[:3], MILD, "dpmpp", 1.0, lambda i: noises[i].view_as(x))
    alpha, sigma = levels(STOPS[:3])
    h = (alpha / sigma).log().diff()
    r = h[0] / h[1]
    mix = answers[1] + (answers[1] - answers[0]) / (2 * r)
    want = sigma[2] / sigma[1] * (-h[1]).exp() * first.x + alpha[2] * -torch.expm1(-2 * h[1]) * mix
    want = want + sigma[2] * (-torch.expm1(-2 * h[1])).sqrt() * noises[1].view_as(x)
    assert torch.allclose(second.x, want, rtol=1e-6)


@pytest.mark.parametrize("sampler", ["lms", "pndm", "dpmpp-3m", "dpmpp-heun"])
def test_a_walk_shorter_than_its_memory_ends_at_its_picture(sampler):
    x = start(1, 1, 2, 2)
    for n in (1, 2, 3, 4):
        *_, last = walk(lambda x, t: 0.5 * x, x, times(MILD, n), MILD, sampler)
        assert torch.equal(last.x, last.x0)
        assert last.x.isfinite().all()


def test_stops_of_pndm_may_lie_between_entries_of_the_table():
    asked = []
    stops = torch.tensor([0.9005, 0.7, 0.5])
    list(walk(lambda x, t: asked.append(t.item()) or x, start(1, 1, 1, 1), stops, MILD, "pndm"))
    for i, (t, after) in enumerate(pairwise(stops.tolist())):
        want = [t, (t + after) / 2, (t + after) / 2, after]
        assert asked[4 * i : 4 * i + 4] == pytest.approx(want)
