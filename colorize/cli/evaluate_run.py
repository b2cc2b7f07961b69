"""What `eval` does: color, score, keep pictures to be shown. Imported when it runs; knows nothing of tables."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import typer
from rich.console import Console
from torch import Tensor

from colorize import __version__, interrupts
from colorize.checkpoints.model_files import Loaded
from colorize.cli import messages
from colorize.coloring.options import Job, Named, SampleOptions, sampling
from colorize.coloring.paint import paint_all
from colorize.errors import ColorizeError
from colorize.evaluation import baselines as known
from colorize.evaluation import charts, perceptual, report, sheets
from colorize.evaluation.baselines import Baseline
from colorize.evaluation.charts import SHARES
from colorize.evaluation.html import Chapter, page
from colorize.evaluation.perceptual import FEWEST, Frechet
from colorize.evaluation.pictures import Kind, Store
from colorize.evaluation.report import Entry
from colorize.evaluation.samples import HINT_SHARE, MODES, Protocol, Sample, Samples, samples
from colorize.evaluation.score import METRICS, Metric, Row, against_truth, evaluate
from colorize.evaluation.sheets import contact_sheet
from colorize.images import files
from colorize.images.image import from_tensor
from colorize.recipes.recipe import Recipe

NEEDS = {  # mode -> hint of the recipe
    **dict.fromkeys(("same", "flip", "cross", "shuffled", "palette"), "reference"),
    **dict.fromkeys(("hints", "stored"), "hints"),
}
LEFT = {  # mode -> which pictures it leaves out
    "cross": "that nothing else shares a group with",
    "shuffled": "that have none of another set and group",
    "stored": "that have no hints of their own",
}
ALIKE = "that nothing of their group shares so many colors with"


def name(model: str, loaded: Loaded) -> str:
    """Return what a table calls a model: its run or file rather than its whole path, and what it has on."""
    path = Path(model)
    found = model
    if path.suffix == ".safetensors":
        found = path.parent.name if path.stem == "model" and path.parent.name else path.stem
    found = f"{found} (model)" if found in known.BASELINES else found
    return " + ".join([found, *(one.text for one in loaded.adapters)])


@dataclass(frozen=True)
class How:
    """How samples are made, see `samples`; no shares stand for the usual one."""

    size: int
    seed: int
    kind: Kind
    limit: int
    shares: tuple[float, ...] = ()
    alike: float = 0.0


def shares(percents: Sequence[float], curve: bool, modes: Sequence[str]) -> tuple[float, ...]:
    """Return the shares of hinted pixels that were asked for, rising, each once.

    Raises ColorizeError (wrong usage) for two wishes at once, and where no mode gives hints.
    """
    if not percents and not curve:
        return ()
    option = "--curve" if curve else "--hint-share"
    if percents and curve:
        raise ColorizeError("--curve and --hint-share are both given", "choose one", code=2)
    if modes and "hints" not in modes:
        raise ColorizeError(f"{option} is for the mode hints", "add --mode hints", code=2)
    return SHARES if curve else tuple(sorted({percent / 100 for percent in percents}))


def drawn(recipe: Recipe, kind: Kind | None) -> Kind:
    """Return how pictures are drawn: as asked, or else as line art if the recipe takes it."""
    return kind or ("line" if "line" in recipe.hints else "gray")


def tasks(recipe: Recipe, data: Path, modes: Sequence[str], how: How) -> list[Samples]:
    """Return the samples of every mode; without `modes`, of all that model and folder can have.

    Raises ColorizeError if a wanted mode cannot be, or the folder.
    """
    store = Store(data)
    found: list[Samples] = []
    without: list[str] = []  # told at the end: they are no news if there is no mode at all
    for mode in dict.fromkeys(modes or MODES):
        try:
            some = _of_mode(recipe, store, mode, how)
        except ColorizeError as error:
            asked = modes or (mode == "hints" and how.shares)
            if asked or (mode == list(MODES)[-1] and not found):
                raise
            if mode != "stored":  # few have such, and nobody misses it
                without.append(f"note: without the mode {mode}: {error.message}")
            continue
        if some[0].left_out:
            left = messages.counted(some[0].left_out, "picture")
            why = ALIKE if how.alike and mode == "cross" else LEFT[mode]
            messages.say(f"note: {mode}: left out {left} {why}")
        found += some
    for note in without:
        messages.say(note)
    return found


def _of_mode(recipe: Recipe, store: Store, mode: str, how: How) -> list[Samples]:
    """The samples of one mode, of every share if it is that of hints."""
    need = NEEDS.get(mode)
    if need and need not in recipe.hints:
        raise ColorizeError(
            f"`{recipe.name}` takes no {need}, which the mode {mode} gives", "choose another --mode", code=2
        )
    wanted = (how.shares if mode == "hints" else ()) or (HINT_SHARE,)
    return [samples(store, mode, how.size, how.seed, how.kind, how.limit, share, how.alike) for share in wanted]


def baselines(names: Sequence[str], modes: Sequence[str]) -> list[Baseline]:
    """Return the baselines of these names, `all` and `none` among them, that a mode can use.

    Raises ColorizeError (wrong usage) for an unknown name and for one that no mode can use.
    """
    if "none" in names:
        return []
    if "all" in names:
        return [one for one in known.BASELINES.values() if not one.oracle]
    found = [known.find(name) for name in names]
    for baseline in found:
        if not set(baseline.modes) & set(modes):
            hint = "add --mode " + " or ".join(baseline.modes)
            raise ColorizeError(f"`{baseline.name}` can color none of these modes", hint, code=2)
    return found


Paint = Callable[[Sample], Tensor]


@dataclass(frozen=True)
class Keep:
    """What is kept of the pictures: rows of a sheet per mode, and small results for a page."""

    shown: int = 0
    small: bool = False


class Scorer:
    """Colors samples with a model and baselines, scores them, and keeps some to be shown."""

    def __init__(self, loaded: Loaded, name: str, options: SampleOptions, chosen: list[Baseline], deep: bool) -> None:
        """deep: score by pretrained networks, too."""
        self.loaded, self.name, self.options, self.chosen = loaded, name, options, chosen
        self.scores: dict[str, Metric] = dict(METRICS)
        self.crowds = deep
        if deep:
            words = "visible difference as a network sees it"
            self.scores["lpips"] = against_truth("LPIPS", False, 3, perceptual.lpips(), words)
        self.shown: list[list[Tensor]] = []  # rows of drawing, what was given, result and truth

    def run(self, tasks: Sequence[Samples], keep: Keep) -> list[Chapter]:
        """Return the scores of every task, the model first; tell of pictures left out."""
        pictured = _pictured(tasks) if keep.small else set()
        side = max((task.protocol.size for task in tasks), default=0)
        side = sheets.cell(keep.shown * len(tasks), side)
        with messages.bar() as bar:
            total = sum(len(task) * len(self._ways(task)) for task in tasks)
            doing = bar.add_task("scoring", total=total)
            return [
                self._one(
                    task,
                    {at * len(task) // keep.shown: side for at in range(keep.shown)},
                    number in pictured,
                    lambda: bar.advance(doing),
                )
                for number, task in enumerate(tasks)
            ]

    def paint(self, sample: Sample) -> Tensor:
        """Color a sample as `sample` would color its files, (1, 3, S, S)."""
        given = sample.reference
        references: tuple[Named, ...] = ()
        if given is not None:
            references = (Named("the reference", from_tensor(given)),)
        job = Job(sample.file, from_tensor(sample.drawing), references, sample.hints)
        (outcome,) = paint_all(self.loaded, [job], self.options)
        if outcome.error:
            raise outcome.error
        return outcome.painted[0].picture.tensor()

    def _ways(self, task: Samples) -> dict[str, Paint]:
        mode = task.protocol.mode
        return {self.name: self.paint} | {b.name: b.paint for b in self.chosen if mode in b.modes}

    def _one(self, task: Samples, showing: Mapping[int, int], small: bool, advance: Callable[[], None]) -> Chapter:
        """Score one task. showing: side in pixels of the pictures for the sheet, by place."""
        ways, failed = self._ways(task), []
        rows: dict[str, list[Row]] = {name: [] for name in ways}
        crowds = self._crowds(ways, len(task))
        results: dict[str, bytes] = {}
        for at, sample in enumerate(task):
            interrupts.check()
            kept: dict[str, Tensor] = {}
            try:
                scored = {name: self._scored(sample, name, ways[name], kept) for name in ways}
            except ColorizeError as error:  # of the picture, such as a reference without color
                failed.append(f"{sample.file}: {error.message}")
                continue
            for name, row in scored.items():
                rows[name].append(row)
                advance()
                if name in crowds:
                    crowds[name].add(kept[name], sample.truth)
            if at in showing:
                self.shown.append(_row(sample, kept[self.name], showing[at]))
            if small:
                results[sample.file] = sheets.thumbnail(kept[self.name])
        messages.listed(f"{report.short(task.protocol)}: left out", "picture", failed)
        if len(failed) == len(task):
            raise ColorizeError("no picture could be colored", failed[0] if failed else "")
        extra = {name: {"fid": crowd.value()} for name, crowd in crowds.items()}
        found = tuple(Entry(n, task.protocol, tuple(rows[n]), extra.get(n, {})) for n in ways)
        return Chapter(found, tuple(sheets.shots(task, found, results)) if small else ())

    def _scored(self, sample: Sample, name: str, paint: Paint, kept: dict[str, Tensor]) -> Row:
        def keeping(sample: Sample) -> Tensor:
            kept[name] = paint(sample)
            return kept[name]

        (row,) = evaluate(keeping, [sample], self.scores)
        return row

    def _crowds(self, ways: Mapping[str, Paint], pictures: int) -> dict[str, Frechet]:
        """An empty FID for each way of coloring, if it is wanted and can be had."""
        if not self.crowds or pictures < FEWEST:
            return {}
        try:
            return {name: perceptual.fid() for name in ways}
        except ColorizeError as error:  # it needs one package more than LPIPS
            messages.say(f"note: without FID: {error}")
            self.crowds = False
            return {}


def _pictured(tasks: Sequence[Samples]) -> set[int]:
    """Tell which tasks have pictures on a page: of several shares of hints the most usual one."""
    modes = [task.protocol.mode for task in tasks]
    usual = {
        mode: min(
            (at for at, other in enumerate(modes) if other == mode),
            key=lambda at: abs(tasks[at].protocol.hint_share - HINT_SHARE),
        )
        for mode in modes
    }
    return set(usual.values())


def _row(sample: Sample, result: Tensor, side: int) -> list[Tensor]:
    beside = sheets.given(sample)
    blank = torch.ones_like(sample.truth)
    pictures = (sample.drawing, blank if beside is None else beside, result, sample.truth)
    return [sheets.resized(picture, side) for picture in pictures]


PAGES = (".html", ".htm")
QUALITY = 88  # of a sheet in JPEG or WebP, where it is for looking at and not for measuring


def check_place(option: str, path: Path | None, suffixes: Sequence[str]) -> None:
    """Refuse a file that could not be written, before hours are spent on what stands in it.

    Raises ColorizeError (wrong usage) for a missing folder, a folder, or another suffix.
    """
    if path is None:
        return
    shown = files.shown(path)
    if path.suffix.lower() not in suffixes:
        hint = "use one of " + ", ".join(suffixes)
        raise ColorizeError(f"{option} cannot be written as `{shown}`", hint, code=2)
    if not path.parent.is_dir():
        raise ColorizeError(
            f"{option} `{shown}`: there is no folder `{files.shown(path.parent)}`",
            "make the folder first, or name another place",
            code=2,
        )
    if path.is_dir():
        raise ColorizeError(f"{option} `{shown}` is a folder", "name a file in it", code=2)


def write_sheet(rows: Sequence[Sequence[Tensor]], name: str, path: Path) -> None:
    """Write drawing, what was given, result and truth of samples nobody selected."""
    titles = ("drawing", "given", name, "truth")
    files.write(contact_sheet(rows, titles), path, quality=QUALITY)
    messages.say(f"the sheet is `{path}`")


def write_page(
    name: str, facts: Mapping[str, str], chapters: Sequence[Chapter], scores: Mapping[str, Metric], path: Path
) -> None:
    """Write the page of `evaluation.page`, whole or not at all."""
    text = page(name, facts, chapters, scores)
    with files.atomic(path) as temporary:  # names may hold bytes that are no Unicode
        temporary.write_bytes(text.encode("utf-8", "replace"))
    messages.say(f"the page is `{path}`")


def facts(recipe: Recipe, options: SampleOptions, protocol: Protocol) -> dict[str, str]:
    """Return what a page says of a model and its protocol, beside the scores."""
    walk = sampling(recipe, options)
    hinted = {"hints": f"taken in the mode {options.hint_mode}"} if protocol.hint_share else {}
    return {
        "recipe": recipe.name,
        "drawings": "line art" if protocol.kind == "line" else "gray pictures",
        "pictures": f"fitted into {protocol.size} x {protocol.size} pixels",
        "walk": f"{walk.sampler}, {messages.counted(walk.steps, 'step')}",
        **hinted,
        "seed": str(protocol.seed),
        "program": f"colorize {__version__}",
    }


def documents(tables: Sequence[Sequence[Entry]]) -> str:
    """Return a JSON list of `report.to_json`, one object per table."""
    return json.dumps([json.loads(report.to_json(table)) for table in tables], indent=2)


def show(tables: Sequence[Sequence[Entry]], scores: Mapping[str, Metric]) -> None:
    """Print the tables to stdout, and the model's scores by set where there are several."""
    console = Console()
    for entries in tables:
        console.print(report.table(entries, scores))
        if len({row.set for row in entries[0].rows}) > 1:
            console.print(report.sets_table(entries[0], scores))
    by_share = charts.curve_table(tables, scores)
    if by_share is not None:
        console.print(by_share)


def tell(tables: Sequence[Sequence[Entry]], scores: Mapping[str, Metric], as_json: bool, markdown: bool) -> None:
    """Print the scores to stdout: as JSON, as Markdown, or as tables for the terminal."""
    if as_json:
        typer.echo(documents(tables))
    elif markdown:
        typer.echo("\n".join(report.markdown(table, scores) for table in tables), nl=False)
    else:
        show(tables, scores)
