"""The program `colorize`: its commands, and the output of their errors."""

from __future__ import annotations

import inspect
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn, get_args, get_origin

import typer
from typer.core import TyperGroup

from colorize import __version__, interrupts
from colorize.cli import messages
from colorize.cli.evaluate import evaluate
from colorize.cli.prepare import prepare
from colorize.cli.regions import regions
from colorize.cli.sample import sample
from colorize.cli.train import finetune, train
from colorize.errors import ColorizeError, nearest

FILE = "colorize.toml"  # in the folder where the program is started
KINDS = {  # an option's type -> the types that TOML must give, and their names in messages
    bool: ((bool,), "true or false"),
    int: ((int,), "a whole number"),
    float: ((float, int), "a number"),
}
TEXT = ((str,), "text in quotes")  # of all other options


def read_config(path: Path, commands: Mapping[str, Any], context: Any) -> dict[str, dict[str, Any]]:
    """Read defaults from a file of tables [sample], [train] ...; keys are the options' long names.

    commands: Typer's commands by name. context: Typer's, of the program. Returns, per command,
    values by parameter name. Raises ColorizeError (wrong usage), which names the file and the key,
    for broken TOML, for an unknown table or key, and for a value the option cannot have.
    """
    import tomllib

    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ColorizeError(f"`{path}` cannot be read: {error}", "fix or remove it", 2) from None
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


def _ending(examples: list[str]) -> str:
    return "\n".join(["\b", "Examples:", *examples])  # \b: lines stay lines


class Commands(TyperGroup):
    """The commands; every error becomes a sentence and an exit code."""

    def main(  # type: ignore[override]
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run one command; without any, print the help."""
        given = list(sys.argv[1:] if args is None else args) or ["--help"]
        try:
            code = super().main(given, prog_name or "colorize", standalone_mode=False, **extra)
            if code == messages.INTERRUPTED:  # Typer swallows Ctrl-C without a word
                messages.print_error(KeyboardInterrupt())
        except Exception as error:
            code = messages.print_error(error)
        if standalone_mode:
            sys.exit(code if isinstance(code, int) else 0)
        return code

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        """Run the command with the defaults of `colorize.toml`, if there is one."""
        path = Path(FILE)
        if path.is_file():
            ctx.default_map = dict(read_config(path, self.commands, ctx))
        return super().invoke(ctx)


app = typer.Typer(
    cls=Commands,
    epilog=_ending(["  colorize sample sketch.png --ref ref.png", "  colorize train mini pictures/ --budget 9m"]),
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help is there in half the time, and keeps [brackets]
    context_settings={"help_option_names": ["--help", "-h"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"colorize {__version__}")
        raise typer.Exit


@app.callback()
def colorize(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version")
    ] = False,
) -> None:
    """Put color into line art, manga pages and gray pictures.

    Options may also be set in the environment (see each command) or in `colorize.toml`.
    """


COMMANDS: dict[str, Callable[..., None]] = {
    "sample": sample,
    "regions": regions,
    "prepare-data": prepare,
    "train": train,
    "finetune": finetune,
    "eval": evaluate,
}
for _name, _command in COMMANDS.items():
    _text, _, _examples = (inspect.getdoc(_command) or "").partition("Examples:")
    _lines = [f"  {line.strip()}" for line in _examples.splitlines() if line.strip()]
    app.command(_name, help=_text.strip(), epilog=_ending(_lines))(_command)  # examples go to the end of the help


def main() -> NoReturn:
    """Run the program and leave it, 0.2 s sooner than Python would clean up after torch."""
    # OpenMP's threads otherwise spin while they wait, which slows down the machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    interrupts.watch()
    code = 1
    try:
        try:
            app()
        finally:
            interrupts.end()
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except KeyboardInterrupt as interrupt:  # while an error was printed
        code = messages.print_error(interrupt)
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:  # as after `>&-`
                stream.flush()
        except BrokenPipeError:
            pass
        except OSError as error:
            code = messages.print_error(error)
    if sys.gettrace() or sys.getprofile():  # coverage and profilers write when Python ends
        sys.exit(code)
    interrupts.leave(code)
