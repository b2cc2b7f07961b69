"""`eval`: what is scored, beside what, and how it is told. Bugs guarded: scores of pictures nobody gets."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from conftest import tiny
from PIL import Image
from typer.testing import CliRunner

from colorize import checkpoint
from colorize.cli import app
from colorize.evaluation import metrics, report
from colorize.evaluation.samples import fit
from colorize.pictures import files, lines


def run(*arguments: str):
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture
def model(tmp_path: Path) -> str:
    """The file of a tiny model with random weights."""
    torch.manual_seed(0)
    checkpoint.save(tiny("mini").build(), tiny("mini"), tmp_path / "tiny.safetensors")
    return str(tmp_path / "tiny.safetensors")


def score(model: str, folder: Path, *more: str):
    return run("eval", model, str(folder), "--size", "64", "--device", "cpu", *more)


def test_eval_prints_the_model_beside_the_baselines_that_its_mode_allows(model, folder):
    result = score(model, folder, "--mode", "hints")
    assert result.exit_code == 0, result.output
    names = re.findall(r"^ (tiny|gray|reference-\w+|nearest-hint) ", result.stdout, re.MULTILINE)
    assert names == ["tiny", "gray", "nearest-hint"]
    assert result.stderr == ""


def test_eval_scores_what_sample_writes(model, folder, tmp_path):
    document = json.loads(score(model, folder, "--mode", "none", "--json").stdout)[0]
    row = document["results"][0]["rows"][0]
    truth = fit(files.read(folder / "validation" / row["file"]).tensor(), 64)
    files.write(files.from_tensor(lines.xdog(truth)), tmp_path / "drawing.png")
    painted = str(tmp_path / "painted.png")
    more = ("--model", model, "--kind", "line", "--device", "cpu", "--out", painted)
    assert run("sample", str(tmp_path / "drawing.png"), *more).exit_code == 0
    found = metrics.psnr(files.read(Path(painted)).tensor(), truth).item()
    assert row["scores"]["psnr"] == pytest.approx(found)


def test_eval_leaves_out_modes_that_cannot_be_unless_they_are_asked_for(model, folder):
    every = score(model, folder, "--against", "none", "--json")
    protocols = [document["protocol"]["mode"] for document in json.loads(every.stdout)]
    assert protocols == ["same", "hints", "none"]
    assert "note: without the mode cross: no picture" in every.stderr
    assert score(model, folder, "--mode", "cross").exit_code == 1


def test_eval_tells_of_missing_data_once(model, tmp_path):
    told = score(model, tmp_path / "nowhere").stderr
    assert re.fullmatch(r"error: there is no folder .+\nhint: .+\n", told)


def test_eval_refuses_unknown_names_with_the_nearest(model, folder):
    assert "`nearest-hint`" in score(model, folder, "--against", "nearest").stderr
    assert "`same`" in score(model, folder, "--mode", "sam").stderr
    assert (
        "add --mode hints"
        in score(model, folder, "--mode", "none", "--against", "nearest-hint").stderr
    )


def test_eval_tells_of_pictures_that_cannot_be_colored(model, folder):
    Image.new("RGB", (48, 48), "white").save(folder / "validation" / "white.png")
    result = score(model, folder, "--mode", "same", "--json")
    assert "same: left out 1 picture:\n  white.png: the reference `the reference` has no color" in (
        result.stderr
    )
    assert json.loads(result.stdout)[0]["results"][0]["pictures"] == 2


def test_eval_writes_a_sheet_and_markdown(model, folder, tmp_path):
    sheet = tmp_path / "sheet.png"
    result = score(model, folder, "--mode", "none", "--sheet", str(sheet), "--markdown")
    assert result.stdout.count("| tiny |") == 1
    with Image.open(sheet) as picture:
        assert picture.width == 4 * 64 + 3 * report.GUTTER
