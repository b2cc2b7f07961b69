"""Claims about names on the Hub, and about fetching."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hub_server import NEW, OLD, Hub, serving

from colorize.checkpoints import hub
from colorize.checkpoints.hub import Address, fetch, parse_address
from colorize.errors import ColorizeError


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    with serving(monkeypatch, tmp_path) as held:
        yield held


MODEL = Address("owner/name")


# Names


@pytest.mark.parametrize("name", ["owner/name", "0/1", "A-b.c_d/e" + "f" * 95])
def test_a_name_on_the_hub_is_understood(name: str) -> None:
    assert parse_address(name) == Address(name)


@pytest.mark.parametrize("revision", ["v1.0", "main", "refs/pr/4", NEW])
def test_a_revision_follows_the_at_sign(revision: str) -> None:
    assert parse_address(f"owner/name@{revision}") == Address("owner/name", revision)


HOSTILE = ["name", "a/b/c", "../b", "a/..", "a..b/c", "./b", "/a/b", "a/", "a/b c", "a/b\n", "a/b?x=1"]
HOSTILE += ["é/b", "a\\b/c", "a/" + "b" * 97, "https://huggingface.co/a/b", "-a/b", "a/b%2e", ""]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_no_name(name: str) -> None:
    assert parse_address(name) is None


@pytest.mark.parametrize("revision", ["", "../../x", "a..b", "/etc", "a b", "v1\n", "-x", "x" * 300])
def test_a_hostile_revision_is_refused(revision: str) -> None:
    with pytest.raises(ColorizeError, match="cannot be a revision of `owner/name`"):
        parse_address(f"owner/name@{revision}")


# Fetching


def test_the_newest_weights_are_fetched(server: Hub) -> None:
    assert (fetch(MODEL).folder / "model.safetensors").read_bytes() == b"new weights"


def test_the_folder_is_named_after_the_commit(server: Hub) -> None:
    assert fetch(MODEL).folder.name == NEW


def test_config_json_comes_along(server: Hub) -> None:
    assert (fetch(MODEL).folder / "config.json").read_bytes() == b"{}"


def test_a_model_without_config_json_is_fetched(server: Hub) -> None:
    assert not (fetch(Address("owner/name", "v1")).folder / "config.json").exists()


@pytest.mark.parametrize("revision", ["v1", OLD])
def test_a_revision_is_kept_to(server: Hub, revision: str) -> None:
    assert fetch(Address("owner/name", revision)).path.read_bytes() == b"old weights"


def test_both_files_are_of_one_commit(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    # Guards against a push between the two requests.
    fetch(MODEL)
    assert f"HEAD /owner/name/resolve/{NEW}/config.json" in server.asked


def test_a_fetched_model_is_not_fetched_again(server: Hub) -> None:
    fetch(MODEL)
    before = len(server.asked)
    fetch(MODEL)
    assert server.asked[before:] == ["GET /api/models/owner/name/revision/main?blobs=true"]


def test_a_fetched_commit_needs_no_network(server: Hub) -> None:
    pinned = Address("owner/name", NEW)
    fetch(pinned)
    before = len(server.asked)
    fetch(pinned)
    assert len(server.asked) == before


def test_a_token_comes_from_the_environment(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_mine")
    fetch(MODEL)
    assert set(server.tokens) == {"Bearer hf_mine"}


def test_names_of_files_are_those_of_the_library() -> None:
    from huggingface_hub import constants

    names = (constants.SAFETENSORS_SINGLE_FILE, constants.CONFIG_NAME, constants.REPOCARD_NAME)
    assert names == (hub.WEIGHTS, hub.CONFIG, hub.CARD)
