"""Pages in color: panels have it, and what is between and in bubbles is as before, to the bit."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import inked
import numpy as np
import pytest
import volumes
from drawings import MINI, colored, model, one, pixels, ref, refused, run
from PIL import Image

from colorize.coloring import pages
from colorize.coloring.batch import Step
from colorize.coloring.inputs import AlreadyColored
from colorize.coloring.options import Job, Named, SampleOptions
from colorize.coloring.paint import Outcome, work
from colorize.images import files, page_masks
from colorize.images.color import rgb_to_lab
from colorize.images.color_hints import parse_hint
from colorize.images.image import Picture

SMALL = (1000, 700)
MADE = volumes.page(10, 1, SMALL, "grid")
PAGE = Picture(MADE.gray[..., None])
STAYS = MADE.gutters | MADE.bubbles


def off(outcome: Outcome, original: Picture) -> np.ndarray:
    """How far each pixel moved, (H, W)."""
    return np.abs(pixels(outcome).astype(int) - original.pixels).max(2)


def test_panels_are_colored_and_all_between_is_as_before() -> None:
    outcome = one(Job("p", PAGE), kind="line")
    moved = off(outcome, PAGE)
    assert (moved[STAYS] > 0).mean() < 0.005
    assert (moved[MADE.letters] == 0).mean() > 0.99
    for panel in MADE.panels:
        (left, top), (right, bottom) = panel.min(0).astype(int), panel.max(0).astype(int)
        assert (moved[top:bottom, left:right] > 0).mean() > 0.2
    assert outcome.painted[0].meta["panels"] == len(MADE.panels)
    assert json.loads(outcome.painted[0].picture.text["colorize"]) == outcome.painted[0].meta


def test_off_colors_the_page_as_one_picture() -> None:
    whole = one(Job("p", PAGE), panels="off", kind="line")
    assert "panels" not in whole.painted[0].meta
    assert (off(whole, PAGE)[STAYS] > 0).mean() > 0.2


@pytest.mark.parametrize("kind", ["line", "gray"])
def test_sixteen_bits_and_alpha_stay(kind: str) -> None:
    wide = Picture(PAGE.pixels.astype(np.uint16) * 257, np.full(SMALL, 65535, np.uint16))
    wide.alpha[:30] = 0
    wide.pixels[STAYS & (wide.pixels[..., 0] > 60000)] -= 3
    outcome = one(Job("p", wide), kind=kind)
    result = outcome.painted[0].picture
    assert result.pixels.dtype == np.uint16
    assert (result.alpha == wide.alpha).all()
    assert (off(outcome, wide)[STAYS] > 0).mean() < 0.005
    assert (off(outcome, wide)[:30] == 0).all()


def test_gray_pages_keep_their_lightness() -> None:
    outcome = one(Job("p", PAGE), kind="gray")
    new, old = (rgb_to_lab(one.tensor())[:, 0] for one in (outcome.painted[0].picture, PAGE))
    assert float((new - old).abs().max()) < 0.5


def test_line_art_falls_by_a_bounded_shade_and_ink_stays() -> None:
    outcome = one(Job("p", PAGE), kind="line")
    luma = pixels(outcome) @ np.array([0.2126, 0.7152, 0.0722])
    assert (MADE.gray - luma).max() <= 0.55 * 255 + 1
    assert (off(outcome, PAGE)[MADE.gray == 0] == 0).all()


def test_steps_of_pages_and_drawings_sum_to_one_each_in_their_order() -> None:
    jobs = [Job("a", PAGE), Job("b", replace(PAGE, pixels=PAGE.pixels[:90, :90])), Job("c", PAGE)]
    events = list(work(MINI, jobs, SampleOptions(variations=2, batch=3)))
    assert sum(event.share for event in events if isinstance(event, Step)) == pytest.approx(3)
    outcomes = [event for event in events if isinstance(event, Outcome)]
    assert [outcome.job.name for outcome in outcomes] == ["a", "b", "c"]
    assert [len(outcome.painted) for outcome in outcomes] == [2, 2, 2]
    assert (pixels(outcomes[0], 0) != pixels(outcomes[0], 1)).any()
    assert (pixels(outcomes[0]) == pixels(outcomes[2])).all()


def test_hints_count_in_pixels_of_the_page_and_stay_in_their_panel() -> None:
    low, high = (edge.astype(int) for edge in (MADE.panels[-1].min(0), MADE.panels[-1].max(0)))
    free = (MADE.gray > 200) & ~STAYS
    x, y = next(
        (x, y)
        for y in range(low[1] + 9, high[1])
        for x in range(low[0] + 9, high[0])
        if free[y - 5 : y + 6, x - 5 : x + 6].all()
    )
    job = Job("p", PAGE, dots=(parse_hint(f"{x},{y},4=#ff0000"),))
    strong = {"strength": {"hints": 1.0}, "guidance": {"hints": 1.5}}
    given, plain = pixels(one(job, kind="line", **strong)), pixels(one(Job("p", PAGE), kind="line"))
    assert given[y, x, 0] - given[y, x, 1].astype(int) > 100
    left, top = MADE.panels[0].min(0).astype(int)
    right, bottom = MADE.panels[0].max(0).astype(int)
    first = slice(top, bottom), slice(left, right)
    assert (given[first] == plain[first]).all()


def test_references_and_palettes_reach_every_panel() -> None:
    plain, given = (pixels(one(Job("p", PAGE, refs))) for refs in ((), ref()))
    for panel in MADE.panels:
        (left, top), (right, bottom) = panel.min(0).astype(int), panel.max(0).astype(int)
        assert (plain[top:bottom, left:right] != given[top:bottom, left:right]).any()


def test_panels_that_are_empty_or_in_color_are_left_alone() -> None:
    sheet = np.array(np.broadcast_to(PAGE.pixels, (*SMALL, 3)))
    boxes = [(panel.min(0).astype(int) + 8, panel.max(0).astype(int) - 8) for panel in MADE.panels]
    (left, top), (right, bottom) = boxes[0]
    sheet[top:bottom, left:right] = 255
    (left, top), (right, bottom) = boxes[1]
    sheet[top:bottom, left:right, 1] = sheet[top:bottom, left:right, 0] // 3
    page = Picture(sheet)
    moved = off(one(Job("p", page)), page)
    for (left, top), (right, bottom) in boxes[:2]:
        assert (moved[top:bottom, left:right] == 0).all()
    (left, top), (right, bottom) = boxes[2]
    assert (moved[top:bottom, left:right] > 0).any()


def test_pages_in_color_are_skipped_unless_forced() -> None:
    made = volumes.page(10, 1, SMALL, "grid", colored=True)
    assert made.color is not None
    page = Picture(made.color)
    assert isinstance(refused(Job("p", page)), AlreadyColored)
    assert one(Job("p", page), force=True).painted[0].meta["panels"] == len(made.panels)


@pytest.mark.parametrize("panels", ["auto", "on"])
def test_a_splash_page_is_whole_and_keeps_its_bubbles(panels: str) -> None:
    made = volumes.page(12, 1, SMALL, "splash")
    page = Picture(made.gray[..., None])
    outcome = one(Job("p", page), panels=panels)
    assert outcome.painted[0].meta["panels"] == 1
    assert made.bubbles.any()
    assert (off(outcome, page)[made.bubbles] > 0).mean() < 0.02


def test_a_double_spread_is_a_page_and_a_wide_drawing_is_none() -> None:
    left = volumes.page(11, 1, SMALL, "grid").gray
    spread = Picture(np.hstack((left, PAGE.pixels[..., 0]))[..., None])
    assert one(Job("p", spread)).painted[0].meta["panels"] >= 4
    drawing = Picture(inked.scene((700, 1000), np.random.default_rng(1), 2, False)[..., :1])
    assert "panels" not in one(Job("p", drawing)).painted[0].meta


def test_what_stays_is_looked_for_on_pages_only(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = []
    monkeypatch.setattr(page_masks, "keep_mask", lambda gray, *given: looked.append(gray) or np.zeros(gray.shape, bool))
    large = Picture(np.full((900, 900, 1), 255, np.uint8))  # of which a drawing may have a hundred times as many pixels
    assert pages.divide(Named("p", large), Job("p", large), None, model().recipe, SampleOptions()) is None
    assert not looked


def test_flat_is_for_line_art_and_gray_panels_stay_shaded() -> None:
    shaded, flat = (one(Job("p", PAGE), kind="gray", flat=flat) for flat in (False, True))
    assert (pixels(shaded) == pixels(flat)).all()
    assert any("not flat" in note for note in flat.painted[0].notes)


def test_a_film_shows_the_page() -> None:
    frames = one(Job("p", PAGE), film=Path("film.gif"), steps=2).painted[0].frames
    assert [frame.size for frame in frames] == [(512, 358)] * 2
    assert (np.ptp(frames[-1].pixels.astype(int), axis=2) > 0).mean() > 0.1


def test_what_is_of_one_picture_is_refused_beside_panels() -> None:
    assert one(Job("p", PAGE), layers=Path("layers.ora"), kind="line").painted[0].layers
    error = refused(Job("p", PAGE), layers=Path("layers.ora"), kind="line", panels="on")
    assert "layers" in error.message
    assert error.code == 2


def test_a_model_that_takes_lines_only_colors_pages_too() -> None:
    outcome = one(Job("p", PAGE, ref()), model("anime-diffusion"), kind="line")
    assert outcome.painted[0].meta["panels"] == len(MADE.panels)
    assert (off(outcome, PAGE)[STAYS] > 0).mean() < 0.005


def test_the_command_line_colors_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    files.write(PAGE, Path("page.png"))
    files.write(Picture(colored().pixels), Path("ref.png"))
    for mode in ("auto", "off"):
        result = run("page.png", "--ref", "ref.png", "--panels", mode, "--out", f"{mode}.png", "--steps", "1")
        assert result.exit_code == 0, result.output
    told = [json.loads(Image.open(f"{mode}.png").text["colorize"]) for mode in ("auto", "off")]
    assert [one.get("panels") for one in told] == [len(MADE.panels), None]


def test_hints_on_pages_are_exact_even_dark_ones() -> None:
    (left, top), (right, bottom) = MADE.panels[0].min(0), MADE.panels[0].max(0)
    x, y = int(left + right) // 2, int(top + bottom) // 2
    outcome = one(Job("p", PAGE, dots=(parse_hint(f"{x},{y},6=navy"),)), kind="line")
    paper = PAGE.pixels[y - 3 : y + 3, x - 3 : x + 3, 0] > 250
    found = pixels(outcome)[y - 3 : y + 3, x - 3 : x + 3][paper]
    assert np.abs(found.astype(int) - (0, 0, 128)).max(initial=0) <= 2
    assert not outcome.painted[0].notes


def test_hints_that_color_nothing_are_told() -> None:
    dots = (parse_hint("2,2=red"), parse_hint("2,900=red"))
    assert any("2 hints lie" in note for note in one(Job("p", PAGE, dots=dots)).painted[0].notes)


def halved(shades: list[int | None]) -> list[float]:
    """A page whose panels are hatched, or filled by half with a shade; which share of their white gets color."""
    sheet = PAGE.pixels.copy()
    boxes = [(panel.min(0).astype(int), panel.max(0).astype(int)) for panel in MADE.panels]
    for ((left, top), (right, bottom)), shade in zip(boxes, shades, strict=True):
        sheet[top + 8 : bottom - 8, left + 8 : right - 8] = 255
        sheet[top + 28 : bottom - 28 : 12, left + 28 : right - 28] = 0
        if shade:
            sheet[(top + bottom) // 2 : bottom - 8, left + 8 : right - 8] = shade
    page = Picture(sheet)
    outcome = one(Job("p", page))
    moved, white = off(outcome, page) > 0, sheet[..., 0] == 255
    assert any("--kind line" in note for note in outcome.painted[0].notes)
    return [
        float(moved[top + 20 : bottom - 20, left + 20 : right - 20]
              [white[top + 20 : bottom - 20, left + 20 : right - 20]].mean())
        for (left, top), (right, bottom) in boxes
    ]  # fmt: skip


def test_a_gray_panel_among_line_art_keeps_its_white() -> None:
    shares = halved([120, *[None] * (len(MADE.panels) - 1)])
    assert shares[0] < 0.05
    assert min(shares[1:]) > 0.5


def test_a_page_that_is_mostly_gray_is_gray() -> None:
    shares = halved([None, *[120] * (len(MADE.panels) - 1)])
    assert max(shares) < 0.05


def test_a_model_that_chooses_sees_panels_without_their_frames() -> None:
    from colorize.coloring import pages

    sheet = np.full((100, 80, 1), 255, np.uint8)
    sheet[10:90, 10:70] = 0
    sheet[12:88, 12:68] = 255
    sheet[40:60, 30:50] = 0  # what is drawn in the panel
    box = (slice(10, 90), slice(10, 70))
    part = pages.Part((slice(5, 95), slice(5, 75)), box, np.ones((80, 60), bool), "line")
    seen = pages._without_border(Picture(sheet[5:95, 5:75]), part).pixels[..., 0]
    assert (seen == 0).sum() == 20 * 20
    assert (seen[35:55, 25:45] == 0).all()


def test_a_figure_that_its_panel_cuts_off_stays_apart_from_the_background() -> None:
    from colorize.coloring import pages
    from colorize.images.flat_regions import trapped

    sheet = np.full((100, 80, 1), 255, np.uint8)
    sheet[10:90, [10, 69]] = sheet[[10, 89], 10:70] = 0  # a frame
    sheet[40:89, [30, 50]] = sheet[40, 30:51] = 0  # a figure that goes on below it
    part = pages.Part((slice(5, 95), slice(5, 75)), (slice(10, 90), slice(10, 70)), np.ones((80, 60), bool), "line")
    seen = pages._without_border(Picture(sheet[5:95, 5:75]), part).pixels[..., 0]
    labels = trapped(seen > 128)
    assert labels[60, 35] != labels[60, 10]
    assert (seen[:, 25] == 0).sum() > 40  # its outline reaches the edge


def test_a_hint_in_the_margin_reaches_no_panel() -> None:
    given = Job("p", PAGE, ref(), dots=(parse_hint("2,350=#ff0000"),))
    plain = one(Job("p", PAGE, ref()), kind="line")
    hinted = one(given, kind="line")
    assert (pixels(plain) == pixels(hinted)).all()
