"""Claims about the Hub when it is away, refuses, or is not to be asked: each is a sentence."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest
from hub_server import NEW, OLD, Handler, Hub, serving

from colorize.checkpoints.hub import Address, fetch
from colorize.errors import ColorizeError


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    with serving(monkeypatch, tmp_path) as held:
        yield held


MODEL = Address("owner/name")


def refusal(model: Address = MODEL, offline: bool = False) -> ColorizeError:
    with pytest.raises(ColorizeError) as caught:
        fetch(model, offline)
    return caught.value


# Offline


def test_offline_uses_the_cache_and_no_network(server: Hub) -> None:
    fetch(MODEL)
    before = len(server.asked)
    assert (fetch(MODEL, offline=True).folder / "model.safetensors").read_bytes() == b"new weights"
    assert len(server.asked) == before


def test_offline_without_a_cached_copy_says_so(server: Hub) -> None:
    assert "is not in the cache of this machine" in refusal(offline=True).message


def test_offline_sends_no_telemetry(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    # Guards against the library's `local_files_only`, which asks the Hub for a list once a day.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY", False)
    monkeypatch.setattr("huggingface_hub.utils._detect_agent._registry", None)
    refusal(offline=True)
    assert server.asked == []


def test_offline_finds_a_pinned_commit(server: Hub) -> None:
    folder = fetch(Address("owner/name", "v1")).folder
    assert fetch(Address("owner/name", OLD), offline=True).folder == folder


def test_the_offline_variable_is_honored(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert "the network is switched off" in refusal().message


def test_a_cached_model_loads_when_the_hub_is_away(server: Hub) -> None:
    path = fetch(MODEL).path
    server.error = (503, "")
    assert fetch(MODEL).path == path


# Errors


def test_an_unknown_model_is_a_sentence(server: Hub) -> None:
    assert refusal(Address("no/body")).message.startswith("there is no model `no/body` on the Hub")


def test_an_unknown_revision_is_a_sentence(server: Hub) -> None:
    missing = Address("owner/name", "v9")
    assert refusal(missing).message == "`owner/name` has no such revision: `owner/name@v9`"


def test_a_model_without_safetensors_is_a_sentence(server: Hub) -> None:
    del server.files[NEW, "model.safetensors"]
    assert refusal().message == "`owner/name` has no .safetensors file"


ANSWERS = {
    (403, "GatedRepo"): "`owner/name` is only for users who accepted its terms",
    (401, "RepoNotFound"): "there is no model `owner/name` on the Hub",
    (403, ""): "the Hub refused `owner/name`: it answered 403",
    (503, ""): "the Hub refused `owner/name`: it answered 503",
    (418, ""): "the Hub refused `owner/name`: it answered 418",
}


@pytest.mark.parametrize("error", ANSWERS)
def test_every_answer_is_a_sentence(server: Hub, error: tuple[int, str]) -> None:
    server.error = error
    assert refusal().message.startswith(ANSWERS[error])


def test_a_gated_model_tells_where_to_ask(server: Hub) -> None:
    server.error = (403, "GatedRepo")
    assert "https://huggingface.co/owner/name" in refusal().hint


def test_no_network_is_a_sentence(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = "http://127.0.0.1:9/{repo_id}/{revision}/{filename}"  # the discard port: nobody listens
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", nobody)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    assert refusal().message == "`owner/name` cannot be fetched: the Hub does not answer"


def test_a_server_that_is_no_hub_is_a_sentence(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Handler, "send_header", lambda *_: None)
    assert "`owner/name`" in refusal().message


def test_a_broken_connection_is_a_sentence(server: Hub) -> None:
    server.cut = 5
    assert "`owner/name`" in refusal().message


def test_a_broken_connection_leaves_no_weights(server: Hub) -> None:
    server.cut = 5
    refusal()
    server.cut = 0
    assert (fetch(MODEL).folder / "model.safetensors").read_bytes() == b"new weights"


def test_a_full_disk_is_a_sentence(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("huggingface_hub.file_download.http_get", full)
    assert refusal().message.endswith("cannot be stored in the cache: No space left on device")


def test_a_name_that_only_the_library_refuses_is_a_sentence(server: Hub) -> None:
    assert refusal(Address("owner/na--me")).message == "`owner/na--me` cannot be a name on the Hub"


def test_a_mistake_of_ours_stays_what_it_is(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*_: object, **__: object) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr("huggingface_hub.file_download.http_get", wrong)
    with pytest.raises(KeyError):
        fetch(MODEL)
