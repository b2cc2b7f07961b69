"""The artist's loop with the embedded model: color, correct the result, give it back."""

from __future__ import annotations

import re
import shutil
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from drawings import run
from PIL import Image
from typer.testing import CliRunner, Result

from colorize.cli.app import app

EXAMPLES = Path(__file__).parents[2] / "examples"
BLUE = (40, 88, 200)
HAT, BELLY = (440, 90), (250, 370)  # places in two regions of the example


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLORIZE_MODEL", "mini")
    monkeypatch.setenv("COLORIZE_DEVICE", "cpu")
    for name in ("sketch.png", "reference-1.png", "reference-2.png"):
        shutil.copy(EXAMPLES / name, name)


def colored(out: str, *more: str) -> Result:
    told = run("sketch.png", "--ref", "reference-1.png", *more, "-o", out, "--overwrite")
    assert told.exit_code == 0, told.stderr
    return told


def pixels(name: str) -> np.ndarray:
    return np.array(Image.open(name).convert("RGB"))


def clear() -> np.ndarray:
    """Where the drawing is paper, and so are its neighbors."""
    return cv2.erode((pixels("sketch.png")[..., 0] == 255).astype(np.uint8), np.ones((5, 5))) > 0


def region(place: tuple[int, int]) -> np.ndarray:
    """What lines close off around a place, (H, W) bool."""
    paper = (pixels("sketch.png")[..., 0] > 128).astype(np.uint8)
    labels = cv2.connectedComponents(paper, connectivity=4)[1]
    return np.asarray(labels == labels[place[::-1]])


def corrected(source: str, out: str, place: tuple[int, int] = HAT) -> np.ndarray:
    """Fill the region around a place with blue as a layer below the lines would; return it without its rim."""
    made, inside = pixels(source), region(place)
    ink = pixels("sketch.png")[..., :1] / 255
    made = np.where(inside[..., None], np.round(ink * np.array(BLUE)), made).astype(np.uint8)
    Image.fromarray(made).save(out, quality=85)
    return inside & clear()


def share_kept(before: str, after: str, where: np.ndarray) -> float:
    """Which share of pixels hardly changed."""
    return float((np.abs(pixels(before).astype(int) - pixels(after)).max(2) < 12)[where].mean())


@pytest.mark.parametrize("flat", [(), ("--flat",)])
def test_a_corrected_region_stays_and_others_are_hardly_changed(flat: tuple[str, ...]) -> None:
    colored("sketch_color.png", *flat)
    hat = corrected("sketch_color.png", "corrected.png")
    told = colored("again.png", *flat, "--hints", "corrected.png")
    assert told.stderr == ""
    assert (pixels("again.png")[hat] == BLUE).all()
    assert share_kept("sketch_color.png", "again.png", clear() & ~region(HAT)) > 0.9
    assert share_kept("sketch_color.png", "again.png", hat) == 0


def test_what_was_corrected_is_known_without_the_result() -> None:
    colored("sketch_color.png")
    corrected("sketch_color.png", "corrected.png")
    colored("with.png", "--hints", "corrected.png")
    Path("sketch_color.png").unlink()
    colored("without.png", "--hints", "corrected.png")
    assert (pixels("with.png") == pixels("without.png")).all()


def test_other_regions_follow_another_reference() -> None:
    colored("sketch_color.png")
    hat = corrected("sketch_color.png", "corrected.png")
    told = run("sketch.png", "--ref", "reference-2.png", "--hints", "corrected.png", "-o", "other.png")
    assert told.exit_code == 0
    assert (pixels("other.png")[hat] == BLUE).all()
    assert share_kept("sketch_color.png", "other.png", clear() & ~region(HAT)) < 0.99


def test_a_picture_of_other_origin_keeps_all_its_colors() -> None:
    colored("sketch_color.png", "--palette", "#884400,#cc9955", "--seed", "3")
    hat, belly = corrected("sketch_color.png", "corrected.png"), region(BELLY) & clear()
    Path("sketch_color.png").rename("elsewhere.png")
    told = run("sketch.png", "--ref", "reference-2.png", "--hints", "corrected.png", "-o", "other.png")
    assert "all their colors are kept" in told.stderr
    assert share_kept("corrected.png", "other.png", hat | belly) > 0.95


def test_a_result_that_nobody_corrected_says_so() -> None:
    colored("sketch_color.png")
    told = colored("again.png", "--hints", "sketch_color.png")
    assert "nothing was corrected" in told.stderr
    assert (pixels("again.png") == pixels("sketch_color.png")).all()


def test_a_result_corrected_twice_keeps_both() -> None:
    colored("sketch_color.png")
    hat = corrected("sketch_color.png", "first.png")
    colored("second.png", "--hints", "first.png")
    belly = corrected("second.png", "second.png", BELLY)
    colored("third.png", "--hints", "second.png")
    assert (pixels("third.png")[hat | belly] == BLUE).all()


def test_a_result_recolored_by_regions_and_then_corrected_keeps_both() -> None:
    colored("sketch_color.png")
    regions = CliRunner().invoke(app, ["regions", "sketch.png"])
    assert regions.exit_code == 0, regions.stderr
    number = np.array(Image.open("sketch_regions_map.png"))[HAT[::-1]]
    text, color = Path("sketch_regions.toml").read_text(), f"#{bytes(BLUE).hex()}"
    Path("sketch_regions.toml").write_text(re.sub(rf'(?m)^({number} = {{ color = )"[^"]*"', rf'\1"{color}"', text))
    assert run("sketch.png", "--regions", "sketch_regions.toml").exit_code == 0
    belly = corrected("sketch_color.png", "second.png", BELLY)
    recolored = region(HAT) & clear()
    colored("third.png", "--hints", "second.png")
    assert (pixels("third.png")[belly] == BLUE).all()
    assert share_kept("second.png", "third.png", recolored) > 0.9


def test_a_soft_brush_leaves_the_rest_of_its_region_as_it_was() -> None:
    colored("sketch_color.png")
    made, spot = pixels("sketch_color.png").astype(np.float32), np.zeros((512, 512), np.float32)
    spot = cv2.GaussianBlur(cv2.circle(spot, (300, 330), 26, 1, -1), (0, 0), 5)[..., None]
    Image.fromarray((made * (1 - spot) + np.array(BLUE) * spot).round().astype(np.uint8)).save("corrected.png")
    colored("again.png", "--hints", "corrected.png")
    near = cv2.circle(np.zeros((512, 512), np.uint8), (300, 330), 45, 1, -1) > 0
    apart = np.abs(pixels("again.png").astype(int) - pixels("corrected.png"))[near & clear()]
    assert apart.max() <= 1


def test_a_correction_saved_as_jpeg_is_kept_without_blotches() -> None:
    colored("sketch_color.png")
    hat = corrected("sketch_color.png", "corrected.jpg")
    colored("again.png", "--hints", "corrected.jpg")
    apart = np.abs(pixels("again.png").astype(int) - BLUE).max(2)[hat]
    assert np.quantile(apart, 0.98) < 16
    assert share_kept("sketch_color.png", "again.png", clear() & ~region(HAT)) > 0.85


def layers() -> list[str]:
    """Write the flats of the drawing as transparent pictures; return their names, the largest last."""
    colored("flat.png", "--flat", "--layers", "l.ora")
    with zipfile.ZipFile("l.ora") as file:
        names = [name for name in file.namelist() if "flat" in name]
        for name in names:
            Path(Path(name).name).write_bytes(file.read(name))
    return [Path(name).name for name in names]


def test_a_layer_of_flats_keeps_its_color_with_another_reference() -> None:
    name = layers()[-1]
    layer = np.array(Image.open(name))
    told = run("sketch.png", "--ref", "reference-2.png", "--hints", name, "--flat", "-o", "other.png")
    assert told.exit_code == 0
    held = clear() & (layer[..., 3] == 255)
    assert (pixels("other.png")[held] == layer[held][0, :3]).mean() > 0.99
    assert share_kept("flat.png", "other.png", clear() & ~held & (pixels("flat.png").min(2) < 200)) < 0.5


def test_all_layers_of_flats_merged_and_corrected_are_hints_where_they_were_corrected() -> None:
    whole = Image.new("RGBA", (512, 512))
    for name in layers():
        whole = Image.alpha_composite(whole, Image.open(name))
    layer = np.array(whole)
    layer[region(HAT), :3] = BLUE
    Image.fromarray(layer).save("layer.png")
    told = colored("again.png", "--flat", "--hints", "layer.png")
    assert told.stderr == ""
    assert (pixels("again.png")[region(HAT) & clear() & (layer[..., 3] == 255)] == BLUE).all()
    assert share_kept("flat.png", "again.png", clear() & ~region(HAT)) > 0.9


def test_a_painted_jpeg_copy_has_even_colors() -> None:
    copy = pixels("sketch.png")
    inside = region(BELLY)
    copy[inside] = (copy[inside, :1] / 255 * np.array((240, 200, 120))).astype(np.uint8)
    cv2.circle(copy, HAT, 14, BLUE, -1)
    Image.fromarray(copy).save("copy.jpg", quality=70)
    colored("again.png", "--flat", "--hints", "copy.jpg")
    belly = pixels("again.png")[inside & clear()].astype(int)
    assert np.quantile(np.abs(belly - np.median(belly, 0)).max(1), 0.95) <= 2
    assert np.abs(np.median(belly, 0) - (240, 200, 120)).max() < 12
    assert np.abs(np.median(pixels("again.png")[region(HAT) & clear()], 0) - BLUE).max() < 16


def test_a_hint_on_the_background_says_so_and_others_do_not() -> None:
    told = colored("a.png", "--hint", "12,30=#c81414", "--hint", "440,90=navy")
    assert told.stderr == "note: hint 12,30=#c81414 lies on the background\n"
    assert colored("a.png").stderr == ""


def test_colors_limits_what_is_chosen() -> None:
    inner = clear()
    for most in (1, 3):
        colored("few.png", "--flat", "--colors", str(most))
        found = np.unique(pixels("few.png")[inner], axis=0)
        assert len(found[found.min(1) < 255]) == most
    colored("few.png", "--flat", "--colors", "3", "--hint", "440,90=navy")
    found = np.unique(pixels("few.png")[inner], axis=0)
    assert len(found[found.min(1) < 255]) <= 3
    assert (found == (0, 0, 128)).all(1).any()


def mask(name: str = "mask.png", value: int = 255) -> np.ndarray:
    """Write a mask of half the drawing's size, the upper part of `value`; return what is black at full size."""
    small = np.zeros((256, 256), np.uint8)
    small[:75] = value
    Image.fromarray(small).save(name)
    return np.arange(512)[:, None] > 152 + np.zeros((512, 512))


def test_only_what_the_mask_shows_changes() -> None:
    colored("sketch_color.png")
    outside, before = mask(), pixels("sketch_color.png")
    colored("part.png", "--palette", "#c01020,#108040", "--only", "mask.png")
    assert (pixels("part.png")[outside] == before[outside]).all()
    assert share_kept("sketch_color.png", "part.png", ~outside & region(HAT) & clear()) < 0.2


def test_without_a_result_the_drawing_stays_around_the_mask() -> None:
    outside = mask()
    colored("part.png", "--only", "mask.png")
    assert (pixels("part.png")[outside] == pixels("sketch.png")[outside]).all()
    assert np.ptp(pixels("part.png")[~outside], axis=1).max() > 20


def test_a_picture_in_color_stays_around_the_mask() -> None:
    outside = mask()
    colored("sketch_color.png")
    told = run("sketch_color.png", "--palette", "#108040", "--only", "mask.png", "-o", "part.png")
    assert told.exit_code == 0
    assert (pixels("part.png")[outside] == pixels("sketch_color.png")[outside]).all()
    assert (pixels("part.png") != pixels("sketch_color.png")).any()


def test_an_empty_mask_is_refused() -> None:
    mask(value=0)
    told = run("sketch.png", "--only", "mask.png")
    assert told.exit_code == 1
    assert "black everywhere" in told.stderr
    assert not Path("sketch_color.png").exists()


def test_a_mask_does_not_go_with_layers() -> None:
    mask()
    told = run("sketch.png", "--only", "mask.png", "--layers", "l.ora")
    assert told.exit_code == 2
    assert "--only keeps a part of an earlier picture" in told.stderr
