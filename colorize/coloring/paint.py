"""Color one drawing or ten thousand with a loaded model."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from colorize.checkpoints import model_files
from colorize.checkpoints.model_files import Loaded
from colorize.coloring import inputs, masked, pages
from colorize.coloring.batch import BatchRunner, Painted, Step, Task
from colorize.coloring.inputs import AlreadyColored, HintSource, ModelInput
from colorize.coloring.masked import Outside
from colorize.coloring.options import Job, Named, SampleOptions, check, check_job, check_kind, guidance
from colorize.coloring.pages import Page
from colorize.errors import SEEDS, ColorizeError, unexpected
from colorize.hints import COLORED, Hints
from colorize.images import files, hint_files, metadata
from colorize.images.image import Picture
from colorize.networks import devices
from colorize.recipes.recipe import Recipe
from colorize.region_diffusion.system import RegionColorizer
from colorize.system import LoadOptions

RECALLED = (
    "no colors were given, so they come from a picture in the model's memory; "
    "choose your own with --ref or --palette, or try another picture with --seed"
)
VARIATIONS = 64  # of a result that was corrected; more of a drawing are not made to look for corrections
KEPT = "the hints are not a result of this command, so all their colors are kept"
UNCHANGED = "nothing was corrected in the hints: they are what this command makes without them"


@dataclass(frozen=True)
class Outcome:
    """What became of a job: its variations in order, or the error that concerns only this job."""

    job: Job
    drawing: Picture | None = None
    painted: tuple[Painted, ...] = ()
    error: ColorizeError | None = None


def check_model(options: SampleOptions) -> None:
    """Refuse a model that does not exist, and options that it cannot have, before anything is loaded or fetched."""
    if not isinstance(options.model, Loaded) and (recipe := model_files.check(options.model)):
        check(recipe, options)


def load_model(options: SampleOptions, words: bool = False, whole: bool = False) -> Loaded:
    """Return the model that options name, on their device; raises ColorizeError as `model_files.load` does.

    words: also load what edits by text need, which the options may ask for, too. whole: leave it fit for training and
    saving, which costs some speed.
    """
    if isinstance(options.model, Loaded):
        if options.lora:
            hint = 'load it with them: `load("mini", lora=...)`'
            raise ColorizeError("adapters cannot be added to a model that is already loaded", hint, code=2)
        return options.model
    device = devices.device(options.device)
    dtype = devices.precision(options.precision, device)
    words = words or bool(options.settings and options.settings.reads_text)
    wanted = LoadOptions(options.predicts, options.encoder, words, dtype)  # type: ignore[arg-type]
    loaded = model_files.load(options.model, offline=options.offline, device=device, options=wanted, lora=options.lora)
    if not whole:
        devices.fold_norms(loaded.colorizer)
    return loaded


def paint_all(loaded: Loaded, jobs: Iterable[Job], options: SampleOptions) -> Iterator[Outcome]:
    """Yield what became of each job, in order; an error of one leaves the others alone.

    Jobs are taken as they are needed, so that a generator may prepare them. Raises ColorizeError
    at once for options that the model cannot have.
    """
    return (event for event in work(loaded, jobs, options) if isinstance(event, Outcome))


def work(loaded: Loaded, jobs: Iterable[Job], options: SampleOptions) -> Iterator[Step | Outcome]:
    """Do as `paint_all` does, and yield every step on the way, for a progress bar."""
    check(loaded.recipe, options)
    return _Batcher(BatchRunner(loaded, options)).work(jobs)


def refusal(job: Job, recipe: Recipe, options: SampleOptions) -> ColorizeError | None:
    """Return why a drawing would not be colored, None if it would be, and `AlreadyColored` if it may stay as it is.

    It is decoded and a small copy of it looked at, as when it is colored; panels are only looked for where
    that copy is in color, since some of them may be gray. Color hints are not looked at. Raises ColorizeError
    (wrong usage) for what no drawing can have with this model.
    """
    try:
        check_job(recipe, options, job)
        drawing = _read(job)
        inputs.check_drawing(drawing, options)
        picture, seen, _ = inputs.upright(drawing.picture, recipe, options)
        found = inputs.detect_kind(picture, seen, recipe, options)
        try:
            kind, *_ = inputs.resolve_kind(job.name, found, recipe, options)
        except AlreadyColored:
            if pages.divide(drawing, job, None, recipe, options) is None:
                raise
        else:
            if not options.flat or pages.divide(drawing, job, None, recipe, options) is None:
                check_kind(job.name, kind, options)
    except MemoryError:
        return ColorizeError(f"`{job.name}` does not fit into memory", "scale it down")
    except ColorizeError as error:
        if error.code == 2:
            raise
        return error
    return None


def _is_bare(result: Picture) -> bool:
    """Whether a picture is a result made without color hints, of which no part was recolored or kept."""
    meta = metadata.record(result.text)
    return meta.get("hints") is False and not {"regions", "only"} & meta.keys()


def _read(job: Job) -> Named:
    """The drawing of a job."""
    drawing = job.drawing() if callable(job.drawing) else job.drawing
    return Named(job.name, drawing if isinstance(drawing, Picture) else files.read(drawing, job.name))


@dataclass(frozen=True)
class _Begun:
    """A job under way: one task, or one for each panel of its page."""

    drawing: Picture
    tasks: tuple[Task, ...]
    page: Page | None = None
    outside: Outside | None = None

    def outcome(self) -> Outcome | None:
        """What became of the job, once all its tasks are done."""
        job, page = self.tasks[0].job, self.page
        if not all(task.done or task.error for task in self.tasks):
            return None
        if error := next((task.error for task in self.tasks if task.error), None):
            return Outcome(job, self.drawing, error=error)
        variations = zip(*(task.done for task in self.tasks), strict=False)
        done = [parts[0] if page is None else pages.assemble(page, parts) for parts in variations]
        if self.outside:
            done = [_within(one, self.outside) for one in done]
        return Outcome(job, self.drawing, tuple(done))


def _within(one: Painted, outside: Outside) -> Painted:
    """A result, and its film, with what stays outside of a mask."""
    frames = tuple(outside.shrunk(frame.size).around(frame) for frame in one.frames)
    return replace(one, picture=outside.around(one.picture), frames=frames)


class _Batcher:
    """Reads drawings, and gathers those, or their panels, that fit into one batch."""

    def __init__(self, runner: BatchRunner) -> None:
        self.runner, self.recipe, self.options = runner, runner.model.recipe, runner.options
        self.given: tuple[Named, ...] = ()
        self.reference: Tensor | None = None  # made of `given`, which many jobs share
        self.begun: list[_Begun] = []  # in the order of their jobs
        self.waiting: list[Task] = []  # of one key

    def work(self, jobs: Iterable[Job]) -> Iterator[Step | Outcome]:
        for job in jobs:
            try:
                begun = self.begin(job)
            except Exception as found:
                error = found if isinstance(found, ColorizeError) else unexpected(found)
                if isinstance(found, MemoryError):
                    error = ColorizeError(f"`{job.name}` does not fit into memory", "scale it down")
                yield from self.finish()
                yield Outcome(job, error=error)
                continue
            self.begun.append(begun)
            for task in begun.tasks:
                if self.waiting and task.key != self.waiting[0].key:
                    yield from self.finish()
                self.waiting.append(task)
                if len(self.waiting) * self.options.variations >= self.runner.batch:
                    yield from self.finish()
        yield from self.finish()

    def finish(self) -> Iterator[Step | Outcome]:
        """Color what has been gathered."""
        tasks, self.waiting = self.waiting, []
        yield from self.runner.run(tasks)
        while self.begun and (outcome := self.begun[0].outcome()):
            del self.begun[0]
            yield outcome

    def begin(self, job: Job) -> _Begun:
        """Read a job's drawing and fit it, or its panels, to the model; raises ColorizeError."""
        start, recipe, options = time.perf_counter(), self.recipe, self.options
        notes = check_job(recipe, options, job)
        drawing = _read(job)
        hints = inputs.read_hints(job.hints) if isinstance(job.hints, Path) else job.hints
        outside = masked.outside(drawing, job, recipe, options)
        hints, rest, corrected = self.corrected(job, drawing, hints)
        page = pages.divide(drawing, job, hints, recipe, options)
        if job.references is not self.given:
            self.given, self.reference = job.references, inputs.references(job.references, recipe)
        if page is None:
            fitted = [inputs.model_input(drawing, recipe, options, self.reference, hints, job)]
        else:
            fitted = list(pages.panel_inputs(page, job.name, recipe, options, self.reference))
        if rest is not None and recipe.chooses:
            parts = [rest] if page is None else [rest[:, :, *part.crop] for part in page.parts]
            fitted = [
                one.after(hint_files.resize(part, one.hints.size)) for one, part in zip(fitted, parts, strict=True)
            ]
        fitted, more = self.recalled(fitted)
        offered = self.offered(fitted)
        notes = self.runner.model.colorizer.notes + drawing.picture.notes + notes + corrected + more
        notes += outside.notes if outside else ()
        seconds, share = (time.perf_counter() - start) / len(fitted), 1 / len(fitted)
        tasks = []
        for one in fitted:
            weights = guidance(self.runner.sampling, options, one.hints)
            if "hints" not in one.hints:  # those of the page may all lie on other panels
                weights.pop("hints", None)
            task = Task(job, replace(one, notes=notes + one.notes), weights, seconds, share)
            tasks.append(replace(task, offered=offered))
        return _Begun(drawing.picture, tuple(tasks), page, outside)

    def corrected(
        self, job: Job, drawing: Named, hints: HintSource | None
    ) -> tuple[HintSource | None, Tensor | None, tuple[str, ...]]:
        """Return what was repainted in a corrected result or its flats, the rest of it, and notes; or the hints."""
        picture, recipe = drawing.picture, self.recipe
        if not isinstance(hints, Picture) or not hint_files.is_full(hints, picture):
            return hints, None, ()
        lined, found = inputs.is_lined(picture, recipe, self.options), None
        results = [one for one in masked.results(job, picture.size) if _is_bare(one)]
        ways: list[tuple[bool, ...]] = [(), (self.options.flat,), (not self.options.flat,)]
        for flats in [(True, False)] if recipe.chooses else ways:  # where it is fast, look at all it makes now
            results += [one for flat in flats for one in self.alone(job, drawing, hints, flat)]
            found = hint_files.corrections(hints, picture, results, lined)
            if found and found[0] is not None:
                break
        kept, rest = found or (None, None)
        if kept is None:
            return hints, rest if lined else None, (KEPT,) if found and hints.alpha is None else ()
        if not bool((kept[:, 3] > 0).any()):
            return None, None, (UNCHANGED,)
        return kept, rest if lined else None, ()

    def alone(self, job: Job, drawing: Named, copy: Picture, flat: bool) -> list[Picture]:
        """What the program makes of a drawing without hints from a file, with the seed that the copy names, if any."""
        meta = metadata.record(copy.text)
        seed, variation = meta.get("seed"), meta.get("variation")
        seed = seed if type(seed) is int and SEEDS[0] <= seed <= SEEDS[1] else self.options.seed
        variation = variation if type(variation) is int and 0 <= variation < VARIATIONS else 0  # anyone may write them
        options = replace(self.options, seed=seed, variations=variation + 1, flat=flat)
        options = replace(options, film=None, layers=None, save_regions=None)
        bare = replace(job, drawing=drawing.picture, hints=None, only=None, results=())
        (outcome,) = (one for one in work(self.runner.model, [bare], options) if isinstance(one, Outcome))
        return [one.picture for one in outcome.painted[-1:]]

    def offered(self, items: list[ModelInput]) -> tuple[Tensor, ...]:
        """The few colors that each variation of a job may use, of all panels together; none if there is no limit."""
        model, most = self.runner.colorizer, self.options.colors
        if most is None or not isinstance(model, RegionColorizer):
            return ()
        found = []
        for at in range(self.options.variations):
            seeds = [self.runner.seed(one.original, at) for one in items]
            found.append(model.useful([one.hints for one in items], seeds, self.runner.sampling.steps, most))
        return tuple(found)

    def recalled(self, items: list[ModelInput]) -> tuple[list[ModelInput], tuple[str, ...]]:
        """The inputs of a job, and a note if no colors are given and the model follows a picture that it remembers.

        All panels of a page follow the same one.
        """
        model = self.runner.colorizer
        bare = [one for one in items if not any(name in one.hints for name in COLORED)]
        lined = any("line" in one.hints for one in bare) or self.options.seed
        if not isinstance(model, RegionColorizer) or not len(model.memory) or not (bare and lined):
            return items, ()
        if len(items) > 1:
            scores = model.recall([one.hints for one in items])
            items = [replace(one, hints=Hints(**dict(one.hints.items()), recalled=scores)) for one in items]
        return items, (RECALLED,)
