"""Claims about downloads that break, find no room or have a wrong checksum, and about what the cache then holds."""

from __future__ import annotations

import errno
import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from hub_server import NEW, OLD, Hub, serving

from colorize.checkpoints import hub
from colorize.checkpoints.hub import Address, fetch, fetch_file
from colorize.errors import ColorizeError

MODEL = Address("owner/name")
DATA = bytes(range(200)) * 5
SUM = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A model of 1000 bytes, which come in chunks of 4."""
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


# Going on


def test_a_broken_download_goes_on_where_it_broke_off(server: Hub, tmp_path: Path) -> None:
    # Guards against the library, which begins anew.
    server.line = 600
    error = refusal()
    assert error.message.startswith("the connection broke while `owner/name` was fetched: ")
    assert (error.hint, error.code) == ("repeat the command; the download resumes", 1)
    assert not list(tmp_path.rglob("snapshots/*/*.safetensors"))
    server.line = None
    del server.sent[:]
    found = fetch(MODEL)
    assert (found.path.read_bytes(), found.fresh) == (DATA, True)
    assert [wanted for _, wanted, _ in server.sent] == ["bytes=600-"]
    assert [path.name for path in kept(tmp_path)] == [SUM]


def test_a_short_break_is_mended_without_a_word_to_the_user(server: Hub) -> None:
    server.line = 300

    def mended(*_: object) -> None:
        server.line = None

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("huggingface_hub.file_download.time.sleep", mended)
        assert fetch(MODEL).path.read_bytes() == DATA


def test_what_broke_off_is_not_taken_for_the_whole(server: Hub) -> None:
    server.line = 600
    refusal()
    with pytest.raises(ColorizeError, match="is not in the cache of this machine"):
        fetch(MODEL, offline=True)


def test_new_weights_do_not_go_on_from_old_ones(server: Hub) -> None:
    server.line = 600
    refusal()
    server.line = None
    server.files[NEW, "model.safetensors"] = DATA[::-1]
    assert fetch(MODEL).path.read_bytes() == DATA[::-1]


def test_a_rest_that_is_longer_than_the_file_begins_anew(server: Hub, tmp_path: Path) -> None:
    server.line = 600
    refusal()
    server.line = None
    (broken,) = kept(tmp_path)
    broken.write_bytes(b"x" * 2000)
    assert fetch(MODEL).path.read_bytes() == DATA


def test_a_server_that_cannot_go_on_sends_all(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    server.line = 600
    refusal()
    server.line = None
    monkeypatch.setattr("hub_server.Handler.send", lambda self, *_: self.answer(200, DATA, {}))
    assert fetch(MODEL).path.read_bytes() == DATA


def test_an_interrupted_download_goes_on(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    server.line = 600
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetch(MODEL)
    server.line = None
    assert fetch(MODEL).path.read_bytes() == DATA
    assert server.sent[-1][1] == "bytes=600-"


def test_two_at_once_download_once(server: Hub) -> None:
    found: list[bool] = []
    both = [threading.Thread(target=lambda: found.append(fetch(MODEL).fresh)) for _ in range(2)]
    for each in both:
        each.start()
    for each in both:
        each.join()
    assert len(server.sent) == 1
    assert sorted(found) == [False, True]


# Room, links, tokens


def test_a_disk_without_room_is_told_before_the_download(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=500))
    error = refusal()
    assert error.message.startswith("`owner/name/model.safetensors` needs 0 MB more in the cache")
    assert "HF_HOME" in error.hint
    assert server.sent == []


def test_a_disk_that_fills_up_meanwhile_is_a_sentence(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("huggingface_hub.file_download.http_get", full)
    assert refusal().message.endswith("cannot be stored in the cache: No space left on device")


def test_a_disk_without_links_holds_the_weights_once(
    server: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_SYMLINKS", True)
    found = fetch(MODEL)
    assert not found.path.is_symlink()
    assert kept(tmp_path) == []
    assert fetch(MODEL, offline=True).path.read_bytes() == DATA
    assert not fetch(MODEL).fresh


def test_a_disk_without_links_downloads_a_pinned_commit_once(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_SYMLINKS", True)
    fetch(Address("owner/name", NEW))
    assert not fetch(MODEL).fresh
    assert len(server.sent) == 1
    assert fetch(MODEL, offline=True).folder.name == NEW


def test_a_link_to_deleted_weights_is_mended(server: Hub) -> None:
    fetch(MODEL).path.resolve().unlink()
    assert fetch(MODEL).path.read_bytes() == DATA


def test_the_token_stays_with_the_hub(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_mine")
    fetch(MODEL)
    assert set(server.tokens) == {"Bearer hf_mine"}
    assert [token for _, _, token in server.sent] == [None]


@pytest.mark.parametrize("content", ["../../../escaped", "a/b", "x" * 300])
def test_content_that_would_leave_the_cache_is_refused(server: Hub, tmp_path: Path, content: str) -> None:
    server.sums["model.safetensors"] = content
    assert "cannot be fetched" in refusal().message
    assert not list(tmp_path.rglob("escaped*"))


def test_a_branch_goes_on_to_its_next_commit(server: Hub) -> None:
    server.revisions["main"] = OLD
    fetch(MODEL)
    server.revisions["main"] = NEW
    server.files[NEW, "model.safetensors"] = b"newer"
    assert fetch(MODEL).path.read_bytes() == b"newer"
    assert fetch(MODEL, offline=True).folder.name == NEW


def test_a_push_during_the_download_is_a_sentence(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import file_download

    get = file_download.http_get
    server.files[OLD, "model.safetensors"] = DATA[::-1]

    def pushed(*given: object, **named: object) -> None:
        get(*given, **named)  # type: ignore[arg-type]
        server.revisions["main"] = OLD

    with monkeypatch.context() as patched:
        patched.setattr(file_download, "http_get", pushed)
        assert refusal().message == "`owner/name` changed while it was fetched"
    assert fetch(MODEL).path.read_bytes() == DATA[::-1]


def test_a_break_does_not_lose_what_was_here(server: Hub) -> None:
    server.revisions["main"] = OLD
    fetch(MODEL)
    server.revisions["main"], server.line = NEW, 0
    server.files[NEW, "model.safetensors"] = DATA[::-1]
    refusal()
    assert fetch(MODEL, offline=True).folder.name == OLD


def test_a_single_file_goes_on_too(server: Hub) -> None:
    server.line = 600
    with pytest.raises(ColorizeError, match="connection broke"):
        fetch_file("owner/name", "model.safetensors")
    server.line = None
    assert fetch_file("owner/name", "model.safetensors").read_bytes() == DATA
    assert server.sent[-1][1] == "bytes=600-"


# Checksums


def test_the_checksum_is_known_before_and_after(server: Hub) -> None:
    assert [fetch(MODEL).sha256, fetch(MODEL, offline=True).sha256] == [SUM, SUM]


def test_damaged_weights_are_refused_and_removed(server: Hub, tmp_path: Path) -> None:
    server.sums["model.safetensors"] = "0" * 64
    error = refusal()
    assert error.message == (
        f"`owner/name/model.safetensors` arrived damaged: its sha256 is {SUM[:12]}... and not 000000000000..."
    )
    assert "run the same command again" in error.hint
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
