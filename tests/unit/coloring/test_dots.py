"""`--hint`: dots and strokes by pixel, how they are written, and what becomes of the pixels they lie on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from drawings import MINI, gray, run, sketch

import colorize
from colorize.coloring.options import Job, SampleOptions
from colorize.coloring.paint import paint_all
from colorize.errors import ColorizeError
from colorize.images import color_hints, files, finish
from colorize.images.color import rgb_to_lab

pytestmark = pytest.mark.usefixtures("desk")

ORANGE = (255, 136, 0)


def held(text: str, size: tuple[int, int] = (64, 64)) -> np.ndarray:
    """Which pixels (H, W) a mark hints."""
    return (color_hints.draw([color_hints.parse_hint(text)], size)[0, 3] > 0).numpy()


def result(name: str = "sketch_color.png") -> np.ndarray:
    return files.read(Path(name)).pixels


def test_a_dot_lies_around_its_place_and_has_its_color() -> None:
    made = color_hints.draw([color_hints.parse_hint("20,10=#ff8800")], (64, 64))[0]
    assert ((made[:3, 10, 20] + 1) * 127.5).round().tolist() == list(ORANGE)
    rows, columns = np.nonzero(held("20,10=#ff8800"))
    assert (rows.mean(), columns.mean()) == (10, 20)


def test_a_radius_is_in_pixels_and_the_usual_one_grows_with_the_drawing() -> None:
    assert held("30,30,6=red").any(0).sum() == 13
    assert held("30,30=red").any(0).sum() == 3
    assert held("300,300=red", (640, 640)).any(0).sum() == 21


def test_a_radius_beyond_all_drawings_covers_the_drawing() -> None:
    assert held("10,10,999999999-20,10=red").all()


def test_a_stroke_joins_its_places_at_its_width() -> None:
    stroke = held("10,30,2-40,30-40,50=navy")
    assert stroke[30, 10:41].all()
    assert stroke[30:51, 40].all()
    assert stroke[:, 20].sum() == 5


@pytest.mark.parametrize(
    "text", ["120=red", "1,2,3,4=red", "1,2", "1,2=", "a,b=red", "1,2-3=red", "1,2,0=red", "1,2,-3=red"]
)
def test_what_is_no_place_and_color_is_wrong_usage_and_nothing_is_written(text: str) -> None:
    told = run("sketch.png", "--hint", text)
    assert told.exit_code == 2
    assert f"the hint `{text}`" in told.stderr
    assert not Path("sketch_color.png").exists()


def test_a_color_that_is_none_is_wrong_usage() -> None:
    told = run("sketch.png", "--hint", "1,2=orangy")
    assert told.exit_code == 2
    assert "unknown color `orangy` in the hint `1,2=orangy`" in told.stderr


@pytest.mark.parametrize("text", ["64,10=red", "-1,10=red", "10,10-10,96=red"])
def test_a_place_outside_is_told_with_the_size_of_the_drawing(text: str) -> None:
    told = run("sketch.png", "--hint", text)
    assert told.exit_code == 1
    assert "outside the drawing of 64 x 96 pixels" in told.stderr
    assert not Path("sketch_color.png").exists()


def test_a_place_outside_one_drawing_of_several_leaves_the_others_alone() -> None:
    files.write(sketch(200, 200), Path("pages/large.png"))
    told = run("pages", "--hint", "150,150=red")
    assert told.exit_code == 3
    assert told.stdout.split() == ["colored/large.png"]
    assert told.stderr.count("outside the drawing of 64 x 96 pixels") == 2


def test_hinted_paper_has_the_very_color_and_ink_stays() -> None:
    assert run("sketch.png", "--hint", "31,30,6=#ff8800", "--hint", "50,50=navy").exit_code == 0
    paper = (sketch().pixels[..., 0] == 255) & held("31,30,6=#ff8800", (96, 64))
    assert (result()[paper] == ORANGE).all()
    assert result()[50, 50].tolist() == [0, 0, 128]
    assert (result()[sketch().pixels[..., 0] == 0] == 0).all()


def test_a_soft_hint_changes_the_picture_and_is_not_enforced() -> None:
    for name, extra in (("none", ()), ("soft", ("--hint", "31,30,6=#ff8800"))):
        run("sketch.png", *extra, "--hint-mode", "soft", "-o", f"{name}.png")
    assert (result("none.png") != result("soft.png")).any()
    assert result("soft.png")[30, 31].tolist() != list(ORANGE)


def test_hints_of_no_strength_are_not_enforced() -> None:
    run("sketch.png", "--hint", "31,30,6=#ff8800", "--strength", "hints=0")
    assert result()[30, 31].tolist() != list(ORANGE)


def test_dots_lie_on_top_of_a_file_of_hints() -> None:
    points = [{"x": x, "y": 30, "color": "#0000ff", "radius": 3} for x in (12, 32)]
    Path("dots.json").write_text(json.dumps({"points": points}))
    run("sketch.png", "--hints", "dots.json", "--hint", "32,30,3=#ff8800")
    assert result()[30, 12].tolist() == [0, 0, 255]
    assert result()[30, 32].tolist() == list(ORANGE)


def test_dots_and_mode_are_told_in_the_result() -> None:
    run("sketch.png", "--hint", "31,30=#ff8800", "--hint-mode", "soft")
    told = json.loads(files.read(Path("sketch_color.png")).text["colorize"])
    assert (told["hints"], told["hint_mode"], told["dots"]) == (True, "soft", ["31,30=#ff8800"])


def test_an_unknown_mode_is_wrong_usage() -> None:
    assert run("sketch.png", "--hint-mode", "firm").exit_code == 2
    with pytest.raises(ColorizeError, match="unknown hint mode `firm`"):
        SampleOptions(hint_mode="firm")


def test_python_takes_one_dot_or_several() -> None:
    one = colorize.paint(sketch(), hint="31,30,3=#ff8800", model=MINI).array
    two = colorize.paint(sketch(), hint=["31,30,3=#ff8800", "50,50=navy"], model=MINI).array
    assert one[30, 31].tolist() == two[30, 31].tolist() == list(ORANGE)
    assert two[50, 50].tolist() == [0, 0, 128]


def test_drawings_enlarged_by_the_finish_keep_the_color_of_all_hinted_pixels() -> None:
    made = colorize.paint(sketch(700, 500, 90), hint="131,130,30=#ff8800", model=MINI).array
    paper = (sketch(700, 500, 90).pixels[..., 0] == 255) & held("131,130,30=red", (700, 500))
    assert (made[paper] == ORANGE).all()


def test_layers_hold_the_hinted_color() -> None:
    job = Job("a", sketch(), (), None, (color_hints.parse_hint("31,30,3=#ff8800"),))
    (done,) = paint_all(MINI, [job], SampleOptions(layers=Path("layers.ora")))
    assert done.painted[0].picture.pixels[30, 31].tolist() == list(ORANGE)
    below = [layer.picture for layer in done.painted[0].layers][::-1]
    seen = np.zeros(3)
    for picture in below:
        share = picture.alpha[30, 31] / 255
        seen = seen * (1 - share) + picture.pixels[30, 31] * share
    assert np.abs(seen - ORANGE).max() <= 2


def test_a_gray_picture_takes_a_and_b_of_a_hint_as_far_as_its_lightness_has_them() -> None:
    made = colorize.paint(gray(), hint="32,40,3=#a04040", model=MINI)
    own, found = rgb_to_lab(gray().tensor()), rgb_to_lab(made.picture.tensor())
    wanted = rgb_to_lab(color_hints.draw([color_hints.parse_hint("32,40=#a04040")], (96, 64))[:, :3])
    assert (own - found)[0, 0].abs().max() < 0.7  # half an 8-bit level in dark grays
    expected = own[..., 40, 32, None, None].clone()
    expected[:, 1:] = wanted[:, 1:, 40, 32, None, None]
    fits = rgb_to_lab(finish._in_gamut(expected))[0, 1:, 0, 0]
    assert (found[0, 1:, 40, 32] - fits).abs().max() < 1


def test_a_batch_of_dotted_and_plain_drawings_paints_each_as_alone() -> None:
    dots = (color_hints.parse_hint("31,30,6=#ff8800"),)
    jobs = [Job("a", sketch()), Job("b", sketch(), dots=dots), Job("c", sketch(step=22), dots=dots)]
    together = list(paint_all(MINI, jobs, SampleOptions(batch=3)))
    for job, outcome in zip(jobs, together, strict=True):
        (alone,) = paint_all(MINI, [job], SampleOptions())
        one, other = (done.painted[0].picture.pixels.astype(int) for done in (alone, outcome))
        assert np.abs(one - other).max() <= 1
