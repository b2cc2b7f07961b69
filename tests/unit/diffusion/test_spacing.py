"""Stops that some samplers leave out at the end of a walk."""

import pytest

from colorize.diffusion.names import SPACINGS
from colorize.diffusion.schedules import Linear, times
from colorize.errors import ColorizeError

ANIME = Linear(1e-6, 1e-2)  # AnimeDiffusion


@pytest.mark.parametrize("rule", SPACINGS)
def test_a_skipped_stop_is_the_last_noisy_one(rule):
    longer = times(ANIME, 7, rule=rule)
    shorter = times(ANIME, 6, rule=rule, skip=True)
    assert shorter.tolist() == [*longer[:6].tolist(), 0]


def test_no_more_steps_fit_with_one_skipped():
    with pytest.raises(ColorizeError, match="choose 1 to 999 steps"):
        times(ANIME, 1000, skip=True)
