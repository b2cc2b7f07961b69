"""Measure whether drawings follow their references. Run: python benchmarks/two_references.py DATA.

Every line drawing of the validation split is colored after two other pictures of the split, drawn by a
fixed seed. A pair succeeds when each result is nearer, by its chroma histogram, to its own reference
than to the other one.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

from colorize.checkpoints import model_files
from colorize.coloring import paint
from colorize.coloring.options import Job, Named, SampleOptions
from colorize.evaluation.metrics import palette_distance
from colorize.images import files
from colorize.images.dataset_folder import read_folder


def main(data: str, model: str = "mini", limit: int = 1000) -> None:
    """Print the share of pairs that succeed, and of single results."""
    rows = read_folder(Path(data), "validation")
    rng, loaded = random.Random(0), model_files.load(model)
    wins, halves, pairs = 0, 0, 0
    for row in [row for row in rows if row.line][:limit]:
        named = [Named(other.file.name, files.read(other.file)) for other in rng.sample(rows, 2)]
        jobs = [Job(row.file.name, row.line or row.file, references=(one,)) for one in named]
        outcomes = list(paint.paint_all(loaded, jobs, SampleOptions(kind="line")))
        if any(outcome.error for outcome in outcomes):
            continue  # a reference without color is refused
        references = [one.picture.tensor() for one in named]
        results = [outcome.painted[0].picture.tensor() for outcome in outcomes]
        near = [
            float(palette_distance(result, references[own])) < float(palette_distance(result, references[1 - own]))
            for own, result in enumerate(results)
        ]
        wins, halves, pairs = wins + all(near), halves + sum(near), pairs + 1
    print(json.dumps({"pairs": pairs, "both": wins / pairs, "single": halves / (2 * pairs)}))


if __name__ == "__main__":
    main(*sys.argv[1:3])
