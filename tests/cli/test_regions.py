"""`colorize regions` and `sample --regions`: what they write, what they leave alone, and what they refuse."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from drawings import furnish, gray, run, sketch
from typer.testing import CliRunner, Result

from colorize.cli.app import app
from colorize.images import files, ink, region_files
from colorize.images.image import Picture
from colorize.images.regions import TINTED

ROOT = Path(__file__).parents[2]
TOML = Path("sketch_regions.toml")
RESULT = Path("sketch_color.png")


def regions(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["regions", *arguments])


def shaded(drawing: Picture, top: tuple[int, ...] = (200, 60, 60), below: tuple[int, ...] = (60, 60, 200)) -> Picture:
    """A result of two colors that get a little darker to the right, marked as made by this program."""
    height, width = drawing.size
    color = np.where(np.arange(height)[:, None, None] < 41, top, below)
    color = color - 40 * np.linspace(0, 1, width)[None, :, None]
    strips = [(slice(0, height), (color / 255).astype(np.float32))]
    return Picture(ink.painted(ink.on_paper(drawing), strips), text={"colorize": '{"program": "colorize", "seed": 3}'})


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    files.write(sketch(), Path("sketch.png"))


def colored() -> None:
    files.write(shaded(files.read(Path("sketch.png"))), RESULT)
    assert regions("sketch.png").exit_code == 0


def entries(path: Path = TOML) -> dict[int, dict[str, object]]:
    return {int(key): value for key, value in tomllib.loads(path.read_text())["regions"].items()}


def edit(number: int, color: str, name: str = "", path: Path = TOML) -> None:
    text = re.sub(
        rf'^{number} = {{ color = "[^"]*", name = "[^"]*"',
        f'{number} = {{ color = "{color}", name = "{name}"',
        path.read_text(),
        flags=re.MULTILINE,
    )
    assert text != path.read_text()
    path.write_text(text)


def numbers(path: str = "sketch_regions_map.png") -> np.ndarray:
    return files.read(Path(path)).pixels[..., 0]


def test_without_a_result_all_regions_are_paper() -> None:
    result = regions("sketch.png")
    assert result.stdout.split() == ["sketch_regions.toml", "sketch_regions.png"]
    found = entries()
    assert {one["color"] for one in found.values()} == {"#ffffff"}
    assert sorted(found) == list(range(1, len(found) + 1))
    assert {int(one) for one in np.unique(numbers())} == set(found)
    for number, one in found.items():
        x, y = one["at"]
        rows, columns = np.nonzero(numbers() == number)
        assert numbers()[y, x] == number
        assert one["area"] == len(rows)
        assert one["box"] == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def test_present_colors_come_from_the_result() -> None:
    colored()
    shown = {bytes.fromhex(str(one["color"])[1:])[0] > 128 for one in entries().values()}
    assert shown == {True, False}
    assert regions("sketch.png", "--colored", "sketch.png", "-o", "plain.toml").exit_code == 0
    assert {one["color"] for one in entries(Path("plain.toml")).values()} == {"#ffffff"}


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
@pytest.mark.parametrize("tint", [(255, 255, 255), (255, 240, 200)])
def test_only_changed_regions_change_and_keep_their_shade_and_ink(depth: type, tint: tuple[int, ...]) -> None:
    scale = np.iinfo(depth).max // 255
    drawing = Picture((sketch().pixels / 255 * np.array(tint)).astype(depth) * depth(scale))
    files.write(drawing, Path("sketch.png"))
    colored()
    before, old = files.read(RESULT).pixels, entries()[2]["color"]
    edit(2, "#50c850")
    assert run("sketch.png", "--regions", str(TOML)).stdout == "sketch_color.png\n"
    after, mine = files.read(RESULT).pixels, numbers() == 2
    assert after.dtype == depth
    assert (after[~mine] == before[~mine]).all()
    black = mine & (drawing.pixels.max(2) == 0)
    assert black.any()
    assert (after[black] == before[black]).all()
    clear = mine & (drawing.pixels == np.array(tint) * scale).all(2)
    shift = np.array([0x50, 0xC8, 0x50]) - list(bytes.fromhex(str(old)[1:]))
    least = (np.array(tint) - min(tint)) * scale  # where all of the paper's share is taken
    hue = 255 - (np.array(tint) - before[clear] / scale) * (255 / min(tint)) - list(bytes.fromhex(str(old)[1:]))
    own = np.abs(hue - hue.mean(1, keepdims=True)).max(1) < TINTED  # and not the other color of the picture
    assert 0.5 < own.mean() < 1
    wanted = np.clip(before[clear] + shift * (min(tint) / 255) * scale, least, None)
    assert np.abs(after[clear] - wanted)[own].max() <= 0.5
    again = RESULT.read_bytes()
    assert "no color differs" in run("sketch.png", "--regions", str(TOML)).stderr
    assert RESULT.read_bytes() == again


@pytest.mark.parametrize("more", [[], ["--overwrite"]])
def test_a_list_of_regions_cannot_name_a_picture_of_others_to_be_replaced(more: list[str]) -> None:
    colored()
    photo = Path("photo.png")
    files.write(Picture(files.read(RESULT).pixels), photo)
    region_files.remember(region_files.read(TOML), region_files.fingerprint(files.read(photo)))
    TOML.write_text(TOML.read_text().replace('"sketch_color.png"', '"photo.png"'))
    edit(1, "navy")
    before = photo.read_bytes()
    assert run("sketch.png", "--regions", str(TOML), *more).stdout == "photo-2.png\n"
    assert photo.read_bytes() == before


def test_a_drawing_without_a_result_is_filled_with_flat_colors() -> None:
    regions("sketch.png")
    edit(1, "navy")
    assert run("sketch.png", "--regions", str(TOML)).exit_code == 0
    inside = (numbers() == 1) & (sketch().pixels[..., 0] == 255)
    assert (files.read(RESULT).pixels[inside] == (0, 0, 128)).all()
    edit(1, "#ff0000")  # the second try replaces the first
    assert run("sketch.png", "--regions", str(TOML)).stdout == "sketch_color.png\n"
    assert (files.read(RESULT).pixels[inside] == (255, 0, 0)).all()


def test_flat_fills_every_region_with_its_color() -> None:
    colored()
    assert run("sketch.png", "--regions", str(TOML), "--flat", "-o", "flat.png").exit_code == 0
    clear = sketch().pixels[..., 0] == 255
    shown = files.read(Path("flat.png")).pixels
    for number, one in entries().items():
        assert (shown[clear & (numbers() == number)] == list(bytes.fromhex(str(one["color"])[1:]))).all()


def test_what_a_person_painted_is_not_replaced() -> None:
    colored()
    mine = files.read(RESULT)
    mine.pixels[:10] = 7
    files.write(mine, RESULT)
    painted = RESULT.read_bytes()
    edit(2, "#50c850")
    result = run("sketch.png", "--regions", str(TOML))
    assert result.stdout == "sketch_color-2.png\n"
    assert "stays as it is" in result.stderr
    assert RESULT.read_bytes() == painted
    assert run("sketch.png", "--regions", str(TOML), "-o", str(RESULT)).exit_code == 2
    assert RESULT.read_bytes() == painted


def test_edited_regions_are_not_replaced_and_others_are() -> None:
    colored()
    assert regions("sketch.png").exit_code == 0
    edit(2, "#50c850")
    kept = TOML.read_bytes()
    result = regions("sketch.png")
    assert (result.exit_code, TOML.read_bytes()) == (2, kept)
    assert "was edited" in result.stderr
    assert regions("sketch.png", "--overwrite").exit_code == 0
    assert TOML.read_bytes() != kept


@pytest.mark.parametrize("name", ["sketch_regions.png", "sketch_regions_map.png"])
def test_no_other_picture_is_replaced(name: str) -> None:
    files.write(sketch(), Path(name))
    kept = Path(name).read_bytes()
    result = regions("sketch.png")
    assert result.exit_code == 2
    assert name in result.stderr
    assert Path(name).read_bytes() == kept


def test_a_changed_drawing_is_noticed() -> None:
    colored()
    files.write(sketch(step=22), Path("sketch.png"))
    result = run("sketch.png", "--regions", str(TOML))
    assert result.exit_code == 2
    assert "has changed since" in result.stderr


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('2 = { color = "#', '2 = { color = "#zz', "in region 2 in line 10 of"),
        ('2 = { color = "', '2 = { colour = "', "unknown key `colour`"),
        ('2 = { color = "', "2 = { color = ", "not valid TOML"),
        ("2 = {", "999 = {", "region 999 in line 10 of `sketch_regions.toml` is not in the map"),
        ("[regions]", "[areas]", "is not a file of regions"),
        ('map = "', 'map = "no', "is missing"),
        ('map = "sketch_regions_map.png"', 'map = "sketch.png"', "is not the map"),
    ],
)
def test_a_bad_file_of_regions_is_one_sentence(old: str, new: str, message: str) -> None:
    colored()
    text = TOML.read_text()
    assert f"\n{old}" in text
    TOML.write_text(text.replace(f"\n{old}", f"\n{new}", 1))
    before = RESULT.read_bytes()
    result = run("sketch.png", "--regions", str(TOML))
    assert result.exit_code == 2
    assert message in result.stderr
    assert RESULT.read_bytes() == before


@pytest.mark.parametrize(
    "wrong",
    [("sketch.png", "--ref", "r.png"), ("sketch.png", "sketch_color.png"), ("-",), ("sketch.png", "--variations", "2")],
)
def test_what_needs_a_model_is_refused(wrong: tuple[str, ...]) -> None:
    colored()
    assert run(*wrong, "--regions", str(TOML)).exit_code == 2


@pytest.mark.parametrize("picture", ["photo.png", "sketch_color.png"])
def test_only_line_art_has_regions(picture: str) -> None:
    colored()
    files.write(gray(), Path("photo.png"))
    assert regions(picture).exit_code == 1
    assert not Path(picture.replace(".png", "_regions.toml")).exists()
    assert regions(picture, "--force").exit_code == 0


def test_a_jpeg_is_recolored_as_well() -> None:
    files.write(sketch(), Path("s.jpg"))
    files.write(shaded(files.read(Path("s.jpg"))), Path("s_color.jpg"))
    assert regions("s.jpg").exit_code == 0
    edit(1, "#50c850", path=Path("s_regions.toml"))
    result = run("s.jpg", "--regions", "s_regions.toml")
    assert (result.stdout, "JPEG" in result.stderr) == ("s_color.jpg\n", True)
    edit(1, "#c850c8", path=Path("s_regions.toml"))
    assert run("s.jpg", "--regions", "s_regions.toml").stdout == "s_color.jpg\n"
    shown = files.read(Path("s_color.jpg")).pixels[
        (numbers("s_regions_map.png") == 1) & (sketch().pixels[..., 0] == 255)
    ]
    assert np.abs(np.median(shown, 0) - (0xC8, 0x50, 0xC8)).max() < 12


def test_names_of_regions_are_names_of_layers() -> None:
    from zipfile import ZipFile

    colored()
    edit(2, "#50c850", "shirt / left")
    edit(3, "#50c850", "line")
    assert run("sketch.png", "--regions", str(TOML), "--layers", "a.ora").exit_code == 0
    archive = ZipFile("a.ora")
    stack = archive.read("stack.xml").decode()
    assert 'name="shirt / left"' in stack
    assert len(set(archive.namelist())) == len(archive.namelist())


def test_neither_command_imports_torch_or_uses_the_network() -> None:
    files.write(shaded(sketch()), RESULT)
    code = """
import socket, sys
def refuse(*_): raise AssertionError("the network was used")
socket.socket.connect = refuse
from colorize.cli.app import app
import re
from pathlib import Path
recolor = ["sample", "sketch.png", "--regions", "sketch_regions.toml", "--layers", "a.ora"]
for command in (["regions", "sketch.png"], recolor):
    try:
        app(command)
    except SystemExit as end:
        assert not end.code, command
    path = Path("sketch_regions.toml")
    path.write_text(re.sub('2 = { color = "[^"]*"', '2 = { color = "gold"', path.read_text()))
print([name for name in ("torch", "scipy", "skimage", "huggingface_hub") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment(), check=False)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


def environment() -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": str(ROOT)}


def test_sample_writes_the_same_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLORIZE_MODEL", "tiny.safetensors")
    monkeypatch.setenv("COLORIZE_DEVICE", "cpu")
    furnish()
    result = run("sketch.png", "--save-regions", str(TOML), "--hint", "10,10=#00ff00")
    assert result.exit_code == 0, result.stderr
    found, before = entries(), files.read(RESULT).pixels
    hinted = found[int(numbers()[10, 10])]
    assert (hinted["color"], hinted["source"]) == ("#00ff00", ["hint"])
    edit(2, "#c81414")
    assert run("sketch.png", "--regions", str(TOML)).stdout == "sketch_color.png\n"
    after = files.read(RESULT).pixels
    assert (after[numbers() != 2] == before[numbers() != 2]).all()
    assert (after[numbers() == 2] != before[numbers() == 2]).any()


@pytest.mark.parametrize("wrong", [("sketch.png", "--save-regions", "a.json"), ("pages", "--save-regions", "a.toml")])
def test_regions_that_cannot_be_are_refused(wrong: tuple[str, ...]) -> None:
    files.write(sketch(), Path("pages/a.png"))
    files.write(sketch(), Path("pages/b.png"))
    result = run(*wrong)
    assert result.exit_code == 2
    assert "regions" in result.stderr.splitlines()[0]


def test_a_map_of_regions_replaces_no_picture() -> None:
    Path("a_regions_map.png").write_bytes(b"painted")
    assert "the regions are `a-2.toml`" in run("sketch.png", "--save-regions", "a.toml").stderr
    assert Path("a_regions_map.png").read_bytes() == b"painted"


def test_pictures_of_regions_are_no_drawings_of_their_folder() -> None:
    Path("pages").mkdir(exist_ok=True)
    files.write(sketch(), Path("pages/a.png"))
    run_regions = CliRunner().invoke(app, ["regions", "pages/a.png"])
    assert run_regions.exit_code == 0, run_regions.stderr
    assert run("pages", "-o", "out").stdout == "out/a.png\n"
    assert sorted(path.name for path in Path("out").iterdir()) == ["a.png"]
