"""Read the defaults of options from `colorize.toml`. Knows nothing of what the options do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args, get_origin

from colorize.cli import messages
from colorize.errors import ColorizeError, nearest

FILE = "colorize.toml"  # in the folder where the program is started
KINDS = {  # an option's type -> the types that TOML must give, and what people call them
    bool: ((bool,), "true or false"),
    int: ((int,), "a whole number"),
    float: ((float, int), "a number"),
}
TEXT = ((str,), "text in quotes")  # of all other options


def settings(path: Path, commands: Mapping[str, Any], context: Any) -> dict[str, dict[str, Any]]:
    """Read defaults from a file of tables [sample], [train] ...; keys are the options' long names.

    commands: Typer's commands by name. context: Typer's, of the program. Returns, per command,
    values by parameter name. Raises ColorizeError (wrong usage), which names the file and the key,
    for broken TOML, for a table or key nobody knows, and for a value the option cannot have.
    """
    import tomllib

    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ColorizeError(f"`{path}` cannot be read: {error}", "mend or remove it", 2) from None
    result: dict[str, dict[str, Any]] = {}
    for name, table in tables.items():
        if name not in commands or not isinstance(table, dict):
            hint = nearest(name, commands) if name not in commands else f"write it as [{name}]"
            raise ColorizeError(f"`{path}` has a `{name}` that is no table of it", hint, code=2)
        options = {key: option for option in commands[name].params for key in _keys(option)}
        result[name] = {}
        for key, value in table.items():
            where = f"`{key}` in [{name}] of `{path}`"
            option = _option(key, options, where)
            result[name][option.name] = _value(option, value, where, context)
    return result


def _keys(option: Any) -> list[str]:
    """The names of an option in a file: `save-every` for --save-every."""
    return [o.lstrip("-").lower() for o in option.opts if o.startswith("--") or "-" not in o[:1]]


def _option(key: str, options: Mapping[str, Any], where: str) -> Any:
    name = key.replace("_", "-")
    option = options.get(name) or options.get(key)
    if option is None:
        raise ColorizeError(f"{where} is not an option", nearest(name, options), code=2)
    return option


def _value(option: Any, value: Any, where: str, context: Any) -> Any:
    """Check one value as strictly as the file can tell its type, and as the command line would."""
    several = getattr(option, "multiple", False) or option.nargs == -1
    values = value if several and isinstance(value, list) else [value]
    types, kind = _kind(option)
    for each in values:
        if type(each) not in types:
            told = json.dumps(each, default=str, ensure_ascii=False)
            raise ColorizeError(f"{where} is {told}", f"write it as {kind}", code=2)
    value = values if several else value
    try:
        option.process_value(context, value)
    except Exception as error:
        known = messages.explain(error)
        what = known.message.partition("': ")[2] or known.message  # without "for '--steps': "
        hint = known.hint if isinstance(error, ColorizeError) else "choose another value"
        raise ColorizeError(f"{where}: {what}", hint, code=2) from error
    return value


def _kind(option: Any) -> tuple[tuple[type, ...], str]:
    """What TOML must give for an option, which is text where Typer does not tell."""
    wanted = getattr(getattr(option, "type_descriptor", None), "annotation", str)
    if get_origin(wanted) is list:
        wanted = get_args(wanted)[0]
    return KINDS.get(wanted, TEXT)
