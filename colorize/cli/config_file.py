"""Read the defaults of options from `colorize.toml`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args, get_origin

from colorize.cli import messages
from colorize.errors import ColorizeError, nearest

FILE = "colorize.toml"  # in the folder where the program is started
KINDS = {  # an option's type -> the types that TOML must give, and their names in messages
    bool: ((bool,), "true or false"),
    int: ((int,), "a whole number"),
    float: ((float, int), "a number"),
}
TEXT = ((str,), "text in quotes")  # of all other options


def read(path: Path, commands: Mapping[str, Any], context: Any) -> dict[str, dict[str, Any]]:
    """Read defaults from a file of tables [sample], [train] ...; keys are the options' long names.

    commands: Typer's commands by name. context: Typer's, of the program. Returns, per command,
    values by parameter name. Raises ColorizeError (wrong usage), which names the file and the key,
    for broken TOML, for an unknown table or key, and for a value the option cannot have.
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
            raise ColorizeError(f"`{path}` has an unknown table `{name}`", hint, code=2)
        known = {}
        for option in commands[name].params:
            keys = (text.lstrip("-").lower() for text in option.opts if text.startswith("--") or "-" not in text[:1])
            known.update(dict.fromkeys(keys, option))
        result[name] = {}
        for key, value in table.items():
            where, dashed = f"`{key}` in [{name}] of `{path}`", key.replace("_", "-")
            if not (option := known.get(dashed) or known.get(key)):
                raise ColorizeError(f"{where} is not an option", nearest(dashed, known), code=2)
            result[name][option.name] = _value(option, value, where, context)
    return result


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
    value = values if several else value
    try:
        option.process_value(context, value)
    except Exception as error:
        known = messages.explain(error)
        what = known.message.partition("': ")[2] or known.message  # without "for '--steps': "
        hint = known.hint if isinstance(error, ColorizeError) else "choose another value"
        raise ColorizeError(f"{where}: {what}", hint, code=2) from error
    return value
