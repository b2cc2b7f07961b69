"""Defaults of options from `colorize.toml`: where the file is found, and how it is read."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args, get_origin

import typer

from colorize.cli import messages
from colorize.errors import ColorizeError, nearest

FILE = "colorize.toml"
LARGEST = 1 << 20  # bytes; a file of defaults has a few hundred
KINDS = {  # an option's type -> the types that TOML must give, and their names in messages
    bool: ((bool,), "true or false"),
    int: ((int,), "a whole number"),
    float: ((float, int), "a number"),
}
TEXT = ((str,), "text in quotes")  # of all other options
INPUTS = (  # parameters that name files to read; in a file elsewhere, they may lie beside it
    *("reference", "palette", "hints", "model", "lora", "edits", "background", "mask", "only", "ref_mask", "encoder"),
    *("start", "data"),
)


@dataclass
class Config:
    """Defaults per command and parameter.

    sources: per command, files outside the working folder they come from. error: why there are no defaults.
    """

    defaults: dict[str, dict[str, Any]] = field(default_factory=dict)
    sources: dict[str, list[Path]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    error: ColorizeError | None = None


def read(commands: Mapping[str, Any], context: Any) -> Config:
    """Read the user's own file, and on top of it the nearest one of the working folder and those above it.

    commands: Typer's commands by name. context: Typer's, of the program. Raises ColorizeError as `read_file` does.
    """
    config = Config()
    project = _nearest(config)
    for path in (user_folder() / FILE, *([project] if project else [])):
        if not os.path.lexists(path):
            continue
        for name, values in read_file(path, commands, context).items():
            config.defaults.setdefault(name, {}).update(values)
            if values and path != Path(FILE):
                config.sources.setdefault(name, []).append(path)
    return config


def user_folder() -> Path:
    """Return the folder of the user's own settings: $XDG_CONFIG_HOME/colorize, or what the platform has for it."""
    home = os.environ.get("XDG_CONFIG_HOME")
    return Path(home) / "colorize" if home else Path(typer.get_app_dir("colorize"))


def _nearest(config: Config) -> Path | None:
    """The nearest file; one that a stranger put above the working folder, into /tmp say, is left out with a note."""
    if os.path.lexists(FILE):
        return Path(FILE)
    try:
        here = Path.cwd()
        trusted = {0, here.stat().st_uid, *([os.getuid()] if hasattr(os, "getuid") else [])}
    except OSError:  # the working folder was deleted
        return None
    for folder in here.parents:
        path = folder / FILE
        if not os.path.lexists(path):
            continue
        if path.lstat().st_uid in trusted:
            return path
        config.notes.append(f"`{path}` belongs to another user and is ignored")
    return None


def read_file(path: Path, commands: Mapping[str, Any], context: Any) -> dict[str, dict[str, Any]]:
    """Read defaults from a file of tables [sample], [train] ...; keys are the options' long names.

    Returns, per command, values by parameter name. Raises ColorizeError (wrong usage), which names the file, the key
    and its line, for broken TOML, for an unknown table or key, and for a value the option cannot have.
    """
    text = _text(path)
    result: dict[str, dict[str, Any]] = {}
    for name, table in _tables(path, text).items():
        if name not in commands or not isinstance(table, dict):
            kind = "table" if isinstance(table, dict) else "key"
            hint = nearest(name, commands) if kind == "table" else "write options below a table, such as [sample]"
            where = f"`{path}`{_line(text, name if kind == 'table' else '', name)}"
            raise ColorizeError(f"unknown {kind} `{name}` in {where}", hint, code=2)
        known: dict[str, Any] = {}
        for option in commands[name].params:
            keys = (text.lstrip("-").lower() for text in option.opts if text.startswith("--") or "-" not in text[:1])
            known.update(dict.fromkeys(keys, option))
        result[name] = {}
        for key, value in table.items():
            where, dashed = f"`{key}` in [{name}] of `{path}`", key.replace("_", "-")
            where += _line(text, name, key)
            if not (option := known.get(dashed) or known.get(key)):
                raise ColorizeError(f"unknown option {where}", nearest(dashed, known), code=2)
            checked = _value(option, value, where, context)
            result[name][option.name] = _beside(checked, path.parent) if option.name in INPUTS else checked
    return result


def _text(path: Path) -> str:
    """The text of a file of a sane size."""
    if not path.is_file():
        raise ColorizeError(f"`{path}` is not a file", "move it away, or write a text file in its place", 2)
    try:
        with path.open("rb") as stream:
            content = stream.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise ColorizeError(f"`{path}` is larger than 1 MB", "it should hold only options", 2)
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except OSError as error:
        raise ColorizeError(f"cannot read `{path}`: {error.strerror}", "check its permissions", 2) from None
    except UnicodeDecodeError:
        raise ColorizeError(f"`{path}` is not UTF-8 text", "save it as UTF-8, or remove it", 2) from None


def _tables(path: Path, text: str) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also numbers of thousands of digits, and lists in lists in lists
        why = str(error) if isinstance(error, tomllib.TOMLDecodeError) else "a value is too long or too deep"
        raise ColorizeError(f"cannot read `{path}`: {why}", "fix or remove it", 2) from None


def _line(text: str, table: str, key: str) -> str:
    """Where a key stands, ", line 3", as TOML's reader does not say; empty for what is written in an unusual way."""
    inside = ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[\s*[\"']?([^\]\"']*?)[\"']?\s*\]", line):
            inside = header[1]
            if inside == (key if table == key else f"{table}.{key}"):
                return f", line {number}"
        elif inside == table and (found := re.match(r"\s*[\"']?([\w-]+)[\"']?\s*[.=]", line)) and found[1] == key:
            return f", line {number}"
    return ""


def _value(option: Any, value: Any, where: str, context: Any) -> Any:
    """Check one value as strictly as the file can tell its type, and as the command line would."""
    several = getattr(option, "multiple", False) or option.nargs == -1
    values = value if several and isinstance(value, list) else [value]
    wanted = getattr(getattr(option, "type_descriptor", None), "annotation", str)
    types, kind = KINDS.get(get_args(wanted)[0] if get_origin(wanted) is list else wanted, TEXT)
    for each in values:
        if type(each) not in types:
            written = json.dumps(each, default=str, ensure_ascii=False)
            raise ColorizeError(f"{where} is {written}", f"write it as {kind}", code=2)
    values = [expanded(each) if isinstance(each, str) else each for each in values]
    value = values if several else values[0]
    try:
        option.process_value(context, value)
    except Exception as error:
        known = messages.explain(error)
        what = known.message.partition("': ")[2] or known.message  # without "for '--steps': "
        hint = known.hint if isinstance(error, ColorizeError) else "choose another value"
        raise ColorizeError(f"{where}: {what}", hint, code=2) from error
    return value


def expanded(text: str) -> str:
    """Put the home folder in place of `~/`, where a shell leaves it: in quotes, behind --out=, in a file."""
    found = re.fullmatch(r"(--[a-z-]+=)?(~/.*|~)", text, re.DOTALL)
    return f"{found[1] or ''}{os.path.expanduser(found[2])}" if found else text  # noqa: PTH111 - a trailing / stays


def _beside(value: Any, folder: Path) -> Any:
    """Make names of files complete that lie beside a `colorize.toml` of another folder."""
    if isinstance(value, list):
        return [_beside(each, folder) for each in value]
    named = isinstance(value, str) and ("/" in value or "." in value)  # `mini` is a recipe
    path = folder / re.sub(r"(=.*|#\d+$)", "", value) if named else None
    return f"{folder}/{value}" if path and folder != Path() and os.path.exists(path) else value  # noqa: PTH110 - of any length
