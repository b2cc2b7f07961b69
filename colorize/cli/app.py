"""The program `colorize`: its commands, and the output of their errors."""

from __future__ import annotations

import inspect
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Annotated, Any, NoReturn

import typer

from colorize import __version__, interrupts
from colorize.cli import config, messages, models
from colorize.cli.evaluate import evaluate
from colorize.cli.help import Command, Group, examples
from colorize.cli.prepare import prepare
from colorize.cli.regions import regions
from colorize.cli.sample import sample
from colorize.cli.train import finetune, train
from colorize.cli.web import web
from colorize.errors import ColorizeError


class Commands(Group):
    """The commands; every error becomes a sentence and an exit code."""

    def main(  # type: ignore[override]
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run one command; without any, print the help."""
        given = [config.expanded(text) for text in (sys.argv[1:] if args is None else args)] or ["--help"]
        try:
            code = super().main(given, prog_name or "colorize", standalone_mode=False, **extra)
            if code == messages.INTERRUPTED:  # Typer swallows Ctrl-C without a word
                messages.print_error(KeyboardInterrupt())
        except Exception as error:
            code = messages.print_error(error)
        if standalone_mode:
            sys.exit(code if isinstance(code, int) else 0)
        return code

    def resolve_command(self, ctx: typer.Context, args: list[str]) -> Any:  # type: ignore[override]
        """Find the command; one that is not known gets the name of a near one only."""
        messages.check_command(self, args)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        """Run the command with the defaults of `colorize.toml`, if there is one; its help needs none."""
        try:
            found = config.read(self.commands, ctx)
        except ColorizeError as error:  # which the command raises, unless it only prints its help
            found = config.Config(error=error)
        ctx.meta["config"], ctx.default_map = found, dict(found.defaults)
        try:
            return super().invoke(ctx)
        except typer.Exit:
            raise
        except Exception as error:
            if found.error:
                raise found.error from None
            raise error


app = typer.Typer(
    cls=Commands,
    epilog=examples(["  colorize sample sketch.png --ref ref.png", "  colorize train mini pictures/ --budget 9m"]),
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

    Defaults of options may also come from the environment (see each command) and from `colorize.toml`. Every
    switch has an opposite, such as --no-flat.
    """


COMMANDS: dict[str, Callable[..., None]] = {
    "sample": sample,
    "regions": regions,
    "web": web,
    "prepare-data": prepare,
    "train": train,
    "finetune": finetune,
    "eval": evaluate,
}
for _name, _command in COMMANDS.items():
    _text, _, _examples = (inspect.getdoc(_command) or "").partition("Examples:")
    _lines = [f"  {line.strip()}" for line in _examples.splitlines() if line.strip()]
    app.command(_name, cls=Command, help=_text.strip(), epilog=examples(_lines))(_command)

app.add_typer(models.app, name="models")


def main() -> NoReturn:
    """Run the program and leave it, 0.2 s sooner than Python would clean up after torch."""
    # OpenMP's threads otherwise spin while they wait, which slows down the machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    interrupts.watch()
    if os.environ.get("COLORIZE_DEBUG") != "1" and not sys.warnoptions:
        warnings.simplefilter("ignore")  # of libraries, for programmers
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
