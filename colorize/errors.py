"""The one error a user is meant to read, and helpers that find its words. Knows no other part."""

from __future__ import annotations

from collections.abc import Iterable

SEEDS = (0, 2**63 - 1)  # what every generator of random numbers here can begin with


class ColorizeError(Exception):
    """A mistake the user can mend: what is wrong, and how to go on.

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
    """Refuse a number outside low..high, and one that is none (nan): ColorizeError (wrong usage).

    name: what messages call it. hint: how to go on; the range, if empty.
    """
    if not low <= value <= high:
        told = f"{value:g}" if isinstance(value, float) else str(value)
        raise ColorizeError(f"{name} is {told}", hint or f"it goes from {low} to {high}", code=2)


def nearest(word: str, words: Iterable[str]) -> str:
    """Return "did you mean `x`?" for a misspelt word, or else the list of all known words."""
    from difflib import get_close_matches

    known = sorted(words)
    close = get_close_matches(word, known, n=1, cutoff=0.5)
    return f"did you mean `{close[0]}`?" if close else "known: " + ", ".join(known)
