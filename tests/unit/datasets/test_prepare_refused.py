"""What cannot be prepared is refused or left out in a sentence that names it."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import numpy as np
import pytest
from sources import PAPER, SMALL, colored, drawing, run, save, stories

from colorize.datasets.prepare import PrepareOptions, prepare
from colorize.errors import ColorizeError
from colorize.images.dataset_folder import JOURNAL, read_folder


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return stories(tmp_path / "source")


def test_an_unfinished_folder_is_not_taken_for_training_data(source, tmp_path):
    """Without metadata the drawings would be read as color pictures."""
    halted = prepare(source, tmp_path / "data", PrepareOptions(**SMALL))
    next(halted)
    halted.close()
    with pytest.raises(ColorizeError, match="unfinished"):
        read_folder(tmp_path / "data")


def test_bad_files_are_named_and_left_out(source, tmp_path):
    whole = (source / "story0/page0.png").read_bytes()
    (source / "cut.png").write_bytes(whole[: len(whole) // 2])
    (source / "text.jpg").write_text("no picture")
    save(colored(50)[:24], source / "low.png")
    save(drawing(1), source / "gray.png")
    save(PAPER - 90, source / "flat.png")
    summary = run(source, tmp_path / "data")
    assert sum(summary.counts.values()) == 12
    reasons = dict(summary.skipped)
    assert sorted(reasons) == ["cut.png", "flat.png", "gray.png", "low.png", "text.jpg"]
    assert all(f"`{file}`" in reason for file, reason in reasons.items())


def test_a_folder_without_a_usable_picture_is_refused(tmp_path):
    save(drawing(1), tmp_path / "source/gray.png")
    with pytest.raises(ColorizeError, match="none of the 1 pictures can be used") as error:
        run(tmp_path / "source", tmp_path / "data")
    assert "`gray.png` has no color" in error.value.hint


def test_a_drawing_in_color_is_left_out(tmp_path):
    """A pair whose second half is another color picture would show the network its answer."""
    save(np.concatenate([colored(1), colored(2)], 1), tmp_path / "source/a.png")
    save(np.concatenate([colored(3), drawing(2)], 1), tmp_path / "source/b.png")
    summary = run(tmp_path / "source", tmp_path / "data", layout="side-by-side")
    assert [file for file, _ in summary.skipped] == ["a.png"]


def test_other_settings_ask_for_another_folder(source, tmp_path):
    run(source, tmp_path / "data")
    with pytest.raises(ColorizeError, match="`size` 48 instead of 64") as error:
        run(source, tmp_path / "data", size=64)
    assert "--overwrite" in error.value.hint


def test_what_is_not_ours_is_never_overwritten(source, tmp_path):
    save(colored(1), tmp_path / "data/holiday.png")
    with pytest.raises(ColorizeError, match="was not made by"):
        run(source, tmp_path / "data", overwrite=True)


ENTRY = {"key": "k", "files": ["train/color/a.png", "train/line/a.png"], "hash": "00", "skipped": ""}
DAMAGED = {
    "a list": "[]",
    "brackets": "[" * 5000,
    "no entry": "{}",
    "a number for a hash": json.dumps({**ENTRY, "hash": 5}),
    "no digits": json.dumps({**ENTRY, "hash": "zz"}),
    "no files": json.dumps({**ENTRY, "files": []}),
    "a long name": json.dumps({**ENTRY, "files": ["n" * 300, "train/line/a.png"]}),
    "a NUL": json.dumps({**ENTRY, "files": ["a\0", "train/line/a.png"]}),
    "elsewhere": json.dumps({**ENTRY, "files": ["../a.png", "train/line/a.png"]}),
}


@pytest.mark.parametrize("line", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_journal_is_refused(source, tmp_path, line):
    run(source, tmp_path / "data")
    with (tmp_path / "data" / JOURNAL).open("a") as stream:
        stream.write(f"{line}\n")
    with pytest.raises(ColorizeError, match="is damaged, so the run cannot continue"):
        run(source, tmp_path / "data")


@pytest.mark.parametrize("target", ["source", "source/data", "."])
def test_source_and_target_may_not_contain_each_other(source, tmp_path, target):
    with pytest.raises(ColorizeError, match="contain each other"):
        run(source, tmp_path / target)


def test_a_full_disk_is_a_sentence(source, tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ColorizeError, match="full"):
        run(source, tmp_path / "data")


@pytest.mark.parametrize(
    "values", [{"layout": "pair"}, {"styles": ("ink",)}, {"size": 8}, {"test": 1.0}, {"near": 144}]
)
def test_impossible_settings_are_refused_at_once(values):
    with pytest.raises(ColorizeError):
        PrepareOptions(**values)
