"""Read the settings of colorize-diffusion: knobs, and edits by words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from colorize.colorize_diffusion import text_edits
from colorize.colorize_diffusion.condition import LatentSettings
from colorize.errors import ColorizeError
from colorize.recipes.overrides import override

# Settings that are off until one of their numbers is given.
OPTIONAL = {"echo": "InjectionSettings", "window": "Window"}


def settings(knobs: Sequence[str], edits: Sequence[str], file: Path | None) -> LatentSettings:
    """Return the settings that knobs such as `margin=1.5` and `echo.start=0.2` and edits make.

    edits, file: changes of the reference by words; the file's come first. Raises ColorizeError (wrong usage) for
    misspelt names, with the nearest, and for values out of range.
    """
    for text in knobs:
        if "=" not in text:
            raise ColorizeError(f"`--knob {text}` has no value", "write it as NAME=VALUE, such as margin=1.5", code=2)
    on = [f"{name}={kind}" for name, kind in OPTIONAL.items() if any(k.strip().startswith(f"{name}.") for k in knobs)]
    stored = text_edits.read(file) if file else ()
    prompts = (*stored, *(text_edits.parse(text) for text in edits))
    return replace(override(LatentSettings(), *on, *knobs), prompts=prompts)
