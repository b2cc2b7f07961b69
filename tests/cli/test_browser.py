"""The page opens in a real browser: pictures decode, curves have a size and a color, nothing runs off a phone."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pages
import pytest
from PIL import Image

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# Reads back what the browser made of the page; the page itself has no script.
PROBE = """<script>addEventListener("load", () => {
  const of = (names) => [...document.querySelectorAll(names)];
  const found = {
    pictures: of("img").map((one) => [one.complete, one.naturalWidth, one.naturalHeight]),
    curves: of("svg.curve").map((one) => one.getBoundingClientRect().width),
    dots: of("svg.dots").length,
    lines: of("polyline").map((one) => getComputedStyle(one).stroke),
    fills: of("polyline").map((one) => getComputedStyle(one).fill),
    page: document.documentElement.scrollWidth,
    window: innerWidth,
  };
  const told = document.createElement("pre");
  told.id = "found"; told.textContent = JSON.stringify(found);
  document.body.append(told);
});</script>"""


def installed() -> str | None:
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


@pytest.fixture(scope="session")
def browser() -> str:
    """The path of a browser, installed if that is possible without asking anyone."""
    apt = shutil.which("apt-get")
    if installed() is None and apt and hasattr(os, "geteuid") and os.geteuid() == 0:
        for words in (("update", "-q"), ("install", "-y", "-q", "chromium")):
            subprocess.run([apt, *words], capture_output=True, timeout=600, check=False)
    found = installed()
    if found is None:
        pytest.skip("no browser: install chromium, chromium-browser or google-chrome")
    return found


def opened(browser: str, page: Path, *more: str) -> str:
    """What headless Chromium prints of a page."""
    fixed = ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars")
    profile = f"--user-data-dir={page.parent / 'profile'}"
    words = [browser, *fixed, profile, *more, page.resolve().as_uri()]
    return subprocess.run(words, capture_output=True, text=True, timeout=180, check=True).stdout


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    path = folder / "page.html"
    path.write_text(pages.made(folder / "data"), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def found(browser, page) -> dict:
    """What the probe sees in a narrow window."""
    probed = page.with_name("probed.html")
    probed.write_text(page.read_text(encoding="utf-8") + PROBE, encoding="utf-8")
    text = opened(browser, probed, "--window-size=500,900", "--dump-dom")
    told = re.search(r'<pre id="found">(.*?)</pre>', text, re.DOTALL)
    assert told, text[-2000:]
    return json.loads(told.group(1))


def test_every_picture_decodes(found):
    assert found["pictures"] == [[True, 48, 48]] * 30


def test_curves_are_there_and_wide(found):
    assert len(found["curves"]) == 2
    assert min(found["curves"]) > 300


def test_lines_have_colors_of_their_own_and_no_fill(found):
    assert len(set(found["lines"])) == 3  # the model, gray and nearest-hint
    assert set(found["fills"]) == {"none"}


def test_there_is_a_chart_for_every_metric_of_both_modes_with_pictures(found):
    assert found["dots"] == 11 + 12  # a reference alone has colors that are used


def test_nothing_runs_off_a_narrow_window(found):
    assert found["page"] <= found["window"]


def test_the_page_is_painted_with_its_pictures(browser, page):
    shot = page.with_name("shot.png")
    opened(browser, page, "--window-size=900,3000", f"--screenshot={shot}")
    with Image.open(shot) as picture:
        colors = picture.convert("RGB").getcolors(2**24) or []
    strong = sum(count for count, (red, _, blue) in colors if red - blue > 120)
    assert strong > 2000  # the squares are red to yellow; charts have a few hundred such pixels
