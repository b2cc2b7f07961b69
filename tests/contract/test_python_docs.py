"""Every example of the page on Python runs, in order, and its table has every option."""

from __future__ import annotations

import re
import shutil
from dataclasses import fields
from pathlib import Path

import pytest
from hub_server import NEW, serving
from PIL import Image

from colorize.api import PaintOptions
from colorize.coloring.options import SampleOptions

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/reference/python.md").read_text()
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", PAGE, re.M | re.S)


@pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning")  # of the Hub's library
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_every_example_runs_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "examples/sketch.png", "sketch.png")
    shutil.copy(ROOT / "examples/reference-1.png", "hero.png")
    Path("drawings").mkdir()
    shutil.copy("sketch.png", "drawings/one.png")
    Path("drawings/two.png").write_bytes(b"no picture")
    space: dict[str, object] = {}
    with serving(monkeypatch, tmp_path / "hub") as hub:
        for example in EXAMPLES:
            exec(compile(example, "docs/reference/python.md", "exec"), space)
    made = {str(path) for path in Path().rglob("*") if path.suffix in (".png", ".jpg", ".ora", ".safetensors")}
    wanted = {"colored.png", "colored.jpg", "colored.ora", "line.png", "paper.png", "colored/one.png"}
    assert made >= wanted | {f"colored_{at}.png" for at in range(4)} | {"my-model/model.safetensors"}
    assert not Path("colored/two.png").exists()
    with Image.open("colored.png") as one, Image.open("sketch.png") as drawing:
        assert one.size == drawing.size
    assert {name for _, name in hub.files} == {"model.safetensors", "config.json", "README.md"}
    assert hub.messages == ["First version"]
    assert (NEW, "model.safetensors") in hub.files
    said = capsys.readouterr().out
    assert "`two.png` is not a picture" in said
    assert "`ref` is not an option did you mean `reference`?" in said


def test_the_table_has_every_option_with_its_default() -> None:
    rows = re.findall(r"^\| (`.*?) \| (.*?) \| .* \|$", PAGE, re.M)
    found = {name: default for names, default in rows for name in re.findall(r"`(\w+)`", names)}
    assert set(found) == {*PaintOptions.__annotations__, "variations"}
    for one in fields(SampleOptions):
        stated = re.fullmatch(r"`(.*)`", found.get(one.name, ""))
        if stated and one.name != "layers":
            assert stated[1] == repr(one.default).replace("'", '"'), one.name


def test_the_page_is_short() -> None:
    assert len([word for word in PAGE.split() if re.search(r"\w", word)]) <= 700
