"""Pictures in, pictures out: color one drawing or ten thousand with a loaded model.

Knows nothing of the command line, of training, or of where results are put.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from colorize import checkpoint
from colorize.checkpoint import Loaded
from colorize.checkpoint.adapters import Given
from colorize.errors import ColorizeError
from colorize.painter import latent
from colorize.painter.easel import Easel, Task
from colorize.painter.easel import Painted as Painted
from colorize.painter.easel import Step as Step
from colorize.painter.framing import frame, references
from colorize.painter.hinting import read_hints
from colorize.painter.options import Job as Job
from colorize.painter.options import Named as Named
from colorize.painter.options import Options as Options
from colorize.painter.options import check, check_job, guidance
from colorize.pictures import files, marks, palettes
from colorize.pictures.picture import Picture

File = Path | str


@dataclass(frozen=True)
class Outcome:
    """What became of a job: its variations in order, or the error that concerns only this job."""

    job: Job
    drawing: Picture | None = None
    painted: tuple[Painted, ...] = ()
    error: ColorizeError | None = None


def paint(
    drawing: File | Picture,
    *,
    reference: File | Picture | Sequence[File | Picture] = (),
    palette: File | Picture = "",
    hints: File | Picture | None = None,
    hint: str | Sequence[str] = (),
    model: File | Loaded = "mini",
    lora: Given = (),
    options: Options | None = None,
) -> Picture:
    """Color one drawing: `paint("sketch.png", reference="ref.png")`.

    reference: one or several color pictures. palette: colors, such as "#3b5fa0,#f2c6a0", or a
    picture that is made of them. hints: a picture that is transparent but for color strokes, a copy
    of the drawing painted over, or the path of one or of JSON. hint: one or several dots or strokes
    on top of them, such as "120,85=#ff8800", see `marks.parse`. model: a name, a path, a Hub id, or what `load`
    returned, which saves loading it for every drawing. lora: the path of an adapter, or pairs of path and
    weight, for a model that is not loaded yet. The result has the drawing's size, depth
    and alpha. Raises ColorizeError if anything prevents it.
    """
    if lora and isinstance(model, Loaded):
        hint = 'load it with them: `load("mini", lora=...)`'
        raise ColorizeError("adapters were given for a model that is loaded already", hint, code=2)
    loaded = model if isinstance(model, Loaded) else checkpoint.load(model, lora=lora)
    several = [reference] if isinstance(reference, str | Path | Picture) else reference
    given = tuple(named(one) for one in several) + ((colors(palette),) if palette else ())
    layer = Path(hints) if isinstance(hints, str) else hints
    dots = tuple(marks.parse(one) for one in ([hint] if isinstance(hint, str) else hint))
    sheet = named(drawing, "the drawing")
    job = Job(sheet.name, sheet.picture, given, layer, dots)
    (outcome,) = paint_all(loaded, [job], options or Options())
    if outcome.error:
        raise outcome.error
    return outcome.painted[0].picture


def paint_all(loaded: Loaded, jobs: Iterable[Job], options: Options) -> Iterator[Outcome]:
    """Yield what became of each job, in order; an error of one leaves the others alone.

    Jobs are taken as they are needed, so that a generator may prepare them. Raises ColorizeError
    at once for options that the model cannot have.
    """
    events = work(loaded, jobs, options)
    return (event for event in events if isinstance(event, Outcome))


def work(loaded: Loaded, jobs: Iterable[Job], options: Options) -> Iterator[Step | Outcome]:
    """Do as `paint_all` does, and yield every step on the way, for a progress bar."""
    check(loaded.recipe, options)
    latent.check(loaded.recipe, options)
    return _Gatherer(Easel(loaded, options)).work(jobs)


def named(picture: File | Picture, name: str = "the reference") -> Named:
    """Return a picture, read if it is a path, with its file name or else the given name."""
    if isinstance(picture, Picture):
        return Named(name, picture)
    return Named(files.shown(Path(picture).name), files.read(Path(picture)))


def colors(palette: File | Picture) -> Named:
    """Return a palette as a reference: colors as `palettes.parse` reads them, or those of a picture.

    Raises ColorizeError (wrong usage) for a text that is neither colors nor the path of a file.
    """
    if isinstance(palette, str) and not Path(palette).is_file():
        found, name = palettes.parse(palette), f"palette {palette}"
    else:
        one = named(palette, "a picture")
        found, name = palettes.dominant(one.picture.tensor()), f"palette of {one.name}"
    return Named(name, files.from_tensor(palettes.swatches(found)), palette=True)


class _Gatherer:
    """Reads drawings, and gathers those that fit into one batch."""

    def __init__(self, easel: Easel) -> None:
        self.easel, self.recipe, self.options = easel, easel.model.recipe, easel.options
        self.given: tuple[Named, ...] = ()
        self.reference: Tensor | None = None  # made of `given`, which many jobs share

    def work(self, jobs: Iterable[Job]) -> Iterator[Step | Outcome]:
        waiting: list[Task] = []
        for job in jobs:
            ready = self.ready(job)
            if isinstance(ready, Outcome) or (waiting and ready.key != waiting[0].key):
                yield from self.finish(waiting)
                waiting = []
            if isinstance(ready, Outcome):
                yield ready
                continue
            waiting.append(ready)
            if len(waiting) * self.options.variations >= self.easel.batch:
                yield from self.finish(waiting)
                waiting = []
        yield from self.finish(waiting)

    def finish(self, tasks: list[Task]) -> Iterator[Step | Outcome]:
        """Paint what has been gathered."""
        yield from self.easel.paint(tasks)
        for task in tasks:
            done = () if task.error else tuple(task.done)
            yield Outcome(task.job, task.frame.original, done, task.error)

    def ready(self, job: Job) -> Task | Outcome:
        """Read a job's drawing and fit it to the model, or say why that cannot be."""
        begin = time.perf_counter()
        try:
            notes = check_job(self.recipe, self.options, job)
            latent.check_job(self.recipe, self.options, job)
            if job.references is not self.given:
                self.given, self.reference = job.references, references(job.references, self.recipe)
            drawing = job.drawing() if callable(job.drawing) else job.drawing
            picture = drawing if isinstance(drawing, Picture) else files.read(drawing, job.name)
            sheet = Named(job.name, picture)
            hints = read_hints(job.hints) if isinstance(job.hints, Path) else job.hints
            given = self.recipe, self.options, self.reference, hints, job.dots, job
            fitted = frame(sheet, *given)
        except MemoryError:
            error = ColorizeError(f"`{job.name}` does not fit into the memory", "scale it down")
            return Outcome(job, error=error)
        except ColorizeError as error:
            return Outcome(job, error=error)
        fitted = replace(fitted, notes=(*picture.notes, *notes, *fitted.notes))
        weights = guidance(self.easel.sampling, self.options, fitted.hints)
        return Task(job, fitted, weights, time.perf_counter() - begin)
