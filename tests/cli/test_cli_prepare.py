"""`prepare-data`: its report. Bugs guarded: silence about what was left out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from tables import row, table
from typer.testing import CliRunner

from colorize.cli.app import app


@pytest.fixture(autouse=True)
def _apart(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def colorize(*arguments: str):
    return CliRunner().invoke(app, [*arguments])


def spots(folder: Path, count: int) -> None:
    """Pictures that no duplicate search takes for each other."""
    for index in range(count):
        rng = torch.Generator().manual_seed(index)
        pixels = (torch.rand(6, 6, 3, generator=rng) * 255).byte().numpy()
        path = folder / f"set{index}" / "a.png"
        path.parent.mkdir(parents=True)
        Image.fromarray(pixels).resize((60, 60), Image.Resampling.NEAREST).save(path)


def test_prepared_data_is_reported_and_trained_on():
    spots(Path("pictures"), 9)
    result = colorize("prepare-data", "pictures", "ready", "--size", "64", "--test", "0.2")
    assert result.exit_code == 0, result.output
    assert "`ready` holds 6 train, 1 validation, 2 test pictures of 9 groups" in result.stderr
    assert "next: colorize train anime-diffusion ready" in result.stderr
    assert "6 pictures" in colorize("train", "mini", "ready", "--dry-run").stderr


def test_the_report_of_prepare_data_comes_as_json():
    spots(Path("pictures"), 2)
    Path("pictures/broken.png").write_bytes(b"no picture")
    result = colorize("prepare-data", "pictures", "ready", "--size", "64", "--json")
    report = json.loads(result.stdout)
    assert sum(report["counts"].values()) == 2
    assert report["skipped"][0][0] == "broken.png"


def test_a_parquet_file_is_prepared():
    table(Path("train.parquet"), [row(seed) for seed in range(3)])
    result = colorize("prepare-data", "train.parquet", "ready", "--size", "64")
    assert result.exit_code == 0, result.output
    assert "pictures of 3 groups; read as parquet" in result.stderr


@pytest.mark.parametrize(
    ("source", "code", "told"),
    [
        ("hub:../up", 2, "`hub:../up` is not the name of a data set on the Hub"),
        ("gone", 1, "there is no folder `gone`"),
        ("data.rar", 1, "`data.rar` is not a folder"),
    ],
)
def test_a_bad_source_leaves_nothing_behind(source, code, told):
    Path("data.rar").write_bytes(b"Rar!")
    result = colorize("prepare-data", source, "ready")
    assert (result.exit_code, result.exception.__class__) == (code, SystemExit)
    assert told in result.stderr
    assert not Path("ready").exists()


def test_nothing_usable_to_prepare_is_an_error():
    Path("empty").mkdir()
    Path("empty/a.png").write_bytes(b"no picture")
    result = colorize("prepare-data", "empty", "ready")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
