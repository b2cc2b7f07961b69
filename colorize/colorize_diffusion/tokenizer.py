"""Edits of colors in words, as users write them. Knows nothing of vectors; `edits.encode` makes them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from colorize.errors import ColorizeError, nearest, within

Thresholds = tuple[float, float, float, float]

THRESHOLDS: Thresholds = (0.5, 0.55, 0.65, 0.95)
SCALES = (0, 15)
EVERYTHING = "everything"  # the control of an edit that moves all places alike
NONE = "none"  # ColorizeDiffusion's word for a text that is not given
TEXTS = ("target", "anchor", "control")
KEYS = (*TEXTS, "scale", "enhance", "thresholds")
EXAMPLE = 'write "hair: blonde", "brown hair -> blonde hair" or "target=blonde hair; control=hair"'

_LEVELS = ("ts0", "ts1", "ts2", "ts3")  # the thresholds in ColorizeDiffusion's list
_BRACKETS = (*TEXTS, "scale", "enhanced", *_LEVELS)
_BRACKET = re.compile(r"\[([^\]]*)\](.*)", re.S)
_EQUAL = re.compile(r"([^=]*)=(.*)", re.S)
_FULL = re.compile(r"\s*[a-z]+\s*=", re.I)
_OWNER = re.compile(r"(.*(?:['\u2019]s|s['\u2019]) |(?:the|a|an|my|your|his|her|its|our|their) )?", re.I)
_TRUTH = {"yes": True, "true": True, "on": True, "no": False, "false": False, "off": False}


@dataclass(frozen=True)
class Prompt:
    """One change of colors, in words.

    target: what there is to be. anchor: what it is now, or "". control: the words that say where, or "",
    which is the anchor's place, or without an anchor everywhere; also "everything". scale: how strongly the target
    is to show, 0 to 15. enhance: take away what the anchor says, too. thresholds: four rising shares of
    the likeness, see `edits.Edit`. In the texts, spaces count once, and "none" is no text.

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
        within("the scale", self.scale, *SCALES)
        if len(self.thresholds) != 4:
            count = len(self.thresholds)
            raise ColorizeError(f"there are {count} thresholds", "give four", code=2)
        for value in self.thresholds:
            within("a threshold", value, 0, 1)
        if list(self.thresholds) != sorted(self.thresholds):
            told = ", ".join(map(_told, self.thresholds))
            raise ColorizeError(f"the thresholds {told} do not rise", "order them", code=2)

    @property
    def where(self) -> str:
        """The words that say where, or "" for everywhere alike."""
        words = self.control or self.anchor
        return "" if words.lower() == EVERYTHING else words

    @property
    def text(self) -> str:
        """The full form, which `parse` takes."""
        texts = [(key, getattr(self, key)) for key in TEXTS]
        parts = [f"{key}={words}" for key, words in texts if words]
        parts += [f"scale={_told(self.scale)}", f"enhance={'yes' if self.enhance else 'no'}"]
        return "; ".join([*parts, "thresholds=" + ",".join(map(_told, self.thresholds))])


def parse(text: str, name: str = "") -> Prompt:
    """Read an edit in any of four forms.

    `hair: blonde` is the target "blonde hair" with anchor and control "hair". The color goes behind an
    article or owner: `the girl's hair: blonde` is "the girl's blonde hair"; if it names the thing itself, it is the
    target. `brown hair -> blonde hair` is that target with anchor and control "brown hair".
    `everything: night` is the target "night" everywhere, without an anchor. All of these may end in a scale, `@ 12`.
    `target=blonde hair; anchor=brown hair; control=hair; scale=8; enhance=yes; thresholds=0.5,0.55,0.65,0.95`
    is the full form; only the target must be given. `[target] blonde hair; [anchor] none; [scale] 8.0;
    [enhanced] False; [ts0] 0.5` is a line of ColorizeDiffusion's list.

    name: what messages call it. Raises ColorizeError (wrong usage), which names it.
    """
    name = name or f"the edit `{shortened(text)}`"
    if text.lstrip().startswith("["):
        return made(name, _plain(_pairs(name, text, _BRACKET, _BRACKETS)))
    if _FULL.match(text):
        return made(name, _plain(_pairs(name, text, _EQUAL, KEYS)))
    return made(name, _short(name, " ".join(text.split())))


def made(name: str, given: Mapping[str, object]) -> Prompt:
    """Return the prompt of values by key, of the types that JSON and TOML know; None is not given.

    name: what messages call it. Raises ColorizeError (wrong usage) for unknown keys and wrong types, too.
    """
    for key in given:
        if key not in KEYS:
            raise _wrong(name, f"there is no key `{shortened(key)}`", nearest(key, KEYS))
    given = {key: value for key, value in given.items() if value is not None}
    texts = {key: given.get(key, "") for key in TEXTS}
    for key, words in texts.items():
        if not isinstance(words, str):
            raise _wrong(name, f"the {key} is `{shortened(words)}`", "give words in quotes")
    enhance, several = given.get("enhance", False), given.get("thresholds", THRESHOLDS)
    if not isinstance(enhance, bool):
        raise _wrong(name, f"enhance is `{shortened(enhance)}`", "give yes or no, in TOML and JSON true or false")
    if not isinstance(several, list | tuple) or len(several) != 4:
        hint = "give four rising numbers, such as 0.5,0.55,0.65,0.95"
        raise _wrong(name, f"the thresholds are `{shortened(several)}`", hint)
    first, second, third, last = (_number(name, "a threshold", value) for value in several)
    scale = _number(name, "the scale", given.get("scale", 8.0))
    try:
        words = {key: str(value) for key, value in texts.items()}
        return Prompt(**words, scale=scale, enhance=enhance, thresholds=(first, second, third, last))
    except ColorizeError as error:
        raise _wrong(name, error.message, error.hint) from None


def shortened(value: object) -> str:
    """Return a value fit for a message: its beginning, control signs as `?`."""
    try:
        told = "".join(sign if sign.isprintable() else "?" for sign in str(value).strip())
    except (ValueError, RecursionError):  # an integer of thousands of digits, a list in a list ...
        return "beyond words"
    return told if len(told) <= 60 else told[:57] + "..."


def _words(key: str, text: str) -> str:
    """A text with single spaces, "" for `none`; refused if it could not be written down and read again."""
    words = " ".join(text.split())
    if ";" in words or any(unicodedata.category(sign) in ("Cc", "Cs") for sign in words):
        raise ColorizeError(f"the {key} is `{shortened(words)}`", "write words without `;` and odd signs", code=2)
    return "" if words.lower() == NONE else words


def _pairs(name: str, text: str, form: re.Pattern[str], keys: Iterable[str]) -> dict[str, str]:
    """What stands between semicolons, by its key."""
    found: dict[str, str] = {}
    for part in filter(None, map(str.strip, text.split(";"))):
        pair = form.fullmatch(part)
        if not pair:
            hint = "texts cannot hold a `;`; " + EXAMPLE
            raise _wrong(name, f"`{shortened(part)}` has no key", hint)
        key = pair[1].strip().lower()
        if key not in keys:
            raise _wrong(name, f"there is no key `{shortened(key)}`", nearest(key, keys))
        if key in found:
            raise _wrong(name, f"`{key}` is given twice", "keep one")
        found[key] = pair[2].strip()
    return found


def _plain(given: Mapping[str, str]) -> dict[str, object]:
    """Texts by key as the values they stand for; what stands for none stays a text."""
    values: dict[str, object] = {key: given[key] for key in TEXTS if key in given}
    if "scale" in given:
        values["scale"] = _float(given["scale"])
    for key in {"enhance", "enhanced"} & given.keys():
        values["enhance"] = _TRUTH.get(given[key].lower(), given[key])
    if "thresholds" in given:
        values["thresholds"] = [_float(part) for part in given["thresholds"].split(",")]
    if any(level in given for level in _LEVELS):
        usual = map(str, THRESHOLDS)
        pairs = zip(_LEVELS, usual, strict=True)
        values["thresholds"] = [_float(given.get(level, value)) for level, value in pairs]
    return values


def _short(name: str, text: str) -> dict[str, object]:
    """The values of `hair: blonde`, `brown hair -> blonde hair` and `everything: night`."""
    words, at, scale = text.rpartition("@")
    thing, arrow, color = (words if at else scale).partition("->")
    if not arrow:
        thing, arrow, color = (words if at else scale).partition(":")
    thing, color = thing.strip(), color.strip()
    if not thing or not color:
        raise _wrong(name, "it does not say what is to become what", EXAMPLE)
    anchored = {"anchor": "" if thing.lower() == EVERYTHING else thing, "control": thing}
    target = _colored(thing, color) if arrow == ":" and anchored["anchor"] else color
    return {"target": target, **anchored, **({"scale": _float(scale)} if at else {})}


def _colored(thing: str, color: str) -> str:
    """A thing in a color: `the girl's hair` and `blonde` are `the girl's blonde hair`."""
    owner = _OWNER.match(thing)
    begin = owner.end() if owner else 0
    bare = thing[begin:]
    if f" {color}".lower().endswith(f" {bare}".lower()):
        return color
    return f"{thing[:begin]}{color} {bare}"


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


def _told(value: float) -> str:
    """A number in as few signs as give it again."""
    return f"{value:g}" if float(f"{value:g}") == value else repr(float(value))


def _wrong(name: str, what: str, hint: str) -> ColorizeError:
    return ColorizeError(f"{name}: {what}", hint, code=2)
