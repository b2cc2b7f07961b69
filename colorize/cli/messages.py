"""What all commands share: messages, progress, texts of errors, and some options."""

from __future__ import annotations

import errno
import json
import os
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, Literal, TextIO

import typer

from colorize import interrupts
from colorize.cli import complete
from colorize.coloring.options import SampleOptions
from colorize.errors import FULL, ColorizeError, DiskFullError, alike, nearest, plain, printable, unexpected

if TYPE_CHECKING:
    from rich.progress import Progress

    from colorize.coloring.batch import Painted

SHOWN = 10  # entries of a list, at most
INTERRUPTED = interrupts.CODE
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}  # seconds
PLAIN = {  # what the library that checks options says, and how people say it
    "should be a valid integer, unable to parse string as an integer": "is not a whole number",
    "should be a valid number, unable to parse string as a number": "is not a number",
    "should be greater than or equal to": "must be at least",
    "should be less than or equal to": "must be at most",
}


def sample_option(name: str) -> Any:
    """Return the option of the command line for a field of `SampleOptions`."""
    known = SampleOptions.__dataclass_fields__[name].metadata
    flags = known["flags"] or (flag(name),)
    return typer.Option(*flags, autocompletion=complete.of(name), **known["typer"])


def flag(name: str) -> str:
    """Return the long name of an option on the command line."""
    flags = SampleOptions.__dataclass_fields__[name].metadata["flags"]
    return next((one for one in flags if one.startswith("--")), f"--{name.replace('_', '-')}")


Device = Annotated[str, sample_option("device")]
Precision = Annotated[str, sample_option("precision")]
Sampler = Annotated[str | None, sample_option("sampler")]
HintMode = Annotated[Literal["hard", "soft"], sample_option("hint_mode")]
Loras = Annotated[list[str] | None, sample_option("lora")]


def say(text: str) -> None:
    """Print a message to stderr; stdout is for data. What is quoted in it may come from anywhere, see `plain`."""
    typer.echo(plain(text), err=True)


def tell(text: str) -> None:
    """Print a line for people to stdout, as safely as `say` does."""
    typer.echo(plain(text))


def name_result(path: Path) -> None:
    """Print the path of a result to stdout: byte for byte, or fit for a terminal if that is one."""
    if sys.stdout is not None and sys.stdout.isatty():
        typer.echo(printable(str(path)))
    else:
        typer.echo(os.fsencode(path))


def fetched(notice: str) -> None:
    """Print the license of weights that were just downloaded; the notice is empty for all others."""
    if notice and first():
        say(f"note: {notice}")


def piped(stream: TextIO | None, name: str) -> BinaryIO:
    """Return the bytes below a standard stream; raises ColorizeError if the shell closed it, as by `>&-`."""
    if stream is None:
        raise ColorizeError(f"standard {name} is closed", "name a file instead of -")
    return stream.buffer


def piped_input() -> bytes:
    """Return all of standard input; raises ColorizeError as `piped`, and for more than a picture may have."""
    from colorize.images import files

    return files.content(piped(sys.stdin, "input"), files.BYTES, "standard input")


def counted(number: int, noun: str) -> str:
    """Write a number of things: 1 picture, 2 pictures."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def listed(verb: str, noun: str, sentences: Sequence[str]) -> None:
    """Print a list of things and what was done with them, if there are any."""
    if sentences:
        say(f"{verb} {counted(len(sentences), noun)}:")
    for sentence in sentences[:SHOWN]:
        say(f"  {sentence}")
    if len(sentences) > SHOWN:
        say(f"  and {len(sentences) - SHOWN} more")


def first() -> bool:
    """Return whether this process may print: of those torchrun starts only one does."""
    return os.environ.get("RANK", "0") == "0"


def on_terminal() -> bool:
    """Return whether a person watches: bars are for them, not for log files."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb" and first()


def bar(count: str = "{task.completed:.0f}/{task.total:.0f}", clock: bool = True) -> Progress:
    """Return a progress bar on stderr, which draws nothing unless that is a terminal.

    count: text behind the bar. clock: show the estimated time left.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn(count))
    left = (TimeRemainingColumn(compact=True),) if clock else ()
    console = Console(stderr=True)
    return Progress(*columns, *left, console=console, disable=not on_terminal(), transient=True)


def seconds(text: str | None) -> float | None:
    """Read a time such as 90s, 9m, 1.5h or 1h30m, in seconds; None stays None.

    Raises ColorizeError (wrong usage) for anything else; a bare number is refused since nobody knows its unit.
    """
    if text is None:
        return None
    known = text.strip().lower() if len(text) <= 100 else ""  # or thousands of digits would be read again and again
    parts = re.findall(r"(\d+(?:\.\d*)?|\.\d+)\s*([smhd])", known)
    total = sum(float(number) * UNITS[unit] for number, unit in parts)
    if re.sub(r"\s", "", text.lower()) != "".join(n + u for n, u in parts) or total <= 0:
        raise ColorizeError(f"`{text}` is not a time", "write it with its unit, such as 90s, 9m or 1.5h", code=2)
    return total


def adapters(texts: Sequence[str] | None) -> list[tuple[str, float]]:
    """Read `path` or `path=weight` of --lora; the whole text is a path if such a file or folder exists.

    Raises ColorizeError (wrong usage) for a weight that is no number.
    """
    found = []
    for text in texts or ():
        path, _, number = text.rpartition("=")
        if path and not Path(text).exists():
            try:
                found.append((path, float(number)))
            except ValueError:
                message = f"`--lora {text}` has a weight that is not a number"
                raise ColorizeError(message, "write it as --lora runs/series=0.8", 2) from None
        elif text.strip("="):
            found.append((text, 1.0))
        else:
            raise ColorizeError("--lora is empty", "write it as --lora runs/series", 2)
    return found


def duration(value: float) -> str:
    """Write seconds as text: 45 s, 9 min, 1 h 30 min."""
    if value < 99.5:
        return f"{value:.0f} s"
    minutes = round(value / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def check_command(group: Any, args: Sequence[str]) -> None:
    """Refuse a word that is not a command of a Typer group (ColorizeError, wrong usage)."""
    if args and not args[0].startswith("-") and args[0] not in group.commands:
        raise ColorizeError(f"unknown command `{args[0]}`", nearest(args[0], group.commands), code=2)


def print_error(error: BaseException) -> int:
    """Print what an error means and how to go on; return the exit code it asks for.

    COLORIZE_DEBUG=1 adds where in the program it happened.
    """
    if os.environ.get("COLORIZE_DEBUG") == "1":
        import traceback

        for line in "".join(traceback.format_exception(error)).splitlines():
            say(line)
    if isinstance(error, BrokenPipeError):  # the reader, `head` say, has seen enough
        return 1
    known = explain(error)
    off = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    wanted = False if off else True if os.environ.get("FORCE_COLOR") else None  # None: the terminal decides
    for word, text, color in (("error", known.message, "red"), ("hint", known.hint, "cyan")):
        if text:
            typer.secho(f"{word}:", fg=color, bold=True, nl=False, err=True, color=wanted)
            say(f" {text}")
    return known.code


def explain(error: BaseException) -> ColorizeError:
    """Turn any exception into a sentence for the user."""
    final = isinstance(error, ColorizeError) and error.code == INTERRUPTED
    if isinstance(error, KeyboardInterrupt | typer.Abort) or (interrupts.pressed() and not final):
        return ColorizeError("interrupted", code=INTERRUPTED)
    if isinstance(error, ColorizeError):
        return error
    if hasattr(error, "format_message"):  # Typer's own, on wrong usage
        command = getattr(getattr(error, "ctx", None), "command_path", "colorize")
        if options := getattr(error, "possibilities", None):  # Typer names unlike ones, too
            name = str(getattr(error, "option_name", "")).lstrip("-")
            vars(error)["possibilities"] = [one for one in options if alike(name, [one.lstrip("-")])]
        text = re.sub(r"\s*\n\s*", "; ", str(error.format_message()).strip()).rstrip(".")
        details: list[dict[str, Any]] = getattr(error.__cause__, "errors", list)()  # of the check that refused
        value = f"`{details[0]['input']}`" if details and "input" in details[0] else "it"
        text = text.replace("Value error, ", "").replace("Input should be", f"{value} should be")
        for stiff, plain in PLAIN.items():
            text = text.replace(stiff, plain)
        hint = f"see `{command} --help`"
        if any(word.startswith("-") and Path(word).is_file() for word in sys.argv[1:]):
            hint = "put `--` before names of files that begin with a dash"
        return ColorizeError(text, hint, getattr(error, "exit_code", 2))
    words = ("out of memory", "not enough memory", "can't allocate memory")  # torch on a processor
    if isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(w in str(error).lower() for w in words)
    ):
        return ColorizeError(
            "not enough memory for this",
            "use a smaller --size or batch (--set batch=2 in training), --precision bf16, or another --device",
        )
    if isinstance(error, OSError) and error.errno is not None:
        return _disk(error)
    return unexpected(error)


def _disk(error: OSError) -> ColorizeError:
    name = f"`{os.fspath(error.filename)!s}`" if error.filename is not None else "a file"
    if error.errno in FULL:
        return DiskFullError(f"the disk is full; {name} could not be written", "free some space and run it again")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return ColorizeError(f"no permission to read or write {name}", "check its permissions, or choose another --out")
    return ColorizeError(f"{name}: {error.strerror or error}", "check the path")


class Reporter:
    """Prints what became of pictures: results to stdout, messages and a progress bar to stderr.

    Every picture ends in exactly one of `done`, `copied`, `skipped` and `failed`.
    """

    def __init__(self, total: int, quiet: bool, as_json: bool) -> None:
        self.total, self.alone, self.quiet, self.as_json = total, total == 1, quiet, as_json
        self.counts: Counter[str] = Counter()
        self.printed: set[str] = set()
        self.bar = None if quiet or not on_terminal() else bar("{task.fields[count]}")
        if self.bar:
            self.task = self.bar.add_task("coloring", total=total, count=f"0/{total}")

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Show the bar while the block runs."""
        if self.bar:
            self.bar.update(self.task, total=self.total)
        with self.bar or nullcontext():
            yield

    def step(self, share: float) -> None:
        """A share of one picture's work is done."""
        if self.bar:
            self.bar.advance(self.task, share)

    def done(self, name: str, painted: Painted, result: Path | None, part: bool = False) -> None:
        """One result is written, to standard output if it has no path; part: of a volume that is not written yet."""
        known = {"kind": painted.kind, "seed": painted.seed, "seconds": round(painted.seconds, 3)}
        self._result(name, result, None if part else result, notes=list(painted.notes), **known)
        for note in painted.notes if painted.variation == 0 else ():
            self.note(note)

    def volume(self, result: Path) -> None:
        """A volume is written."""
        if not self.as_json:
            self._result("", result, result)

    def skipped(self, name: str, why: str, results: Sequence[Path] = (), part: bool = False) -> None:
        """A drawing was left as it is. results: those that exist. part: of a volume."""
        for result in results or (None,):
            self._result(name, result, None if part else result, notes=[f"skipped: {why}"])
        if self.alone:
            self.note(f"skipped `{name}`: {why}")
        self.count("skipped")

    def copied(self, name: str, result: Path, why: str) -> None:
        """A drawing was left as it is, and a copy of it is among the results."""
        self._result(name, result, result, notes=[f"copied unchanged: {why}"])
        self.count("copied unchanged")

    def failed(self, name: str, error: ColorizeError) -> None:
        """A drawing could not be colored; if it is the only one, raise the error: it ends the program."""
        self._result(name, None, None, error=plain(error.message))
        if self.alone:
            raise error
        with self._paused():
            print_error(error)
        self.count("failed")

    def note(self, text: str) -> None:
        """Print a note, once."""
        if not self.quiet and not self.as_json and text not in self.printed:
            self.printed.add(text)
            with self._paused():
                say(f"note: {text}")

    def summary(self) -> None:
        """Print how many pictures became what, if there were several."""
        if not self.alone and not self.quiet:
            say(self.told())

    def told(self) -> str:
        """Return how many pictures became what."""
        words = ("colored", "copied unchanged", "skipped", "failed")
        return ", ".join(f"{self.counts[word]} {word}" for word in words if self.counts[word])

    def count(self, word: str) -> None:
        """A picture has become `colored`, `copied unchanged`, `skipped` or `failed`."""
        self.counts[word] += 1
        if self.bar:
            ended = self.counts.total()
            self.bar.update(self.task, completed=ended, count=f"{ended}/{self.total}")

    @contextmanager
    def _paused(self) -> Iterator[None]:
        """Hide the bar while the block runs: it would redirect standard output to its own stream."""
        if not self.bar or not self.bar.live.is_started:
            yield
            return
        self.bar.stop()
        try:
            yield
        finally:
            self.bar.start()

    def _result(self, name: str, result: Path | None, path: Path | None, **values: object) -> None:
        """Print a JSON object, with the same keys always, or the path, if there is one."""
        line = {"input": name, "output": str(result) if result else None, "seconds": None, "seed": None, "kind": None}
        with self._paused():
            if self.as_json:
                typer.echo(json.dumps({**line, "notes": [], "error": None, **values}))
            elif path:
                name_result(path)
