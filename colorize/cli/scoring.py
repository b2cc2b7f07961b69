"""What `eval` does with its options: color, score, and show. Imported when it runs; knows nothing of options' names."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor

from colorize.checkpoint import Loaded
from colorize.cli import common
from colorize.errors import ColorizeError
from colorize.evaluation import baselines as known
from colorize.evaluation import perceptual, report
from colorize.evaluation.baselines import Baseline
from colorize.evaluation.evaluate import METRICS, Metric, Row, against_truth, evaluate
from colorize.evaluation.perceptual import FEWEST, Frechet
from colorize.evaluation.report import Entry
from colorize.evaluation.samples import MODES, Kind, Sample, Samples, samples
from colorize.painter import paint_all
from colorize.painter.options import Job, Named, Options
from colorize.pictures import files
from colorize.recipes import Recipe

NEEDS = {"same": "reference", "cross": "reference", "hints": "hints"}  # mode -> hint of the recipe
SHEET = 6  # pictures of each mode on a sheet

Paint = Callable[[Sample], Tensor]


def name(model: str) -> str:
    """Return what a table calls a model: its run or file rather than its whole path."""
    path = Path(model)
    if path.suffix != ".safetensors":
        return model
    return path.parent.name if path.stem == "model" and path.parent.name else path.stem


def tasks(
    recipe: Recipe, data: Path, modes: Sequence[str], how: tuple[int, int, Kind, int]
) -> list[Samples]:
    """Return the samples of every mode; without `modes`, of all that model and folder can have.

    how: size, seed, kind and limit, see `samples`. Raises ColorizeError if a wanted mode cannot be.
    """
    size, seed, kind, limit = how
    found: list[Samples] = []
    without: list[str] = []  # told at the end: they are no news if there is no mode at all
    for mode in dict.fromkeys(modes or MODES):
        try:
            some = samples(data, mode, size, seed, kind, limit)
            need = NEEDS.get(mode)
            if need and need not in recipe.hints:
                raise ColorizeError(
                    f"`{recipe.name}` takes no {need}, which the mode {mode} gives",
                    "choose another --mode",
                    code=2,
                )
        except ColorizeError as error:
            if modes or (mode == list(MODES)[-1] and not found):
                raise
            without.append(f"note: without the mode {mode}: {error.message}")
            continue
        if some.left_out:
            left = common.counted(some.left_out, "picture")
            common.say(f"note: {mode}: left out {left} that nothing else shares a group with")
        found.append(some)
    for note in without:
        common.say(note)
    return found


def baselines(names: Sequence[str], modes: Sequence[str]) -> list[Baseline]:
    """Return the baselines of these names, `all` and `none` among them, that a mode can use.

    Raises ColorizeError (wrong usage) for an unknown name and for one that no mode can use.
    """
    if "none" in names:
        return []
    if "all" in names:
        return list(known.BASELINES.values())
    found = [known.find(name) for name in names]
    for baseline in found:
        if not set(baseline.modes) & set(modes):
            hint = "add --mode " + " or ".join(baseline.modes)
            raise ColorizeError(f"`{baseline.name}` can color none of these modes", hint, code=2)
    return found


class Scorer:
    """Colors samples with a model and baselines, scores them, and keeps some to be shown."""

    def __init__(
        self, loaded: Loaded, name: str, options: Options, chosen: list[Baseline], deep: bool
    ) -> None:
        """deep: score by pretrained networks, too."""
        self.loaded, self.name, self.options, self.chosen = loaded, name, options, chosen
        self.scores: dict[str, Metric] = dict(METRICS)
        self.crowds = deep
        if deep:
            self.scores["lpips"] = against_truth("LPIPS", False, 3, perceptual.lpips())
        self.shown: list[tuple[Sample, Tensor]] = []

    def run(self, tasks: Sequence[Samples]) -> list[list[Entry]]:
        """Return the entries of every task, the model first; tell of pictures left out."""
        with common.bar() as bar:
            total = sum(len(task) * len(self._ways(task)) for task in tasks)
            doing = bar.add_task("scoring", total=total)
            return [self._one(task, lambda: bar.advance(doing)) for task in tasks]

    def paint(self, sample: Sample) -> Tensor:
        """Color a sample as `sample` would color its files, (1, 3, S, S)."""
        given = sample.reference
        references = () if given is None else (Named("the reference", files.from_tensor(given)),)
        job = Job(sample.file, files.from_tensor(sample.drawing), references, sample.hints)
        (outcome,) = paint_all(self.loaded, [job], self.options)
        if outcome.error:
            raise outcome.error
        return outcome.painted[0].picture.tensor()

    def _ways(self, task: Samples) -> dict[str, Paint]:
        mode = task.protocol.mode
        return {self.name: self.paint} | {b.name: b.paint for b in self.chosen if mode in b.modes}

    def _one(self, task: Samples, advance: Callable[[], None]) -> list[Entry]:
        ways, failed = self._ways(task), []
        rows: dict[str, list[Row]] = {name: [] for name in ways}
        crowds = self._crowds(ways, len(task))
        stride = max(1, len(task) // SHEET)
        for at, sample in enumerate(task):
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
            if at % stride == 0 and at // stride < SHEET:
                self.shown.append((sample, kept[self.name]))
        common.listed(f"{task.protocol.mode}: left out", "picture", failed)
        if len(failed) == len(task):
            raise ColorizeError("no picture could be colored", failed[0] if failed else "")
        extra = {name: {"fid": crowd.value()} for name, crowd in crowds.items()}
        return [Entry(n, task.protocol, tuple(rows[n]), extra.get(n, {})) for n in ways]

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
            common.say(f"note: without FID: {error}")
            self.crowds = False
            return {}


def write_sheet(shown: Sequence[tuple[Sample, Tensor]], name: str, path: Path) -> None:
    """Write drawing, what was given, result and truth of samples nobody selected."""
    rows = []
    for sample, result in shown:
        given = sample.reference
        if sample.hints is not None:
            given = torch.where(sample.hints[:, 3:] > 0, sample.hints[:, :3], 1.0)
        rows.append([sample.drawing, torch.ones_like(result) if given is None else given])
        rows[-1] += [result, sample.truth]
    files.write(report.contact_sheet(rows, ("drawing", "given", name, "truth")), path)
    common.say(f"the sheet is `{path}`")


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
