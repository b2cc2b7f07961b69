"""How `sample` tells what becomes of pictures: lines, JSON, a bar and a summary. Knows nothing of models."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from colorize.cli import messages

if TYPE_CHECKING:
    from colorize.coloring.batch import Painted
    from colorize.errors import ColorizeError


class Show:
    """Results to stdout, talk to stderr, and a bar between them where a person watches.

    Every picture ends in exactly one of `done`, `copied`, `skipped` and `failed`.
    """

    def __init__(self, total: int, quiet: bool, as_json: bool) -> None:
        self.total, self.quiet, self.as_json = total, quiet, as_json
        self.counts: Counter[str] = Counter()
        self.told: set[str] = set()
        self.bar = None if quiet or not messages.on_terminal() else messages.bar("{task.fields[told]}")

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Show the bar meanwhile."""
        if self.bar is None:
            yield
            return
        with self.bar as bar:
            bar.add_task("coloring", total=self.total, told=f"0/{self.total}")
            yield

    def step(self, share: float) -> None:
        """A share of one picture's work is done."""
        if self.bar:
            self.bar.advance(self.bar.task_ids[0], share)

    def done(self, name: str, painted: Painted, result: Path | None, part: bool = False) -> None:
        """One result is written, or sent to standard output if it has no path; part: of a volume yet to come."""
        kept = {"kind": painted.kind, "seed": painted.seed, "seconds": round(painted.seconds, 3)}
        with self._quietly():
            if self.as_json:
                self._line(name, result, notes=list(painted.notes), **kept)
            elif result and not part:
                typer.echo(os.fsencode(result))
            if painted.variation == 0:
                for note in painted.notes:
                    self.note(note)

    def volume(self, result: Path) -> None:
        """A volume is written."""
        with self._quietly():
            if not self.as_json:
                typer.echo(os.fsencode(result))

    def skipped(self, name: str, result: Path | None, why: str) -> None:
        """A drawing was left as it is."""
        with self._quietly():
            if self.as_json:
                self._line(name, result, notes=[f"skipped: {why}"])
            if self.total == 1:
                self.note(f"skipped `{name}`: {why}")
        self._count("skipped")

    def copied(self, name: str, result: Path, why: str) -> None:
        """A drawing was left as it is, and a copy of it is among the results."""
        with self._quietly():
            if self.as_json:
                self._line(name, result, notes=[f"copied unchanged: {why}"])
            else:
                typer.echo(os.fsencode(result))
        self._count("copied unchanged")

    def failed(self, name: str, error: ColorizeError) -> None:
        """A drawing could not be colored; if it is the only one, raise the error: it ends the program."""
        with self._quietly():
            if self.as_json:
                self._line(name, None, error=error.message)
            if self.total == 1:
                raise error
            messages.tell(error)
        self._count("failed")

    def note(self, text: str) -> None:
        """Tell something worth knowing, once."""
        if not self.quiet and not self.as_json and text not in self.told:
            self.told.add(text)
            messages.say(f"note: {text}")

    def colored(self) -> None:
        """All variations of a drawing are done."""
        self._count("colored")

    def summary(self) -> None:
        """Tell how many pictures became what, if there were several."""
        if self.total > 1 and not self.quiet:
            words = ("colored", "copied unchanged", "skipped", "failed")
            parts = [f"{self.counts[word]} {word}" for word in words]
            messages.say(", ".join(part for part in parts if not part.startswith("0 ")))

    def _count(self, word: str) -> None:
        self.counts[word] += 1
        if self.bar:
            behind = self.counts.total()
            self.bar.update(self.bar.task_ids[0], completed=behind, told=f"{behind}/{self.total}")

    @contextmanager
    def _quietly(self) -> Iterator[None]:
        """Take the bar away meanwhile: it would redirect standard output to its own stream."""
        if self.bar:
            self.bar.stop()
        try:
            yield
        finally:
            if self.bar:
                self.bar.start()

    def _line(self, name: str, result: Path | None, **values: object) -> None:
        """One JSON object a line, with the same keys always."""
        line = {
            "input": name,
            "output": str(result) if result else None,
            **dict.fromkeys(("seconds", "seed", "kind")),
            "notes": [],
            "error": None,
            **values,
        }
        typer.echo(json.dumps(line))
