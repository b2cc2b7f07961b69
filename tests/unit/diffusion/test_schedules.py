"""Claims about schedules and spacings: published numbers, exact ends, lists of times."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from colorize.diffusion.denoiser import Denoiser
from colorize.diffusion.names import SPACINGS
from colorize.diffusion.schedules import Cosine, Linear, ScaledLinear, Schedule, draw, noised, times
from colorize.errors import ColorizeError

ANIME = Linear(1e-6, 1e-2)  # AnimeDiffusion
ALL = [Linear(), ANIME, ScaledLinear(), Cosine(), Linear(zero_snr=True), Cosine(zero_snr=True)]


def abar(schedule: Schedule, index: int) -> float:
    """abar[index] as papers count: index 0 is the first noisy entry."""
    return (schedule(torch.tensor((index + 1) / schedule.steps))[0].double() ** 2).item()


@pytest.mark.parametrize(
    ("schedule", "index", "published", "digits"),
    [
        (Linear(), 0, 0.9999, 1e-6),
        (Linear(), 999, 4.04e-5, 1e-7),
        (Linear(steps=350), 349, 0.029, 5e-4),
        (ANIME, 1, 0.999988, 1e-6),
        (ANIME, 101, 0.9496, 1e-4),
        (ANIME, 500, 0.2847, 1e-4),
        (ANIME, 901, 0.0169, 1e-4),
        (ANIME, 999, 0.0066, 1e-4),
        (ScaledLinear(), 0, 0.99914998, 1e-7),
        (ScaledLinear(), 999, 0.00466010, 1e-8),
    ],
)
def test_tables_hold_the_published_numbers(schedule, index, published, digits):
    assert abar(schedule, index) == pytest.approx(published, abs=digits)


def test_linear_is_the_running_product_of_one_minus_beta():
    beta = torch.linspace(1e-4, 2e-2, 1000, dtype=torch.float64)
    assert torch.equal(Linear().abar(), torch.cumprod(1 - beta, 0))


def test_cosine_follows_its_formula_where_beta_is_not_clipped():
    wave = [math.cos((i / 1000 + 0.008) / 1.008 * math.pi / 2) ** 2 for i in (0, 500)]
    assert abar(Cosine(), 499) == pytest.approx(wave[1] / wave[0], rel=1e-6)


def test_cosine_clips_its_last_beta():
    table = Cosine().abar()
    assert (1 - table[-1] / table[-2]).item() == pytest.approx(0.999)


def test_zero_snr_shifts_and_stretches_alpha_as_lin_does():
    alpha = Linear().abar().sqrt()
    want = (alpha - alpha[-1]) * alpha[0] / (alpha[0] - alpha[-1])
    assert torch.allclose(Linear(zero_snr=True).abar().sqrt(), want, rtol=1e-12)


@pytest.mark.parametrize("schedule", ALL)
def test_time_zero_is_exactly_clean(schedule):
    alpha, sigma = schedule(torch.zeros(()))
    assert (alpha.item(), sigma.item()) == (1.0, 0.0)


@pytest.mark.parametrize("schedule", [Linear(zero_snr=True), ScaledLinear(zero_snr=True), Cosine(zero_snr=True)])
def test_zero_snr_ends_in_exactly_pure_noise(schedule):
    alpha, sigma = schedule(torch.ones(()))
    assert (alpha.item(), sigma.item()) == (0.0, 1.0)


@given(t=st.floats(0, 1, width=32), schedule=st.sampled_from(ALL))
def test_alpha_and_sigma_lie_on_the_unit_circle(t, schedule):
    alpha, sigma = schedule(torch.tensor(t))
    assert (alpha**2 + sigma**2).item() == pytest.approx(1, abs=3e-7)  # float32 rounding


@pytest.mark.parametrize("schedule", ALL)
def test_noise_never_falls_with_time(schedule):
    assert (schedule(torch.linspace(0, 1, 4001))[1].diff() >= 0).all()


def test_every_entry_is_met_exactly_by_its_float32_time():
    # Guards against reading between two entries because float32 cannot write i / 1000.
    alpha, _ = ANIME(torch.arange(1, 1001) / 1000)
    assert torch.equal(alpha, ANIME.abar().sqrt().float())


def test_between_entries_the_angle_runs_straight():
    alpha, sigma = Linear()(torch.tensor([0.5, 0.5005, 0.501]))
    angle = torch.atan2(sigma.double(), alpha.double())
    assert angle[1].item() == pytest.approx((angle[0] + angle[2]).item() / 2, abs=1e-7)


def test_a_call_keeps_the_shape_of_t():
    assert Linear()(torch.rand(2, 3))[0].shape == (2, 3)


def test_a_table_first_used_in_inference_mode_can_train_later():
    schedule = Linear(steps=321)  # no other test may have filled its cache
    with torch.inference_mode():
        schedule(torch.ones(1))
    x0 = torch.ones(1, 1, 1, 1, requires_grad=True)
    noised(schedule, x0, torch.zeros(1, 1, 1, 1), torch.ones(1)).sum().backward()
    assert x0.grad is not None


def test_a_schedule_first_used_while_building_on_the_meta_device_has_numbers():
    schedule = Linear(steps=322)  # no other test may have filled its cache
    with torch.device("meta"):
        Denoiser(torch.nn.Identity(), schedule, "eps")
    assert schedule(torch.zeros(()))[0].item() == 1.0


def test_noised_weighs_picture_and_noise_per_row():
    alpha, sigma = Linear()(torch.tensor([0.2, 0.9]))
    x = noised(Linear(), torch.ones(2, 1, 1, 1), 2 * torch.ones(2, 1, 1, 1), torch.tensor([0.2, 0.9]))
    assert torch.equal(x.flatten(), alpha + 2 * sigma)


def test_a_beta_of_zero_is_refused():
    with pytest.raises(ColorizeError, match="beta 0 to"):
        Linear(start=0.0)


def test_a_schedule_of_one_step_is_refused():
    with pytest.raises(ColorizeError, match="too short"):
        Cosine(steps=1)


def test_drawn_times_lie_above_zero_and_reach_the_end():
    t = draw(4000, torch.Generator().manual_seed(0))
    assert 0 < t.min() < 1e-2
    assert 0.99 < t.max() <= 1


def test_stratified_times_fall_one_into_each_part():
    t = draw(16, torch.Generator().manual_seed(0))
    assert sorted((t * 16).ceil().int().tolist()) == list(range(1, 17))


def test_the_same_seed_draws_the_same_times():
    first, second = (draw(8, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, second)


def indices(rule: str, steps: int, schedule: Schedule = ANIME, begin: float = 1.0) -> list[int]:
    """The walk's stops as papers count, without the final clean one."""
    return [round(t * schedule.steps) - 1 for t in times(schedule, steps, begin, rule).tolist()][:-1]


def test_linspace_is_the_list_of_the_coloring_assistant():
    published = [0, 41, 83, 124, 166, 208, 249, 291, 333, 374, 416, 457, 499, 541, 582, 624, 666]
    published += [707, 749, 790, 832, 874, 915, 957, 999]
    assert indices("linspace", 25)[::-1] == published


def test_leading_is_the_list_of_anime_diffusion():
    assert indices("leading", 10)[::-1] == [1, 101, 201, 301, 401, 501, 601, 701, 801, 901]


def test_leading_reaches_the_end_where_the_original_stops_at_600():
    assert indices("leading", 600)[0] == 999


def test_trailing_is_the_list_of_lin():
    assert indices("trailing", 10) == [999, 899, 799, 699, 599, 499, 399, 299, 199, 99]


def test_karras_is_the_list_of_k_diffusion():
    alpha, sigma = ScaledLinear()(times(ScaledLinear(), 5, rule="karras"))
    published = [14.61464, 4.79654, 1.2741, 0.24795, 0.02917, 0]
    # float32 times resolve a 16,000th of a table entry
    assert (sigma / alpha).tolist() == pytest.approx(published, rel=2e-4)


def test_karras_starts_from_pure_noise_where_there_is_some():
    assert times(Cosine(zero_snr=True), 8, rule="karras")[0] == 1


@pytest.mark.parametrize("rule", SPACINGS)
@pytest.mark.parametrize("schedule", [ANIME, Cosine(zero_snr=True)])
@pytest.mark.parametrize("steps", [1, 2, 3, 7, 30, 500, 600, 999, 1000])
def test_any_number_of_steps_falls_strictly_to_zero(rule, schedule, steps):
    t = times(schedule, steps, rule=rule)
    assert len(t) == steps + 1
    assert (t.diff() < 0).all()
    assert t[-1] == 0


@pytest.mark.parametrize("rule", ["trailing", "linspace", "karras"])
def test_begin_is_the_first_stop(rule):
    assert times(ANIME, 5, begin=0.4, rule=rule)[0].item() == pytest.approx(0.4)


def test_more_steps_than_entries_are_refused_with_the_number_that_fits():
    with pytest.raises(ColorizeError, match="choose 1 to 400 steps"):
        times(ANIME, 401, begin=0.4)


@pytest.mark.parametrize("begin", [0.0, 1.5])
def test_a_begin_outside_the_schedule_is_refused(begin):
    with pytest.raises(ColorizeError, match="cannot begin"):
        times(ANIME, 5, begin=begin)


def test_an_unknown_spacing_names_the_nearest():
    with pytest.raises(ColorizeError, match="did you mean `trailing`"):
        times(ANIME, 5, rule="trailling")
