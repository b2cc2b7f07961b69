"""Read the settings of colorize-diffusion: knobs, and edits by words, also from TOML, JSON or text files."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from colorize.colorize_diffusion import tokenizer
from colorize.colorize_diffusion.condition import Manner
from colorize.colorize_diffusion.tokenizer import Prompt
from colorize.errors import ColorizeError, nearest
from colorize.images import files
from colorize.recipes.overrides import override

MOST = 2**20  # bytes of a file
TABLE = "edit"  # the name of an edit in TOML
OPTIONAL = {"echo": "Echo", "window": "Window"}  # settings that are off until one of their numbers is given
FORMS = {
    ".toml": 'begin every edit with [[edit]], then target = "blonde hair"',
    ".json": 'write a list of edits, such as [{"target": "blonde hair", "anchor": "brown hair"}]',
}


def settings(knobs: Sequence[str], edits: Sequence[str], file: Path | None) -> Manner:
    """Return the settings that knobs such as `margin=1.5` and `echo.start=0.2` and edits make.

    edits, file: changes of the reference by words; the file's come first. Raises ColorizeError (wrong usage) for
    misspelt names, with the nearest, and for values out of range.
    """
    for text in knobs:
        if "=" not in text:
            raise ColorizeError(f"`--knob {text}` has no value", "write it as NAME=VALUE, such as margin=1.5", code=2)
    on = [f"{name}={kind}" for name, kind in OPTIONAL.items() if any(k.strip().startswith(f"{name}.") for k in knobs)]
    stored = read(file) if file else ()
    return replace(override(Manner(), *on, *knobs), prompts=(*stored, *(tokenizer.parse(text) for text in edits)))


def read(path: Path) -> tuple[Prompt, ...]:
    """Return the edits of a file in their order, at least one.

    TOML has a table [[edit]] and JSON has an object in a list for every edit, with the keys of `Prompt`. Any
    other file has an edit in a line, see `prompts.parse`, and may have empty lines and lines that begin with #.
    Raises ColorizeError with the file and the number of the edit or line.
    """
    name = files.shown(str(path))
    text = _text(path, name)
    kind = path.suffix.lower()
    if kind not in FORMS:
        lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1)]
        given = [(number, line) for number, line in lines if line and not line.startswith("#")]
        found = [tokenizer.parse(line, f"line {number} of `{name}`") for number, line in given]
    else:
        found = []
        for number, values in enumerate(_listed(name, kind, text), 1):
            place = f"edit {number} of `{name}`"
            if not isinstance(values, dict):
                told = tokenizer.shortened(values)
                raise ColorizeError(f"{place} is `{told}`", FORMS[kind], code=2)
            found.append(tokenizer.made(place, values))
    if not found:
        raise ColorizeError(f"`{name}` holds no edit", FORMS.get(kind, tokenizer.EXAMPLE), code=2)
    return tuple(found)


def _text(path: Path, name: str) -> str:
    """The text of a file, without a byte order mark."""
    try:
        with path.open("rb") as file:
            data = file.read(MOST + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise ColorizeError(f"`{name}` cannot be read: {reason}", "check the path") from None
    if len(data) > MOST:
        raise ColorizeError(f"`{name}` has more than 1 MiB", "it can hold no edits in words")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        message = f"`{name}` is no UTF-8 text, from byte {error.start} on"
        raise ColorizeError(message, "save it as UTF-8", code=2) from None


def _listed(name: str, kind: str, text: str) -> Sequence[object]:
    """The values of every edit in JSON or TOML, not checked yet."""
    try:
        given = json.loads(text) if kind == ".json" else tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        reason = f"`{name}` is no valid {kind[1:].upper()}: {error}"
        raise ColorizeError(reason, FORMS[kind], code=2) from None
    if kind == ".toml":
        for key in given:
            if key != TABLE:
                hint = FORMS[kind] if key in tokenizer.KEYS else nearest(key, [TABLE])
                told = tokenizer.shortened(key)
                raise ColorizeError(f"`{name}` has `{told}` outside of edits", hint, code=2)
        given = given.get(TABLE, [])
    if not isinstance(given, list):
        raise ColorizeError(f"`{name}` holds no list of edits", FORMS[kind], code=2)
    return given
