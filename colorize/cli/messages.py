"""What all commands share: how they talk, and how errors read. Knows nothing of coloring."""

from __future__ import annotations

import errno
import math
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, Literal, TextIO

import typer

from colorize import interrupts
from colorize.diffusion import names
from colorize.errors import ColorizeError

if TYPE_CHECKING:
    from rich.progress import Progress

SHOWN = 10  # of a list of things left out, at most
INTERRUPTED = interrupts.CODE
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}  # seconds

Device = Annotated[
    str,
    typer.Option(metavar="DEVICE", envvar="COLORIZE_DEVICE", help="Where to compute: auto, cpu, cuda, cuda:1 or mps"),
]
Precision = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        envvar="COLORIZE_PRECISION",
        help="Arithmetic: auto, fp32, bf16 or fp16; auto takes bf16 where the hardware has it",
    ),
]
Sampler = Annotated[
    str | None,
    typer.Option(metavar="NAME", help=f"Walk by one of: {', '.join(names.SAMPLERS)}  [default: the recipe's]"),
]
HintMode = Annotated[
    Literal["hard", "soft"],
    typer.Option(metavar="MODE", help="Give hinted pixels their very color (hard), or only tell the model (soft)"),
]

Loras = Annotated[
    list[str] | None,
    typer.Option(
        "--lora",
        metavar="FILE[=WEIGHT]",
        help="Put this adapter on the model, or that of a run of `finetune --lora`; WEIGHT is 0"
        " to 2  [default: 1]; repeatable",
    ),
]


def say(text: str) -> None:
    """Tell the user something; data goes to stdout, all talk to stderr."""
    typer.echo(text, err=True)


def fetched(notice: str) -> None:
    """Tell the license of weights that were fetched only now; the notice is empty for all others."""
    if notice and first():
        say(f"note: {notice}")


def piped(stream: TextIO | None, name: str) -> BinaryIO:
    """Return the bytes below a standard stream; raises ColorizeError if the shell closed it, as by `>&-`."""
    if stream is None:
        raise ColorizeError(f"standard {name} is closed", "name a file instead of -")
    return stream.buffer


def counted(number: int, noun: str) -> str:
    """Write a number of things: 1 picture, 2 pictures."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def listed(verb: str, noun: str, sentences: Sequence[str]) -> None:
    """Say what was done with some things, and of which, if there are any."""
    if sentences:
        say(f"{verb} {counted(len(sentences), noun)}:")
    for sentence in sentences[:SHOWN]:
        say(f"  {sentence}")
    if len(sentences) > SHOWN:
        say(f"  and {len(sentences) - SHOWN} more")


def first() -> bool:
    """Tell whether this process may talk: of those torchrun starts only one does."""
    return os.environ.get("RANK", "0") == "0"


def on_terminal() -> bool:
    """Tell whether a person watches: bars are for them, not for log files."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb" and first()


def bar(count: str = "{task.completed:.0f}/{task.total:.0f}", clock: bool = True) -> Progress:
    """Return a progress bar on stderr, which draws nothing unless that is a terminal.

    count: what stands behind the bar. clock: tell the time left, estimated from the progress.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn(count))
    left = (TimeRemainingColumn(compact=True),) if clock else ()
    console = Console(stderr=True)
    return Progress(*columns, *left, console=console, disable=not on_terminal(), transient=True)


def seconds(text: str) -> float:
    """Read a time such as 90s, 9m, 1.5h or 1h30m, in seconds.

    Raises ColorizeError (wrong usage) for anything else; a bare number is refused since nobody
    knows its unit.
    """
    parts = re.findall(r"(\d+\.?\d*|\.\d+)\s*([smhd])", text.strip().lower())
    total = sum(float(number) * UNITS[unit] for number, unit in parts)
    if re.sub(r"\s", "", text.lower()) != "".join(n + u for n, u in parts) or total <= 0:
        raise ColorizeError(f"`{text}` is not a time", "write it with its unit, such as 90s, 9m or 1.5h", code=2)
    return total


def weights(option: str, texts: Sequence[str] | None) -> dict[str, float]:
    """Read `name=number` of a repeatable option; raises ColorizeError (wrong usage) for anything else."""
    found = {}
    for text in texts or ():
        name, _, number = text.partition("=")
        try:
            found[name.strip()] = float(number)
        except ValueError:
            found[name.strip()] = math.nan
        if not math.isfinite(found[name.strip()]):
            raise ColorizeError(f"`{option} {text}` has no number", f"write it as {option} reference=1.5", code=2)
    return found


def adapters(texts: Sequence[str] | None) -> list[tuple[str, float]]:
    """Read `path` or `path=weight` of --lora; what there is a file or folder of is a path as it stands.

    Raises ColorizeError (wrong usage) for a weight that is no number.
    """
    found = []
    for text in texts or ():
        path, _, number = text.rpartition("=")
        if path and not Path(text).exists():
            try:
                found.append((path, float(number)))
            except ValueError:
                message = f"`--lora {text}` has no number as its weight"
                raise ColorizeError(message, "write it as --lora runs/series=0.8", 2) from None
        elif text.strip("="):
            found.append((text, 1.0))
        else:
            raise ColorizeError("--lora names no adapter", "write it as --lora runs/series", 2)
    return found


def duration(value: float) -> str:
    """Write seconds as people say them: 45 s, 9 min, 1 h 30 min."""
    if value < 99.5:
        return f"{value:.0f} s"
    minutes = round(value / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def tell(error: BaseException) -> int:
    """Print what an error means and how to go on; return the exit code it asks for.

    COLORIZE_DEBUG=1 adds where in the program it happened.
    """
    if os.environ.get("COLORIZE_DEBUG") == "1":
        import traceback

        say("".join(traceback.format_exception(error)))
    if isinstance(error, BrokenPipeError):  # the reader, `head` say, has seen enough
        return 1
    known = explain(error)
    for word, text, color in (("error", known.message, "red"), ("hint", known.hint, "cyan")):
        if text:
            typer.secho(f"{word}:", fg=color, bold=True, nl=False, err=True, color=colored())
            say(f" {text}")
    return known.code


def colored() -> bool | None:
    """Return False where colors are not wanted, and None where the terminal decides."""
    return False if os.environ.get("NO_COLOR") else None


def explain(error: BaseException) -> ColorizeError:
    """Turn any exception into a sentence for the person who must act."""
    told = isinstance(error, ColorizeError) and error.code == INTERRUPTED
    if isinstance(error, KeyboardInterrupt | typer.Abort) or (interrupts.pressed() and not told):
        return ColorizeError("interrupted", code=INTERRUPTED)
    if isinstance(error, ColorizeError):
        return error
    if hasattr(error, "format_message"):  # Typer's own, on wrong usage
        command = getattr(getattr(error, "ctx", None), "command_path", "colorize")
        text = re.sub(r"\s*\n\s*", "; ", str(error.format_message()).strip()).rstrip(".")
        text = text.replace("Value error, ", "").replace("Input should be", f"{_given(error)}should be")
        return ColorizeError(text, f"see `{command} --help`", getattr(error, "exit_code", 2))
    if _out_of_memory(error):
        return ColorizeError(
            "there is not enough memory for this",
            "take a smaller --size or batch (--set batch=2 in training), --precision bf16, or another --device",
        )
    if isinstance(error, OSError) and error.errno is not None:
        return _disk(error)
    return ColorizeError(
        f"this should not have happened: {type(error).__name__}: {error}",
        "please report it with the command you gave; COLORIZE_DEBUG=1 shows where it happened",
    )


def _given(error: BaseException) -> str:
    """The value that an option refused, if its check, a cause of the error, tells; or nothing."""
    details: list[dict[str, Any]] = getattr(error.__cause__, "errors", list)()
    return f"`{details[0]['input']}` " if details and "input" in details[0] else "it "


def _out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out; torch says so by a class of its own or, on a processor, by words."""
    words = ("out of memory", "not enough memory", "can't allocate memory")
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(word in str(error).lower() for word in words)
    )


def _disk(error: OSError) -> ColorizeError:
    name = f"`{os.fspath(error.filename)!s}`" if error.filename is not None else "a file"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ColorizeError(f"the disk is full; {name} could not be written", "make room, and give it again")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return ColorizeError(f"{name} may not be read or written here", "check its permissions, or another --out")
    return ColorizeError(f"{name}: {error.strerror or error}", "check the path")
