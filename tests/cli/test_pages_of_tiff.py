"""A TIFF file of several pages is colored page by page, into a file for each."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from drawings import run, sketch
from PIL import Image

from colorize.images import files

pytestmark = pytest.mark.usefixtures("desk")


@pytest.fixture(autouse=True)
def book(desk: None) -> None:
    pages = [Image.fromarray(sketch(step=step).pixels[..., 0]) for step in (20, 22)]
    stream = io.BytesIO()
    pages[0].save(stream, "TIFF", save_all=True, append_images=pages[1:])
    Path("book.tif").write_bytes(stream.getvalue())


def test_each_page_has_a_result_and_the_same_command_makes_none_twice() -> None:
    result = run("book.tif")
    assert (result.stdout, result.exit_code) == ("book-1_color.tif\nbook-2_color.tif\n", 0)
    assert "the first is used" not in result.stderr
    for at, step in ((1, 20), (2, 22)):
        colored = files.read(Path(f"book-{at}_color.tif")).pixels
        assert (colored <= sketch(step=step).pixels).all()
        assert np.ptp(colored.astype(int), axis=2).max() > 3
    assert "2 skipped" in run("book.tif").stderr


def test_in_folders_pages_stand_among_other_results_and_have_hints_of_their_own() -> None:
    Path("in").mkdir()
    Path("book.tif").rename("in/book.tif")
    Path("hints").mkdir()
    dot = '{"points": [{"x": 33, "y": 33, "color": "#ff0000", "radius": 4}]}'
    Path("hints/book-2.json").write_text(dot)
    assert run("in", "--out", "out", "--hints", "hints").exit_code == 0
    assert sorted(path.name for path in Path("out").iterdir()) == ["book-1.tif", "book-2.tif"]
    assert files.read(Path("out/book-2.tif")).pixels[33, 33].tolist() == [255, 0, 0]
    assert files.read(Path("out/book-1.tif")).pixels[33, 33].tolist() != [255, 0, 0]


@pytest.mark.parametrize("more", [("-o", "-"), ("--layers", "one.ora")])
def test_one_file_cannot_hold_all_pages(more: tuple[str, ...]) -> None:
    result = run("book.tif", *more)
    assert result.exit_code == 2
    assert "2 p" in result.stderr
