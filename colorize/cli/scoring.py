"""What `eval` does: color, score, keep pictures to be shown. Imported when it runs; knows nothing of tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from colorize import interrupts
from colorize.checkpoint import Loaded
from colorize.cli import common
from colorize.errors import ColorizeError
from colorize.evaluation import perceptual, report, sheet, shots
from colorize.evaluation.baselines import Baseline
from colorize.evaluation.evaluate import METRICS, Metric, Row, against_truth, evaluate
from colorize.evaluation.page import Chapter
from colorize.evaluation.perceptual import FEWEST, Frechet
from colorize.evaluation.report import Entry
from colorize.evaluation.samples import HINT_SHARE, Sample, Samples
from colorize.painter import paint_all
from colorize.painter.options import Job, Named, Options
from colorize.pictures import files

Paint = Callable[[Sample], Tensor]


@dataclass(frozen=True)
class Keep:
    """What is kept of the pictures: rows of a sheet per mode, and small results for a page."""

    shown: int = 0
    small: bool = False


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
            words = "visible difference as a network sees it"
            self.scores["lpips"] = against_truth("LPIPS", False, 3, perceptual.lpips(), words)
        self.shown: list[list[Tensor]] = []  # rows of drawing, what was given, result and truth

    def run(self, tasks: Sequence[Samples], keep: Keep) -> list[Chapter]:
        """Return the scores of every task, the model first; tell of pictures left out."""
        pictured = _pictured(tasks) if keep.small else set()
        side = max((task.protocol.size for task in tasks), default=0)
        side = sheet.cell(keep.shown * len(tasks), side)
        with common.bar() as bar:
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
            references = (Named("the reference", files.from_tensor(given)),)
        job = Job(sample.file, files.from_tensor(sample.drawing), references, sample.hints)
        (outcome,) = paint_all(self.loaded, [job], self.options)
        if outcome.error:
            raise outcome.error
        return outcome.painted[0].picture.tensor()

    def _ways(self, task: Samples) -> dict[str, Paint]:
        mode = task.protocol.mode
        return {self.name: self.paint} | {b.name: b.paint for b in self.chosen if mode in b.modes}

    def _one(
        self, task: Samples, showing: Mapping[int, int], small: bool, advance: Callable[[], None]
    ) -> Chapter:
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
                results[sample.file] = shots.thumbnail(kept[self.name])
        common.listed(f"{report.short(task.protocol)}: left out", "picture", failed)
        if len(failed) == len(task):
            raise ColorizeError("no picture could be colored", failed[0] if failed else "")
        extra = {name: {"fid": crowd.value()} for name, crowd in crowds.items()}
        found = tuple(Entry(n, task.protocol, tuple(rows[n]), extra.get(n, {})) for n in ways)
        return Chapter(found, tuple(shots.shots(task, found, results)) if small else ())

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
    beside = shots.given(sample)
    blank = torch.ones_like(sample.truth)
    pictures = (sample.drawing, blank if beside is None else beside, result, sample.truth)
    return [sheet.resized(picture, side) for picture in pictures]
