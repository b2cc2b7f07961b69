"""Pictures in, pictures out: color one drawing or ten thousand with a loaded model.

Knows nothing of the command line, of training, or of where results are put.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from colorize.checkpoints import model_files
from colorize.checkpoints.adapters import AdapterPaths
from colorize.checkpoints.model_files import Loaded
from colorize.coloring import pages
from colorize.coloring.batch import Easel, Painted, Step, Task
from colorize.coloring.color_hints import read_hints
from colorize.coloring.inputs import Frame, frame, references
from colorize.coloring.options import Job, Named, Options, check, check_job, guidance
from colorize.coloring.page_assembly import bound
from colorize.coloring.pages import Page
from colorize.errors import ColorizeError
from colorize.hints import COLORED, Hints
from colorize.images import color_hints, files, palettes
from colorize.images.image import Picture, from_tensor
from colorize.region_diffusion.system import RegionColorizer

File = Path | str
RECALLED = (
    "no colors were given, so they follow a picture that the model remembers; "
    "choose with --ref or --palette, or try another one with --seed"
)


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
    lora: AdapterPaths = (),
    options: Options | None = None,
) -> Picture:
    """Color one drawing: `paint("sketch.png", reference="ref.png")`.

    reference: one or several color pictures. palette: colors, such as "#3b5fa0,#f2c6a0", or a
    picture that is made of them; where no colors are given, the embedded model takes those of a picture that it
    remembers. hints: a picture that is transparent but for color strokes, a copy of the drawing painted over,
    or the path of one or of JSON. hint: one or several dots or strokes on top of them, such as
    "120,85=#ff8800", see `marks.parse`. model: a name, a path, a Hub id, or what `load`
    returned, which saves loading it for every drawing. lora: the path of an adapter, or pairs of path and
    weight, for a model that is not loaded yet. The result has the drawing's size, depth
    and alpha. Raises ColorizeError if anything prevents it.
    """
    if lora and isinstance(model, Loaded):
        hint = 'load it with them: `load("mini", lora=...)`'
        raise ColorizeError("adapters were given for a model that is loaded already", hint, code=2)
    loaded = model if isinstance(model, Loaded) else model_files.load(model, lora=lora)
    several = [reference] if isinstance(reference, str | Path | Picture) else reference
    given = tuple(named(one) for one in several) + ((colors(palette),) if palette else ())
    layer = Path(hints) if isinstance(hints, str) else hints
    dots = tuple(color_hints.parse_dots(one) for one in ([hint] if isinstance(hint, str) else hint))
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
    return Named(name, from_tensor(palettes.swatches(found)), palette=True)


@dataclass(frozen=True)
class _Sheet:
    """A job under way: one task, or one for each panel of its page."""

    drawing: Picture
    tasks: tuple[Task, ...]
    page: Page | None = None

    def outcome(self) -> Outcome | None:
        """What became of the job, once all its tasks are done."""
        job = self.tasks[0].job
        error = next((task.error for task in self.tasks if task.error), None)
        if not all(task.done or task.error for task in self.tasks):
            return None
        done = tuple(zip(*(task.done for task in self.tasks), strict=False))
        if error:
            return Outcome(job, self.drawing, error=error)
        if self.page is None:
            return Outcome(job, self.drawing, tuple(one for (one,) in done))
        return Outcome(job, self.drawing, tuple(bound(self.page, parts) for parts in done))


class _Gatherer:
    """Reads drawings, and gathers those, or their panels, that fit into one batch."""

    def __init__(self, easel: Easel) -> None:
        self.easel, self.recipe, self.options = easel, easel.model.recipe, easel.options
        self.given: tuple[Named, ...] = ()
        self.reference: Tensor | None = None  # made of `given`, which many jobs share
        self.sheets: list[_Sheet] = []  # begun, in the order of their jobs
        self.waiting: list[Task] = []  # of one key

    def work(self, jobs: Iterable[Job]) -> Iterator[Step | Outcome]:
        for job in jobs:
            ready = self.ready(job)
            if isinstance(ready, Outcome):
                yield from self.finish()
                yield ready
                continue
            self.sheets.append(ready)
            for task in ready.tasks:
                if self.waiting and task.key != self.waiting[0].key:
                    yield from self.finish()
                self.waiting.append(task)
                if len(self.waiting) * self.options.variations >= self.easel.batch:
                    yield from self.finish()
        yield from self.finish()

    def finish(self) -> Iterator[Step | Outcome]:
        """Paint what has been gathered."""
        tasks, self.waiting = self.waiting, []
        yield from self.easel.paint(tasks)
        while self.sheets and (outcome := self.sheets[0].outcome()):
            del self.sheets[0]
            yield outcome

    def ready(self, job: Job) -> _Sheet | Outcome:
        """Read a job's drawing and fit it to the model, or say why that cannot be."""
        try:
            return self.sheet(job)
        except MemoryError:
            error = ColorizeError(f"`{job.name}` does not fit into the memory", "scale it down")
            return Outcome(job, error=error)
        except ColorizeError as error:
            return Outcome(job, error=error)

    def sheet(self, job: Job) -> _Sheet:
        """A job's drawing as tasks; raises ColorizeError."""
        begin = time.perf_counter()
        notes = check_job(self.recipe, self.options, job)
        drawing = job.drawing() if callable(job.drawing) else job.drawing
        picture = drawing if isinstance(drawing, Picture) else files.read(drawing, job.name)
        named = Named(job.name, picture)
        hints = read_hints(job.hints) if isinstance(job.hints, Path) else job.hints
        page = pages.divide(named, job, hints, self.recipe, self.options)
        if job.references is not self.given:
            self.given, self.reference = job.references, references(job.references, self.recipe)
        if page is None:
            given = self.recipe, self.options, self.reference, hints, job.dots, job
            fitted = [frame(named, *given)]
        else:
            fitted = list(pages.frames(page, job.name, self.recipe, self.options, self.reference))
        fitted, more = self.recalled(fitted)
        seconds = (time.perf_counter() - begin) / len(fitted)
        more = picture.notes + notes + more
        tasks = (self.task(job, one, more, seconds, 1 / len(fitted)) for one in fitted)
        return _Sheet(picture, tuple(tasks), page)

    def recalled(self, frames: list[Frame]) -> tuple[list[Frame], tuple[str, ...]]:
        """The frames of a job, and a note if no colors are given and the model goes by a picture that it remembers.

        All panels of a page go by the same one.
        """
        model = self.easel.colorizer
        bare = [one for one in frames if not any(name in one.hints for name in COLORED)]
        lined = any("line" in one.hints for one in bare) or self.options.seed
        if not isinstance(model, RegionColorizer) or not len(model.memory) or not (bare and lined):
            return frames, ()
        if len(frames) > 1:
            scores = model.recall([one.hints for one in frames])
            both = [Hints(**dict(one.hints.items()), recalled=scores) for one in frames]
            frames = [replace(one, hints=hints) for one, hints in zip(frames, both, strict=True)]
        return frames, (RECALLED,)

    def task(self, job: Job, fitted: Frame, notes: tuple[str, ...], seconds: float, share: float) -> Task:
        """The task of a drawing or a panel. Hints of the page may all lie on other panels."""
        weights = guidance(self.easel.sampling, self.options, fitted.hints)
        if "hints" not in fitted.hints:
            weights.pop("hints", None)
        return Task(job, replace(fitted, notes=notes + fitted.notes), weights, seconds, share)
