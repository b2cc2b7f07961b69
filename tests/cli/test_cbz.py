"""What `colorize sample` promises for volumes: the same container with colored pages, and nothing lost on the way."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

import numpy as np
import pytest
from comics import content, pack, page
from drawings import DOT, colored, run
from PIL import Image

from colorize.cli import volumes
from colorize.images import comic_info, files
from colorize.images.encode import encode
from colorize.images.image import Picture
from colorize.images.listing import natural

pytestmark = pytest.mark.usefixtures("desk")

ROOT = Path(__file__).parents[2]


def test_a_volume_comes_out_as_one_with_all_its_pages_in_color() -> None:
    pack(z__txt=b"end", cover__png=encode(colored(), ".png"))
    before = content("book.cbz")
    result = run("book.cbz")
    assert (result.stdout, result.exit_code) == ("book_color.cbz\n", 0)
    after = content("book_color.cbz")
    assert list(after) == list(before)
    for name in ("z.txt", "cover.png"):
        assert after[name] == before[name]
    assert after["ComicInfo.xml"] == comic_info.colored(before["ComicInfo.xml"])
    for name in ("ch/1.png", "ch/2.png", "ch/3.png"):
        old, new = (files.read(some[name], name) for some in (before, after))
        assert old.size == new.size
        assert new.tensor().std(dim=1).max() > 0.01
    with ZipFile("book_color.cbz") as archive:
        assert archive.comment.startswith(b"scanned by A\n{")
        assert archive.getinfo("ComicInfo.xml").date_time == (2001, 2, 3, 4, 5, 6)
        assert archive.getinfo("ComicInfo.xml").compress_type == ZIP_DEFLATED
        assert archive.getinfo("ch/2.png").compress_type == ZIP_STORED
    assert "3 colored, 1 skipped" in result.stderr
    assert not list(Path().glob(".*"))


def test_gif_pages_become_png_in_their_places_and_overwrite_no_other_page() -> None:
    def gif(number: int) -> bytes:
        data = io.BytesIO()
        Image.open(io.BytesIO(page(number))).convert("L").save(data, "GIF")
        return data.getvalue()

    drawn = {f"p{at}.gif": gif(at) for at in range(1, 12)}
    named = {name.replace(".", "__"): data for name, data in drawn.items()}
    pack(pages=0, **named, p3__png=page(20), P4__PNG=page(21))
    run("book.cbz")
    before, after = content("book.cbz"), content("book_color.cbz")
    assert after["ComicInfo.xml"] == comic_info.colored(before["ComicInfo.xml"])
    assert {name for name in after if name.count(".") > 1} == {"p3.gif.png", "p4.gif.png"}
    assert len({name.casefold() for name in after}) == len(before)
    became = dict(zip(before, after, strict=True))
    for key in (str.lower, lambda name: natural(Path(name))):
        assert [became[name] for name in sorted(before, key=key)] == sorted(after, key=key)


def test_a_page_comes_out_as_it_would_alone() -> None:
    pack()
    Path("alone.png").write_bytes(page(2))
    run("alone.png")
    run("book.cbz")
    alone, inside = files.read(Path("alone_color.png")), content("book_color.cbz")["ch/2.png"]
    assert (alone.pixels == files.read(inside, "2").pixels).all()


def test_volumes_and_pictures_of_a_folder_are_colored_side_by_side() -> None:
    Path("lib/a").mkdir(parents=True)
    pack("lib/a/one.cbz", 2)
    pack("lib/ignored.zip", 1)  # it may be anything; named by itself it is a volume
    Path("lib/x.png").write_bytes(page(9))
    result = run("lib", "-o", "out")
    assert sorted(result.stdout.split()) == ["out/a/one.cbz", "out/x.png"]
    assert run("lib/ignored.zip", "-o", "o.cbz").stdout == "o.cbz\n"


def test_hints_of_a_page_lie_in_a_folder_under_its_path_inside() -> None:
    pack()
    run("book.cbz", "-o", "plain.cbz")
    Path("dots/ch").mkdir(parents=True)
    Path("dots/ch/2.json").write_text(DOT)
    assert run("book.cbz", "--hints", "dots").exit_code == 0
    plain, hinted = content("plain.cbz"), content("book_color.cbz")
    assert [plain[name] == hinted[name] for name in ("ch/1.png", "ch/3.png")] == [True, True]
    red = files.read(hinted["ch/2.png"], "2").pixels[90, 60]
    assert (red[0] > 240, red[1] < 20) == (True, True)


def test_json_tells_of_every_page() -> None:
    pack(pages=2, cover__png=encode(colored(), ".png"))
    lines = [json.loads(line) for line in run("book.cbz", "--json").stdout.splitlines()]
    assert [line["input"] for line in lines] == [f"book.cbz/{name}" for name in ("ch/1.png", "ch/2.png", "cover.png")]
    assert [line["output"] for line in lines] == ["book_color.cbz", "book_color.cbz", None]


def test_what_is_done_is_not_done_again_but_for_overwrite() -> None:
    pack()
    run("book.cbz")
    before = Path("book_color.cbz").stat().st_mtime_ns
    assert "its result exists" in run("book.cbz").stderr
    assert Path("book_color.cbz").stat().st_mtime_ns == before
    assert "3 colored" in run("book.cbz", "--overwrite", "--seed", "3").stderr


def test_a_damaged_page_stays_and_is_tried_again() -> None:
    pack(bad__png=b"\x89PNG\r\n\x1a\nbroken")
    result = run("book.cbz")
    assert result.exit_code == 3
    assert "book.cbz/bad.png" in result.stderr
    assert content("book_color.cbz")["bad.png"] == b"\x89PNG\r\n\x1a\nbroken"
    before = Path("book_color.cbz").stat().st_mtime_ns
    again = run("book.cbz")
    assert (again.exit_code, "3 skipped, 1 failed" in again.stderr) == (3, True)
    assert Path("book_color.cbz").stat().st_mtime_ns == before


def test_a_page_whose_bytes_rot_in_the_archive_is_named() -> None:
    pack()
    whole = Path("book.cbz").read_bytes()
    at = whole.index(page(2)) + len(page(2)) - 4
    Path("book.cbz").write_bytes(whole[:at] + b"oops" + whole[at + 4 :])
    result = run("book.cbz")
    assert (result.exit_code, "book.cbz/ch/2.png` is damaged" in result.stderr) == (3, True)
    assert len(content("book_color.cbz")["ch/2.png"]) == len(page(2))


def test_pages_of_a_run_with_other_options_are_not_mixed_in() -> None:
    pack(bad__png=b"\x89PNG\r\n\x1a\nbroken")  # so that finished pages stay waiting
    run("book.cbz", "--seed", "1")
    first = content("book_color.cbz")["ch/1.png"]
    result = run("book.cbz", "--seed", "2")
    assert "3 colored, 1 failed" in result.stderr
    assert "starts over: 3 finished pages had other options" in result.stderr
    assert content("book_color.cbz")["ch/1.png"] != first


def test_pages_that_came_before_a_kill_reach_a_result_that_is_there_already(monkeypatch: pytest.MonkeyPatch) -> None:
    pack()
    run("book.cbz")
    before = content("book_color.cbz")["ch/1.png"]
    anew = ("book.cbz", "--overwrite", "--seed", "3")
    with monkeypatch.context() as patch:
        patch.setattr(volumes.VolumeJob, "finish", lambda *_: None)  # killed after the last page
        run(*anew)
    assert content("book_color.cbz")["ch/1.png"] == before
    assert "3 skipped" in run(*anew).stderr
    assert content("book_color.cbz")["ch/1.png"] != before
    assert not list(Path().glob(".*"))


def test_only_one_process_works_on_a_volume() -> None:
    from colorize.training.run_folder import Lock

    pack()
    folder = volumes.pages_folder(Path("book_color.cbz"))
    folder.mkdir()
    lock = Lock(folder, "another process")
    result = run("book.cbz")
    assert (result.exit_code, "another process" in result.stderr) == (1, True)
    lock.free()
    assert run("book.cbz").exit_code == 0


COMMAND = (sys.executable, "-m", "colorize", "sample", "killed.cbz")


def test_a_run_killed_at_any_page_goes_on_to_the_same_volume_and_repeats_no_page() -> None:
    pack("calm.cbz", 12)
    shutil.copy("calm.cbz", "killed.cbz")
    run("calm.cbz")
    rng, ledger = random.Random(0), volumes.pages_folder(Path("killed_color.cbz")) / volumes.JOURNAL
    for stop in sorted(rng.sample(range(1, 12), 3)):
        process = subprocess.Popen(COMMAND, env={**os.environ, "PYTHONPATH": str(ROOT)})
        until = time.monotonic() + 60
        while not ledger.exists() or ledger.read_bytes().count(b"colored") < stop:
            assert process.poll() is None
            assert time.monotonic() < until
        process.send_signal(signal.SIGKILL)
        process.wait()
    with ledger.open("ab") as stream:
        stream.write(b'{"page": "ch/12.p')  # a line that the power cut
    done = [json.loads(line)["page"] for line in ledger.read_bytes().split(b"\n")[1:-1]]
    assert len(done) == len(set(done)) < 12
    result = run("killed.cbz")
    assert f"{12 - len(done)} colored, {len(done)} skipped" in result.stderr
    assert content("killed_color.cbz") == content("calm_color.cbz")


def test_blank_and_tiny_pages_pass_through_as_they_are() -> None:
    blank = Picture(np.full((96, 64, 1), 255, np.uint8))
    tiny = Picture(np.full((8, 8, 1), 0, np.uint8))
    pack(blank__png=encode(blank, ".png"), tiny__png=encode(tiny, ".png"))
    result = run("book.cbz")
    assert (result.exit_code, "3 colored, 2 skipped" in result.stderr) == (0, True)
    before, after = content("book.cbz"), content("book_color.cbz")
    assert [before[name] == after[name] for name in ("blank.png", "tiny.png")] == [True, True]
    assert not list(Path().glob(".*"))


def test_a_waiting_page_that_was_cut_is_made_again() -> None:
    pack(bad__png=b"\x89PNG\r\n\x1a\nbroken")
    run("book.cbz")
    page_file = volumes.pages_folder(Path("book_color.cbz")) / "00002.png"
    page_file.write_bytes(page_file.read_bytes()[:50])
    result = run("book.cbz")
    assert "1 colored, 2 skipped, 1 failed" in result.stderr
    assert files.read(content("book_color.cbz")["ch/2.png"], "2").size == (96, 64)


def test_without_a_colored_page_there_is_no_new_volume_and_the_reason_is_told() -> None:
    with ZipFile("book.cbz", "w") as archive:
        archive.writestr("cover.png", encode(colored(), ".png"))
    assert "all its pages stay as they are" in run("book.cbz").stderr
    with ZipFile("book.cbz", "a") as archive:
        archive.writestr("bad.png", b"\x89PNG\r\n\x1a\nbroken")
    result = run("book.cbz")
    assert (result.exit_code, "no page of it could be colored" in result.stderr) == (3, True)
    assert not list(Path().glob("*_color.cbz")) + list(Path().glob(".*"))
