"""What samplers are called: one list for the code, the help texts and the refusals."""

import pytest
from typer.testing import CliRunner

from colorize.cli.app import app
from colorize.diffusion import names, samplers, schedules
from colorize.diffusion.schedules import ScaledLinear, times
from colorize.errors import ColorizeError
from colorize.model import Sampling


def helped(command: str) -> str:
    """The help of a command without its line breaks."""
    return " ".join(CliRunner().invoke(app, [command, "--help"]).output.split())


def test_every_row_of_the_table_has_its_solver():
    for name, sampler in names.SAMPLERS.items():
        assert callable(getattr(samplers, sampler.solver or name.replace("-", "_")))


def test_every_spacing_has_its_rule():
    assert {*schedules.EVEN_TIMES, *schedules.EVEN_RATIOS} == {*names.SPACINGS}
    assert {*schedules.EVEN_RATIOS} == {*names.RATIO_SPACINGS}


@pytest.mark.parametrize("command", ["sample", "eval"])
def test_the_help_names_every_sampler(command):
    told = helped(command).replace("- ", "-")  # a name may be broken at its hyphen
    assert ", ".join(names.SAMPLERS) in told


def test_the_help_names_every_spacing():
    assert ", ".join(names.SPACINGS) in helped("sample")


def test_the_help_names_the_samplers_that_take_eta():
    assert f"for {', '.join(names.FREE)} " in helped("sample")


@pytest.mark.parametrize("name", [alias for sampler in names.SAMPLERS.values() for alias in sampler.aliases])
def test_a_name_from_elsewhere_is_refused_with_the_name_here(name):
    # Guards against `euler`, which adds no noise, as the nearest name to `euler-a`.
    with pytest.raises(ColorizeError) as caught:
        Sampling(sampler=name)
    meant = caught.value.hint.split("`")[1]
    assert caught.value.code == 2
    assert meant in (names.FREE if "eta" in caught.value.hint else names.SAMPLERS)


@pytest.mark.parametrize("sampler", [name for name, sampler in names.SAMPLERS.items() if sampler.eta == "all"])
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_some_samplers_always_take_all_the_noise(sampler, eta):
    assert names.settle(sampler, eta) == 1


@pytest.mark.parametrize("sampler", [name for name, sampler in names.SAMPLERS.items() if sampler.short])
def test_the_last_noisy_stop_is_left_out_where_it_is_next_to_clean(sampler):
    schedule = ScaledLinear()
    for rule, short in (("karras", True), ("exponential", True), ("trailing", False)):
        stops = Sampling(steps=5, sampler=sampler, spacing=rule).stops(schedule)
        assert stops.equal(times(schedule, 5, rule=rule, skip=short))
        usual = Sampling(steps=5, sampler="dpmpp", spacing=rule).stops(schedule)
        assert usual.equal(times(schedule, 5, rule=rule))
