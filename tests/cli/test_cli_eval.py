"""`eval`: what is scored, beside what, and how it is told. Bugs guarded: scores of pictures nobody gets."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from conftest import tiny
from PIL import Image
from typer.testing import CliRunner

from colorize.checkpoints import model_files
from colorize.cli.app import app
from colorize.evaluation import metrics, sheets
from colorize.images import files, lines
from colorize.images.image import from_tensor
from colorize.images.resize import letterbox


def run(*arguments: str):
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture
def model(tmp_path: Path) -> str:
    """The file of a tiny model with random weights."""
    torch.manual_seed(0)
    model_files.save(tiny("mini").build(), tiny("mini"), tmp_path / "tiny.safetensors")
    return str(tmp_path / "tiny.safetensors")


def score(model: str, folder: Path, *more: str):
    return run("eval", model, str(folder), "--size", "64", "--device", "cpu", *more)


def test_eval_prints_the_model_beside_the_baselines_that_its_mode_allows(model, folder):
    result = score(model, folder, "--mode", "hints")
    assert result.exit_code == 0, result.output
    names = re.findall(r"^ (tiny|gray|reference-\w+|nearest-hint) ", result.stdout, re.MULTILINE)
    assert names == ["tiny", "gray", "nearest-hint"]
    assert result.stderr == ""


def test_eval_of_a_palette_is_compared_with_its_mean_color(model, folder):
    result = score(model, folder, "--mode", "palette", "--json")
    names = [entry["name"] for entry in json.loads(result.stdout)[0]["results"]]
    assert names == ["tiny", "gray", "reference-statistics"]


def test_eval_divides_the_colored_area_by_cause(model, folder):
    (document,) = json.loads(score(model, folder, "--mode", "palette", "--oracle", "--json").stdout)
    whole = document["budget"][0]
    assert whole["name"] == "all"
    assert whole["part"] == pytest.approx(1)
    assert sum(share["mean"] for share in whole["shares"].values()) == pytest.approx(1)
    right = document["results"][0]["scores"]["area_right"]["mean"]
    assert whole["shares"]["right"]["mean"] == pytest.approx(right, abs=1e-4)
    shown = score(model, folder, "--mode", "palette", "--oracle").stdout
    assert "colored area by cause, in %" in shown
    assert "absent" in shown
    assert "| causes | n |" in score(model, folder, "--mode", "palette", "--oracle", "--markdown").stdout


def test_eval_scores_what_sample_writes(model, folder, tmp_path):
    document = json.loads(score(model, folder, "--mode", "none", "--json").stdout)[0]
    row = document["results"][0]["rows"][0]
    truth = letterbox(files.read(folder / "validation" / row["file"]).tensor(), 64, "bicubic")
    files.write(from_tensor(lines.xdog(truth)), tmp_path / "drawing.png")
    painted = str(tmp_path / "painted.png")
    more = ("--model", model, "--kind", "line", "--device", "cpu", "--out", painted)
    assert run("sample", str(tmp_path / "drawing.png"), *more).exit_code == 0
    found = metrics.psnr(files.read(Path(painted)).tensor(), truth).item()
    assert row["scores"]["psnr"] == pytest.approx(found)


def test_eval_leaves_out_modes_that_cannot_be_unless_they_are_asked_for(model, folder):
    every = score(model, folder, "--against", "none", "--json")
    protocols = [document["protocol"]["mode"] for document in json.loads(every.stdout)]
    assert protocols == ["same", "flip", "palette", "hints", "none"]
    assert "note: without the mode cross: no picture" in every.stderr
    assert "note: without the mode shuffled: no picture" in every.stderr
    assert score(model, folder, "--mode", "cross").exit_code == 1


def test_eval_tells_of_missing_data_once(model, tmp_path):
    told = score(model, tmp_path / "nowhere").stderr
    assert re.fullmatch(r"error: there is no folder .+\nhint: .+\n", told)


def test_eval_refuses_unknown_names_with_the_nearest(model, folder):
    assert "`nearest-hint`" in score(model, folder, "--against", "nearest").stderr
    assert "`same`" in score(model, folder, "--mode", "sam").stderr
    assert "add --mode hints" in score(model, folder, "--mode", "none", "--against", "nearest-hint").stderr


def test_eval_tells_of_pictures_that_cannot_be_colored(model, folder):
    Image.new("RGB", (48, 48), "white").save(folder / "validation" / "white.png")
    result = score(model, folder, "--mode", "same", "--json")
    assert "same: left out 1 picture:\n  white.png: the reference `the reference` has no color" in (result.stderr)
    assert json.loads(result.stdout)[0]["results"][0]["pictures"] == 2


def test_eval_goes_on_without_pictures_that_cannot_be_read(model, folder):
    (folder / "validation" / "broken.png").write_bytes(b"\x89PNG and no more")
    (folder / "validation" / "round.png").symlink_to("round.png")
    result = score(model, folder, "--json")
    assert result.exit_code == 3
    assert "same: scored 2 of 4 pictures" in result.stderr
    assert "could not read 2 pictures:\n  broken.png: `" in result.stderr
    assert result.stderr.count("broken.png: ") == 1
    assert {document["results"][0]["pictures"] for document in json.loads(result.stdout)} == {2}
    for picture in (folder / "validation").glob("picture*"):
        picture.unlink()
    result = score(model, folder)
    assert (result.exit_code, "no picture could be colored\nhint: `" in result.stderr) == (1, True)


def test_eval_writes_a_sheet_and_markdown(model, folder, tmp_path):
    sheet = tmp_path / "sheet.png"
    result = score(model, folder, "--mode", "none", "--sheet", str(sheet), "--markdown")
    assert result.stdout.count("| tiny |") == 1
    with Image.open(sheet) as picture:
        assert picture.width == 4 * 64 + 3 * sheets.GUTTER


def test_every_share_of_hints_has_a_table_of_its_own(model, folder):
    more = ("--hint-share", "5", "--hint-share", "0.5", "--against", "none", "--json")
    documents = json.loads(score(model, folder, "--mode", "hints", *more).stdout)
    assert [document["protocol"]["hint_share"] for document in documents] == [0.005, 0.05]


def test_hints_that_are_only_told_score_lower_than_obeyed_ones(model, folder):
    more = ("--mode", "hints", "--hint-share", "5", "--against", "none", "--json")
    obeyed, told = (
        json.loads(score(model, folder, *more, "--hint-mode", mode).stdout)[0]["results"][0]
        for mode in ("hard", "soft")
    )
    first, second = (result["scores"]["delta_e"]["mean"] for result in (obeyed, told))
    assert first < second


def test_without_a_wish_hints_tell_half_a_percent(model, folder):
    more = ("--mode", "hints", "--against", "none", "--json")
    asked = score(model, folder, *more, "--hint-share", "0.5").stdout
    usual = score(model, folder, *more).stdout
    first, second = (json.loads(text)[0]["protocol"] for text in (asked, usual))
    assert first == second


def test_the_curve_is_told_below_its_tables(model, folder):
    result = score(model, folder, "--mode", "hints", "--curve", "--against", "nearest-hint")
    below = result.stdout.rpartition("by share of hints")[2]
    shares = re.findall(r"^ +([\d.]+)  ", below, re.MULTILINE)
    assert shares == ["0.05", "0.1", "0.2", "0.5", "1", "2", "5"]


@pytest.mark.parametrize(
    ("wish", "told"),
    [
        (("--curve", "--hint-share", "1"), "--curve and --hint-share cannot be combined"),
        (("--curve", "--mode", "none"), "--curve works only with --mode hints"),
        (("--hint-share", "1", "--mode", "same"), "--hint-share works only with --mode hints"),
        (("--hint-share", "0"), "hints cannot cover 0 % of the pixels"),
        (("--hint-share", "101"), "hints cannot cover 101 % of the pixels"),
        (("--hint-share", "nan"), "hints cannot cover nan % of the pixels"),
    ],
)
def test_impossible_shares_are_refused(model, folder, wish, told):
    result = score(model, folder, *wish)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: {told}")
    assert len(result.stderr.splitlines()) == 2


@pytest.mark.parametrize("option", ["--sheet", "--html"])
@pytest.mark.parametrize("name", ["nowhere/a{}", "a.xyz", "there{}"])
def test_a_place_that_cannot_be_written_is_refused_before_anything_else(tmp_path, option, name):
    suffix = ".png" if option == "--sheet" else ".html"
    (tmp_path / f"there{suffix}").mkdir()
    place = tmp_path / name.format(suffix)
    # The model is missing, too: whoever loaded it first would tell of that.
    result = run("eval", "no-such-model", str(tmp_path), option, str(place))
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: {option}")


def test_a_sheet_shows_as_many_pictures_as_asked_in_the_format_of_its_name(model, folder, tmp_path):
    path = tmp_path / "sheet.webp"
    more = ("--mode", "none", "--against", "none", "--sheet", str(path))
    for option in ("--sheet-rows", "--shown"):
        assert score(model, folder, *more, option, "1").exit_code == 0
        with Image.open(path) as picture:
            assert (picture.format, picture.height) == ("WEBP", sheets.CAPTION + 64 + sheets.GUTTER)


def test_a_sheet_takes_every_picture_there_is_in_several_blocks(model, folder, tmp_path):
    for at in range(12):
        (folder / "validation" / f"more{at}.png").write_bytes((folder / "validation" / "picture0.png").read_bytes())
    path = tmp_path / "sheet.png"
    more = ("--mode", "hints", "--mode", "none", "--against", "none", "--sheet", str(path), "--sheet-rows", "48")
    assert score(model, folder, *more, "--size", "160").exit_code == 0
    step = sheets.CELL + sheets.GUTTER
    with Image.open(path) as picture:  # 28 rows, none twice
        assert picture.size == (3 * (4 * step + 2 * sheets.GUTTER) - 3 * sheets.GUTTER, sheets.CAPTION + 10 * step)


def test_a_page_tells_what_json_tells(model, folder, tmp_path):
    path = tmp_path / "page.html"
    result = score(model, folder, "--mode", "same", "--html", str(path), "--json")
    text = path.read_text()
    for entry in json.loads(result.stdout)[0]["results"]:
        assert f"{entry['scores']['psnr']['mean']:.2f}" in text
        assert entry["name"] in text
    assert list(tmp_path.glob(".*")) == []


def test_pictures_of_a_page_are_those_of_half_a_percent(model, folder, tmp_path):
    path = tmp_path / "page.html"
    score(model, folder, "--mode", "hints", "--curve", "--html", str(path))
    parts = path.read_text().split('<section id="part')[1:]
    assert [("<img" in part, "0.5 %" in part) for part in parts].count((True, True)) == 1
    assert sum("<img" in part for part in parts) == 1


def test_a_model_named_like_a_baseline_is_told_apart(folder, tmp_path):
    model_files.save(tiny("mini").build(), tiny("mini"), tmp_path / "gray.safetensors")
    result = score(str(tmp_path / "gray.safetensors"), folder, "--mode", "none", "--json")
    names = [entry["name"] for entry in json.loads(result.stdout)[0]["results"]]
    assert names == ["gray (model)", "gray"]
