"""A folder of results that a user names holds every picture. Bug guarded: covers that are missing among the pages."""

from __future__ import annotations

import json
from pathlib import Path
from zipfile import ZipFile

import pytest
from comics import pack
from drawings import colored, run
from PIL import Image

from colorize.images.encode import encode

COVER = encode(colored(), ".png")


@pytest.fixture(autouse=True)
def cover(desk: None) -> None:
    Path("pages/cover.png").write_bytes(COVER + b"more")  # no program would write it so again


def made(folder: str = "out") -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*.*"))


def test_with_out_a_picture_in_color_is_copied_byte_for_byte_and_told() -> None:
    result = run("pages", "-o", "out")
    assert made() == ["1/p1.png", "cover.png", "p2.jpg"]
    assert Path("out/cover.png").read_bytes() == Path("pages/cover.png").read_bytes()
    assert "out/cover.png" in result.stdout.split()
    assert "2 colored, 1 copied unchanged" in result.stderr
    assert "3 skipped" in run("pages", "-o", "out").stderr


def test_without_out_nothing_is_copied_and_the_way_to_a_complete_folder_is_told() -> None:
    result = run("pages")
    assert made("colored") == ["1/p1.png", "p2.jpg"]
    assert "2 colored, 1 skipped" in result.stderr
    assert "--out FOLDER copies them" in result.stderr


def test_json_tells_the_copy() -> None:
    told = [json.loads(line) for line in run("pages", "-o", "out", "--json").stdout.splitlines()]
    (line,) = [line for line in told if line["input"] == "pages/cover.png"]
    assert line["output"] == "out/cover.png"
    assert line["notes"][0].startswith("copied unchanged")


def test_a_copy_keeps_a_suffix_that_results_cannot_have_and_is_made_once() -> None:
    Image.open("pages/cover.png").save("pages/cover.gif")
    Path("pages/cover.png").unlink()
    run("pages", "-o", "out")
    assert Path("out/cover.gif").read_bytes() == Path("pages/cover.gif").read_bytes()
    assert "3 skipped" in run("pages", "-o", "out").stderr


def test_results_beside_the_originals_leave_those_alone() -> None:
    Image.open("pages/cover.png").save("pages/cover.gif")
    for name in ("cover.png", "p2.jpg", "1/p1.png"):
        Path("pages", name).unlink()
    Image.open("sketch.png").save("pages/a.gif")
    before = Path("pages/cover.gif").read_bytes()
    assert "1 colored, 1 skipped" in run("pages", "-o", "pages", "--overwrite").stderr
    assert made("pages") == ["a.gif", "a.png", "cover.gif"]
    assert Path("pages/cover.gif").read_bytes() == before


def test_what_cannot_be_read_is_not_copied() -> None:
    Path("pages/bad.png").write_bytes(b"no picture")
    result = run("pages", "-o", "out")
    assert "bad.png" not in made()
    assert (result.exit_code, "1 failed" in result.stderr) == (3, True)


def test_a_sheet_of_grids_gets_no_copies() -> None:
    run("pages", "-o", "out", "--grid")
    assert made() == ["1/p1.png", "p2.jpg"]


def test_the_only_picture_is_refused_as_ever() -> None:
    assert run("ref.png", "-o", "out/").exit_code == 1
    assert not Path("out").exists()


def test_a_volume_all_in_color_is_copied_too() -> None:
    pack("pages/one.cbz", 1)
    with ZipFile("pages/two.cbz", "w") as archive:
        archive.writestr("1.png", COVER)
    result = run("pages", "-o", "out")
    assert Path("out/two.cbz").read_bytes() == Path("pages/two.cbz").read_bytes()
    assert "`pages/two.cbz` is copied unchanged: all its pages stay as they are" in result.stderr
    assert {"out/one.cbz", "out/two.cbz"} <= set(result.stdout.split())
    assert not list(Path("out").glob(".*"))


def test_a_dry_run_tells_what_will_be_copied() -> None:
    told = run("pages", "-o", "out", "--dry-run").stderr
    assert "`pages/cover.png` is already in color; copied to `out/cover.png`" in told
    assert not Path("out").exists()
