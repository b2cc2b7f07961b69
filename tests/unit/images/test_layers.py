"""Layers of a result: that they compose to it, and that files hold them as their formats demand."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree
from zipfile import ZIP_STORED, ZipFile

import numpy as np
import pytest
import torch
from drawings import furnish, one, run, sketch
from PIL import Image

from colorize.coloring.options import Job
from colorize.errors import ColorizeError
from colorize.images import layers
from colorize.images.image import Picture

MEAN, MOST = 0.5, 2.0  # of 255; what `layers.layers` states


def random_color(seed: int = 0) -> torch.Tensor:
    return torch.rand(1, 3, 16, 12, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def soft(channels: int = 1, depth: type = np.uint8) -> Picture:
    """Line art with gray, half covered pixels, of colored ink if it has three channels."""
    rng, peak = np.random.default_rng(0), np.iinfo(depth).max
    values = np.repeat(sketch().pixels / 255, channels, 2)
    noisy = rng.random(values.shape[:2]) < 0.2
    values[noisy] = rng.random((noisy.sum(), channels))
    return Picture(np.rint(values * peak).astype(depth))


def cut_out(picture: Picture) -> Picture:
    """The picture with a transparent, a half transparent and an opaque part."""
    alpha = np.full(picture.size, picture.peak, picture.pixels.dtype)
    alpha[:20], alpha[20:40] = 0, np.linspace(0, picture.peak, picture.size[1])
    return replace(picture, alpha=alpha)


def composed(stack: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Source-over of RGBA layers (H, W, 4), topmost first: premultiplied RGB and alpha, 0 to 255."""
    color, cover = np.zeros((*stack[0].shape[:2], 3)), np.zeros(stack[0].shape[:2])
    for values in reversed(stack):
        share = values[..., 3] / 255
        color = values[..., :3] * share[..., None] + color * (1 - share[..., None])
        cover = share + cover * (1 - share)
    return color, cover * 255


def stacked(picture: Picture) -> np.ndarray:
    small = picture.eight_bit()
    full = np.full(small.size, 255, np.uint8)
    return np.dstack([small.pixels, full if small.alpha is None else small.alpha])


def claim_same(stack: list[np.ndarray], whole: Picture) -> None:
    wanted = stacked(whole).astype(float)
    color, cover = composed(stack)
    off = np.abs(color - wanted[..., :3] * (wanted[..., 3:] / 255))
    assert off.max() <= MOST
    assert off.mean() <= MEAN
    assert np.abs(cover - wanted[..., 3]).max() <= 1


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("cut", [False, True])
def test_layers_compose_to_the_picture(flat: bool, depth: type, channels: int, cut: bool) -> None:
    drawing = cut_out(soft(channels, depth)) if cut else soft(channels, depth)
    sheet = layers.divide(drawing, random_color(), inked=False)
    stack = [stacked(layer.picture) for layer in layers.layers(sheet, flat)]
    claim_same(stack, layers.merged(sheet, flat))


def test_flats_lie_whole_under_the_ink_and_the_line_is_black() -> None:
    sheet = layers.divide(sketch(), torch.full((1, 3, 16, 12), -0.5), inked=False)
    line, _, *flats, paper = (layer.picture for layer in layers.layers(sheet, flat=False))
    assert (sum(flat.alpha.astype(int) for flat in flats) == 255).all()
    assert (paper.pixels == 255).all()
    assert (line.pixels == 0).all()
    assert (line.alpha == 255 - sketch().pixels[..., 0]).all()


def test_white_flats_are_transparent_and_flat_results_have_no_shade() -> None:
    sheet = layers.divide(sketch(), torch.ones(1, 3, 16, 12), inked=False)
    found = {layer.name: layer.picture for layer in layers.layers(sheet, flat=True)}
    assert list(found) == ["line", "paper"]


def two_colors() -> torch.Tensor:
    """Red above, blue below."""
    color = torch.tensor([0.8, -0.8, -0.8])[:, None, None].expand(3, 16, 12).clone()
    color[:, 8:] = torch.tensor([-0.6, -0.6, 0.9])[:, None, None]
    return color[None]


def test_every_flat_color_has_a_layer_of_its_own() -> None:
    sheet = layers.divide(sketch(), two_colors(), inked=False)
    flats = [layer for layer in layers.layers(sheet, flat=True) if layer.name.startswith("flat #")]
    colors = {
        f"#{bytes(color).hex()}" for color in np.rint(sheet.table[np.unique(sheet.labels)] * 255).astype(np.uint8)
    }
    assert {layer.name.removeprefix("flat ") for layer in flats} == colors
    assert len(flats) > 1
    for layer in flats:
        visible = layer.picture.pixels[layer.picture.alpha > 0]
        assert (visible == bytearray.fromhex(layer.name[6:])).all()


def test_of_many_colors_one_layer_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "MOST", 1)
    sheet = layers.divide(sketch(), two_colors(), inked=False)
    assert [layer.name for layer in layers.layers(sheet, flat=True)] == ["line", "flats", "paper"]


def test_regions_tell_where_they_lie_and_what_color_they_have() -> None:
    sheet = layers.divide(sketch(), two_colors(), inked=False)
    found, numbers = layers.regions(sheet)
    assert [region["number"] for region in found] == list(range(1, len(found) + 1))
    assert numbers.shape == sheet.drawing.size
    assert sum(region["area"] for region in found) == numbers.size
    flat = layers.merged(sheet, flat=True).pixels
    for region in found:
        x, y = region["at"]
        left, top, right, bottom = region["box"]
        mine = numbers == region["number"]
        assert numbers[y, x] == region["number"]
        assert f"#{bytes(flat[y, x]).hex()}" == region["color"]
        rows, columns = np.nonzero(mine)
        assert (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) == (left, top, right, bottom)


def test_what_is_transparent_in_the_drawing_is_so_in_every_layer() -> None:
    sheet = layers.divide(cut_out(soft()), random_color(), inked=False)
    assert all((layer.picture.alpha[:20] == 0).all() for layer in layers.layers(sheet, False))


def test_the_shaded_picture_is_the_one_without_layers() -> None:
    plain, layered = (one(Job("a", sketch()), layers=wanted).painted[0].picture for wanted in (False, True))
    assert (plain.pixels == layered.pixels).all()


def painted(tmp_path: Path, **options: object):
    done = one(Job("a", sketch(300, 200)), layers=Path("layers.ora"), **options).painted[0]
    layers.write_openraster(done.layers, done.picture, tmp_path / "new" / "a.ora")
    return done, ZipFile(tmp_path / "new" / "a.ora")


def opened(archive: ZipFile, name: str) -> Image.Image:
    return Image.open(io.BytesIO(archive.read(name)))


def test_an_ora_file_begins_with_its_uncompressed_type(tmp_path: Path) -> None:
    first = painted(tmp_path)[1].infolist()[0]
    assert (first.filename, first.compress_type, first.header_offset) == ("mimetype", ZIP_STORED, 0)
    raw = (tmp_path / "new" / "a.ora").read_bytes()
    assert raw[38:54] == b"image/openraster"  # where programs look for it


def test_the_layers_of_an_ora_file_compose_to_its_merged_image(tmp_path: Path) -> None:
    done, archive = painted(tmp_path)
    image = ElementTree.fromstring(archive.read("stack.xml"))
    assert (image.get("w"), image.get("h")) == ("200", "300")
    parts = image.findall("./stack/layer")
    names = [part.get("name") for part in parts]
    assert (names[:2], names[-1]) == (["line", "shade"], "paper")
    assert all(name.startswith("flat") for name in names[2:-1])
    assert {part.get("composite-op") for part in parts} == {"svg:src-over"}
    stack = [np.asarray(opened(archive, part.get("src", ""))) for part in parts]
    claim_same(stack, done.picture)
    whole = np.asarray(opened(archive, "mergedimage.png").convert("RGB"))
    assert (whole == done.picture.pixels).all()


def test_an_ora_file_has_a_thumbnail_and_says_how_it_was_made(tmp_path: Path) -> None:
    _, archive = painted(tmp_path)
    assert opened(archive, "Thumbnails/thumbnail.png").size == (171, 256)
    assert '"recipe": "mini"' in opened(archive, "mergedimage.png").text["colorize"]


def test_the_layers_of_a_psd_file_compose_to_the_picture(tmp_path: Path) -> None:
    tools = pytest.importorskip("psd_tools")
    done, _ = painted(tmp_path)
    layers.write_photoshop(done.layers, done.picture, tmp_path / "a.psd")
    document = tools.PSDImage.open(tmp_path / "a.psd")
    assert [layer.name for layer in document] == [layer.name for layer in reversed(done.layers)]
    claim_same([np.asarray(layer.topil()) for layer in reversed(document)], done.picture)


def test_psd_without_its_package_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "find_spec", lambda name: None)
    with pytest.raises(ColorizeError, match="psd-tools") as caught:
        layers.check_psd_tools()
    assert "pip install psd-tools" in caught.value.hint


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLORIZE_MODEL", "tiny.safetensors")
    monkeypatch.setenv("COLORIZE_DEVICE", "cpu")
    furnish()


@pytest.mark.usefixtures("here")
def test_layers_are_written_beside_the_result() -> None:
    result = run("sketch.png", "--flat", "--layers", "a.ora")
    assert (result.stdout, result.exit_code) == ("sketch_color.png\n", 0)
    assert "the layers are `a.ora`" in result.stderr
    assert "data/shade.png" not in ZipFile("a.ora").namelist()
    assert "skipped" in run("sketch.png", "--flat", "--layers", "a.ora").stderr


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    "wrong",
    [
        ("sketch.png", "--layers", "a.png"),
        ("sketch.png", "--layers", "-"),
        ("pages", "--layers", "a.ora"),
        ("sketch.png", "--layers", "a.ora", "--variations", "2"),
    ],
)
def test_layers_that_cannot_be_are_refused_before_anything_is_done(wrong: tuple[str, ...]) -> None:
    before = sorted(Path().rglob("*"))
    result = run(*wrong)
    assert result.exit_code == 2
    assert "layers" in result.stderr
    assert sorted(Path().rglob("*")) == before


@pytest.mark.usefixtures("here")
def test_psd_without_its_package_is_refused_before_anything_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "find_spec", lambda name: None)
    assert run("sketch.png", "--layers", "a.psd").exit_code == 1
    assert not Path("sketch_color.png").exists()


@pytest.mark.usefixtures("here")
def test_regions_are_written_with_their_map_and_the_sources_of_their_colors() -> None:
    result = run("sketch.png", "--save-regions", "a.json", "--hint", "10,10=#00ff00")
    assert result.exit_code == 0, result.stderr
    found = json.loads(Path("a.json").read_text())
    numbers = np.asarray(Image.open(found["map"]))
    assert numbers.shape == (found["height"], found["width"])
    assert set(np.unique(numbers)) == {region["number"] for region in found["regions"]}
    hinted = next(region for region in found["regions"] if region["number"] == numbers[10, 10])
    assert (hinted["color"], hinted["source"]) == ("#00ff00", ["hint"])
    assert "skipped" in run("sketch.png", "--save-regions", "a.json", "--hint", "10,10=#00ff00").stderr


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("wrong", [("sketch.png", "--save-regions", "a.txt"), ("pages", "--save-regions", "a.json")])
def test_regions_that_cannot_be_are_refused(wrong: tuple[str, ...]) -> None:
    result = run(*wrong)
    assert result.exit_code == 2
    assert "regions" in result.stderr.splitlines()[0]


@pytest.mark.usefixtures("here")
def test_a_map_of_regions_replaces_no_picture() -> None:
    Path("a.regions.png").write_bytes(b"painted")
    assert "the regions are `a-2.json`" in run("sketch.png", "--save-regions", "a.json").stderr
    assert Path("a.regions.png").read_bytes() == b"painted"


def test_flat_colors_are_those_that_were_chosen_or_hinted() -> None:
    red, almost, blue = ((0.8, -0.8, -0.8), (0.78, -0.78, -0.8), (-0.6, -0.6, 0.9))
    flat = torch.tensor(almost)[:, None, None].expand(3, 16, 12).clone()
    flat[:, 8:] = torch.tensor(blue)[:, None, None]
    shaded = flat * 0.9
    hints = torch.zeros(1, 4, 16, 12)
    hints[0, 3] = -1
    hints[0, :, 2, 3] = torch.tensor((*red, 1.0))
    divided = layers.divide(sketch(), shaded[None], inked=False, hints=hints, flat=flat[None])
    chosen = {tuple(np.rint((np.array(color) + 1) * 127.5).astype(int)) for color in (red, blue)}
    found = {tuple(color) for color in np.rint(divided.table[np.unique(divided.labels)] * 255).astype(int)}
    assert found <= chosen | {(255, 255, 255)}
    assert tuple(np.rint((np.array(almost) + 1) * 127.5).astype(int)) not in found
