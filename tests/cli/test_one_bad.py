"""One bad input never ends a batch: it is named, the exit code is 3, and the rest is colored."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from zipfile import ZIP_LZMA, ZipFile, ZipInfo

import pytest
from comics import content, pack, page
from drawings import DOT, run, sketch

from colorize.cli.volumes import JOURNAL, pages_folder
from colorize.coloring import inputs
from colorize.images import files

pytestmark = pytest.mark.usefixtures("desk")
BUG = "this should not have happened"


def shut(monkeypatch: pytest.MonkeyPatch, folder: str) -> None:
    """Let nobody look into a folder; root, too."""
    scan = os.scandir

    def refusing(path: str | Path) -> object:
        if Path(path).name == folder:
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refusing)


def test_links_in_a_circle_and_folders_that_cannot_be_read_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("pages/lost+found").mkdir()
    for name, target in (("round.png", "round.png"), ("round", "round"), ("gone.png", "nowhere.png")):
        Path("pages", name).symlink_to(target)
    shut(monkeypatch, "lost+found")
    result = run("pages", "--out", "out", "--json")
    told = {line["input"]: line["error"] for line in map(json.loads, result.stdout.splitlines())}
    assert result.exit_code == 3
    assert "2 colored, 3 failed" in result.stderr
    assert "links run in a circle" in told["pages/round.png"]
    assert "no such file" in told["pages/gone.png"]
    assert "`pages/lost+found` cannot be read" in told["pages/lost+found"]
    assert Path("out/1/p1.png").is_file()
    assert run("pages", "--out", "out", "--dry-run").exit_code == 0
    assert run("pages/*", "--out", "out").exit_code == 3


def test_volumes_keep_files_without_a_name_and_what_can_be_read_of_damaged_ones() -> None:
    with ZipFile("nameless.cbz", "w") as archive:
        archive.writestr("1.png", page(1))
        archive.writestr(ZipInfo(""), b"x")
    with ZipFile("lzma.cbz", "w") as archive:
        archive.writestr("ComicInfo.xml", b"<x/>" * 500, ZIP_LZMA)
        archive.writestr("1.png", page(1))
    data = bytearray(Path("lzma.cbz").read_bytes())
    start = data.index(b"ComicInfo.xml") + len(b"ComicInfo.xml") + 9
    data[start : start + 11] = b"\xff" * 11
    Path("lzma.cbz").write_bytes(data)
    pack("good.cbz")
    result = run("nameless.cbz", "lzma.cbz", "good.cbz", "--out", "out")
    assert (result.exit_code, BUG in result.stderr) == (0, False)
    assert "`lzma.cbz/ComicInfo.xml` is damaged" in result.stderr
    assert content("out/nameless.cbz")[""] == b"x"
    assert sorted(path.name for path in Path("out").iterdir()) == ["good.cbz", "lzma.cbz", "nameless.cbz"]


LONG = "1" * 400
HINTS = {
    "long": f'{{"points": [{{"x": {LONG}, "y": 2, "color": "#ff0000"}}]}}',
    "wide": f'{{"points": [{{"x": 9, "y": 9, "color": "#ff0000", "radius": {LONG}}}]}}',
    "longer": f'{{"points": [{{"x": {"1" * 5000}, "y": 2, "color": "#ff0000"}}]}}',
    "deep": "[" * 5000 + "]" * 5000,
    "infinite": '{"points": [{"x": 1e999, "y": NaN, "color": "#ff0000"}]}',
    "key": f'{{"{"k" * 5000}": 1}}',
}


@pytest.mark.parametrize("text", HINTS.values(), ids=HINTS)
def test_hints_of_any_json_concern_their_drawing_alone(text: str) -> None:
    Path("hints/1").mkdir(parents=True)
    Path("hints/1/p1.json").write_text(text)
    Path("hints/p2.json").write_text(DOT)
    result = run("pages", "--out", "out", "--hints", "hints")
    assert (result.exit_code, BUG in result.stderr) == (3, False)
    assert "`pages/1/p1.png`" in result.stderr
    assert max(map(len, result.stderr.splitlines())) < 500
    assert Path("out/p2.jpg").is_file()


@pytest.mark.parametrize(
    "line", ["{}", '{"page": 1}', "[[" * 5000, '{"page": "ch/1.png", "state": "new", "size": "x"}']
)
def test_a_damaged_journal_of_pages_is_no_obstacle(line: str) -> None:
    pack("book.cbz")
    with ZipFile("book.cbz", "a") as archive:
        archive.writestr("broken.png", b"no picture")
    assert run("book.cbz").exit_code == 3
    journal = pages_folder(Path("book_color.cbz")) / JOURNAL
    with journal.open("a") as stream:
        stream.write(f"{line}\n")
    result = run("book.cbz")
    assert (result.exit_code, BUG in result.stderr) == (3, False)
    assert "3 skipped, 1 failed" in result.stderr


@pytest.mark.parametrize("text", ["[]", "[" * 100_000, "1" * 5000, '{"options": [], "extras": [1]}'])
def test_a_result_of_any_metadata_stays_and_the_rest_is_colored(text: str) -> None:
    files.write(sketch(), Path("out/1/p1.png"), {"colorize": text})
    result = run("pages", "--out", "out")
    assert (result.exit_code, BUG in result.stderr) == (0, False)
    assert "2 colored" in result.stderr
    assert Path("out/1/p1-2.png").is_file()


@pytest.mark.parametrize("pictures", ["pages", "book.cbz"])
def test_a_full_disk_ends_the_run_and_what_is_finished_stays(pictures: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pack("book.cbz")
    replaced: list[Path] = []
    right = Path.replace

    def full(path: Path, target: Path) -> Path:
        if replaced:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        replaced.append(target)
        return right(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        result = run(pictures, "sketch.png", "--out", "out")
    assert result.exit_code == 1
    assert result.stderr.count("error:") == result.stderr.count("the disk is full") == 1
    assert replaced[0].is_file()
    assert not list(Path("out").rglob(".colorize-*"))
    result = run(pictures, "sketch.png", "--out", "out")
    assert (result.exit_code, "1 skipped" in result.stderr) == (0, True)


def test_a_bug_concerns_one_drawing_and_says_how_to_report_it(monkeypatch: pytest.MonkeyPatch) -> None:
    right = inputs.check_drawing

    def wrong(drawing: inputs.Named, options: inputs.SampleOptions) -> None:
        if drawing.name.endswith("p1.png"):
            raise ZeroDivisionError("a slip")
        right(drawing, options)

    monkeypatch.setattr(inputs, "check_drawing", wrong)
    result = run("pages", "--out", "out")
    assert result.exit_code == 3
    assert f"{BUG}: ZeroDivisionError: a slip\nhint: please report it" in result.stderr
    assert Path("out/p2.jpg").is_file()
