"""Claims about a volume of 40 whole manga pages. Run: python -m pytest -m slow tests/slow/test_volume_whole.py."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from comics import content
from PIL import Image
from volumes import Made, volume

from colorize.cli import volumes
from colorize.images import files
from colorize.images.color import luminance

pytestmark = pytest.mark.slow
ROOT, PAGES, KILLS = Path(__file__).parents[2], 40, 10


@pytest.fixture(scope="module")
def made() -> list[Made]:
    return list(volume(PAGES))


@pytest.fixture(scope="module")
def calm(made: list[Made], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the volume, and what an undisturbed run made of it."""
    folder = tmp_path_factory.mktemp("volume")
    with ZipFile(folder / "calm.cbz", "w") as archive:
        archive.writestr("ComicInfo.xml", "<ComicInfo/>")
        for number, page in enumerate(made, 1):
            data = BytesIO()
            Image.fromarray(page.gray if page.color is None else page.color).save(data, "PNG")
            archive.writestr(f"{number:03}.png", data.getvalue())
    subprocess.run([*command("calm.cbz")], cwd=folder, env=environment(), check=True)
    return folder


def command(name: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "colorize", "sample", name, "--json")


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "COLORIZE_DEVICE": "cpu"}


def test_bubbles_and_gutters_stay_bit_for_bit_and_lettering_keeps_its_lightness(made: list[Made], calm: Path) -> None:
    before, after = content(calm / "calm.cbz"), content(calm / "calm_color.cbz")
    assert list(after) == list(before)
    assert after["ComicInfo.xml"] == b"<ComicInfo/>"
    for number, page in enumerate(made, 1):
        name = f"{number:03}.png"
        if page.colored:
            assert after[name] == before[name]
            continue
        old, new = (files.read(data[name], name) for data in (before, after))
        same = (np.broadcast_to(old.pixels, new.pixels.shape) == new.pixels).all(axis=-1)
        assert (~same).mean() > 0.05
        assert not (~same & (page.gutters | page.bubbles)).any(), name
        shift = 127.5 * (luminance(new.tensor()) - luminance(old.tensor()))[0, 0].abs().numpy()
        assert shift[page.letters].max(initial=0) <= 1.01, name


def test_killed_at_ten_pages_it_ends_as_if_it_had_never_been(calm: Path) -> None:
    (calm / "killed.cbz").write_bytes((calm / "calm.cbz").read_bytes())
    ledger = volumes.pages_folder(calm / "killed_color.cbz") / volumes.JOURNAL
    for stop in sorted(random.Random(1).sample(range(1, PAGES - 1), KILLS)):
        process = subprocess.Popen(command("killed.cbz"), cwd=calm, env=environment())
        until = time.monotonic() + 300
        while not ledger.exists() or len(ledger.read_bytes().splitlines()) <= stop:
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
    pages = [json.loads(line)["page"] for line in ledger.read_bytes().splitlines()[1:]]
    assert len(pages) == len(set(pages)) >= PAGES // 2
    subprocess.run([*command("killed.cbz")], cwd=calm, env=environment(), check=True)
    assert content(calm / "killed_color.cbz") == content(calm / "calm_color.cbz")
    assert not ledger.parent.exists()
