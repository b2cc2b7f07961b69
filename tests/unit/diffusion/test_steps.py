"""Claims about single steps against the textbook, and about how errors shrink with more calls."""

import pytest
import torch
from closed_form import MEAN, MILD, SPREAD, ZERO, end, gaussian, start

from colorize.diffusion.denoiser import Static
from colorize.diffusion.samplers import ddim_step, walk
from colorize.diffusion.schedules import Schedule, times


@pytest.mark.parametrize(("t", "t_next"), [(1.0, 0.9), (0.5, 0.499), (0.01, 0.001)])
def test_eta_one_is_the_ddpm_posterior(t, t_next):
    # Ho et al. 2020, equations 6 and 7, for a step over several table entries.
    x, x0, noise = start(3, 2, 1, 1, 1)
    abar, abar_next = (MILD.abar()[round(1000 * time) - 1].item() for time in (t, t_next))
    beta = 1 - abar / abar_next
    mean = abar_next**0.5 * beta / (1 - abar) * x0
    mean = mean + (1 - beta) ** 0.5 * (1 - abar_next) / (1 - abar) * x
    want = mean + ((1 - abar_next) / (1 - abar) * beta) ** 0.5 * noise
    got = ddim_step(x, x0, torch.tensor(t), torch.tensor(t_next), MILD, 1.0, noise)
    assert torch.allclose(got, want, atol=1e-5)


@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
def test_a_step_is_the_ddim_formula(eta):
    # Song et al. 2021, equations 12 and 16.
    x, x0, noise = start(3, 2, 1, 1, 1)
    t, t_next = torch.tensor(0.6), torch.tensor(0.5)
    abar, abar_next = (MILD(time)[0].double() ** 2 for time in (t, t_next))
    spread = eta * ((1 - abar_next) / (1 - abar) * (1 - abar / abar_next)).sqrt()
    eps = (x - abar.sqrt() * x0) / (1 - abar).sqrt()
    want = abar_next.sqrt() * x0 + (1 - abar_next - spread**2).sqrt() * eps + spread * noise
    got = ddim_step(x, x0, t, t_next, MILD, eta, noise)
    assert torch.allclose(got.double(), want.double(), atol=1e-5)


def test_a_step_takes_a_time_per_picture():
    x, x0 = start(2, 2, 1, 1, 1)
    t, t_next = torch.tensor([0.9, 0.3]), torch.tensor([0.8, 0.0])
    rows = [ddim_step(x[i : i + 1], x0[i : i + 1], t[i], t_next[i], MILD) for i in range(2)]
    assert torch.equal(ddim_step(x, x0, t, t_next, MILD), torch.cat(rows))


def test_a_step_up_undoes_a_step_down():
    x, x0 = start(2, 2, 1, 1, 1)
    t, t_next = torch.tensor(0.6), torch.tensor(0.5)
    down = ddim_step(x, x0, t, t_next, MILD)
    assert torch.allclose(ddim_step(down, x0, t_next, t, MILD), x, atol=1e-5)


def test_after_a_threshold_the_noise_is_recomputed():
    # Guards against AnimeDiffusion's mix of a clamped x0 with the noise of the unclamped one.
    x, stops = start(2, 1, 2, 2), torch.tensor([0.6, 0.5])
    last = end(lambda x, t: 3 * x, x, stops, MILD, threshold=Static(1.0))
    want = ddim_step(x, (3 * x).clamp(-1, 1), stops[0], stops[1], MILD)
    assert torch.allclose(last.x, want, atol=1e-6)


def test_dpmpp_is_the_formula_of_its_paper():
    # Lu et al. 2022, algorithm 2, second step; x0 grows with each call so that its slope matters.
    answers = iter(start(2, 1, 1, 2, 2, dtype=torch.float64))
    x, stops = start(1, 1, 2, 2, dtype=torch.float64), torch.tensor([0.8, 0.6, 0.4])
    first, second = walk(lambda x, t: next(answers), x, stops, MILD, "dpmpp")
    alpha, sigma = (part.double() for part in MILD(stops))
    level = (alpha / sigma).log()
    h = level.diff()
    r = h[0] / h[1]
    mix = (1 + 1 / (2 * r)) * second.x0 - 1 / (2 * r) * first.x0
    want = sigma[2] / sigma[1] * first.x - alpha[2] * torch.expm1(-h[1]) * mix
    assert torch.allclose(second.x, want, atol=1e-12)


def test_unipc_corrects_a_step_exactly_for_a_parabola():
    # If x0 is a parabola in log-SNR, the corrected x of the third level is the true integral.
    stops = torch.tensor([0.7, 0.6, 0.5, 0.4])
    alpha, sigma = (part.double() for part in MILD(stops))
    level = (alpha / sigma).log()
    answers = iter((level - level[0]) ** 2)
    x = start(1, 1, 1, 1, dtype=torch.float64)
    states = list(walk(lambda x, t: next(answers).expand_as(x), x, stops, MILD, "unipc"))
    fine = torch.linspace(0, 1, 20001, dtype=torch.float64) * (level[2] - level[1]) + level[1]
    area = torch.trapezoid(fine.exp() * (fine - level[0]) ** 2, fine)
    # x at level 1 after its own first-order correction, then the exact solution from 1 to 2
    gone = sigma[1] / sigma[0] * x + alpha[1] * -torch.expm1(level[0] - level[1]) * states[1].x0 / 2
    true = sigma[2] / sigma[1] * gone + sigma[2] * area
    h, q = level[3] - level[2], level[2] - level[1]
    aim = states[2].x0 + h / q / 2 * (states[2].x0 - states[1].x0)
    want = sigma[3] / sigma[2] * true - alpha[3] * torch.expm1(-h) * aim
    assert torch.allclose(states[2].x, want, atol=1e-8)


def test_euler_is_a_straight_line_in_sigma_over_alpha():
    x, x0, stops = start(1, 1, 2, 2), 0.3 * torch.ones(1, 1, 2, 2), torch.tensor([0.8, 0.6])
    alpha, sigma = MILD(stops)
    y, ratio = x / alpha[0], sigma / alpha
    want = alpha[1] * (y + (ratio[1] - ratio[0]) * (y - x0) / ratio[0])
    assert torch.allclose(end(lambda x, t: x0, x, stops, MILD, "euler").x, want, atol=1e-5)


def test_heun_is_the_mean_of_two_slopes_in_sigma_over_alpha():
    # Karras et al. 2022, algorithm 1, written out with y = x / alpha.
    x, stops = start(1, 1, 2, 2, dtype=torch.float64), torch.tensor([0.8, 0.6])
    denoise = gaussian(MILD)
    alpha, sigma = (part.double() for part in MILD(stops))
    ratio, y = sigma / alpha, x / alpha[0]
    slope = (y - denoise(x, stops[:1])) / ratio[0]
    ahead = y + (ratio[1] - ratio[0]) * slope
    slope_ahead = (ahead - denoise(alpha[1] * ahead, stops[1:])) / ratio[1]
    want = alpha[1] * (y + (ratio[1] - ratio[0]) * (slope + slope_ahead) / 2)
    assert torch.allclose(end(denoise, x, stops, MILD, "heun").x, want, atol=1e-10)


# Order of convergence, against the known solution for a Gaussian

TWICE = ("heun", "dpm2", "dpmpp-2s")  # calls a step
SECOND = ("dpmpp", "unipc", "pndm", *TWICE)


def error(sampler: str, calls: int, schedule: Schedule = MILD, rule: str = "karras", skip: bool = False) -> float:
    """Largest distance from the exact end of the probability-flow line."""
    x = start(4, 1, 2, 2, dtype=torch.float64)
    alpha, sigma = (part.double() for part in schedule(torch.ones(())))
    exact = MEAN + (x - alpha * MEAN) * SPREAD / (SPREAD**2 * alpha**2 + sigma**2).sqrt()
    steps = {"pndm": calls - 9, **dict.fromkeys(TWICE, calls // 2)}.get(sampler, calls)
    stops = times(schedule, steps, rule=rule, skip=skip)
    return (end(gaussian(schedule), x, stops, schedule, sampler).x - exact).abs().max().item()


@pytest.mark.parametrize("schedule", [MILD, ZERO])
@pytest.mark.parametrize("sampler", [*SECOND, "lms", "dpmpp-3m", "dpmpp-heun"])
def test_second_order_beats_ddim_at_equal_calls(sampler, schedule):
    assert error(sampler, 40, schedule) < 0.6 * error("ddim", 40, schedule)


@pytest.mark.parametrize("sampler", SECOND)
def test_twice_the_calls_leave_a_quarter_of_the_error(sampler):
    assert error(sampler, 160) < error(sampler, 80) / 3.6  # 4, less what higher terms take


def test_third_order_leaves_an_eighth_and_fourth_order_less():
    # As published, the parabola's bend counts half and the third order is lost.
    assert error("dpmpp-3m", 80) < error("dpmpp-3m", 40) / 7
    assert error("lms", 80) < error("lms", 40) / 10


def test_the_corrector_makes_unipc_better_than_its_predictor():
    assert error("unipc", 40) < 0.5 * error("dpmpp", 40)


@pytest.mark.parametrize(("sampler", "calls"), [("dpm2", 10), ("dpmpp-3m", 5)])
def test_the_last_noisy_stop_is_better_left_out_only_where_it_is_next_to_clean(sampler, calls):
    for rule, better in (("karras", True), ("trailing", False)):
        ends = [error(sampler, calls, rule=rule, skip=skip) for skip in (True, False)]
        assert (ends[0] < ends[1]) == better
