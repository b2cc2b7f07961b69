"""The page needs nothing but itself, escapes every name, and shows what was scored."""

from __future__ import annotations

import base64
import io
import math
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pages
import pytest
import torch
from PIL import Image
from rich.console import Console

from colorize.cli.evaluate import _write_page
from colorize.errors import ColorizeError
from colorize.evaluation import report, sheets
from colorize.evaluation.report import Table, to_terminal
from colorize.evaluation.samples import Dataset, samples
from colorize.evaluation.score import Entry, Mean, Row

VOID = {"meta", "img", "br", "circle", "polygon", "polyline", "line"}


class Tags(HTMLParser):
    """Gathers tags, and tells of those that are closed in the wrong order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def text(tmp_path_factory) -> str:
    return pages.made(tmp_path_factory.mktemp("data"), prefix="a&b'")


@pytest.fixture(scope="module")
def tags(text) -> list[tuple[str, dict[str, str | None]]]:
    found = Tags()
    found.feed(text)
    assert found.open == []
    return found.seen


def test_every_tag_is_closed_and_no_name_becomes_one(text, tags):
    assert not {"b&", "script", "link", "iframe"} & {tag for tag, _ in tags}
    assert '<b>&"model' not in text
    assert "&lt;b&gt;&amp;&#34;model" in text
    assert "line &lt;art&gt;" in text
    assert "a&amp;b&#39;0.png" in text


def test_nothing_is_fetched_from_elsewhere(text, tags):
    sources = [value for _, found in tags for key, value in found.items() if key in ("src", "href")]
    assert sources
    assert all(value.startswith(("data:image/webp;base64,", "#part")) for value in sources)
    assert "url(" not in text
    assert "@import" not in text


def test_every_picture_can_be_decoded_and_is_small(tags):
    found = [values["src"] for tag, values in tags if tag == "img"]
    # Four pictures: one for each place; five columns with a reference, five with hints.
    assert len(found) == 2 * 3 * 5
    for source in found:
        with Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))) as picture:
            picture.load()
            assert max(picture.size) <= sheets.SIDE


def test_large_pictures_are_shrunk():
    data = sheets.thumbnail(torch.zeros(1, 1, 256, 256))
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.size == (192, 192)


def test_there_is_a_curve_of_two_metrics_over_two_shares(tags):
    curves = [values for tag, values in tags if tag == "svg" and values["class"] == "curve"]
    assert [values["aria-label"] for values in curves] == ["PSNR by share of hints", "Delta E by share of hints"]
    lines = [values["points"] for tag, values in tags if tag == "polyline"]
    assert [len(points.split()) for points in lines] == [2] * 6  # three ways of coloring


def test_pictures_stand_in_the_order_of_their_places(text):
    part = text[text.index('id="part0"') : text.index('id="part1"')]
    assert re.findall(r"<h3>(\w+) by", part) == ["Best", "Median", "Worst"]


def test_a_table_of_two_protocols_is_refused(tmp_path):
    data = Dataset(pages.furnish(tmp_path))
    few, many = (pages.table(samples(data, "hints", 48, share=share), small=False) for share in (0.01, 0.05))
    with pytest.raises(ColorizeError, match="hint_share"):
        Table(few.entries + many.entries)


def test_a_curve_through_other_pictures_is_refused(tmp_path):
    data = Dataset(pages.furnish(tmp_path))
    few = pages.table(samples(data, "hints", 48, share=0.01), small=False)
    many = pages.table(samples(data, "hints", 48, share=0.05, limit=2), small=False)
    with pytest.raises(ColorizeError, match="data"):
        report.by_share([few.entries, many.entries], "psnr")


def test_one_share_is_no_curve(tmp_path):
    one = pages.table(samples(pages.furnish(tmp_path), "hints", 48), small=False)
    assert report.by_share([one.entries], "psnr") == {}
    assert len(to_terminal([one])) == len(one.terminal())


def rows(*values: float) -> list[Row]:
    return [Row(str(at), "", {"delta_e": value}, 0) for at, value in enumerate(values)]


def test_best_median_and_worst_are_three_each_of_many():
    found = sheets.ranked(rows(*range(11)))
    assert [(place, row.file) for place, row in found] == [
        *(("best", name) for name in "012"),
        *(("median", name) for name in "456"),
        *(("worst", name) for name in ("8", "9", "10")),
    ]


@pytest.mark.parametrize("count", range(1, 9))
def test_of_few_pictures_none_is_shown_twice(count):
    files = [row.file for _, row in sheets.ranked(rows(*range(count)))]
    assert len(files) == len(set(files)) == {1: 1, 2: 2}.get(count, count // 3 * 3)


@pytest.mark.parametrize(("low", "high"), [(0, 0), (-1, 1), (11.2, 18.9), (1e-4, 3e-4), (1, 1)])
def test_ticks_are_few_round_and_around_the_values(low, high):
    found = report.ticks(low, high, 3)
    assert 2 <= len(found) <= 7
    assert found[0] <= low + 1e-12
    assert found[-1] >= high - 1e-12
    steps = {round(b - a, 9) for a, b in pairwise(found)}
    assert len(steps) == 1
    assert f"{10 ** (math.log10(steps.pop()) % 1):.3f}" in ("1.000", "2.000", "5.000", "10.000")


def test_a_better_mean_lies_farther_right():
    values = {"low": Mean(1.0, 0.5, 1.5), "high": Mean(3.0, 2.5, 3.5)}
    (_, first, _), (_, second, _) = report.dot_chart("psnr", values, {"low": 0, "high": 1}).marks
    assert first < second


def test_a_missing_template_engine_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(ColorizeError, match="needs the package `jinja2`"):
        _write_page(tmp_path / "page.html", "m", {}, [])
    assert list(tmp_path.iterdir()) == []


def test_names_that_are_no_unicode_do_not_spoil_a_page(tmp_path):
    path = tmp_path / "page.html"
    _write_page(path, "m", {"file": "a\udcff.png"}, [])
    assert "a?.png" in path.read_text(encoding="utf-8")


def test_names_are_neither_markup_nor_commands_in_tables(tmp_path):
    odd = ("[/nope]", "[red]b", "\x1b[2Jc", "d|*e*")
    shares = [samples(pages.furnish(tmp_path), "hints", 48, share=share) for share in (0.01, 0.05)]
    tables = []
    for one in (pages.table(some, small=False) for some in shares):
        protocol = replace(one.protocol, data=" ".join(odd))
        of_sets = [replace(row, set=name) for row, name in zip(one.entries[0].rows, odd, strict=True)]
        tables.append(Table(tuple(Entry(name, protocol, tuple(of_sets), {}) for name in odd)))
    stream = io.StringIO()
    Console(file=stream, width=200).print(*to_terminal(tables))
    told = stream.getvalue()
    assert "\x1b" not in told
    for name in ("[/nope]", "[red]b", "?[2Jc", "d|*e*"):
        assert told.count(name) >= 2 * 3 + 2  # in titles, names and sets of both, and in the columns by share
    markdown = tables[0].markdown()
    assert "\x1b" not in markdown
    assert "| d\\|\\*e\\* |" in markdown


def test_a_page_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "page.html"
    path.write_text("old")

    def full(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ColorizeError, match="disk is full"):
        _write_page(path, "m", {}, [])
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
