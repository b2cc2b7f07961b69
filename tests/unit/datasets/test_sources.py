"""The layout of a folder is found, and its pictures and drawings are not mixed up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sources import colored, drawing, look, run, save, side_by_side, stories

from colorize.datasets.sources import group_of
from colorize.images.dataset_folder import read_folder


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return stories(tmp_path / "source")


@pytest.mark.parametrize(
    ("folders", "layout"),
    [
        (["a", "b/reference"], "pictures"),
        (["color", "sketch"], "pairs"),
        (["train/colour", "train/lines", "val/colour", "val/lines"], "pairs"),
        (["reference/train", "condition/train"], "pairs"),
    ],
)
def test_folders_tell_the_layout(tmp_path, folders, layout):
    for folder in folders:
        save(colored(1), tmp_path / folder / "1.png")
    assert look(tmp_path).layout == layout


@pytest.mark.parametrize(("color_left", "order"), [(True, "color-line"), (False, "line-color")])
def test_two_to_one_with_a_gray_half_is_a_pair_side_by_side(tmp_path, color_left, order):
    found = look(side_by_side(tmp_path, color_left))
    assert (found.layout, found.order) == ("side-by-side", order)


def test_wide_color_pictures_are_no_pairs(tmp_path):
    for number in range(3):
        save(np.concatenate([colored(number), colored(9 + number)], 1), tmp_path / f"{number}.png")
    assert look(tmp_path).layout == "pictures"


@pytest.mark.parametrize("color_left", [True, False])
def test_halves_are_not_swapped(tmp_path, color_left):
    run(side_by_side(tmp_path / "source", color_left), tmp_path / "data")
    for row in read_folder(tmp_path / "data"):
        assert np.array_equal(np.asarray(Image.open(row.file)), colored(int(row.file.stem)))
        assert np.array_equal(np.asarray(Image.open(row.line)), drawing(int(row.file.stem))[..., 0])


def test_pairs_are_joined_by_name_and_the_rest_is_reported(tmp_path):
    source = tmp_path / "source"
    save(colored(1), source / "reference/both.png")
    save(drawing(1), source / "condition/both.png")
    save(colored(2), source / "reference/alone.png")
    summary = run(source, tmp_path / "data")
    assert sum(summary.counts.values()) == 1
    assert summary.skipped == (("reference/alone.png", "`reference/alone.png` has no drawing of the same name"),)


def test_folders_named_after_splits_are_the_splits(tmp_path):
    for number in range(8):
        folder = tmp_path / "source" / ("train" if number < 6 else "val")
        save(colored(number), folder / f"{number}.png")
    assert run(tmp_path / "source", tmp_path / "data").counts == {"train": 6, "validation": 2, "test": 0}


def test_a_lone_train_folder_is_split_like_any_other(source, tmp_path):
    source.rename(tmp_path / "train")
    (tmp_path / "source").mkdir()
    (tmp_path / "train").rename(tmp_path / "source/train")
    assert all(run(source, tmp_path / "data", validation=0.2, test=0.2).counts.values())


@pytest.mark.parametrize("name", ["miku_12.png", "miku_smile.png", "miku-3.png", "miku07.png"])
def test_pictures_of_one_name_are_one_group(name):
    assert group_of(["show", name], "name") == "show/miku"


@pytest.mark.parametrize("names", [["a.png", "a.jpg"], ["A.png", "a.jpg"], ["a?.png", "a*.png"]])
def test_names_that_some_disk_takes_for_one_stay_two(tmp_path, names):
    for number, name in enumerate(names):
        save(colored(number), tmp_path / name)
    items = look(tmp_path).items
    assert len({item.name.casefold() for item in items}) == 2
    assert not any(sign in item.name for item in items for sign in '?*:"<>|')
