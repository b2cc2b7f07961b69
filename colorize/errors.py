"""The error that users read, and helpers for its wording."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterable

SEEDS = (0, 2**63 - 1)  # the range of every generator of random numbers
FULL = (errno.ENOSPC, errno.EDQUOT)  # what systems say if a disk is full
LISTED = 30  # known words in a hint, at most
SPACES = "\xa0\u3000"  # not printable for Python, and harmless; the second is frequent in Japanese names
LONG = 80  # characters at both ends of something quoted in a message; what is between may be cut


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


class DiskFullError(ColorizeError):
    """There is no room for another result, so that it makes no sense to go on with others."""


def unexpected(error: BaseException) -> ColorizeError:
    """Return the error that users read if it is the program's own fault."""
    told = ColorizeError(
        f"this should not have happened: {type(error).__name__}: {error}",
        "please report it with the command you ran; COLORIZE_DEBUG=1 shows where it happened",
    )
    told.__cause__ = error
    return told


def printable(text: str) -> str:
    """Return a text with `?` for what could steer a terminal, and for what is not Unicode."""
    return "".join(sign if sign.isprintable() or sign in SPACES else "?" for sign in text)


def plain(text: str) -> str:
    """Return a text from anywhere fit for a line on a terminal: printable, and what is quoted and very long is cut."""
    cut = re.sub(f"`([^`]{{{LONG}}})[^`]{{{LONG},}}([^`]{{{LONG}}})`", r"`\1...\2`", printable(text))
    return cut if len(cut) <= 20 * LONG else cut[: 20 * LONG] + "..."


def within(name: str, value: float, low: float, high: float, hint: str = "") -> None:
    """Raise ColorizeError (wrong usage) for a number outside low..high, or nan; the default hint is the range."""
    if not low <= value <= high:
        number = f"{value:g}" if isinstance(value, float) else str(value)
        raise ColorizeError(f"{name} is {number}", hint or f"choose {low} to {high}", code=2)


def nearest(word: str, words: Iterable[str]) -> str:
    """Return "did you mean `x`?" for a misspelt or shortened word, or else the list of known words."""
    known = sorted(words)
    if close := alike(word, known):
        return f"did you mean `{close[0]}`?"
    more = f" and {len(known) - LISTED} more" if len(known) > LISTED else ""
    return f"known: {', '.join(known[:LISTED])}{more}"


def alike(word: str, words: Iterable[str]) -> list[str]:
    """Return the words that a misspelt or shortened one may stand for, the most alike first."""
    found = []
    for known in words:
        most = 1 if min(len(word), len(known)) < 6 else 2 if len(known) < 12 else 3
        edits = _edits(word.lower(), known.lower()) if abs(len(word) - len(known)) <= most else most + 1
        short, long = sorted((word.lower(), known.lower()), key=len)
        if edits <= most:
            found.append((edits, known))
        elif len(short) >= 3 and long.startswith(short):
            found.append((most + len(long), known))
    return [known for _, known in sorted(found)]


def _edits(one: str, other: str) -> int:
    """Count the letters to add, drop, change or swap with their neighbor (optimal string alignment)."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        two_before, before, row = before, row, [i]
        for j, theirs in enumerate(other, 1):
            least = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != theirs))
            swapped = i > 1 and j > 1 and letter == other[j - 2] and theirs == one[i - 2]
            row.append(min(least, two_before[j - 2] + 1) if swapped else least)
    return row[-1]
