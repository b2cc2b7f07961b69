"""The options of `sample` for the page and its interface: described for forms, and read from JSON."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from colorize.coloring.options import SampleOptions, weights
from colorize.diffusion import names
from colorize.errors import ColorizeError, nearest
from colorize.images.color_names import parse_color

PICTURES = ("reference", "hints", "background", "mask", "only", "ref_mask")  # are uploaded
SERVER = ("device", "precision", "batch", "offline", "encoder", "predicts")  # are the server's own
FILES = (  # name files on the disk, or concern the terminal
    *("hint", "edits", "visualize", "out", "grid", "film", "layers", "save_regions", "regions"),
    *("overwrite", "watch", "dry_run", "as_json", "quiet"),
)
SUGGESTED = {"sampler": names.SAMPLERS, "spacing": names.SPACINGS}
WORDS = re.compile(r"; repeatable| *\[default: [^\]]*\]|(?<=picture), folder|, or folder of them")  # of a command line
MOST = 16  # variations in one request
USAGE = 2

Values = dict[str, Any]


def offered() -> list[Field[Any]]:
    """Return the options that a request may set."""
    apart = (*PICTURES, *SERVER, *FILES)
    return [one for one in fields(SampleOptions) if one.metadata and one.name not in apart]


def flag(name: str) -> str:
    """Return the long name of an option on the command line."""
    flags = SampleOptions.__dataclass_fields__[name].metadata["flags"]
    return next((one for one in flags if one.startswith("--")), f"--{name.replace('_', '-')}")


def default(one: Field[Any]) -> Any:
    """Return the default of an option as JSON has it."""
    value = one.default if one.default_factory is MISSING else one.default_factory()
    return list(value) if isinstance(value, tuple) else value


def describe(panels: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    """Return the options for a form: name, panel, kind, help, default, choices and bounds.

    panels: names by title, in the order in which they are shown.
    """
    known = {one.name: one for one in offered()}
    described = []
    for panel, members in panels.items():
        for name in members:
            if name not in known:
                continue
            one = known[name]
            choices = list(get_args(one.type)) if get_origin(one.type) is Literal else SUGGESTED.get(name, ())
            more = {"choices": list(choices), "min": one.metadata["typer"].get("min")}
            kind, unset = _kind(one), default(one)
            text = WORDS.sub("", one.metadata["typer"]["help"])
            text = text.replace(f": {', '.join(choices)}", "") if choices else text
            described.append(
                {"name": name, "panel": panel, "flag": flag(name), "kind": kind, "default": unset}
                | {"help": text, "optional": "None" in str(one.type)}
                | {key: value for key, value in more.items() if value not in (None, [])}
            )
    return described


def _kind(one: Field[Any]) -> str:
    """What an option holds: choice, switch, whole, number, weights, edits, list, or text."""
    if get_origin(one.type) is Literal or one.name in SUGGESTED:
        return "choice"
    special = {"text": "edits", "model": "model", "lora": "adapters", "palette": "colors"}
    plain = {"bool": "switch", "int": "whole", "float": "number", "str": "text"}
    written = one.type if isinstance(one.type, str) else getattr(one.type, "__name__", str(one.type))
    if written.startswith("Mapping"):
        return "weights"
    if one.name not in special and written.startswith("Sequence"):
        return "list"
    return special.get(one.name) or plain.get(str(one.type).replace(" | None", ""), "") or plain.get(written, "text")


def read(given: object, models: Collection[str] = ("mini",), adapters: Collection[str] = ()) -> Values:
    """Return the values of a request, of which none names a file but `model` and `lora`, both of which must be known.

    Raises ColorizeError (wrong usage) for unknown options, values of another type, and unknown models.
    """
    if not isinstance(given, Mapping):
        raise ColorizeError("the options are not a JSON object", 'write them as {"seed": 2}', USAGE)
    known = {one.name: one for one in offered()}
    found: Values = {}
    for name, value in given.items():
        if name not in known:
            raise ColorizeError(f"`{str(name)[:60]}` is not an option", nearest(str(name)[:60], known), USAGE)
        if value is not None and value != default(known[name]):
            found[name] = _read(name, value, _kind(known[name]))
    _check(found, models, adapters)
    return found


def _check(values: Values, models: Collection[str], adapters: Collection[str]) -> None:
    if values.get("variations", 1) > MOST:
        raise ColorizeError(f"variations is {values['variations']}", f"choose at most {MOST}", USAGE)
    wanted = [(values["model"], models)] if "model" in values else []
    for one, listed in [*wanted, *((path, adapters) for path, _ in values.get("lora", ()))]:
        if one not in listed:
            message = f"`{one[:100]}` is not a model that this server has"
            raise ColorizeError(message, "fetch it first, or start the server with it", USAGE)


def _read(name: str, value: Any, kind: str) -> Any:
    wanted: dict[str, tuple[type, ...]] = {
        **{"switch": (bool,), "whole": (int,), "number": (int, float), "weights": (Mapping,)},
        **dict.fromkeys(("edits", "list", "adapters"), (list,)),
    }
    right = wanted.get(kind, (str,))
    if name == "palette" and isinstance(value, list):
        value = ",".join(map(str, value))
    if not isinstance(value, right) or (isinstance(value, bool) and bool not in right):
        words = {bool: "true or false", int: "a whole number", float: "a number", Mapping: "an object", list: "a list"}
        raise ColorizeError(f"`{name}` is `{str(value)[:60]}`", f"it takes {words.get(right[-1], 'a text')}", USAGE)
    given: Any = value  # of the right type
    if kind == "weights":
        return weights(flag(name), [f"{key}={number}" for key, number in given.items()])
    if kind == "adapters":
        return tuple(_adapter(one) for one in given)
    if name == "palette":
        for one in given.replace(",", " ").split():  # colors, and not the path of a picture
            parse_color(one, "a color of the palette")
    return tuple(map(str, value)) if isinstance(value, list) else value


def _adapter(value: object) -> tuple[str, float]:
    if isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], int | float):
        return value[0], float(value[1])
    raise ColorizeError(f"`lora` holds `{str(value)[:60]}`", 'write it as [["runs/series", 1]]', USAGE)


def sample_options(values: Mapping[str, Any], server: Mapping[str, Any]) -> SampleOptions:
    """Return the options that a request and its server mean; the palette is left out, see `Studio`."""
    return SampleOptions(**{**server, **{key: value for key, value in values.items() if key != "palette"}})


def command(
    drawing: str, values: Mapping[str, Any], files: Iterable[tuple[str, str]], server: Mapping[str, Any], more: str = ""
) -> str:
    """Return the command line that makes the same picture.

    files: names of options and of the files that they name. server: what the server was started with. more: further
    words of the command.
    """
    words = ["colorize", "sample", f"./{drawing}" if drawing.startswith("-") else drawing]
    for name, file in files:
        words += [flag(name), file]
    for name, value in {**server, **values}.items():
        one = SampleOptions.__dataclass_fields__[name]
        if value == default(one) or value is None:
            continue
        for text in _texts(value):
            words += [flag(name)] if text is True else [flag(name), str(text)]
    return shlex.join(words) + more


def _texts(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        return [f"{name}={number:g}" for name, number in value.items()]
    if isinstance(value, list | tuple):
        return [f"{one[0]}={one[1]:g}" if isinstance(one, tuple) else one for one in value]
    return [str(value) if isinstance(value, Path) else value]


def picture_options() -> dict[str, str]:
    """Return the options whose pictures are uploaded, and their help."""
    known = SampleOptions.__dataclass_fields__
    return {name: WORDS.sub("", known[name].metadata["typer"]["help"]) for name in PICTURES}
