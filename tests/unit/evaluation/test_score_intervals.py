"""Means and intervals are what statistics says. Bug guarded: an interval too narrow to be honest."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
import torch
from rich.console import Console

from colorize.errors import ColorizeError
from colorize.evaluation.metrics import METRICS
from colorize.evaluation.report import Table
from colorize.evaluation.samples import Protocol
from colorize.evaluation.score import Entry, Row, summary


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


def wide_table(columns: list[str], names: list[str], sets: list[str]) -> Table:
    """The longest values that scores have, for models and sets of long names."""
    protocol = Protocol(
        "cross", 256, "line", 0, 0.0, "a folder of a long name/validation, 1234 pictures, 12ab34cd", 0.7
    )
    most = {"psnr": (17.1, 45.4), "delta_e": (14.0, 33.3), "hues": (1.0, 12.5)}
    entries = []
    for name in names:
        scores = [{key: most.get(key, (0.0, 1.0))[at % 2] for key in columns if METRICS[key].score} for at in range(4)]
        rows = tuple(Row(f"{at}.png", sets[at % len(sets)], one, 12.34) for at, one in enumerate(scores))
        entries.append(Entry(name, protocol, rows, {"fid": 123.45} if "fid" in columns else {}))
    return Table(tuple(entries))


@pytest.mark.parametrize("columns", [list(METRICS), [name for name in METRICS if not METRICS[name].perceptual]])
def test_tables_fit_eighty_columns_and_lose_nothing(columns):
    names = ["anime-diffusion-finetune + runs/series=0.8", "reference-statistics"]
    table = wide_table(columns, names, ["", "a_set_of_a_long_name_indeed", "other"])
    out = io.StringIO()
    Console(file=out, width=80).print(*table.terminal(), sep="\n")
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert "…" not in out.getvalue()
    for key in columns:
        if METRICS[key].terminal:
            assert all(word in out.getvalue() for word in METRICS[key].heading.split())
    for _, cells in table.lines():
        shown = [cell for cell, key in zip(cells, table.columns, strict=True) if METRICS[key].terminal]
        assert all(cell.text in out.getvalue() and cell.half in out.getvalue() for cell in shown)


def test_a_column_is_called_as_its_key_in_json():
    for key, metric in METRICS.items():
        assert metric.title.lower().replace(" ", "_").replace("-", "_") == key
