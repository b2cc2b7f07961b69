"""The page of `colorize web` in a real browser: a person draws, corrects, takes away, by pointer and by keys."""

from __future__ import annotations

import base64
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from comics import pack
from drawings import run
from PIL import Image

webdriver = pytest.importorskip("selenium.webdriver", reason="the browser is driven by selenium: pip install selenium")
from browser import Page  # noqa: E402
from selenium.webdriver import Keys  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "examples" / "reference-1.png"
PROGRAMS = ("chromium", "chromedriver")
SIDE = 300


def installed() -> bool:
    return all(shutil.which(one) for one in PROGRAMS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("web")


@pytest.fixture(scope="module")
def driver(folder: Path) -> Iterator[object]:
    """A browser, installed if that is possible without asking anyone."""
    if not installed() and shutil.which("apt-get") and os.geteuid() == 0 and os.environ.get("CI"):
        for words in (("update", "-q"), ("install", "-y", "-q", "chromium", "chromium-driver")):
            subprocess.run(["apt-get", *words], capture_output=True, timeout=600, check=False)
    if not installed():
        pytest.skip("no browser to drive: install chromium and chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for word in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--window-size=1280,860",
    ):
        options.add_argument(word)
    options.add_experimental_option("prefs", {"download.default_directory": str(folder)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    made = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    yield made
    made.quit()


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    """A server of its own, which ends by Ctrl-C within a second or two and leaves nothing."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder / "tmp")}
    (folder / "tmp").mkdir()
    words = [sys.executable, "-m", "colorize", "web", "--no-browser", "--port", "0", "--quiet"]
    server = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment, cwd=folder)
    try:
        assert server.stdout
        yield server.stdout.readline().strip()
    finally:
        server.send_signal(signal.SIGINT)
        begin = time.monotonic()
        code = server.wait(20)
        server.stdout.close()
    assert code == 0
    assert time.monotonic() - begin < 5  # of a busy machine
    assert not list((folder / "tmp").iterdir())


@pytest.fixture
def page(driver: object, address: str, folder: Path) -> Iterator[Page]:
    made = Page(driver, address, folder)
    yield made
    serious = [one["message"] for one in driver.get_log("browser") if one["level"] == "SEVERE"]
    assert not serious
    assert made.js("return performance.getEntriesByType('resource').every((e) => e.name.includes(location.host))")


@pytest.fixture(scope="module")
def drawing(folder: Path) -> Path:
    path = folder / "sketch.png"
    Image.open(ROOT / "examples" / "sketch.png").convert("L").resize((SIDE, SIDE)).save(path)
    return path


def command_line(folder: Path, *words: str) -> np.ndarray:
    out = folder / "by-command.png"
    result = run(*words, "--out", str(out), "--overwrite")
    assert result.exit_code == 0, result.output
    return np.asarray(Image.open(out).convert("RGB"))


def near(color: np.ndarray, wanted: tuple[int, ...]) -> bool:
    return bool(np.abs(color.astype(int) - wanted).max() < 4)


def test_a_drawing_is_colored_painted_corrected_and_taken_away(page, drawing, folder):
    page.open(drawing)
    page.after(lambda: page.choose("#add-reference", REFERENCE))
    plain = page.picture()
    assert (plain == command_line(folder, str(drawing), "--ref", str(REFERENCE))).all()
    page.color("#1440c0")
    page.after(lambda: page.click(225, 75))  # the cap
    assert near(page.picture()[75, 225], (0x14, 0x40, 0xC0))
    page.tool("brush")
    page.color("#20a040")
    stroke = page.mouse().move_to_element_with_offset(page.find("#stage"), *page.at(140, 235)).click_and_hold()
    page.after(lambda: stroke.move_by_offset(12, 6).move_by_offset(12, -4).release().perform())
    painted = page.picture()
    assert near(painted[235, 140], (0x20, 0xA0, 0x40))
    assert near(painted[75, 225], (0x14, 0x40, 0xC0))
    page.after(page.find("#undo").click)
    page.after(page.find("#undo").click)
    assert (page.picture() == plain).all()
    page.after(page.find("#redo").click)
    page.after(page.find("#redo").click)
    assert (page.picture() == painted).all()
    page.after(page.find("#reseed").click)  # another option: what was painted stays
    assert near(page.picture()[235, 140], (0x20, 0xA0, 0x40))
    assert near(page.picture()[75, 225], (0x14, 0x40, 0xC0))
    page.tool("eraser")
    page.after(lambda: page.click(140, 235))
    page.after(lambda: page.click(225, 75))
    page.find("#take [data-kind=png]").click()
    saved = np.asarray(Image.open(page.saved("sketch_color.png")).convert("RGB"))
    assert (saved == page.picture()).all()
    assert (saved == command_line(folder, str(drawing), "--ref", str(REFERENCE), "--seed", "1")).all()
    page.find("#take [data-kind=ora]").click()
    with ZipFile(page.saved("sketch.ora")) as archive:
        merged = np.asarray(Image.open(io.BytesIO(archive.read("mergedimage.png"))).convert("RGB"))
    words = (str(drawing), "--ref", str(REFERENCE), "--seed", "1", "--layers", str(folder / "other.ora"))
    assert (merged == command_line(folder, *words)).all()


def test_what_the_program_says_names_fields_and_not_flags(page, drawing):
    page.open(drawing)
    said = page.find("#status").text
    assert "“References” or “Colors to use”" in said
    assert "--" not in said
    assert " s. No colors" in said
    page.choose("#another", REFERENCE)
    page.until("!document.getElementById('error').hidden")
    assert "“Force”" in page.find("#error").text


def test_the_browser_asks_before_what_was_painted_is_lost(page, drawing):
    leaving = "return !dispatchEvent(new Event('beforeunload', {cancelable: true}))"
    page.open(drawing)
    assert not page.js(leaving)
    page.after(lambda: page.click(225, 75))
    assert page.js(leaving)
    page.find("#take [data-kind=png]").click()
    page.until("document.getElementById('status').textContent === 'Saved.'")
    assert not page.js(leaving)
    page.tool("brush")
    page.after(lambda: page.click(140, 235))
    assert page.js(leaving)


def test_variations_stand_side_by_side_and_history_goes_back(page, drawing):
    first = page.open(drawing)

    def three() -> None:
        page.find("#count").send_keys(Keys.CONTROL, "a")
        page.find("#count").send_keys("3", Keys.TAB)

    page.after(three)
    shown = page.driver.find_elements(By.CSS_SELECTOR, "#variations button")
    assert len(shown) == 3
    before = page.picture()
    page.after(shown[1].click)
    assert (page.picture() != before).any()
    assert page.after(page.driver.find_elements(By.CSS_SELECTOR, "#history button")[-1].click) == first
    slider = "const range = document.getElementById('compare'); range.value = 40;"
    page.js(f"{slider} range.dispatchEvent(new Event('input'))")
    assert "40%" in page.js("return document.getElementById('after').style.clipPath")
    page.find("#full").click()
    assert page.find("#zoom").text == "100 %"


STOP = """document.getElementById("run").click();
    const timer = setInterval(() => {
      if (!document.querySelector("#table td img")) return;
      document.getElementById("stop").click();
      clearInterval(timer);
    }, 1)"""  # when the first page is done


def test_a_comic_is_stopped_continued_corrected_and_downloaded(page, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    book = pack("book.cbz").resolve()
    page.choose("#choose", book)
    page.until("document.querySelectorAll('#table tbody tr').length === 3")
    page.js(STOP)
    page.until("document.getElementById('run').textContent === 'Continue' && document.getElementById('stop').disabled")
    done = page.js("return document.querySelectorAll('#table td img').length")
    assert 1 <= done < 3
    page.find("#run").click()
    page.until("document.querySelectorAll('#table td img').length === 3 && document.getElementById('stop').disabled")
    assert page.find("#summary").text == "3 of 3 colored."
    assert page.find("#run").is_enabled()  # with other references, say
    assert page.find("#run").text == "Color all again"
    page.find("#cbz").click()
    saved = page.saved("book_color.cbz")
    assert run(str(book), "--out", str(tmp_path / "out.cbz")).exit_code == 0
    with ZipFile(saved) as one, ZipFile(tmp_path / "out.cbz") as other:
        assert one.namelist() == other.namelist()
        for name in ("ch/1.png", "ch/2.png", "ch/3.png"):
            both = [np.asarray(Image.open(io.BytesIO(archive.read(name)))) for archive in (one, other)]
            assert (both[0] == both[1]).all()
    page.after(page.find("#table tbody tr:nth-child(2) td button").click)
    page.color("#c02080")
    corrected = page.after(lambda: page.click(30, 30))
    page.find("#tab-pages").click()
    shown = "document.querySelector('#table tbody tr:nth-child(2) td img').src"
    page.until(f"{shown}.includes('/{corrected}/')")


DROP = """const [data, name, target] = arguments, bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
    const dataTransfer = new DataTransfer();
    dataTransfer.items.add(new File([bytes], name));
    const event = new DragEvent("drop", {dataTransfer, bubbles: true, cancelable: true});
    document.querySelector(target).dispatchEvent(event)"""


def test_dropped_drawings_and_references_make_a_grid_of_which_one_is_chosen(page, drawing, folder):
    for path, name, target in (
        (REFERENCE, "one.png", "#references"),
        (REFERENCE.with_name("reference-2.png"), "two.png", "aside section"),
    ):
        page.js(DROP, base64.b64encode(path.read_bytes()).decode(), name, target)
        page.until(f"document.querySelector('#references li[title=\"{name}\"]')")
    page.find("#tab-pages").click()
    page.js(DROP, base64.b64encode(drawing.read_bytes()).decode(), "dropped.png", "#pages")
    page.until("document.querySelectorAll('#table tbody tr').length === 1")
    page.find("#grid").click()
    page.find("#run").click()
    page.until("document.querySelectorAll('#table td img').length === 2 && document.getElementById('stop').disabled")
    page.after(page.driver.find_elements(By.CSS_SELECTOR, "#table td button")[1].click)
    wanted = command_line(folder, str(drawing), "--ref", str(REFERENCE.with_name("reference-2.png")))
    assert (page.picture() == wanted).all()
    page.find("#tab-pages").click()
    assert len(page.driver.find_elements(By.CSS_SELECTOR, "#table td img")) == 2
    page.find("#zip").click()
    with ZipFile(page.saved("colored.zip")) as archive:
        assert archive.namelist() == ["dropped_color.png"]


def test_all_can_be_done_by_keys(page, drawing):
    page.open(drawing)
    assert page.js("document.getElementById('tab-draw').focus(); return document.activeElement.id") == "tab-draw"
    reached = []
    for _ in range(40):
        page.mouse().send_keys(Keys.TAB).perform()
        reached.append(page.js("return document.activeElement.id || document.activeElement.dataset.kind || ''"))
        if "png" in reached:
            break
    assert [one for one in reached if one in ("stage", "add-reference", "go", "png")] == [
        "stage",
        "add-reference",
        "go",
        "png",
    ]
    page.js("document.getElementById('stage').focus()")
    page.color("#c02080")
    keys = page.mouse()
    for _ in range(4):
        keys = keys.send_keys(Keys.ARROW_DOWN, Keys.ARROW_RIGHT)  # to the belly
    page.after(lambda: keys.send_keys(Keys.ENTER).perform())
    x, y = page.driver.execute_async_script(
        "const done = arguments[0]; import('/static/stage.js').then(({cross}) => done([cross.x, cross.y]))"
    )
    assert near(page.picture()[int(y), int(x)], (0xC0, 0x20, 0x80))
    page.after(lambda: page.mouse().send_keys("b", Keys.ARROW_LEFT, Keys.ENTER).perform())
    assert page.js("return document.getElementById('tool-brush').checked")
    page.after(lambda: page.mouse().key_down(Keys.CONTROL).send_keys("z").key_up(Keys.CONTROL).perform())
    zoom = page.find("#zoom").text
    page.mouse().send_keys("+").perform()
    assert page.find("#zoom").text != zoom
    page.until("!document.body.ariaBusy")
    time.sleep(0.5)  # until the colors of the picture are listed anew
    nameless = [
        one.get_attribute("outerHTML")
        for one in page.driver.find_elements(By.CSS_SELECTOR, "button, input, select, textarea")
        if one.is_displayed() and not one.accessible_name
    ]
    assert not nameless


def test_it_fits_a_phone(driver, address, folder, drawing):
    page = Page(driver, address, folder)
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    )
    try:
        page.open(drawing)
        page.find("#advanced > summary").click()
        page.until("document.querySelectorAll('#options details').length > 2 && document.querySelector('.model')")
        for one in driver.find_elements(By.CSS_SELECTOR, "#options summary"):
            page.js("arguments[0].click()", one)
        assert page.js("return document.documentElement.scrollWidth") <= 390
        page.js("scrollTo(0, 0)")
        page.color("#c02080")
        page.after(lambda: page.click(225, 75))
        assert near(page.picture()[75, 225], (0xC0, 0x20, 0x80))
        page.find("#tab-pages").click()
        assert page.js("return document.documentElement.scrollWidth") <= 390
    finally:
        driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_the_form_has_every_option_of_the_server(page):
    page.find("#advanced > summary").click()
    page.until("document.querySelectorAll('#options .option').length > 15")
    shown = set(re.findall(r"option-(\w+)-help", page.js("return document.getElementById('options').innerHTML")))
    offered = page.driver.execute_async_script(
        "const done = arguments[0]; fetch('/api/settings').then((one) => one.json()).then((one) => done(one.options))"
    )
    assert shown == {one["name"] for one in offered} - {"palette", "model", "variations"}


def test_edits_by_text_are_added_changed_and_removed_as_groups(page):
    page.find("#advanced > summary").click()
    page.until("document.querySelector('.model')")  # fields are made anew once it is known what the model takes
    page.js("document.querySelector('#options details[data-panel=ColorizeDiffusion]').open = true")
    page.find("#edit-new").send_keys("hair: blonde", Keys.ENTER)
    page.until("document.querySelectorAll('.edits fieldset').length === 1")
    assert page.js("return document.activeElement.id") == "edit-new"
    page.find("#edit-new").send_keys("night", Keys.ENTER)
    page.until("document.querySelectorAll('.edits fieldset').length === 2")
    page.find("#edit-1-scale").send_keys("12", Keys.TAB)
    page.until("document.getElementById('edit-1-scale').value === '12'")
    assert page.js("return document.activeElement.id") == "edit-1-thresholds"
    text = "const done = arguments[0]; import('/static/state.js').then(({state}) => done(state.now.values.text))"
    assert page.driver.execute_async_script(text) == ["target=hair: blonde", "target=night; scale=12"]
    page.find(".edits fieldset:nth-of-type(1) button").click()
    page.until("document.querySelectorAll('.edits fieldset').length === 1")
    assert page.driver.execute_async_script(text) == ["target=night; scale=12"]
    assert not page.find(".edits > button").is_enabled()  # there is no reference to show them on
    page.find("#undo").click()
    assert len(page.driver.execute_async_script(text)) == 2
