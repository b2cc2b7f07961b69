"""Edits of colors by text, as users write them on the command line and in files."""

from __future__ import annotations

import json
import re
import tomllib
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from colorize.errors import ColorizeError, nearest, within

Thresholds = tuple[float, float, float, float]

THRESHOLDS: Thresholds = (0.5, 0.55, 0.65, 0.95)
EVERYTHING = "everything"  # the control of an edit that moves all places alike
NONE = "none"  # ColorizeDiffusion's word for a text that is not given
TEXTS = ("target", "anchor", "control")
KEYS = (*TEXTS, "scale", "enhance", "thresholds")
EXAMPLE = 'write "hair: blonde", "brown hair -> blonde hair" or "target=blonde hair; control=hair"'
MOST = 2**20  # bytes of a file
TABLE = "edit"  # the name of an edit in TOML
FORMS = {
    ".toml": 'begin every edit with [[edit]], then target = "blonde hair"',
    ".json": 'write a list of edits, such as [{"target": "blonde hair", "anchor": "brown hair"}]',
}

_LEVELS = ("ts0", "ts1", "ts2", "ts3")  # the thresholds in ColorizeDiffusion's list
_BRACKETS = (*TEXTS, "scale", "enhanced", *_LEVELS)
_BRACKET = re.compile(r"\[([^\]]*)\](.*)", re.S)
_EQUAL = re.compile(r"([^=]*)=(.*)", re.S)
_FULL = re.compile(r"\s*[a-z]+\s*=", re.I)
_OWNER = re.compile(r"(?:.*(?:['\u2019]s|s['\u2019]) |(?:the|a|an|my|your|his|her|its|our|their) )?", re.I)
_TRUTH = {"yes": True, "true": True, "on": True, "no": False, "false": False, "off": False}


@dataclass(frozen=True)
class Prompt:
    """One change of colors by text.

    target: what there is to be. anchor: what it is now, or "". control: the words that say where, or "", which is the
    anchor's place, or without an anchor everywhere; also "everything". scale: how strongly the target is to show, 0 to
    15. enhance: take away what the anchor says, too. thresholds: four rising shares of the likeness, see
    `token_edits.Edit`. In the texts, spaces count once, and "none" is no text.

    Raises ColorizeError (wrong usage) for a missing target, numbers out of range, and a text with a `;`.
    """

    target: str
    anchor: str = ""
    control: str = ""
    scale: float = 8.0
    enhance: bool = False
    thresholds: Thresholds = THRESHOLDS

    def __post_init__(self) -> None:
        for key in TEXTS:
            object.__setattr__(self, key, _words(key, getattr(self, key)))
        if not self.target:
            raise ColorizeError("it has no target", EXAMPLE, code=2)
        within("the scale", self.scale, 0, 15)
        if len(self.thresholds) != 4:
            raise ColorizeError(f"there are {len(self.thresholds)} thresholds", "give four", code=2)
        for value in self.thresholds:
            within("a threshold", value, 0, 1)
        if list(self.thresholds) != sorted(self.thresholds):
            listed = ", ".join(f"{value:g}" for value in self.thresholds)
            raise ColorizeError(f"the thresholds {listed} must rise", "order them", code=2)

    @property
    def where(self) -> str:
        """The words that say where, or "" for everywhere alike."""
        words = self.control or self.anchor
        return "" if words.lower() == EVERYTHING else words


def parse(text: str, name: str = "") -> Prompt:
    """Read an edit in any of four forms.

    `hair: blonde` is the target "blonde hair" with anchor and control "hair". The color goes behind an article or
    owner: `the girl's hair: blonde` is "the girl's blonde hair"; if it names the thing itself, it is the target. `brown
    hair -> blonde hair` is that target with anchor and control "brown hair". `everything: night` is the target "night"
    everywhere, without an anchor. All of these may end in a scale, `@ 12`. `target=blonde hair; anchor=brown hair;
    control=hair; scale=8; enhance=yes; thresholds=0.5,0.55,0.65,0.95` is the full form; only the target must be given.
    `[target] blonde hair; [anchor] none; [scale] 8.0; [enhanced] False; [ts0] 0.5` is a line of ColorizeDiffusion's
    list.

    name: what messages call it. Raises ColorizeError (wrong usage), which names it.
    """
    name = name or f"the edit `{shortened(text)}`"
    if text.lstrip().startswith("["):
        return made(name, _pairs(name, text, _BRACKET, _BRACKETS))
    if _FULL.match(text):
        return made(name, _pairs(name, text, _EQUAL, KEYS))
    return made(name, _short(name, " ".join(text.split())))


def read(path: Path) -> tuple[Prompt, ...]:
    """Return the edits of a file in their order, at least one; of `edits.toml#2` only those of group 2.

    TOML has a table [[edit]] and JSON has an object in a list for every edit, with the keys of `Prompt`, and `group`, 1
    if it is not given. Any other file has an edit in a line, see `parse`, groups between empty lines, and may have
    lines that begin with #. Raises ColorizeError, which names the file and the number of the edit, or the line.
    """
    from colorize.images import files  # which waits for torch

    path, wanted = numbered(path)
    name, kind = files.shown(str(path)), path.suffix.lower()
    text = _text(path, name)
    found = [*(_tables(name, kind, text) if kind in FORMS else _lines(name, text))]
    if not found:
        raise ColorizeError(f"`{name}` holds no edit", FORMS.get(kind, EXAMPLE), code=2)
    groups = dict.fromkeys(group for group, _ in found)
    if wanted is not None and wanted not in groups:
        hint = f"there {'are' if len(groups) > 1 else 'is'} {', '.join(map(str, sorted(groups)))}"
        raise ColorizeError(f"`{name}` has no group {wanted} of edits", hint, code=2)
    return tuple(edit for group, edit in found if wanted in (None, group))


def _tables(name: str, kind: str, text: str) -> Iterator[tuple[int, Prompt]]:
    """The edits of TOML or JSON, each behind its group."""
    for number, values in enumerate(_listed(name, kind, text), 1):
        place = f"edit {number} of `{name}`"
        if not isinstance(values, dict):
            raise ColorizeError(f"{place} is `{shortened(values)}`", FORMS[kind], code=2)
        if type(group := values.get("group", 1)) is not int or group < 1:
            raise _wrong(place, f"its group is `{shortened(group)}`", "give a whole number from 1 on")
        yield group, made(place, {key: value for key, value in values.items() if key != "group"})


def _lines(name: str, text: str) -> Iterator[tuple[int, Prompt]]:
    """The edits of lines, each behind its group."""
    group, begun = 1, False
    for number, line in enumerate(map(str.strip, text.splitlines()), 1):
        if line and not line.startswith("#"):
            yield group, parse(line, f"line {number} of `{name}`")
            begun = True
        elif not line and begun:
            group, begun = group + 1, False


def numbered(path: Path) -> tuple[Path, int | None]:
    """Return the file and the group that `edits.toml#2` names; a file of just that name has none."""
    file, sign, number = path.name.rpartition("#")
    if not (sign and file and number.isdecimal() and number.isascii()) or path.exists():
        return path, None
    return path.with_name(file), int(number)


def made(name: str, given: Mapping[str, object]) -> Prompt:
    """Return the prompt of values by key, of the types that JSON and TOML know; None is not given.

    name: what messages call it. Raises ColorizeError (wrong usage) for unknown keys and wrong types, too.
    """
    for key in given:
        if key not in KEYS:
            raise _wrong(name, f"unknown key `{shortened(key)}`", nearest(key, KEYS))
    given = {key: value for key, value in given.items() if value is not None}
    texts = {key: given.get(key, "") for key in TEXTS}
    for key, words in texts.items():
        if not isinstance(words, str):
            raise _wrong(name, f"the {key} is `{shortened(words)}`", "write words in quotes")
    enhance, several = given.get("enhance", False), given.get("thresholds", THRESHOLDS)
    if not isinstance(enhance, bool):
        raise _wrong(name, f"enhance is `{shortened(enhance)}`", "choose yes or no, in TOML and JSON true or false")
    if not isinstance(several, list | tuple) or len(several) != 4:
        hint = "write four rising numbers, such as 0.5,0.55,0.65,0.95"
        raise _wrong(name, f"the thresholds are `{shortened(several)}`", hint)
    first, second, third, last = (_number(name, "a threshold", value) for value in several)
    scale, words = _number(name, "the scale", given.get("scale", 8.0)), {key: str(text) for key, text in texts.items()}
    try:
        return Prompt(**words, scale=scale, enhance=enhance, thresholds=(first, second, third, last))
    except ColorizeError as error:
        raise _wrong(name, error.message, error.hint) from None


def shortened(value: object) -> str:
    """Return a value fit for a message: its beginning, control signs as `?`."""
    try:
        text = "".join(sign if sign.isprintable() else "?" for sign in str(value).strip())
    except (ValueError, RecursionError):  # an integer of thousands of digits, a list in a list ...
        return "beyond words"
    return text if len(text) <= 60 else text[:57] + "..."


def _words(key: str, text: str) -> str:
    """A text with single spaces, "" for `none`; without `;` and control signs, so that `parse` can read it."""
    words = " ".join(text.split())
    if ";" in words or any(unicodedata.category(sign) in ("Cc", "Cs") for sign in words):
        raise ColorizeError(
            f"the {key} is `{shortened(words)}`", "write words without `;` and special characters", code=2
        )
    return "" if words.lower() == NONE else words


def _pairs(name: str, text: str, form: re.Pattern[str], keys: Iterable[str]) -> dict[str, object]:
    """The values between semicolons, by key; a text that stands for no value stays a text."""
    found: dict[str, object] = {}
    for part in filter(None, map(str.strip, text.split(";"))):
        pair = form.fullmatch(part)
        if not pair:
            raise _wrong(name, f"`{shortened(part)}` has no key", f"texts cannot contain `;`; {EXAMPLE}")
        key = pair[1].strip().lower()
        if key not in keys:
            raise _wrong(name, f"unknown key `{shortened(key)}`", nearest(key, keys))
        if key in found:
            raise _wrong(name, f"`{key}` is given twice", "keep one")
        value = pair[2].strip()
        found[key] = _VALUES[key](value) if key in _VALUES else value
    if "enhanced" in found:
        found["enhance"] = found.pop("enhanced")
    if any(level in found for level in _LEVELS):
        found["thresholds"] = [found.pop(level, usual) for level, usual in zip(_LEVELS, THRESHOLDS, strict=True)]
    return found


def _short(name: str, text: str) -> dict[str, object]:
    """The values of `hair: blonde`, `brown hair -> blonde hair` and `everything: night`."""
    words, at, scale = text.rpartition("@")
    words = words if at else scale
    arrow = "->" if "->" in words else ":"
    thing, _, color = (part.strip() for part in words.partition(arrow))
    if not thing or not color:
        raise _wrong(name, "it does not say what to change into what", EXAMPLE)
    anchor = "" if thing.lower() == EVERYTHING else thing
    if arrow == ":" and anchor:
        bare = thing.removeprefix(owner := _OWNER.match(thing)[0])  # type: ignore[index]
        if not f" {color}".lower().endswith(f" {bare}".lower()):
            color = f"{owner}{color} {bare}"
    return {"target": color, "anchor": anchor, "control": thing, **({"scale": _float(scale)} if at else {})}


def _number(name: str, what: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(name, f"{what} is `{shortened(value)}`", "give a number")
    with suppress(OverflowError):
        return float(value)
    return float("inf")


def _float(text: str) -> object:
    """A number, or the text itself if it is none."""
    with suppress(ValueError):
        return float(text)
    return text.strip()


_VALUES: dict[str, Callable[[str], object]] = {
    "scale": _float,
    **dict.fromkeys(("enhance", "enhanced"), lambda text: _TRUTH.get(text.lower(), text)),
    "thresholds": lambda text: [_float(part) for part in text.split(",")],
    **dict.fromkeys(_LEVELS, _float),
}


def _wrong(name: str, what: str, hint: str) -> ColorizeError:
    return ColorizeError(f"{name}: {what}", hint, code=2)


def _text(path: Path, name: str) -> str:
    """The text of a file, without a byte order mark."""
    try:
        with path.open("rb") as file:
            data = file.read(MOST + 1)
        if len(data) > MOST:
            raise ColorizeError(f"`{name}` is larger than 1 MiB", "choose a text file of edits")
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        message = f"`{name}` is not UTF-8 text, from byte {error.start} on"
        raise ColorizeError(message, "save it as UTF-8", code=2) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise ColorizeError(f"`{name}` cannot be read: {reason}", "check the path") from None


def _listed(name: str, kind: str, text: str) -> list[object]:
    """The values of every edit in JSON or TOML, not checked yet."""
    try:
        given = json.loads(text) if kind == ".json" else tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        reason = f"`{name}` is not valid {kind[1:].upper()}: {error}"
        raise ColorizeError(reason, FORMS[kind], code=2) from None
    if kind == ".toml":
        for key in given:
            if key != TABLE:
                hint = FORMS[kind] if key in KEYS else nearest(key, [TABLE])
                raise ColorizeError(f"`{name}` has `{shortened(key)}` outside of edits", hint, code=2)
        given = given.get(TABLE, [])
    if not isinstance(given, list):
        raise ColorizeError(f"`{name}` has no list of edits", FORMS[kind], code=2)
    return given
