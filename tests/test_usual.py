"""Where no colors are given, the embedded model gets usual ones, and says so; whoever names any is obeyed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import volumes
from drawings import DOT, MINI, colored, one, pixels, ref, sketch
from PIL import Image
from typer.testing import CliRunner

import colorize
from colorize import checkpoint, painter
from colorize.checkpoint import Loaded
from colorize.checkpoint.adapters import Worn
from colorize.cli import app
from colorize.painter import Job, Options, usual
from colorize.pictures import files
from colorize.pictures.marks import parse
from colorize.pictures.picture import Picture

SKETCH = sketch()


@pytest.fixture(scope="module")
def embedded() -> Loaded:
    return checkpoint.load("mini")


def test_nothing_given_means_the_usual_palette(embedded: Loaded) -> None:
    weights = Options(guidance={"reference": 1.0})  # as many calls as with nothing
    given, plain, own = (
        colorize.paint(SKETCH, palette=palette, model=embedded, options=options).pixels
        for palette, options in ((usual.DRAWING, weights), ("", None), ("none", None))
    )
    assert (given == plain).all()
    assert (plain != own).any()


def test_pages_get_their_own(embedded: Loaded) -> None:
    page = Picture(volumes.page(10, 1, (1000, 700), "grid").gray[..., None])
    outcome = one(Job("p", page), embedded)
    assert outcome.painted[0].meta["panels"]
    own, other = (
        one(Job("p", page, (painter.colors(colors),)), embedded, guidance={"reference": 1.0})
        for colors in (usual.PAGE, usual.DRAWING)
    )
    assert outcome.painted[0].calls == own.painted[0].calls
    assert (pixels(outcome) == pixels(own)).all()
    assert (pixels(outcome) != pixels(other)).any()


@pytest.mark.parametrize("given", ["reference", "hints", "dots", "refused", "other", "adapter"])
def test_whoever_chooses_is_left_alone(given: str, embedded: Loaded) -> None:
    job, options, model = Job("a", SKETCH), Options(), embedded
    if given == "reference":
        job = replace(job, references=ref())
    elif given == "hints":
        job = replace(job, hints=DOT)
    elif given == "dots":
        job = replace(job, dots=(parse("9,9=red"),))
    elif given == "refused":
        options = Options(usual=False)
    elif given == "other":
        model = MINI
    else:
        model = replace(embedded, adapters=(Worn("mine", 1.0, ""),))
    assert usual.led(job, model, options, False) == (job, ())


def test_hints_on_a_page_leave_its_other_panels_the_usual_colors(embedded: Loaded) -> None:
    job, notes = usual.led(Job("a", SKETCH, dots=(parse("9,9=red"),)), embedded, Options(), True)
    assert [one.name for one in job.references] == ["usual colors"]
    assert notes


def test_the_command_says_so_and_none_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    files.write(SKETCH, Path("sketch.png"))
    told = []
    for name, more in (("usual", []), ("own", ["--palette", "none"])):
        result = CliRunner().invoke(app, ["sample", "sketch.png", "-o", f"{name}.png", *more])
        assert result.exit_code == 0, result.output
        told.append("usual ones" in result.stderr)
    metas = [json.loads(Image.open(f"{name}.png").text["colorize"]) for name in ("usual", "own")]
    assert told == [True, False]
    assert [list(meta["references"]) for meta in metas] == [["usual colors"], []]


def test_scores_of_nothing_are_of_nothing(tmp_path: Path) -> None:
    for name in ("a", "b"):
        files.write(Picture(np.ascontiguousarray(colored().pixels[:, :: 1 if name == "a" else -1])),
                    tmp_path / f"{name}.png")  # fmt: skip
    more = ["--mode", "usual", "--mode", "none", "--against", "none", "--json", "--size", "64"]
    result = CliRunner().invoke(app, ["eval", "mini", str(tmp_path), *more])
    assert result.exit_code == 0, result.output
    led, none = (one["results"][0]["scores"] for one in json.loads(result.stdout))
    assert led != none
