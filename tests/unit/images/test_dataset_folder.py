"""The reader of prepared folders trusts no row that points out of its folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from colorize.errors import ColorizeError
from colorize.images.dataset_folder import Row, read_folder

DOT = Image.fromarray(np.zeros((2, 2, 3), np.uint8))


def folder(root: Path, *rows: str | dict[str, object]) -> Path:
    """A folder with `a.png`, `b.png`, and rows as they are given."""
    root.mkdir(parents=True, exist_ok=True)
    for name in ("a.png", "b.png"):
        DOT.save(root / name)
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    (root / "metadata.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return root


def test_every_column_is_read(tmp_path):
    row = {
        "file_name": "a.png",
        "line_file_name": "b.png",
        "reference_file_names": ["b.png", "a.png"],
        "hint_file_name": "b.png",
        "group": "miku",
        "set": "comic",
        "text": "green hair",
    }
    root = folder(tmp_path / "train", row)
    a, b = root / "a.png", root / "b.png"
    assert read_folder(root) == [Row(a, b, (b, a), b, "miku", "comic", "green hair", "train")]


def test_a_row_without_a_group_is_alone_in_its_own(tmp_path):
    rows = read_folder(folder(tmp_path, {"file_name": "a.png"}, {"file_name": "b.png"}))
    assert rows[0].group != rows[1].group


@pytest.mark.parametrize("name", ["../a.png", "/etc/hostname", "x/../../a.png", "C:/a.png", "..\\a.png"])
def test_a_path_out_of_the_folder_is_refused(tmp_path, name):
    folder(tmp_path)
    with pytest.raises(ColorizeError, match=r"row 1 of .*outside of its folder"):
        read_folder(folder(tmp_path / "data", {"file_name": name}))


@pytest.mark.parametrize("link", ["link.png", "there"])
def test_a_link_out_of_the_folder_is_refused(tmp_path, link):
    outside = folder(tmp_path / "outside")
    root = folder(tmp_path / "data", {"file_name": "link.png" if "." in link else "there/a.png"})
    (root / link).symlink_to(outside / "a.png" if "." in link else outside)
    with pytest.raises(ColorizeError, match="link to something outside"):
        read_folder(root)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("{", "not valid JSON"),
        ("[1]", "not a JSON object"),
        ({"line_file_name": "a.png"}, "no `file_name`"),
        ({"file_name": ["a.png"]}, "not text"),
        ({"file_name": "c.png"}, "does not exist"),
        ({"file_name": "n" * 300 + ".png"}, "does not exist"),
        ({"file_name": "."}, "the invalid file"),
        ({"file_name": "a\0.png"}, "the invalid file"),
        ("[" * 5000, "not valid JSON"),
        ('{"file_name": ' + "1" * 5000 + "}", "not valid JSON"),
        ({"file_name": "a.png", "reference_file_names": "b.png"}, "not a list"),
    ],
)
def test_a_bad_row_is_named_by_file_and_number(tmp_path, row, said):
    root = folder(tmp_path, {"file_name": "a.png"}, "", row)
    with pytest.raises(ColorizeError, match=rf"row 3 of `.*metadata.jsonl` .*{said}"):
        read_folder(root)


def test_pictures_without_metadata_are_rows(tmp_path):
    root = folder(tmp_path)
    (root / "metadata.jsonl").unlink()
    assert [row.file.name for row in read_folder(root)] == ["a.png", "b.png"]


@pytest.mark.parametrize("spelling", ["validation", "val", "valid"])
def test_splits_may_be_spelt_as_people_do(tmp_path, spelling):
    folder(tmp_path / "train", {"file_name": "a.png"})
    folder(tmp_path / spelling, {"file_name": "b.png"})
    assert [row.file.name for row in read_folder(tmp_path, "validation")] == ["b.png"]
    assert [row.split for row in read_folder(tmp_path)] == ["train", "validation"]


def test_a_missing_split_is_said_with_those_that_exist(tmp_path):
    folder(tmp_path / "train", {"file_name": "a.png"})
    with pytest.raises(ColorizeError, match="has no split `test`") as error:
        read_folder(tmp_path, "test")
    assert "`train`" in error.value.hint


def test_metadata_above_the_splits_is_read_too(tmp_path):
    folder(tmp_path / "train")
    folder(tmp_path / "test")
    folder(tmp_path, {"file_name": "train/a.png"}, {"file_name": "test/b.png"})
    assert [row.file.name for row in read_folder(tmp_path, "test")] == ["b.png"]
