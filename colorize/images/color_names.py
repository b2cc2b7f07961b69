"""Colors as users write them."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import ImageColor

from colorize.errors import ColorizeError

NAMES = "write a color as #3b5fa0 or by its English name"


def parse_color(word: str, whose: str, hint: str = NAMES) -> Sequence[int]:
    """Return R, G, B, 0 to 255, of a hex color or a CSS color name.

    Raises ColorizeError (wrong usage) for anything else, saying `whose` color it is and how to write it, `hint`.
    """
    try:
        if "(" in word:  # the functions of CSS hold commas
            raise ValueError
        return ImageColor.getrgb(word)[:3]
    except ValueError:
        raise ColorizeError(f"unknown color `{word}` in {whose}", hint, code=2) from None
