"""Maps of what edits move. Bugs guarded: wrong colors, tokens before the edits, maps too large or too small to read."""

import cv2
import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from colorize.colorize_diffusion.text_edits import Prompt, parse
from colorize.colorize_diffusion.token_edits import ABREAST, COVER, GAP, MOST, NARROWEST, REGIONS, TITLE, draw, encode
from colorize.errors import ColorizeError
from colorize.images.image import Picture

LEVELS = (0.2, 0.4, 0.6, 0.8)


def gray(high: int, wide: int, value: int = 100) -> Picture:
    return Picture(np.full((high, wide, 3), value, np.uint8))


def ramp(side: int = 16) -> torch.Tensor:
    """Tokens (1, 1 + N, 2) of which the first channel rises from left to right and the second from top to bottom."""
    along = torch.linspace(0, 1, side)
    down, right = torch.meshgrid(along, along, indexing="ij")
    places = torch.stack([right, down], dim=2).flatten(0, 1)
    return torch.cat([torch.zeros(1, 2), places])[None]


def say(texts: list[str]) -> torch.Tensor:
    """`right` is the first channel, `down` the second, and all else is something between."""
    known = {"right": (1.0, 0.0), "down": (0.0, 1.0)}
    return normalize(torch.tensor([known.get(text, (1.0, 1.0)) for text in texts]), dim=1)[:, None]


def drawn(reference: Picture, *prompts: Prompt, tokens: torch.Tensor | None = None) -> Picture:
    given = ramp() if tokens is None else tokens
    return draw(reference, given, encode(prompts, say), prompts)


def still(control: str, thresholds=LEVELS) -> Prompt:
    """An edit that changes nothing, so that its map is of the tokens given."""
    return Prompt("t", control=control, scale=0, thresholds=thresholds)


def test_the_colors_are_those_of_the_published_map():
    jet = cv2.applyColorMap(np.uint8([[0, 63, 126, 189, 252]]), cv2.COLORMAP_JET)[0, :, ::-1]
    assert np.abs(np.array(list(REGIONS.values())) - jet).max() == 0


def test_each_region_has_its_color_over_the_reference():
    sheet = drawn(gray(1024, 1024), still("right")).pixels
    panel = sheet[TITLE : TITLE + 1024, GAP : GAP + 1024]
    row = panel[40]  # between two lines of the grid
    for at, color in zip((0.1, 0.3, 0.5, 0.7, 0.9), REGIONS.values(), strict=True):
        want = [COVER * value + (1 - COVER) * 100 for value in color]
        assert row[round(1024 * at) + 20].tolist() == pytest.approx(want, abs=1)


def test_the_grid_shows_every_token():
    panel = drawn(gray(512, 1024), still("right")).pixels[TITLE : TITLE + 512, GAP : GAP + 1024]
    dark = (panel == 0).all(2)
    assert np.flatnonzero(dark.all(0)).tolist() == [64 * at for at in range(1, 16)]
    assert np.flatnonzero(dark.all(1)).tolist() == [32 * at for at in range(1, 16)]


def test_the_map_is_of_the_tokens_after_all_edits():
    # the second edit pushes the left side further from `right` and the right side nearer, which moves the borders
    first, second = still("right"), Prompt("right", control="right", scale=15, thresholds=LEVELS)
    before = drawn(gray(512, 512), first).pixels[TITLE + 20, GAP : GAP + 512]
    after = drawn(gray(512, 512), first, second).pixels[TITLE + 20, GAP : GAP + 512]
    alone = drawn(gray(512, 512), second).pixels[TITLE + 20, GAP : GAP + 512]
    assert (before != after).any()
    assert (after == alone).all()


def test_controls_stand_side_by_side_and_equal_ones_once():
    prompts = [still("right"), parse("everything: night @ 0"), still("down"), still("right")]
    sheet = drawn(gray(512, 512), *prompts).pixels
    assert sheet.shape[1] == GAP + 2 * (512 + GAP)
    panels = [sheet[TITLE : TITLE + 512, x : x + 512] for x in (GAP, 2 * GAP + 512)]
    assert (panels[0] == panels[1].transpose(1, 0, 2)).all()  # the tokens are, too


def test_titles_and_legend_are_written():
    sheet = drawn(gray(512, 512), still("right")).pixels
    other = drawn(gray(512, 512), still("left")).pixels
    assert (sheet[:TITLE] != other[:TITLE]).any()
    below = sheet[TITLE + 512 :].reshape(-1, 3)
    for color in REGIONS.values():
        assert (below == color).all(1).sum() > 200
    assert (below == 0).all(1).sum() > 5 * 4 * 17  # more than the frames of the boxes


SIZES = {(4096, 2048): (1024, 512), (64, 128): (256, 512), (700, 600): (700, 600), (3, 900): (3, 900)}


@pytest.mark.parametrize("size", SIZES)
def test_references_are_drawn_as_large_as_can_be_read(size):
    high, wide = SIZES[size]
    sheet = drawn(gray(*size, 255), still("right")).pixels
    assert sheet.shape[1] == max(wide, NARROWEST) + 2 * GAP
    row = sheet[TITLE + high // 2]
    white = (row == 255).all(1)
    assert np.flatnonzero(~white)[[0, -1]].tolist() == [GAP, GAP + wide - 1]


def test_a_narrow_reference_keeps_room_for_words():
    sheet = drawn(gray(900, 3), still("the words of a long control")).pixels
    assert sheet.shape[1] == NARROWEST + 2 * GAP
    assert not (sheet[TITLE + 100, GAP : GAP + 3] == 0).all(1).any()  # no grid where it hides all


def test_deep_gray_and_transparent_references_are_drawn():
    deep = Picture(np.full((512, 512, 1), 100 * 257, np.uint16))
    clear = Picture(np.zeros((512, 512, 3), np.uint8), np.zeros((512, 512), np.uint8))
    plain = drawn(gray(512, 512), still("right")).pixels
    assert (drawn(deep, still("right")).pixels == plain).all()
    white = drawn(gray(512, 512, 255), still("right")).pixels
    assert (drawn(clear, still("right")).pixels == white).all()


def test_many_controls_make_rows_and_the_rest_is_told():
    prompts = [still(f"control {number}") for number in range(MOST + 2)]
    sheet = drawn(gray(128, 512), *prompts)
    assert sheet.size[1] == GAP + ABREAST * (512 + GAP)
    assert sheet.size[0] > MOST // ABREAST * (128 + TITLE + GAP)
    assert sheet.notes == ("the map shows 16 controls and leaves out 2",)


def test_edits_everywhere_have_no_map():
    with pytest.raises(ColorizeError, match="no edit says where") as told:
        drawn(gray(64, 64), parse("everything: night"))
    assert told.value.code == 2
