"""A result of another drawing is not taken for done; files tell what they were made of without being decoded."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from drawings import run, sketch

from colorize.images import files
from colorize.images.decode import read_texts
from colorize.images.metadata import MARK

pytestmark = pytest.mark.usefixtures("desk")


def chapters() -> None:
    """Two folders whose pages have the same names."""
    for at, name in enumerate("ab"):
        Path(name).mkdir()
        files.write(sketch(64, 48 + 8 * at), Path(name, "1.png"))
        files.write(sketch(64, 64), Path(name, "2.png"))


def test_pages_of_the_same_name_in_two_folders_are_told_apart() -> None:
    chapters()
    assert run("a").exit_code == 0
    before = Path("colored/1.png").read_bytes()
    again = run("b")
    assert again.exit_code == 3
    assert "made from another drawing than `b/1.png`" in again.stderr
    assert "1 skipped, 1 failed" in again.stderr  # the second pages are alike
    assert Path("colored/1.png").read_bytes() == before
    assert run("b", "--overwrite").exit_code == 0
    assert Path("colored/1.png").read_bytes() != before


def test_the_same_drawing_is_done_wherever_it_lies() -> None:
    chapters()
    run("a")
    shutil.move("a", "c")
    assert "2 skipped" in run("c").stderr


def test_a_folder_says_how_to_make_results_anew() -> None:
    chapters()
    run("a")
    assert "2 results exist, with the options of their run; --overwrite" in run("a").stderr


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tiff"])
def test_every_format_tells_its_drawing(suffix: str) -> None:
    run("sketch.png", "-o", f"made.{suffix}")
    told = json.loads(read_texts(Path(f"made.{suffix}").read_bytes())[MARK])
    assert told["drawing"] == files.fingerprint(Path("sketch.png"))
    files.write(sketch(64, 48), Path("sketch.png"))
    result = run("sketch.png", "-o", f"made.{suffix}")
    assert result.exit_code == 1
    assert "another drawing" in result.stderr


def test_texts_of_no_picture_are_none() -> None:
    assert read_texts(b"") == read_texts(b"\x89PNG\r\n\x1a\n" + bytes(99)) == {}
