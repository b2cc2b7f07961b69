"""Preparing a folder gives the same training data however it is run."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import pytest
import torch
from PIL import Image
from sources import SMALL, colored, contents, run, save, stories

from colorize.datasets.crop import difference_hash, duplicates, make_pair
from colorize.datasets.prepare import PrepareOptions, prepare
from colorize.images.dataset_folder import read_folder, splits


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return stories(tmp_path / "source")


def test_no_group_is_in_two_splits(source, tmp_path):
    run(source, tmp_path / "data", validation=0.25, test=0.25)
    names = splits(tmp_path / "data")
    seen = [{row.group for row in read_folder(tmp_path / "data", name)} for name in names]
    assert sorted(group for groups in seen for group in groups) == [f"story{n}" for n in range(4)]


def test_splits_have_the_shares_asked_for(source, tmp_path):
    summary = run(source, tmp_path / "data", group="none", validation=0.25, test=1 / 3, near=-1)
    assert summary.counts == {"train": 5, "validation": 3, "test": 4}


def test_other_pictures_of_the_group_are_the_references(source, tmp_path):
    run(source, tmp_path / "data", validation=0, test=0)
    row = next(row for row in read_folder(tmp_path / "data") if row.file.stem == "page4")
    assert [other.stem for other in row.references] == ["page5", "page3"]


def test_workers_change_nothing(source, tmp_path):
    """Pictures must not depend on a random state that threads share."""
    for workers in (1, 2):
        run(source, tmp_path / f"{workers}", workers=workers, styles=("mix", "pencil"), seed=3)
    assert contents(tmp_path / "1") == contents(tmp_path / "2")


def test_another_seed_splits_otherwise(source, tmp_path):
    for seed in (0, 1):
        run(source, tmp_path / f"{seed}", seed=seed, group="none", validation=0.5, test=0)
    rows = [[row.file.stem for row in read_folder(tmp_path / seed, "train")] for seed in "01"]
    assert rows[0] != rows[1]


def test_a_stopped_run_goes_on_to_the_same_result(source, tmp_path, monkeypatch):
    """Also with what a kill leaves: half a line of the journal, and half a picture."""
    run(source, tmp_path / "whole")
    halted = prepare(source, tmp_path / "halted", PrepareOptions(**SMALL))
    done = len(list(islice(halted, 5)))
    halted.close()
    with (tmp_path / "halted/.prepare.jsonl").open("ab") as journal:
        journal.write(b'{"key": "12')
    (tmp_path / "halted/train/color/.0123456789abcdef.png").write_bytes(b"half")
    made = []
    monkeypatch.setattr("colorize.datasets.prepare.make_pair", lambda *job: made.append(job) or make_pair(*job))
    for _ in range(2):  # the second time there is nothing left to do
        run(source, tmp_path / "halted")
    assert len(made) == 12 - done
    assert contents(tmp_path / "halted") == contents(tmp_path / "whole")


def test_a_changed_source_is_prepared_again(source, tmp_path):
    run(source, tmp_path / "data")
    (source / "story0/page0.png").unlink()
    save(colored(77), source / "story1/page3.png")
    run(source, tmp_path / "data")
    run(source, tmp_path / "fresh")
    assert contents(tmp_path / "data") == contents(tmp_path / "fresh")


def test_what_occurs_in_two_splits_leaves_train(tmp_path):
    for number in range(4):
        save(colored(number), tmp_path / f"source/train/{number}.png")
    Image.fromarray(colored(2, 96)).save(tmp_path / "source/train/again.jpg", quality=80)
    save(colored(2), tmp_path / "source/val/copy.png")
    summary = run(tmp_path / "source", tmp_path / "data")
    assert summary.duplicates == (("train/2.png", "val/copy.png"), ("train/again.jpg", "val/copy.png"))
    kept = {path.stem for path in (tmp_path / "data/train/color").iterdir()}
    assert kept == {"0", "1", "3"}


def test_test_keeps_what_validation_and_train_lose():
    same, other = "f" * 36, "0f" * 18
    dropped = duplicates(["train", "validation", "test", "train"], [same, same, same, other], near=6)
    assert dropped == {1: 2, 0: 2}


def test_pictures_with_little_in_them_are_not_all_alike():
    """Hashes of a line on white paper have few bits set, so few bits can differ."""
    first, second = torch.ones(2, 1, 3, 48, 48)
    first[..., 4:44, 6:12], second[..., 4:24, 30:36] = -1, -1
    hashes = [difference_hash(first), difference_hash(second)]
    assert duplicates(["train", "test"], hashes, near=30) == {}


def test_rows_have_the_columns_of_an_image_folder(source, tmp_path):
    run(source, tmp_path / "data", validation=0, test=0)
    first = (tmp_path / "data/train/metadata.jsonl").read_text().splitlines()[0]
    assert json.loads(first) == {
        "file_name": "color/story0/page0.png",
        "line_file_name": "line/story0/page0.png",
        "reference_file_names": ["color/story0/page1.png", "color/story0/page2.png"],
        "group": "story0",
        "source": "story0/page0.png",
    }


def test_all_splits_have_the_same_columns(source, tmp_path):
    """Hugging Face datasets refuses lists that are empty throughout a split."""
    for number in range(3, 6):
        (source / f"story1/page{number}.png").rename(source / f"page{number}.png")
    run(source, tmp_path / "data", validation=0.1, test=0.1)
    files = (tmp_path / "data").glob("*/metadata.jsonl")
    rows = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    assert not any("reference_file_names" in row for row in rows)


def test_overwriting_leaves_nothing_of_the_old_run(source, tmp_path):
    run(source, tmp_path / "data", seed=1, validation=0.5)
    run(source, tmp_path / "data", size=32, overwrite=True)
    run(source, tmp_path / "fresh", size=32)
    assert contents(tmp_path / "data") == contents(tmp_path / "fresh")


def test_a_picture_that_comes_back_is_itself_again(source, tmp_path):
    """Another picture of its name was written over its file meanwhile."""
    first, other = source / "story0/page0.png", source / "story0/page0.jpg"
    run(source, tmp_path / "data")
    first.rename(tmp_path / "away.png")
    save(colored(50), other)
    run(source, tmp_path / "data")
    other.unlink()
    (tmp_path / "away.png").rename(first)
    run(source, tmp_path / "data")
    run(source, tmp_path / "fresh")
    assert contents(tmp_path / "data") == contents(tmp_path / "fresh")
