"""What `--dry-run` foresees is what a run then does. Bug guarded: covers and damaged pages counted as work."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from comics import pack
from drawings import MINI, colored, run
from volumes import page

from colorize.cli import dry_run
from colorize.coloring.inputs import AlreadyColored
from colorize.coloring.options import Job, SampleOptions
from colorize.coloring.paint import paint_all, refusal
from colorize.images.encode import encode
from colorize.images.image import Picture

pytestmark = pytest.mark.usefixtures("desk")

BROKEN = b"\x89PNG\r\n\x1a\nbroken"
COVER = encode(colored(), ".png")
BLANK = encode(Picture(np.full((96, 64, 1), 255, np.uint8)), ".png")


def plan(*arguments: str) -> dict[str, object]:
    return json.loads(run(*arguments, "--dry-run", "--json").stdout)


def test_nothing_is_written_and_time_and_memory_are_foreseen() -> None:
    pack()
    assert run("book.cbz", "x_missing.cbz", "--dry-run").exit_code == 1
    before = set(Path().rglob("*"))
    result = run("book.cbz", "sketch.png", "--dry-run")
    assert "book.cbz/ch/1.png -> colored/book.cbz" in result.stdout
    assert "4 pictures to color: about" in result.stderr
    assert "GB of memory, estimated from 3 pictures; nothing was written" in result.stderr
    told = plan("book.cbz")
    assert (told["color"], told["volumes"]) == (3, 1)
    assert told["seconds"] > 0
    assert set(Path().rglob("*")) == before


def test_pages_that_pass_through_and_pages_that_fail_are_named_and_not_counted_as_work() -> None:
    pack(cover__png=COVER, blank__png=BLANK, bad__png=BROKEN)
    told = run("book.cbz", "--dry-run")
    assert "would leave unchanged 2 pictures:" in told.stderr
    assert "`book.cbz/cover.png` is already in color" in told.stderr
    assert "`book.cbz/blank.png` is blank" in told.stderr
    assert "would fail: `book.cbz/bad.png` is cut off or damaged" in told.stderr
    assert "3 pictures to color, 2 to leave alone, 1 would fail: about" in told.stderr
    assert told.stdout.count("->") == 3
    assert "3 colored, 2 skipped, 1 failed" in run("book.cbz").stderr


def test_pictures_of_a_folder_are_foreseen_alike() -> None:
    Path("pages/cover.png").write_bytes(COVER)
    Path("pages/bad.png").write_bytes(BROKEN)
    told = plan("pages")
    assert (told["color"], told["kept"], told["failed"]) == (2, 1, 1)
    assert set(told["why"]) == {"pages/cover.png", "pages/bad.png"}
    assert plan("pages", "--force")["color"] == 3
    run("pages")
    told = plan("pages")
    assert (told["color"], told["kept"], told["failed"], told["done"]) == (0, 1, 1, 2)


def test_the_only_picture_would_fail_where_one_of_many_is_left_alone() -> None:
    assert "0 pictures to color, 1 would fail" in run("ref.png", "--dry-run").stderr


def test_of_very_many_pictures_some_are_looked_at_and_that_is_said(monkeypatch) -> None:
    monkeypatch.setattr(dry_run, "LOOKED", 4)
    pack(pages=6, cover__png=COVER, z__png=COVER)
    result = run("book.cbz", "--dry-run")
    assert "judging by 4 of 8 pictures: about 6 pictures to color, 2 to le" in result.stderr
    assert plan("book.cbz")["looked"] == 4


def test_what_no_drawing_can_have_is_refused_beforehand_too() -> None:
    assert run("sketch.png", "--strength", "hints=0.5", "--dry-run").exit_code == 2


def test_what_waits_for_other_options_is_left_alone() -> None:
    pack(bad__png=BROKEN)
    run("book.cbz", "--seed", "1")
    run("book.cbz", "--seed", "2", "--dry-run")
    assert "3 skipped, 1 failed" in run("book.cbz", "--seed", "1").stderr


@pytest.mark.parametrize("gray", [0, 1, 9])
def test_a_page_with_gray_panels_is_foreseen_as_it_is_colored(gray: int) -> None:
    made = page(1, size=(800, 560), layout="grid", colored=True)
    assert made.color is not None
    sheet = made.color.copy()
    for panel in made.panels[:gray]:
        low, high = panel.min(0).astype(int), panel.max(0).astype(int)
        where = slice(low[1], high[1]), slice(low[0], high[0])
        sheet[where] = made.gray[where][..., None]
    job, options = Job("a page", Picture(sheet)), SampleOptions(steps=1)
    (outcome,) = paint_all(MINI, [job], options)
    foreseen = refusal(job, MINI.recipe, options)
    assert (foreseen is None) == (outcome.error is None) == (gray == 9)
    assert foreseen is None or isinstance(foreseen, AlreadyColored)
