"""What `colorize sample` takes for wrong usage, and that nothing is done then."""

from __future__ import annotations

from pathlib import Path

import pytest
from drawings import furnish, run


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder with a drawing, a reference, and two pages; by a tiny model."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLORIZE_MODEL", "tiny.safetensors")
    monkeypatch.setenv("COLORIZE_DEVICE", "cpu")
    furnish()


@pytest.mark.parametrize(
    "wrong",
    [
        ("sketch.png", "--sampler", "dppm"),
        ("sketch.png", "--guidance", "reference"),
        ("sketch.png", "--guidance", "refernce=2"),
        ("sketch.png", "--guidance", "reference=2"),
        ("sketch.png", "--model", "mniii"),
        ("sketch.png", "--steps", "0"),
        ("sketch.png", "--size", "7"),
        ("sketch.png", "--kind", "photo"),
        ("sketch.png", "-o", "sketch.png", "--overwrite"),
        ("sketch.png", "-o", "a.gif"),
        ("sketch.png", "--film", "a.mp4"),
        ("sketch.png", "-o", "-", "--variations", "2"),
        ("sketch.png", "-o", "-", "--json"),
        ("pages", "-o", "pages"),
        ("pages", "-o", "-"),
        ("pages", "-o", "one.png"),
        ("pages", "--film", "a.gif"),
        (),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_refused_before_anything_is_done(wrong: tuple[str, ...]) -> None:
    before = {path: path.read_bytes() for path in Path().rglob("*.*")}
    result = run(*wrong)
    assert result.exit_code == 2, result.stderr
    assert result.stderr.startswith("error: ")
    assert "\nhint: " in result.stderr
    assert {path: path.read_bytes() for path in Path().rglob("*.*")} == before
