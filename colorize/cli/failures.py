"""How errors read: any exception becomes a sentence, a way on, and an exit code. Knows nothing of commands."""

from __future__ import annotations

import errno
import os
import re
from typing import Any

import typer

from colorize import interrupts
from colorize.cli import common
from colorize.errors import ColorizeError


def tell(error: BaseException) -> int:
    """Print what an error means and how to go on; return the exit code it asks for.

    COLORIZE_DEBUG=1 adds where in the program it happened.
    """
    if os.environ.get("COLORIZE_DEBUG") == "1":
        import traceback

        common.say("".join(traceback.format_exception(error)))
    if isinstance(error, BrokenPipeError):  # the reader, `head` say, has seen enough
        return 1
    known = explain(error)
    for word, text, color in (("error", known.message, "red"), ("hint", known.hint, "cyan")):
        if text:
            typer.secho(f"{word}:", fg=color, bold=True, nl=False, err=True, color=colored())
            common.say(f" {text}")
    return known.code


def colored() -> bool | None:
    """Return False where colors are not wanted, and None where the terminal decides."""
    return False if os.environ.get("NO_COLOR") else None


def explain(error: BaseException) -> ColorizeError:
    """Turn any exception into a sentence for the person who must act."""
    told = isinstance(error, ColorizeError) and error.code == common.INTERRUPTED
    if isinstance(error, KeyboardInterrupt | typer.Abort) or (interrupts.pressed() and not told):
        return ColorizeError("interrupted", code=common.INTERRUPTED)
    if isinstance(error, ColorizeError):
        return error
    if hasattr(error, "format_message"):  # Typer's own, on wrong usage
        command = getattr(getattr(error, "ctx", None), "command_path", "colorize")
        text = re.sub(r"\s*\n\s*", "; ", str(error.format_message()).strip()).rstrip(".")
        text = text.replace("Value error, ", "").replace(
            "Input should be", f"{_given(error)}should be"
        )
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
        return ColorizeError(
            f"the disk is full; {name} could not be written", "make room, and give it again"
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return ColorizeError(
            f"{name} may not be read or written here", "check its permissions, or another --out"
        )
    return ColorizeError(f"{name}: {error.strerror or error}", "check the path")
