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
    assert "`colored/1.png` was made from another drawing and stays" in again.stderr
    assert "the new picture is `colored/1-2.png`" in again.stderr
    assert "1 colored, 1 skipped" in again.stderr  # the second pages are alike
    assert Path("colored/1.png").read_bytes() == before
    assert "2 skipped" in run("b").stderr
    assert run("b", "--overwrite").exit_code == 0
    assert Path("colored/1.png").read_bytes() != before


def test_the_same_drawing_is_done_wherever_it_lies() -> None:
    chapters()
    run("a")
    shutil.move("a", "c")
    assert "2 skipped" in run("c").stderr


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tiff", "bmp"])
def test_every_format_tells_its_drawing(suffix: str) -> None:
    run("sketch.png", "-o", f"made.{suffix}")
    told = json.loads(read_texts(Path(f"made.{suffix}").read_bytes())[MARK])
    assert told["drawing"] == files.fingerprint(Path("sketch.png"))
    files.write(sketch(64, 48), Path("sketch.png"))
    result = run("sketch.png", "-o", f"made.{suffix}")
    assert f"`made.{suffix}` was made before the drawing changed; it is replaced" in result.stderr
    assert "skipped" in run("sketch.png", "-o", f"made.{suffix}").stderr


def test_texts_of_no_picture_are_none() -> None:
    assert read_texts(b"") == read_texts(b"\x89PNG\r\n\x1a\n" + bytes(99)) == {}
