"""Data sets on the Hub: fetched at one commit, found again without a network, refused in a sentence."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hub_server import NEW, OLD, Hub, serving
from sources import contents, run
from tables import published, row, table

from colorize.datasets.prepare import locate
from colorize.errors import ColorizeError

NAME = "hub:owner/name"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """The data set at NEW, and at OLD only the rows to test."""
    root = published(tmp_path / "source")
    with serving(monkeypatch, tmp_path) as held:
        monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
        for path in root.rglob("*.parquet"):
            name = path.relative_to(root).as_posix()
            held.files[NEW, name] = path.read_bytes()
            if "test" in name:
                held.files[OLD, name] = path.read_bytes()
        held.files[NEW, "README.md"] = b"a card"
        yield held


def test_a_data_set_on_the_hub_is_that_of_its_files(server, tmp_path):
    run(NAME, tmp_path / "data")
    run(tmp_path / "source", tmp_path / "same")
    assert contents(tmp_path / "data") == contents(tmp_path / "same")
    assert not any("README" in asked for asked in server.asked)


def test_a_revision_is_pinned(server, tmp_path):
    summary = run(f"{NAME}@v1", tmp_path / "data")
    assert sum(summary.counts.values()) == 2
    assert locate(f"{NAME}@v1").name == OLD


def test_the_cache_serves_without_a_network(server, monkeypatch):
    folder = locate(NAME)
    asked = len(server.asked)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert locate(NAME) == folder
    assert len(server.asked) == asked


def test_a_data_set_not_fetched_before_needs_a_network(server, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ColorizeError, match="not in the cache"):
        locate(NAME)
    assert not server.asked


def test_a_half_fetched_data_set_is_not_taken_for_the_whole(server, monkeypatch):
    server.cut = 9
    with pytest.raises(ColorizeError):
        locate(NAME)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ColorizeError):
        locate(NAME)


@pytest.mark.parametrize("name", ["owner", "../..", "a/b/c", "a/b/c.safetensors", "owner/name?x", "", "/etc/passwd"])
def test_what_is_no_name_on_the_hub_is_wrong_usage(name):
    with pytest.raises(ColorizeError, match="is not the name of a data set on the Hub") as error:
        locate(f"hub:{name}")
    assert error.value.code == 2


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("hub:owner/other", "there is no data set `owner/other` on the Hub"),
        (f"{NAME}@v9", "`owner/name` has no such revision"),
    ],
)
def test_what_the_hub_does_not_have_is_named(server, source, told):
    with pytest.raises(ColorizeError, match=told):
        locate(source)


def test_a_data_set_without_parquet_is_refused(server):
    server.files = {(NEW, "data.zip"): b"PK"}
    with pytest.raises(ColorizeError, match="no Parquet files") as error:
        locate(NAME)
    assert "hub:owner/name@refs/convert/parquet" in error.value.hint


def test_names_that_leave_the_cache_are_refused(server, tmp_path):
    data = table(tmp_path / "evil.parquet", [row(1)]).read_bytes()
    server.files = {(NEW, "../../../../../escaped.parquet"): data}
    with pytest.raises(ColorizeError):
        locate(NAME)
    assert not list(tmp_path.parent.rglob("escaped.parquet"))
