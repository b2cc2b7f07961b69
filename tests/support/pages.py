"""A page of scores of two modes and two shares of hints, without a model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from colorize.evaluation import baselines, sheets
from colorize.evaluation.report import Table, page
from colorize.evaluation.samples import Dataset, Sample, Samples, samples
from colorize.evaluation.score import Entry, score

NAME = '<b>&"model'


def furnish(root: Path, pictures: int = 4, prefix: str = "") -> Path:
    """Write colored squares on white, in two sets."""
    for at in range(pictures):
        path = root / "validation" / f"{prefix}{at}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.full((48, 48, 3), 255, np.uint8)
        pixels[8:40, 8:40] = 0
        pixels[10:38, 10:38] = (230, 60 * at, 40)
        Image.fromarray(pixels).save(path)
    return root


def tinted(sample: Sample) -> torch.Tensor:
    """A model worse than the truth: its color, half as strong."""
    return sample.truth * 0.5 + sample.drawing * 0.5


def table(task: Samples, small: bool = True) -> Table:
    """The table of a model that tints, and of the baselines that apply."""
    ways = {NAME: tinted} | {b.name: b.paint for b in baselines.find(["all"], [task.protocol.mode])}
    entries = tuple(
        Entry(name, task.protocol, tuple(score(paint, sample)[0] for sample in task), {})
        for name, paint in ways.items()
    )
    results = {sample.file: sheets.thumbnail(tinted(sample)) for sample in task}
    return Table(entries, sheets.examples(task, entries, results) if small else ())


def made(root: Path, prefix: str = "") -> str:
    """The page of the modes same and hints at two shares, only the first share with pictures."""
    data = Dataset(furnish(root, prefix=prefix))
    tables = [
        table(samples(data, "same", 48)),
        table(samples(data, "hints", 48, share=0.01)),
        table(samples(data, "hints", 48, share=0.05), small=False),
    ]
    return page(NAME, {"drawings": "line <art>"}, tables)
