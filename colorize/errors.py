"""The error that users read, and helpers for its wording."""

from __future__ import annotations

from collections.abc import Iterable

SEEDS = (0, 2**63 - 1)  # the range of every generator of random numbers


class ColorizeError(Exception):
    """A mistake that the user can correct.

    message: one sentence with the offending value. hint: one sentence on how to go on, or empty.
    code: the exit code of the program; 1 failed, 2 wrong usage, 3 some files of a batch failed.
    """

    def __init__(self, message: str, hint: str = "", code: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


def within(name: str, value: float, low: float, high: float, hint: str = "") -> None:
    """Raise ColorizeError (wrong usage) for a number outside low..high, or nan; the default hint is the range."""
    if not low <= value <= high:
        number = f"{value:g}" if isinstance(value, float) else str(value)
        raise ColorizeError(f"{name} is {number}", hint or f"choose {low} to {high}", code=2)


def nearest(word: str, words: Iterable[str]) -> str:
    """Return "did you mean `x`?" for a misspelt word, or else the list of all known words."""
    from difflib import get_close_matches

    known = sorted(words)
    close = get_close_matches(word, known, n=1, cutoff=0.5)
    return f"did you mean `{close[0]}`?" if close else "known: " + ", ".join(known)
