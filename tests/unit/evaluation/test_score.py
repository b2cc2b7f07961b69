"""Evaluation is repeatable, uses what it says, and compares only what can be compared."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from colorize.errors import ColorizeError
from colorize.evaluation import report
from colorize.evaluation.baselines import gray
from colorize.evaluation.report import Table
from colorize.evaluation.samples import MODES, samples
from colorize.evaluation.score import Entry, score
from colorize.images.resize import letterbox

SIDE = 32
COLORS = {"a": (200, 30, 30), "b": (30, 200, 30), "c": (30, 30, 200), "d": (200, 200, 30)}


def save(path: Path, color: tuple[int, int, int], height: int = SIDE, width: int = SIDE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((height, width, 3), 255, np.uint8)
    pixels[8:24, 8:24] = color
    Image.fromarray(pixels).save(path)


@pytest.fixture
def data(tmp_path):
    """Four pictures in validation/: a and b of one group, c alone, d in the group but another set."""
    root = tmp_path / "data"
    rows = []
    for name, group, collection in (("a", "x", "s"), ("b", "x", "s"), ("c", "y", "s"), ("d", "x", "t")):
        save(root / "validation" / f"{name}.png", COLORS[name])
        rows.append({"file_name": f"{name}.png", "group": group, "set": collection})
    hints = np.zeros((SIDE, SIDE, 4), np.uint8)
    hints[9:12, 9:12] = (200, 30, 30, 255)
    Image.fromarray(hints).save(root / "validation" / "hints.png")
    rows[-1]["hint_file_name"] = "hints.png"
    write(root, rows)
    return root


def write(root: Path, rows: list[dict[str, object]]) -> None:
    text = "\n".join(json.dumps(row) for row in rows)
    (root / "validation" / "metadata.jsonl").write_text(text)


def middle(picture: torch.Tensor) -> tuple[int, ...]:
    value = picture[0, :, SIDE // 2, SIDE // 2]
    return tuple(((value + 1) * 127.5).round().int().tolist())


def entry(data: Path, name: str = "gray", **settings) -> Entry:
    some = samples(data, **{"mode": "none", "size": SIDE, **settings})
    return Entry(name, some.protocol, tuple(score(gray, sample)[0] for sample in some), {})


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", ["line", "gray"])
def test_two_passes_see_the_same_samples(data, mode, kind):
    some = samples(data, mode, SIDE, kind=kind)
    for first, second in zip(some, some, strict=True):
        for one, other in zip(vars(first).values(), vars(second).values(), strict=True):
            assert torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other


def test_a_picture_keeps_its_hints_when_others_leave(data):
    whole = {one.file: one.hints for one in samples(data, "hints", SIDE)}
    write(data, [{"file_name": "c.png"}])
    (alone,) = samples(data, "hints", SIDE)
    assert torch.equal(alone.hints, whole["c.png"])


def test_another_seed_gives_other_hints(data):
    first, second = (next(iter(samples(data, "hints", SIDE, seed=seed))) for seed in (0, 1))
    assert not torch.equal(first.hints, second.hints)


def test_cross_takes_the_reference_from_the_group_mate(data):
    found = {one.file: middle(one.reference) for one in samples(data, "cross", SIDE)}
    assert found == {"a.png": COLORS["b"], "b.png": COLORS["a"]}


def test_cross_counts_pictures_without_a_mate(data):
    assert samples(data, "cross", SIDE).left_out.startswith("left out 2 pictures without another picture")


def test_cross_never_takes_its_own_picture_even_if_stored(data):
    rows = [{"file_name": "c.png", "reference_file_names": ["c.png", "d.png"]}]
    write(data, rows)
    (only,) = samples(data, "cross", SIDE)
    assert middle(only.reference) == COLORS["d"]


def test_cross_without_any_group_is_refused(data):
    write(data, [{"file_name": "a.png"}, {"file_name": "b.png"}])
    with pytest.raises(ColorizeError, match="another picture of the same group"):
        samples(data, "cross", SIDE)


def test_same_gives_the_picture_itself_but_bent(data):
    one = next(iter(samples(data, "same", SIDE)))
    assert middle(one.reference) == COLORS["a"]
    assert not torch.equal(one.reference, one.truth)


def test_hints_tell_no_more_pixels_than_their_share(data):
    one = next(iter(samples(data, "hints", 64)))
    assert (one.hints[:, 3] > 0).float().mean().item() <= 0.0075  # the 0.005, in whole dots


def test_the_true_line_is_used_where_there_is_one(data):
    save(data / "validation" / "line.png", (0, 0, 0))
    write(data, [{"file_name": "a.png", "line_file_name": "line.png"}])
    (one,) = samples(data, "none", SIDE)
    assert one.drawing[0, 0, 16, 16] == -1


def test_a_line_drawing_of_another_frame_is_refused(data):
    save(data / "validation" / "line.png", (0, 0, 0), 32, 48)
    write(data, [{"file_name": "a.png", "line_file_name": "line.png"}])
    with pytest.raises(ColorizeError, match="same frame"):
        list(samples(data, "none", SIDE))


def test_oblong_pictures_are_padded_white_to_a_square():
    square = letterbox(torch.full((1, 3, 10, 20), -1.0), 40, "bicubic")
    assert square.shape == (1, 3, 40, 40)
    assert (square[0, 0, 0] == 1).all()
    assert square[0, 0, 20].max() < -0.999  # rounding of the resize


def test_a_limit_spreads_over_the_folder(data):
    assert [one.file for one in samples(data, "none", SIDE, limit=2)] == ["a.png", "c.png"]


@pytest.mark.parametrize("name", ["gone.png", "../../out.png", "{outside}", "link.png"])
@pytest.mark.parametrize("column", ["file_name", "line_file_name"])
def test_a_row_that_leaves_the_folder_is_refused_by_number(data, tmp_path, name, column):
    save(tmp_path / "out.png", (0, 0, 0))
    (data / "validation" / "link.png").symlink_to(tmp_path / "out.png")
    name = name.format(outside=tmp_path / "out.png")
    write(data, [{"file_name": "a.png"}, {"file_name": "b.png", column: name}])
    with pytest.raises(ColorizeError, match="row 2"):
        samples(data, "none", SIDE)


def test_a_misspelt_mode_gets_the_nearest_name(data):
    with pytest.raises(ColorizeError) as caught:
        samples(data, "cros", SIDE)
    assert "cross" in caught.value.hint


def test_a_perfect_painter_has_perfect_scores(data):
    rows = [score(lambda sample: sample.truth, one)[0] for one in samples(data, "none", SIDE)]
    assert {row.scores["psnr"] for row in rows} == {100}
    assert {row.scores["delta_e"] for row in rows} == {0}


def test_gray_pictures_have_no_ink_to_keep(data):
    row, _ = score(gray, samples(data, "none", SIDE, kind="gray")[0])
    assert "ink_kept" not in row.scores


def test_a_result_that_is_not_a_number_is_refused(data):
    broken = lambda sample: torch.full_like(sample.truth, math.nan)
    with pytest.raises(ColorizeError, match=r"a\.png"):
        score(broken, samples(data, "none", SIDE)[0])


@pytest.mark.parametrize(
    "change", [{"mode": "same"}, {"size": 64}, {"seed": 1}, {"kind": "gray"}, {"hint_share": 0.01}]
)
def test_different_protocols_do_not_share_a_table(data, change):
    one = entry(data)
    other = replace(one, name="other", protocol=replace(one.protocol, **change))
    with pytest.raises(ColorizeError, match=next(iter(change))):
        Table((one, other))


def test_other_pictures_are_another_protocol(data):
    one = entry(data)
    write(data, [{"file_name": "a.png"}])
    with pytest.raises(ColorizeError, match="data"):
        Table((one, entry(data)))


def test_changed_pixels_are_another_protocol(data):
    one = entry(data)
    save(data / "validation" / "a.png", (1, 2, 3))
    with pytest.raises(ColorizeError, match="data"):
        Table((one, entry(data)))


def test_the_best_of_a_column_is_bold(data):
    good, bad = entry(data, "good"), entry(data, "bad")
    good = replace(good, rows=tuple(replace(r, scores={**r.scores, "delta_e": 0}) for r in good.rows))
    line = next(x for x in Table((good, bad)).markdown().splitlines() if x.startswith("| good"))
    assert "**0.00**" in line


def test_json_holds_what_the_table_shows(data):
    one = entry(data)
    (document,) = json.loads(report.to_json([Table((one,))]))
    found = document["results"][0]["scores"]["psnr"]["mean"]
    assert document["schema"] == report.SCHEMA
    assert found == pytest.approx(one.means["psnr"].mean)
