"""Claims about the checksums of what comes from the Hub: told by the Hub, or known here."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hub_server import NEW, OLD, Hub, serving

from colorize.checkpoints import hub
from colorize.checkpoints.hub import Address, fetch
from colorize.errors import ColorizeError

MODEL = Address("owner/name")
DATA = bytes(range(200)) * 5
SUM = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A model of 1000 bytes, which come in chunks of 4; both of its commits hold the same."""
    with serving(monkeypatch, tmp_path) as held:
        held.files = {(NEW, "model.safetensors"): DATA, (OLD, "model.safetensors"): DATA}
        yield held


def refusal(model: Address = MODEL) -> ColorizeError:
    with pytest.raises(ColorizeError) as caught:
        fetch(model)
    return caught.value


def kept(tmp_path: Path) -> list[Path]:
    """What the cache holds of weights: contents, and what broke off."""
    return [path for path in tmp_path.rglob("blobs/*") if path.stat().st_size > 4]


def test_the_checksum_is_known_before_and_after(server: Hub) -> None:
    assert [fetch(MODEL).sha256, fetch(MODEL, offline=True).sha256] == [SUM, SUM]


def test_damaged_weights_are_refused_and_removed(server: Hub, tmp_path: Path) -> None:
    server.sums["model.safetensors"] = "0" * 64
    error = refusal()
    assert error.message == (
        f"`owner/name/model.safetensors` arrived damaged: its sha256 is {SUM[:12]}... and not 000000000000..."
    )
    assert "give the same command again" in error.hint
    assert kept(tmp_path) == []
    server.sums.clear()
    assert fetch(MODEL).path.read_bytes() == DATA
    assert server.sent[-1][1] is None


def test_a_damaged_rest_is_found(server: Hub, tmp_path: Path) -> None:
    server.line = 600
    refusal()
    server.line = None
    (broken,) = kept(tmp_path)
    broken.write_bytes(b"x" * 600)
    assert "arrived damaged" in refusal().message
    assert fetch(MODEL).path.read_bytes() == DATA


def test_weights_are_checked_only_when_they_arrive(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    # Guards against ten seconds for 4 GB on each run.
    fetch(MODEL)
    monkeypatch.setattr(hub, "sha256", lambda *_: pytest.fail("it was read again"))
    fetch(MODEL)
    fetch(MODEL, offline=True)
    fetch(Address("owner/name", "v1"))


def test_the_same_weights_in_another_commit_are_not_downloaded_again(server: Hub) -> None:
    first = fetch(MODEL)
    second = fetch(Address("owner/name", "v1"))
    assert (second.folder.name, second.fresh, len(server.sent)) == (OLD, False, 1)
    assert second.path.resolve() == first.path.resolve()


V1, FILE = "tellurion/ColorizeDiffusion", "mult-eps-ft.safetensors"


def test_a_known_file_of_another_checksum_is_not_even_downloaded(server: Hub) -> None:
    server.name, server.files[NEW, FILE] = V1, DATA
    error = refusal(Address(V1, "", FILE))
    assert error.message == (
        f"`{V1}/{FILE}` is not the file known by this name: its sha256 is {SUM[:12]}... and not 53c09691c571..."
    )
    assert server.sent == []


def test_a_known_file_without_a_checksum_is_refused(server: Hub, tmp_path: Path) -> None:
    server.name, server.files[NEW, FILE], server.sums[FILE] = V1, DATA, "untold"
    assert "is not the file known by this name" in refusal(Address(V1, "", FILE)).message
    assert kept(tmp_path) == []


def test_known_files_have_checksums_under_both_names() -> None:
    old = [hub.known_sha256("tellurion/colorizer", f"mult-{kind}.safetensors") for kind in ("ft", "newft")]
    new = [hub.known_sha256(V1, f"mult-eps-{kind}.safetensors") for kind in ("ft", "newft")]
    assert old == new
    assert {len(each) for each in old} == {64}
    assert hub.known_sha256("owner/name", FILE) == ""
