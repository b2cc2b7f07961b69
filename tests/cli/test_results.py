"""What becomes of results that exist: skipped by the same command, replaced by another one, kept if edited."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from comics import content, pack, page
from drawings import colored, run, sketch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from colorize.cli import watching
from colorize.coloring import paint
from colorize.images import files, metadata
from colorize.images.decode import read_texts
from colorize.images.encode import encode
from colorize.images.image import Picture
from colorize.images.metadata import MARK, SEAL

pytestmark = pytest.mark.usefixtures("desk")

ROOT = Path(__file__).parents[2]
SUFFIXES = ("png", "jpg", "webp", "tif", "bmp")


def dot(path: str | Path) -> None:
    """Edit a picture as a paint program does that drops all texts."""
    with Image.open(path) as image:
        image.load()
    image.putpixel((3, 3), (1, 2, 3))
    image.info.clear()
    image.save(path)


def made_of(path: str | Path) -> dict[str, object]:
    """What a result says of its making."""
    found = json.loads(read_texts(Path(path).read_bytes())[MARK])
    assert isinstance(found, dict)
    return found


# One drawing


def test_the_same_command_skips_and_still_names_the_result() -> None:
    first = run("sketch.png", "--ref", "ref.png")
    before = Path("sketch_color.png").stat().st_mtime_ns
    again = run("sketch.png", "--ref", "ref.png")
    assert (again.exit_code, again.stdout) == (0, first.stdout) == (0, "sketch_color.png\n")
    assert "skipped `sketch.png`: its result exists, made with the same options" in again.stderr
    assert Path("sketch_color.png").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (("--ref", "ref2.png"), "ref ref.png, now ref2.png"),
        (("--ref", "ref.png", "--palette", "#ff0000,#00ff00"), "palette none, now #ff0000,#00ff00"),
        (("--ref", "ref.png", "--hint", "9,9=red"), "hint none, now 9,9=red"),
        (("--ref", "ref.png", "--seed", "2"), "seed 0, now 2"),
        (("--ref", "ref.png", "--flat"), "flat off, now on"),
        (("--ref", "ref.png", "--variations", "2", "--grid"), "grid off, now 2"),
        (("--ref", "ref.png", "--strength", "reference=0.5"), "strength none, now reference=0.5"),
        (("--ref", "ref.png", "--layers", "a.ora"), "layers off, now on"),
        ((), "ref ref.png, now none"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_another_command_makes_the_new_picture(other: tuple[str, ...], said: str) -> None:
    files.write(colored(2), Path("ref2.png"))
    run("sketch.png", "--ref", "ref.png")
    before = Path("sketch_color.png").read_bytes()
    result = run("sketch.png", *other)
    assert (result.exit_code, result.stdout) == (0, "sketch_color.png\n"), result.stderr
    assert f"`sketch_color.png` was made with other options ({said}); it is replaced" in result.stderr
    assert Path("sketch_color.png").read_bytes() != before
    assert "skipped" in run("sketch.png", *other).stderr
    assert not Path("sketch_color-2.png").exists()


@pytest.mark.parametrize("name", ["--ref", "--hints", "--palette"])
def test_a_file_of_the_same_name_with_other_content_is_another_option(name: str) -> None:
    for seed in (1, 2):
        cover = np.zeros((96, 64), np.uint8)
        cover[30:80, 20:60] = 255
        files.write(Picture(colored(seed).pixels[:, :64], cover), Path("given.png"))
        result = run("sketch.png", name, "given.png")
        assert result.exit_code == 0, result.stderr
    assert "given.png, now another of that name" in result.stderr


def test_a_renamed_reference_and_options_that_change_no_color_are_the_same() -> None:
    run("sketch.png", "--ref", "ref.png")
    Path("ref.png").rename("other.png")
    assert "skipped" in run("sketch.png", "--ref", "other.png", "--batch", "3", "--offline").stderr


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_edited_result_stays_and_the_new_one_gets_a_name(suffix: str) -> None:
    out = ("-o", f"made.{suffix}")
    run("sketch.png", *out)
    dot(f"made.{suffix}")
    mine = Path(f"made.{suffix}").read_bytes()
    result = run("sketch.png", "--seed", "2", *out)
    assert result.stdout == f"made-2.{suffix}\n"
    assert (
        f"`made.{suffix}` was edited, or made by another program, and stays; the new picture is `made-2."
        in result.stderr
    )
    assert run("sketch.png", "--seed", "2", *out).stdout == f"made-2.{suffix}\n"  # skipped
    assert run("sketch.png", "--seed", "3", *out).stdout == f"made-2.{suffix}\n"  # replaced
    assert Path(f"made.{suffix}").read_bytes() == mine
    assert not Path(f"made-3.{suffix}").exists()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_edit_is_found_where_the_program_keeps_all_texts(suffix: str) -> None:
    run("sketch.png", "-o", f"made.{suffix}")
    picture = files.read(Path(f"made.{suffix}"))
    pixels = picture.pixels.copy()
    pixels[40:60, 20:40] = 9
    mine = encode(Picture(pixels, picture.alpha, picture.icc, picture.exif, picture.text), f".{suffix}")
    Path(f"made.{suffix}").write_bytes(mine)
    assert MARK in read_texts(mine)
    result = run("sketch.png", "--seed", "2", "-o", f"made.{suffix}")
    assert f"`made.{suffix}` was edited since it was made and stays" in result.stderr
    assert Path(f"made.{suffix}").read_bytes() == mine
    assert "skipped" in run("sketch.png", "-o", f"made.{suffix}").stderr  # it is still the result of that command


def test_a_result_saved_anew_without_change_counts_as_edited() -> None:
    run("sketch.png")
    with Image.open("sketch_color.png") as image:
        texts = PngInfo()
        for name, text in image.text.items():  # type: ignore[attr-defined]
            texts.add_itxt(name, text)
        image.save("sketch_color.png", pnginfo=texts, compress_level=1)
    assert run("sketch.png", "--seed", "2").stdout == "sketch_color-2.png\n"


@pytest.mark.parametrize("kind", ["deep", "alpha", "deep alpha", "frames"])
@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
def test_results_of_all_kinds_of_drawings_are_known_again(kind: str, suffix: str) -> None:
    base = sketch().pixels
    if kind == "frames":
        first = Image.fromarray(base[..., 0])
        first.save("in.gif", save_all=True, append_images=[Image.fromarray(255 - base[..., 0])])
    else:
        pixels = base.astype(np.uint16) * 257 if "deep" in kind else base
        alpha = np.full(pixels.shape[:2], np.iinfo(pixels.dtype).max, pixels.dtype) if "alpha" in kind else None
        files.write(Picture(pixels, alpha), Path("in.png"))
    drawing = "in.gif" if kind == "frames" else "in.png"
    for seed in ("1", "2", "2"):
        result = run(drawing, "-o", f"made.{suffix}", "--seed", seed)
        assert result.stdout == f"made.{suffix}\n"
    assert "skipped" in result.stderr
    assert metadata.is_sealed(Path(f"made.{suffix}").read_bytes())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_any_changed_byte_breaks_the_seal(suffix: str) -> None:
    data = encode(Picture(sketch().pixels, text={MARK: json.dumps({"unedited": SEAL})}), f".{suffix}")
    assert metadata.is_sealed(data)
    assert files.read(data, "it").size == (96, 64)
    for at in range(0, len(data), 7):
        assert not metadata.is_sealed(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    assert not metadata.is_sealed(encode(sketch(), f".{suffix}"))


def test_results_of_earlier_versions_stay() -> None:
    run("sketch.png")
    picture = files.read(Path("sketch_color.png"))
    files.write(Picture(picture.pixels, text={MARK: '{"program": "colorize 0.0.1"}'}), Path("sketch_color.png"))
    result = run("sketch.png")
    assert result.stdout == "sketch_color-2.png\n"
    assert "`sketch_color.png` does not say which options it was made with and stays" in result.stderr
    assert run("sketch.png").stdout == "sketch_color-2.png\n"


@pytest.mark.parametrize(
    "forged",
    [
        3,
        [],
        {"options": 3},
        {"options": {"seed": {"digest": []}, "\x1b[2J": ["\x1b[31m"]}, "extras": {"layers": 3, "film": ["../x", "y"]}},
        {"options": {}, "extras": [1]},
    ],
)
def test_forged_records_do_no_harm(forged: object) -> None:
    files.write(Picture(colored().pixels, text={MARK: json.dumps(forged)}), Path("sketch_color.png"))
    result = run("sketch.png", "--layers", "a.ora")
    assert (result.exit_code, result.stdout) == (0, "sketch_color-2.png\n"), result.stderr
    seal = json.loads(json.dumps(forged))
    if isinstance(seal, dict):
        text = json.dumps({**seal, "drawing": files.fingerprint(Path("sketch.png")), "unedited": SEAL})
        files.write(Picture(colored().pixels, text={MARK: text}), Path("sketch_color.png"))
        assert "\x1b" not in run("sketch.png", "--layers", "a.ora", "--seed", "2").stderr


def test_a_result_that_serves_as_a_reference_is_not_replaced() -> None:
    run("sketch.png", "--ref", "ref.png")
    before = Path("sketch_color.png").read_bytes()
    result = run("sketch.png", "--ref", "sketch_color.png")
    assert result.stdout == "sketch_color-2.png\n", result.stderr
    assert "`sketch_color.png` is used for this picture and stays" in result.stderr
    assert Path("sketch_color.png").read_bytes() == before
    assert run("sketch.png", "--ref", "sketch_color.png").stdout == "sketch_color-2.png\n"


def test_a_drawing_that_changed_is_colored_again_in_place() -> None:
    run("sketch.png")
    files.write(sketch(step=25), Path("sketch.png"))
    result = run("sketch.png")
    assert result.stdout == "sketch_color.png\n"
    assert "`sketch_color.png` was made before the drawing changed; it is replaced" in result.stderr


def test_overwrite_asks_nothing() -> None:
    Path("sketch_color.png").write_bytes(b"mine")
    assert run("sketch.png", "--overwrite").stdout == "sketch_color.png\n"
    assert files.read(Path("sketch_color.png")).size == (96, 64)
    assert "skipped" in run("sketch.png").stderr


def test_each_variation_has_a_name_of_its_own() -> None:
    three = ("sketch.png", "--variations", "3")
    run(*three)
    dot("sketch_color_2.png")
    mine = Path("sketch_color_2.png").read_bytes()
    made = ["sketch_color_1.png", "sketch_color_2-2.png", "sketch_color_3.png"]
    assert run(*three, "--seed", "2").stdout.split() == made
    assert run(*three, "--seed", "2").stdout.split() == made
    assert Path("sketch_color_2.png").read_bytes() == mine


def test_a_variation_that_was_edited_survives_that_another_one_is_missing() -> None:
    run("sketch.png", "--variations", "2")
    picture = files.read(Path("sketch_color_1.png"))
    files.write(Picture(255 - picture.pixels, text=picture.text), Path("sketch_color_1.png"))
    mine = Path("sketch_color_1.png").read_bytes()
    Path("sketch_color_2.png").unlink()
    assert len(run("sketch.png", "--variations", "2").stdout.split()) == 2
    assert Path("sketch_color_1.png").read_bytes() == mine
    assert Path("sketch_color_2.png").exists()


def test_a_piped_drawing_follows_too() -> None:
    data = Path("sketch.png").read_bytes()
    assert run("-", "-o", "a.png", stdin=data).stdout == "a.png\n"
    assert "skipped" in run("-", "-o", "a.png", stdin=data).stderr
    assert "(seed 0, now 2); it is replaced" in run("-", "-o", "a.png", "--seed", "2", stdin=data).stderr
    other = encode(sketch(step=25), ".png")
    assert run("-", "-o", "a.png", stdin=other).stdout == "a-2.png\n"


@pytest.mark.parametrize(
    "wrong", [("--device", "tpu"), ("--ref", "none.png"), ("--strength", "refrence=1"), ("--sampler", "dppm")]
)
def test_wrong_options_are_refused_though_the_result_exists(wrong: tuple[str, ...]) -> None:
    run("sketch.png")
    before = Path("sketch_color.png").read_bytes()
    result = run("sketch.png", *wrong)
    assert result.exit_code in (1, 2)
    assert result.stderr.startswith("error: ")
    assert Path("sketch_color.png").read_bytes() == before


def test_nothing_is_loaded_where_all_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    run("pages")
    monkeypatch.setattr(paint, "load_model", lambda _: pytest.fail("loaded"))
    assert "2 skipped" in run("pages").stderr


# Files beside the result


def test_layers_that_were_painted_on_stay() -> None:
    layers = ("sketch.png", "--layers", "a.ora")
    run(*layers)
    assert "skipped" in run(*layers).stderr
    assert run(*layers, "--seed", "2").exit_code == 0
    assert not Path("a-2.ora").exists()  # the first was untouched
    Path("a.ora").write_bytes(b"painted on")
    assert "skipped" in run(*layers, "--seed", "2").stderr
    result = run(*layers, "--seed", "3")
    assert "the layers are `a-2.ora`" in result.stderr
    assert Path("a.ora").read_bytes() == b"painted on"
    assert "skipped" in run(*layers, "--seed", "3").stderr


def test_a_missing_file_beside_the_result_is_made() -> None:
    both = ("sketch.png", "--save-regions", "a.toml", "--film", "a.gif")
    run(*both)
    Path("a.gif").unlink()
    result = run(*both)
    assert "`sketch_color.png` was made without some of the files you now ask for; it is replaced" in result.stderr
    assert Path("a.gif").exists()
    assert not Path("a-2.toml").exists()
    Path("a_regions_map.png").write_bytes(b"mine")
    run(*both, "--seed", "2")
    assert Path("a_regions_map.png").read_bytes() == b"mine"
    assert tomllib.loads(Path("a-2.toml").read_text())["map"] == "a-2_regions_map.png"


@pytest.mark.parametrize("given", ["layers", "layers/", "layers/*.ora"])
def test_a_folder_gets_layers_for_each_drawing(given: str) -> None:
    files.write(sketch(step=25), Path("pages/p2.png"))
    Path("pages/p2.jpg").unlink()
    result = run("pages", "--layers", given)
    assert result.exit_code == 0, result.stderr
    assert "the layers are in `layers`" in result.stderr
    made = sorted(path.as_posix() for path in Path("layers").rglob("*.*"))
    assert made == ["layers/1/p1.ora", "layers/p2.ora"]
    with ZipFile("layers/p2.ora") as archive, archive.open("mergedimage.png") as merged:
        assert (np.asarray(Image.open(merged)) == files.read(Path("colored/p2.png")).pixels).all()
    assert "2 skipped" in run("pages", "--layers", given).stderr


def test_variations_get_layers_regions_and_films_each() -> None:
    more = ("--layers", "x/*.psd", "--save-regions", "x", "--film", "x")
    result = run("sketch.png", "--variations", "2", *more)
    assert result.exit_code == 0, result.stderr
    names = {f"sketch_{at}{end}" for at in (1, 2) for end in (".psd", ".toml", "_regions_map.png", ".gif")}
    assert {path.name for path in Path("x").iterdir()} == names
    assert Path("x/sketch_1.psd").read_bytes()[:4] == b"8BPS"


def test_maps_and_films_among_the_drawings_are_no_drawings() -> None:
    Path("pages/p2.jpg").unlink()
    every = ("pages", "--save-regions", "pages/regions", "--film", "pages/films")
    run(*every)
    assert "0 colored" not in run(*every).stderr
    assert run(*every).stdout.split() == ["colored/1/p1.png"]


@pytest.mark.parametrize(
    "wrong",
    [
        ("pages", "--layers", "a.ora"),
        ("pages", "--layers", "layers/*.png"),
        ("sketch.png", "--variations", "2", "--save-regions", "a.toml"),
        ("sketch.png", "--film", "-"),
        ("sketch.png", "--layers", "a.oar"),
    ],
    ids=" ".join,
)
def test_files_beside_results_that_cannot_be_are_refused(wrong: tuple[str, ...]) -> None:
    before = sorted(Path().rglob("*"))
    result = run(*wrong)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 2)
    assert sorted(Path().rglob("*")) == before


def test_no_file_beside_a_result_replaces_a_drawing() -> None:
    files.write(sketch(), Path("a/x.png"))
    Path("a/x.psd").write_bytes(Path("a/x.png").read_bytes())
    before = Path("a/x.psd").read_bytes()
    result = run("a/x.psd", "--layers", "a/*.psd", "--overwrite")
    assert (result.exit_code, "would replace the drawing `a/x.psd`" in result.stderr) == (2, True)
    assert run("a/x.psd", "--layers", "a/*.psd").exit_code == 0
    assert Path("a/x.psd").read_bytes() == before


# Folders and volumes


def test_a_folder_is_made_again_with_one_note() -> None:
    run("pages", "--ref", "ref.png")
    result = run("pages", "--ref", "ref.png", "--seed", "2")
    assert (
        result.stderr
        == "note: 2 results were made with other options (seed 0, now 2); they are made again\n2 colored\n"
    )
    assert result.stdout.split() == ["colored/1/p1.png", "colored/p2.jpg"]
    again = run("pages", "--ref", "ref.png", "--seed", "2")
    assert (again.stdout, again.stderr) == (result.stdout, "2 skipped\n")


def test_an_interrupted_folder_goes_on_where_it_stopped() -> None:
    run("pages", "--seed", "2")
    files.write(files.read(Path("colored/p2.jpg")), Path("keep.jpg"))
    Path("colored/p2.jpg").unlink()
    before = Path("colored/1/p1.png").stat().st_mtime_ns
    result = run("pages", "--seed", "2")
    assert "1 colored, 1 skipped" in result.stderr
    assert Path("colored/1/p1.png").stat().st_mtime_ns == before


def test_a_copy_of_a_picture_in_color_is_not_copied_again() -> None:
    files.write(colored(), Path("pages/cover.png"))
    run("pages", "-o", "out")
    result = run("pages", "-o", "out", "--seed", "2")
    assert "2 colored, 1 skipped" in result.stderr
    assert "out/cover.png" in result.stdout.split()
    assert run("pages", "-o", "out", "--force").exit_code == 0
    assert not Path("out/cover-2.png").exists()
    assert Path("out/cover.png").read_bytes() != Path("pages/cover.png").read_bytes()


def test_a_copy_that_the_user_made_is_no_result() -> None:
    Path("sketch_color.png").write_bytes(Path("sketch.png").read_bytes())
    assert run("sketch.png").stdout == "sketch_color-2.png\n"


@pytest.mark.parametrize("inputs", [("sketch.png",), ("pages",), ("sketch.png", "pages")])
def test_a_misspelt_format_is_no_folder(inputs: tuple[str, ...]) -> None:
    result = run(*inputs, "-o", "q.pgn")
    assert (result.exit_code, Path("q.pgn").exists()) == (2, False)
    assert "pictures cannot be written as `.pgn`" in result.stderr
    assert run(*inputs, "-o", "q.v2").exit_code == (0 if len(inputs) > 1 or inputs == ("pages",) else 2)


def test_a_drawing_without_a_mask_fails_alone() -> None:
    Path("masks").mkdir()
    files.write(sketch(), Path("masks/p2.png"))
    result = run("pages", "--only", "masks")
    assert "`masks` holds no mask for `1/p1.png`" in result.stderr
    assert "2 failed" in result.stderr or "1 failed" in result.stderr


def test_hints_of_one_drawing_concern_that_alone() -> None:
    Path("hints").mkdir()
    Path("hints/p2.json").write_text('{"points": [{"x": 9, "y": 9, "color": "#ff0000"}]}')
    assert "`hints` has no hints for `pages/1/p1.png`; name" in run("pages", "--hints", "hints").stderr
    assert "2 skipped" in run("pages", "--hints", "hints").stderr
    Path("hints/p2.json").write_text('{"points": [{"x": 9, "y": 9, "color": "#00ff00"}]}')
    result = run("pages", "--hints", "hints")
    assert "(hints p2.json, now another of that name)" in result.stderr
    assert "1 colored, 1 skipped" in result.stderr


def test_volumes_follow_as_well() -> None:
    pack()
    assert run("book.cbz").stdout == "book_color.cbz\n"
    same = run("book.cbz")
    assert (same.stdout, "same options" in same.stderr) == ("book_color.cbz\n", True)
    before = content("book_color.cbz")
    other = run("book.cbz", "--seed", "2")
    assert "`book_color.cbz` was made with other options (seed 0, now 2); it is replaced" in other.stderr
    assert content("book_color.cbz") != before
    with ZipFile("book_color.cbz", "a") as archive:
        archive.writestr("mine.txt", "a note")
    assert run("book.cbz", "--seed", "3").stdout == "book_color-2.cbz\n"
    assert content("book_color.cbz")["mine.txt"] == b"a note"
    assert run("book.cbz", "--seed", "3").stdout == "book_color-2.cbz\n"


def test_a_volume_keeps_the_description_that_comics_have_in_their_comment() -> None:
    pack()
    with ZipFile("book.cbz", "a") as archive:
        archive.comment = b'{"ComicBookInfo/1.0": {"title": "One"}}'
    run("book.cbz")
    with ZipFile("book_color.cbz") as archive:
        assert json.loads(archive.comment)["ComicBookInfo/1.0"] == {"title": "One"}
    assert "skipped" in run("book.cbz").stderr


# Watching a folder


class Desk:
    """What happens while the program waits: one step per look, then Ctrl-C."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *steps: Callable[[], object]) -> None:
        self.steps = iter(steps)
        monkeypatch.setattr(watching.time, "sleep", self.sleep)

    def sleep(self, _: float) -> None:
        step = next(self.steps, None)
        if step is None:
            raise KeyboardInterrupt
        step()


def nothing() -> None:
    """Let a file be complete."""


def save(path: str, step: int = 20) -> Callable[[], object]:
    return lambda: files.write(sketch(step=step), Path(path))


def test_watch_colors_what_is_there_and_what_is_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[object] = []
    load = paint.load_model
    monkeypatch.setattr(paint, "load_model", lambda options: loaded.append(1) or load(options))
    Desk(monkeypatch, nothing, save("pages/new.png"), nothing, save("pages/new.png", 25), nothing, nothing)
    result = run("--watch", "pages", "--ref", "ref.png")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.split() == ["colored/1/p1.png", "colored/p2.jpg", "colored/new.png", "colored/new.png"]
    assert result.stderr.splitlines()[-1] == "stopped watching `pages`: 4 colored"
    assert len(loaded) == 1
    assert made_of("colored/new.png")["drawing"] == files.fingerprint(Path("pages/new.png"))


def test_watch_waits_until_a_file_is_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode(sketch(), ".png")
    grow = [lambda n=n: Path("in/a.png").write_bytes(data[:n]) for n in (40, 90, len(data))]
    Path("in").mkdir()
    Desk(monkeypatch, *grow, nothing, nothing)
    result = run("--watch", "in")
    assert (result.stdout, "error" in result.stderr) == ("colored/a.png\n", False)


def test_watch_tells_once_what_cannot_be_read_and_tries_it_when_it_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("in").mkdir()
    broken = [lambda: Path("in/a.png").write_bytes(b"\x89PNG\r\n\x1a\n"), nothing, nothing, nothing]
    Desk(monkeypatch, *broken, save("in/a.png"), nothing, nothing)
    result = run("--watch", "in")
    assert result.stderr.count("error: ") == 1
    assert (result.exit_code, result.stdout) == (0, "colored/a.png\n")
    assert result.stderr.splitlines()[-1] == "stopped watching `in`: 1 colored, 1 failed"


def test_watch_colors_again_when_the_hints_of_a_drawing_change(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("hints").mkdir()
    hint = '{"points": [{"x": 9, "y": 9, "color": "#00ff00"}]}'
    Desk(monkeypatch, nothing, lambda: Path("hints/p2.json").write_text(hint), nothing)
    result = run("--watch", "pages", "--hints", "hints")
    assert result.stdout.split() == ["colored/1/p1.png", "colored/p2.jpg", "colored/p2.jpg"]


def test_results_do_not_feed_back(monkeypatch: pytest.MonkeyPatch) -> None:
    more = ("--save-regions", "pages/regions", "--film", "pages/films", "--layers", "pages/layers")
    Path("pages/p2.jpg").unlink()
    Desk(monkeypatch, *[nothing] * 6)
    result = run("--watch", "pages", "-o", "pages/out", *more)
    assert result.stdout == "pages/out/1/p1.png\n"
    assert len(list(Path("pages/films").rglob("*.gif"))) == 1


@pytest.mark.parametrize(
    "wrong",
    [("sketch.png",), ("-",), ("none",), ("pages", "-o", "pages"), ("pages", "-o", "a.png"), ("pages", "-o", "-")],
    ids=" ".join,
)
def test_what_cannot_be_watched_is_refused(wrong: tuple[str, ...]) -> None:
    result = run("--watch", *wrong)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 2)


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_ctrl_c_ends_watching_well() -> None:
    command = [sys.executable, "-m", "colorize", "sample", "--watch", "pages"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert {process.stdout.readline(), process.stdout.readline()} == {"colored/1/p1.png\n", "colored/p2.jpg\n"}
        process.send_signal(signal.SIGINT)
        assert process.wait() == 0
        assert process.stderr.read().splitlines()[-1].startswith("stopped watching `pages`: ")


# Words on the command line


@pytest.mark.parametrize("empty", [("--palette", ""), ("--mask", ""), ("--out", ""), ("--ref", ""), ("--hint", "")])
def test_an_empty_value_is_refused_with_one_sentence(empty: tuple[str, str]) -> None:
    result = run("sketch.png", *empty)
    assert (result.exit_code, result.stderr.splitlines()[0]) == (2, f"error: {empty[0]} is empty")
    assert not Path("sketch_color.png").exists()


@pytest.mark.parametrize("how", [("--out", "~/x/"), ("--out=~/x/",), ("-o", "~/x/")])
def test_a_home_folder_that_the_shell_left_is_put_in(
    how: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert run("sketch.png", *how).stdout == f"{tmp_path}/home/x/sketch.png\n"
    assert not Path("~").exists()


def test_a_home_folder_in_the_settings_is_put_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    Path("colorize.toml").write_text('[sample]\nout = "~/x/"\n')
    assert run("sketch.png").stdout == f"{tmp_path}/home/x/sketch.png\n"


# The README


def test_the_commands_of_the_readme_work_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = re.findall(r"^colorize sample .*$", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE)
    commands = [shlex.split(re.sub(r"\s#\s.*", "", line))[2:] for line in lines]
    assert len(commands) >= 4
    Path("readme").mkdir()
    monkeypatch.chdir("readme")
    monkeypatch.delenv("COLORIZE_MODEL")
    for command in commands:
        furnish_for(command)
    for command in commands:
        result = run(*command)
        assert result.exit_code == 0, (command, result.stderr)
        assert result.stdout, command
        assert all(Path(line).exists() for line in result.stdout.splitlines())
        assert "skipped" not in result.stderr, command
        assert "stays" not in result.stderr, command


def furnish_for(command: list[str]) -> None:
    """Put the files that a command names into the working folder; what it writes is not there yet."""
    layer = np.zeros((160, 200, 4), np.uint8)
    layer[20:30, 20:30] = (255, 0, 0, 255)
    hints, picture = Picture(layer[..., :3], layer[..., 3]), sketch(160, 200)
    for before, text in zip(["", *command], command, strict=False):
        path = Path(text)
        if before in ("-o", "--out", "--layers") or path.exists() or not re.fullmatch(r"\w+(/|\.\w+)", text):
            continue
        if text.endswith("/"):
            for number in (1, 2):
                files.write(files.read(page(number)), path / f"{number}.png")
        elif path.suffix == ".cbz":
            pack(text, 2)
        else:
            files.write({"--ref": colored(), "--hints": hints}.get(before, picture), path)


def test_no_two_drawings_share_a_result() -> None:
    names = ("a.png", "a.tga.png", "a.tga", "b.png", "b.tga", "b.tga.png")
    for at, name in enumerate(names):
        Path(name).write_bytes(encode(sketch(step=20 + at), ".png"))
    result = run(*names, "--out", "o")
    made = result.stdout.split()
    assert len(made) == len(set(made)) == len(names)
    assert all(Path(one).is_file() for one in made)


def test_a_name_with_a_dash_in_front_gets_a_hint() -> None:
    files.write(sketch(), Path("drawing.png"))
    Path("drawing.png").rename("-x.png")
    command = [sys.executable, "-m", "colorize", "sample", "-x.png"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "put `--` before names" in done.stderr
