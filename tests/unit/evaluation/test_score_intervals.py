"""Means and intervals are what statistics says. Bug guarded: an interval too narrow to be honest."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from colorize.errors import ColorizeError
from colorize.evaluation.score import Row, summary


def test_the_interval_is_that_of_the_normal_law_for_many_pictures():
    values = torch.randn(400, generator=torch.Generator().manual_seed(0)).tolist()
    mean = summary(Row(str(i), "", {"psnr": v}, 0.1) for i, v in enumerate(values)).scores["psnr"]
    half = 1.96 * float(np.std(values)) / math.sqrt(400)
    assert (mean.high - mean.low) / 2 == pytest.approx(half, rel=0.1)  # 1000 draws: about 5 %


def test_sets_are_averaged_apart():
    rows = [Row("1", "x", {"psnr": 10}, 1), Row("2", "x", {"psnr": 20}, 1), Row("3", "y", {"psnr": 30}, 1)]
    assert {n: (p.pictures, p.scores["psnr"]) for n, p in summary(rows).sets.items()} == {"x": (2, 15), "y": (1, 30)}


def test_no_rows_are_refused():
    with pytest.raises(ColorizeError, match="no picture"):
        summary([])
