"""Times on the command line need a unit, and say so."""

import pytest

from colorize.cli import messages
from colorize.errors import ColorizeError


@pytest.mark.parametrize(
    ("text", "value"), [("90s", 90), ("9m", 540), ("1.5h", 5400), ("1h 30m", 5400), ("2d", 172800)]
)
def test_times_are_read_with_their_unit(text, value):
    assert messages.seconds(text) == value


@pytest.mark.parametrize("text", ["9", "m", "", "9 minutes", "-9m", "0s", "1h-3m"])
def test_a_time_without_a_clear_unit_is_refused(text):
    with pytest.raises(ColorizeError, match="is not a time"):
        messages.seconds(text)
