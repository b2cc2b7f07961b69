"""`--each-ref`: every drawing with each reference alone, and a picture of all pairs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from drawings import colored, run, sketch
from PIL import Image

from colorize.images import files
from colorize.images.decode import read_texts
from colorize.images.metadata import MARK

pytestmark = pytest.mark.usefixtures("desk")
TWO = ("--ref", "ref.png", "--ref", "other.png", "--each-ref")


@pytest.fixture(autouse=True)
def _other(desk: None) -> None:
    Image.fromarray(np.ascontiguousarray(colored().array[..., ::-1])).save("other.png")  # red and blue swapped


def pixels(path: str) -> np.ndarray:
    return files.read(Path(path)).array


def test_each_result_is_what_its_reference_alone_gives() -> None:
    told = run("sketch.png", *TWO)
    assert told.stdout.split() == ["sketch_color_ref.png", "sketch_color_other.png"]
    for name in ("ref", "other"):
        assert list(json.loads(read_texts(Path(f"sketch_color_{name}.png").read_bytes())[MARK])["references"]) == [
            f"{name}.png"
        ]
        run("sketch.png", "--ref", f"{name}.png", "-o", "alone.png", "--overwrite")
        np.testing.assert_array_equal(pixels("alone.png"), pixels(f"sketch_color_{name}.png"))
    assert not np.array_equal(pixels("sketch_color_ref.png"), pixels("sketch_color_other.png"))


def test_the_same_command_skips_and_another_reference_is_added() -> None:
    run("sketch.png", "--ref", "ref.png", "--each-ref")
    told = run("sketch.png", *TWO)
    assert "1 colored, 1 skipped" in told.stderr
    assert "2 skipped" in run("sketch.png", *TWO).stderr


def test_a_folder_of_references_of_equal_names_is_numbered() -> None:
    for folder in ("a", "b"):
        Path("refs", folder).mkdir(parents=True)
        Image.open("ref.png" if folder == "a" else "other.png").save(f"refs/{folder}/hero.png")
    assert run("sketch.png", "--ref", "refs", "--each-ref").stdout.split() == [
        "sketch_color_hero.png",
        "sketch_color_hero-2.png",
    ]


def test_the_grid_has_a_row_for_each_drawing_and_a_column_for_each_reference() -> None:
    told = run("pages", *TWO, "--grid", "-o", "out")
    assert sorted(told.stdout.split()) == [
        "out/1/p1_other.png",
        "out/1/p1_ref.png",
        "out/p2_other.jpg",
        "out/p2_ref.jpg",
    ]
    assert "the grid of all pairs is `out/grid.png`" in told.stderr
    high, wide = files.read(Path("pages/1/p1.png")).size
    grid = pixels("out/grid.png").astype(int)
    assert grid.shape == (3 * (high + 8) + 8, 3 * (wide + 8) + 8, 3)
    down, across = high + 8, wide + 8
    for row, column, shown in ((0, 1, "ref.png"), (1, 0, "pages/1/p1.png"), (1, 2, "out/1/p1_other.png")):
        cell = grid[8 + row * down : 8 + row * down + high, 8 + column * across : 8 + column * across + wide]
        if pixels(shown).shape == cell.shape:
            np.testing.assert_array_equal(cell, pixels(shown))
    assert (grid[: high + 8, : wide + 8] == 255).all()


def test_a_grid_is_made_again_only_when_a_result_has_changed_and_an_edited_one_stays() -> None:
    assert "the grid of all pairs is `sketch_color.png`" in run("sketch.png", *TWO, "--grid").stderr
    assert "grid" not in run("sketch.png", *TWO, "--grid").stderr
    files.write(sketch(step=25), Path("sketch_color.png"))
    told = run("sketch.png", *TWO, "--grid", "--seed", "2").stderr
    assert "`sketch_color.png` was edited, or made by another program, and stays" in told
    assert "the grid of all pairs is `sketch_color-2.png`" in told
    assert "is `sketch_color.png`" in run("sketch.png", *TWO, "--grid", "--overwrite").stderr


def test_files_beside_results_are_told_apart_by_their_reference() -> None:
    run("sketch.png", *TWO, "--layers", "layers/")
    assert sorted(path.name for path in Path("layers").iterdir()) == ["sketch_other.ora", "sketch_ref.ora"]
    assert "is one file, but there are 2 pictures" in run("sketch.png", *TWO, "--layers", "a.ora").stderr


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (("sketch.png", "--each-ref"), "--each-ref has no references"),
        (("sketch.png", *TWO, "-o", "-"), "standard output takes one picture, and --each-ref makes 2"),
        (("sketch.png", *TWO, "--grid", "--variations", "2"), "without variations"),
        (("pages", *TWO, "--watch", "-o", "out"), "--watch colors each drawing once"),
    ],
)
def test_what_cannot_be_is_refused(args: tuple[str, ...], why: str) -> None:
    told = run(*args)
    assert told.exit_code == 2
    assert why in told.stderr
    assert not list(Path().glob("*_color*"))


def test_a_drawing_is_never_replaced() -> None:
    sketch_2 = sketch(step=25)
    Path("in").mkdir()
    for name in ("a", "a_ref"):
        files.write(sketch_2, Path(f"in/{name}.png"))
    told = run("in", "--ref", "ref.png", "--each-ref", "-o", "in")
    assert told.exit_code == 2
    assert "would replace the drawing" in told.stderr


def test_dry_run_counts_all_pairs() -> None:
    told = run("sketch.png", *TWO, "--dry-run")
    assert "2 pictures to color" in told.stderr
    assert not Path("sketch_color_ref.png").exists()
