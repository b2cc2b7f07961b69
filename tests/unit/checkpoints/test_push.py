"""A model goes to the Hub whole, with its recipe and its card, and comes back the same."""

from __future__ import annotations

import json

import pytest
from hub_server import NEW, serving
from huggingface_hub import constants
from saved import TINY, changed

from colorize.checkpoints.model_files import load, push, save_folder
from colorize.errors import ColorizeError

# The library's own, when it sends large files.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning")


@pytest.fixture
def server(monkeypatch, tmp_path):
    with serving(monkeypatch, tmp_path) as held:
        held.name, held.files = "", {}
        yield held


@pytest.fixture
def folder(system, tmp_path):
    save_folder(system, TINY, tmp_path / "mine", {"license": "CC-BY-4.0"})
    return tmp_path / "mine"


def test_what_was_pushed_is_loaded_by_its_name(server, folder, system):
    assert push(folder, "me/tiny") == f"{server.url}/me/tiny/commit/{NEW}"
    loaded = load("me/tiny")
    assert loaded.recipe == TINY
    weights = loaded.colorizer.state_dict()
    assert all((value == weights[name]).all() for name, value in system.state_dict().items())


def test_one_commit_brings_the_three_files_and_no_others(server, folder):
    (folder / "state.safetensors").write_bytes(b"of a run")
    push(folder, "me/tiny", message="First")
    assert {name for _, name in server.files} == {"model.safetensors", "config.json", "README.md"}
    assert server.messages == ["First"]
    assert json.loads(server.files[NEW, "config.json"])["name"] == "mini"


@pytest.mark.parametrize("private", [True, False])
def test_a_new_repository_is_as_private_as_was_asked(server, folder, private):
    push(folder, "me/tiny", private=private)
    (made,) = server.made
    assert (made["organization"], made["name"]) == ("me", "tiny")
    assert made["visibility"] == ("private" if private else "public")


def test_the_token_goes_with_every_request(server, folder):
    push(folder, "me/tiny", token="hf_mine")
    assert set(server.tokens) == {"Bearer hf_mine"}


def test_a_file_alone_gets_a_card(server, file):
    push(file, "me/tiny")
    assert b'license: "cc0-1.0"' in server.files[NEW, "README.md"]


def test_a_new_card_leaves_the_one_on_the_hub(server, file):
    server.name, server.files = "me/tiny", {(NEW, "README.md"): b"written there"}
    push(file, "me/tiny")
    assert server.files[NEW, "README.md"] == b"written there"
    assert server.made == []


def test_a_card_beside_the_weights_replaces_it(server, folder):
    server.name, server.files = "me/tiny", {(NEW, "README.md"): b"written there"}
    (folder / "README.md").write_text("# Mine")
    push(folder, "me/tiny")
    assert server.files[NEW, "README.md"] == b"# Mine"


def refusal(*arguments, **how):
    with pytest.raises(ColorizeError) as found:
        push(*arguments, **how)
    return found.value


@pytest.mark.parametrize("name", ["tiny", "a/b/c", "me/tiny@v2", "me/tiny/x.safetensors", "é/b", ""])
def test_what_cannot_be_a_name_never_reaches_the_hub(server, folder, name):
    error = refusal(folder, name)
    assert error.code == 2
    assert error.hint == "write it as OWNER/NAME"
    assert server.asked == []


def test_the_hub_refusing_a_token_says_how_to_log_in(server, folder):
    server.writer = "hf_other"
    error = refusal(folder, "me/tiny", token="hf_mine")
    assert error.message == "`me/tiny` cannot be pushed: the Hub answered 403"
    assert "hf auth login" in error.hint


def test_an_unreachable_hub_is_a_sentence(server, folder, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert "check the connection" in refusal(folder, "me/tiny").hint


def test_offline_nothing_is_pushed(server, folder, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert refusal(folder, "me/tiny").message == "`me/tiny` cannot be pushed: the network is switched off"
    assert server.asked == []


def test_weights_of_another_program_are_refused(server, file):
    error = refusal(changed(file, {"config": None}), "me/tiny")
    assert "does not say what it is" in error.message
    assert server.asked == []


def test_a_missing_model_is_refused(server, tmp_path):
    assert "there is no file or folder" in refusal(tmp_path / "none", "me/tiny").message
