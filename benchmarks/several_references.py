"""Measure whether several references mix by relevance. Run: python benchmarks/several_references.py DATA.

Every line drawing of the validation split that has another picture of its group is colored after that picture,
after one that has nothing to do with it, and after both in either order. If both were averaged, the result
would lie halfway; if the drawing finds its own, it lies near what the fitting reference alone gives.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from colorize.checkpoints import model_files
from colorize.coloring import paint
from colorize.coloring.options import Job, Named, SampleOptions
from colorize.evaluation import metrics
from colorize.evaluation.samples import samples
from colorize.images.image import from_tensor


def main(data: str, limit: int = 0) -> None:
    """Print CIEDE2000 to the truth, and how near the mixed results lie to the fitting one's."""
    loaded, scores = model_files.load("mini"), []
    fitting = {one.file: one for one in samples(Path(data), "cross", limit=limit)}
    unrelated = {one.file: one for one in samples(Path(data), "shuffled")}
    options = SampleOptions(kind="line", force=True)
    for name in fitting.keys() & unrelated.keys():
        pair = []
        for one in (fitting[name], unrelated[name]):
            assert one.reference is not None
            pair.append(Named("one", from_tensor(one.reference)))
        drawing, truth = from_tensor(fitting[name].drawing), fitting[name].truth
        ways = (pair[:1], pair[1:], pair, pair[::-1])
        jobs = [Job(name, drawing, tuple(way)) for way in ways]
        outcomes = list(paint.paint_all(loaded, jobs, options))
        if any(outcome.error for outcome in outcomes):
            continue
        made = [outcome.painted[0].picture.tensor() for outcome in outcomes]
        apart = [float(metrics.delta_e(one, truth)) for one in made]
        between = [float(metrics.delta_e(one, made[0])) for one in made[1:]]
        scores.append([*apart, *between])
    names = ("fitting", "unrelated", "both", "both_reversed")
    means = [round(value, 2) for value in torch.tensor(scores).mean(0).tolist()]
    result = {"pictures": len(scores), "delta_e_to_truth": dict(zip(names, means[:4], strict=True))}
    result["delta_e_to_the_fitting_result"] = dict(zip(names[1:], means[4:], strict=True))
    print(json.dumps(result))


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:3]))
