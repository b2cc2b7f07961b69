"""The program `colorize`: its commands, and what becomes of their errors. Knows nothing of what commands do."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from colorize import __version__, interrupts
from colorize.cli import config_file, messages
from colorize.cli.evaluate import evaluate
from colorize.cli.prepare import prepare
from colorize.cli.sample import sample
from colorize.cli.train import finetune, train

NAME = "colorize"


def _ending(examples: list[str]) -> str:
    return "\n".join(["\b", "Examples:", *examples])  # \b: lines stay lines


class Commands(TyperGroup):
    """The commands, with one way out: every error becomes a sentence and an exit code."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run one command; without any, print the help."""
        given = list(sys.argv[1:] if args is None else args) or ["--help"]
        try:
            code = super().main(given, prog_name or NAME, complete_var, False, windows_expand_args, **extra)
            if code == messages.INTERRUPTED:  # Typer swallows Ctrl-C without a word
                messages.tell(KeyboardInterrupt())
        except Exception as error:
            code = messages.tell(error)
        if standalone_mode:
            sys.exit(code if isinstance(code, int) else 0)
        return code

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        """Run the command with the defaults of `colorize.toml`, if there is one."""
        path = Path(config_file.FILE)
        if path.is_file():
            ctx.default_map = dict(config_file.settings(path, self.commands, ctx))
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

    Options may also stand in the environment (see each command) or in `colorize.toml`.
    """


def _add(name: str, command: Callable[..., None]) -> None:
    """Add a command; the examples of its docstring stand at the end of its help."""
    text, _, examples = (inspect.getdoc(command) or "").partition("Examples:")
    lines = [f"  {line.strip()}" for line in examples.splitlines() if line.strip()]
    app.command(name, help=text.strip(), epilog=_ending(lines))(command)


_add("sample", sample)
_add("prepare-data", prepare)
_add("train", train)
_add("finetune", finetune)
_add("eval", evaluate)


def main() -> NoReturn:
    """Run the program and leave it, 0.2 s sooner than Python would clean up after torch."""
    # OpenMP's threads otherwise spin while they wait, which slows everything else on the machine.
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
    except KeyboardInterrupt as interrupt:  # while an error was being told
        code = messages.tell(interrupt)
    code = _flush() or code
    if sys.gettrace() or sys.getprofile():  # coverage and profilers write when Python ends
        sys.exit(code)
    interrupts.leave(code)


def _flush() -> int:
    """Write out what is still held back; return 1 if that cannot be done."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:  # as after `>&-`
                stream.flush()
        except BrokenPipeError:
            pass
        except OSError as error:
            return messages.tell(error)
    return 0
