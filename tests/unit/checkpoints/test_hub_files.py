"""Claims about one file of a model on the Hub: how it is named, and which is taken where none is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hub_server import NEW, OLD, Hub, serving

from colorize.checkpoints import hub
from colorize.checkpoints.hub import Address, fetch, parse_address
from colorize.checkpoints.model_files import find
from colorize.errors import ColorizeError

V1 = "tellurion/ColorizeDiffusion"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A Hub whose model has files of other names: first.safetensors, deep/er.safetensors and a pickle."""
    with serving(monkeypatch, tmp_path) as held:
        hold(held, "first.safetensors", "deep/er.safetensors", "first.ckpt")
        yield held


def hold(server: Hub, *names: str, name: str = "owner/name") -> None:
    server.name = name
    server.files = {(NEW, each): each.encode() for each in names}


def refusal(model: Address, offline: bool = False) -> ColorizeError:
    with pytest.raises(ColorizeError) as caught:
        fetch(model, offline)
    return caught.value


# Names


@pytest.mark.parametrize("file", ["x.safetensors", "model.safetensors", "a/b-c/v1.5_x=2.safetensors"])
def test_a_file_follows_the_name(file: str) -> None:
    assert parse_address(f"owner/name/{file}") == Address("owner/name", "", file)


def test_a_revision_follows_the_file() -> None:
    found = parse_address("owner/name/x.safetensors@refs/pr/4")
    assert found == Address("owner/name", "refs/pr/4", "x.safetensors")


@pytest.mark.parametrize("text", ["owner/name/x.safetensors@v1", "owner/name/x.safetensors", "o/n@v1"])
def test_an_address_is_written_as_it_is_read(text: str) -> None:
    assert str(parse_address(text)) == text


HOSTILE = ["../x.safetensors", "a/../x.safetensors", "/x.safetensors", "a//x.safetensors", "x.ckpt"]
HOSTILE += ["x.safetensors/", ".x.safetensors", "-x.safetensors", "a\\x.safetensors", "x", "x.pt"]
HOSTILE += ["x.safetensors\n", "é.safetensors", "x y.safetensors", "%2e%2e/x.safetensors", ".safetensors"]
HOSTILE += ["a..safetensors", "a/" * 8 + "x.safetensors", "x" * 200 + ".safetensors", "x.safetensors?y"]


@pytest.mark.parametrize("file", HOSTILE)
def test_a_hostile_file_is_no_file_of_a_model(file: str) -> None:
    assert parse_address(f"owner/name/{file}") is None


def test_a_file_behind_the_revision_is_refused_with_the_right_order() -> None:
    with pytest.raises(ColorizeError, match=r"OWNER/NAME/FILE\.safetensors@REVISION"):
        parse_address("owner/name@v1/x.safetensors")


# Named files


@pytest.mark.parametrize("file", ["first.safetensors", "deep/er.safetensors"])
def test_a_named_file_is_fetched(server: Hub, file: str) -> None:
    found = fetch(Address("owner/name", "", file))
    assert found.path.read_bytes() == file.encode()
    assert (found.folder.name, str(found.address)) == (NEW, f"owner/name/{file}@{NEW}")


def test_config_json_beside_a_file_comes_along(server: Hub) -> None:
    server.files[NEW, "deep/config.json"] = b"{}"
    found = fetch(Address("owner/name", "", "deep/er.safetensors"))
    assert found.path.with_name("config.json").read_bytes() == b"{}"


def test_the_source_of_a_fetched_file_fetches_it_again(server: Hub) -> None:
    server.revisions[NEW[:12]] = NEW
    found = find("owner/name/first.safetensors")
    again = parse_address(found.source)
    assert again is not None
    assert fetch(again).path == found.file
    before = len(server.asked)
    assert fetch(again, offline=True).path == found.file
    assert len(server.asked) == before


def test_a_file_that_the_model_lacks_gets_the_nearest_name(server: Hub) -> None:
    error = refusal(Address("owner/name", "", "frist.safetensors"))
    assert (error.message, error.code) == ("`owner/name` has no file `frist.safetensors`", 2)
    assert error.hint == "did you mean `first.safetensors`?"


def test_a_file_like_no_other_gets_the_names_there_are(server: Hub) -> None:
    hold(server, *(f"part-{number:02}.safetensors" for number in range(20)))
    error = refusal(Address("owner/name", "", "zzz.safetensors"))
    assert error.hint.startswith("it has part-00.safetensors, part-01.safetensors")
    assert error.hint.endswith("part-07.safetensors and 12 more")


def test_names_that_could_not_be_asked_for_are_not_shown(server: Hub) -> None:
    hold(server, "\x1b[2Jx.safetensors", "a.safetensors", "../b.safetensors")
    assert refusal(Address("owner/name", "", "zzz.safetensors")).hint == "it has a.safetensors"


# No file named


def test_model_safetensors_comes_before_all_others(server: Hub) -> None:
    hold(server, "a.safetensors", "model.safetensors", name=V1)
    assert fetch(Address(V1)).path.name == "model.safetensors"


def test_the_only_file_at_the_top_is_taken(server: Hub) -> None:
    found = fetch(Address("owner/name"))
    assert found.path.name == "first.safetensors"
    assert str(found.address) == f"owner/name/first.safetensors@{NEW}"


@pytest.mark.parametrize(
    ("name", "files"),
    [
        (V1, ["mult-eps-ft", "mult-eps-newft", "switch-eps", "v2-full"]),
        ("tellurion/colorizer", ["mult-newft", "mult-ft"]),
    ],
)
def test_of_a_known_model_the_usual_file_is_taken(
    server: Hub, monkeypatch: pytest.MonkeyPatch, name: str, files: list[str]
) -> None:
    monkeypatch.setattr(hub, "known_sha256", lambda *_: "")
    hold(server, *(f"{file}.safetensors" for file in files), name=name)
    taken = fetch(Address(name)).path
    assert taken.name in ("mult-eps-ft.safetensors", "mult-ft.safetensors")
    server.error = (503, "")
    assert fetch(Address(name)).path == taken
    assert fetch(Address(name), offline=True).path == taken


def test_another_file_of_a_known_model_is_not_taken_for_the_usual_one(
    server: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Guards against the cache answering otherwise than the Hub.
    hold(server, "mult-eps-ft.safetensors", "v2-full.safetensors", name=V1)
    fetch(Address(V1, "", "v2-full.safetensors"))
    assert "is not in the cache" in refusal(Address(V1), offline=True).message


def test_among_several_files_the_user_chooses(server: Hub) -> None:
    hold(server, "a.safetensors", "b.safetensors")
    error = refusal(Address("owner/name", "main"))
    assert (error.message, error.code) == ("`owner/name@main` holds several models", 2)
    hint = "name one: owner/name/a.safetensors@main, owner/name/b.safetensors@main"
    assert error.hint == hint


def test_among_several_files_in_the_cache_the_user_chooses(server: Hub) -> None:
    hold(server, "a.safetensors", "b.safetensors", "c.safetensors")
    for each in "ab":
        fetch(Address("owner/name", "", f"{each}.safetensors"))
    error = refusal(Address("owner/name"), offline=True)
    assert error.hint == "name one: owner/name/a.safetensors, owner/name/b.safetensors"


def test_a_model_of_pickles_is_refused(server: Hub) -> None:
    hold(server, "model.ckpt", "pytorch_model.bin")
    error = refusal(Address("owner/name"))
    assert error.message == "`owner/name` has no .safetensors file"
    assert ".bin files are not opened" in error.hint


def test_the_list_and_the_file_are_of_one_commit(server: Hub) -> None:
    # Guards against a push between the two requests.
    server.files[OLD, "first.safetensors"] = b"old"
    assert fetch(Address("owner/name", "v1")).path.read_bytes() == b"old"
    assert f"GET /owner/name/resolve/{OLD}/first.safetensors" in server.asked


def test_a_list_that_makes_no_sense_is_a_sentence(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub_server.Handler.tell", lambda self, _: self.answer(200, b"<html>", {}))
    assert refusal(Address("owner/name")).message.startswith("`owner/name` cannot be fetched")


# Single files


def test_one_file_is_fetched_once_and_found_without_a_network(server: Hub) -> None:
    path = hub.fetch_file("owner/name", "deep/er.safetensors")
    assert path.read_bytes() == b"deep/er.safetensors"
    before = len(server.asked)
    assert hub.fetch_file("owner/name", "deep/er.safetensors", offline=True) == path
    assert len(server.asked) == before


def test_one_file_comes_alone(server: Hub) -> None:
    server.files[NEW, "README.md"] = b"a card"
    hub.fetch_file("owner/name", "first.safetensors")
    assert not [line for line in server.asked if "README" in line or "config" in line]


@pytest.mark.parametrize("file", ["x.bin", "../x.safetensors", "", "x.safetensors@v1"])
def test_what_is_no_such_file_is_refused(server: Hub, file: str) -> None:
    with pytest.raises(ColorizeError, match=r"is not a \.safetensors file on the Hub"):
        hub.fetch_file("owner/name", file)
    assert not server.asked


def test_a_file_that_is_missing_is_a_sentence(server: Hub) -> None:
    with pytest.raises(ColorizeError, match=r"has no file `second\.safetensors`"):
        hub.fetch_file("owner/name", "second.safetensors")
    with pytest.raises(ColorizeError, match="is not in the cache of this machine"):
        hub.fetch_file("owner/name", "second.safetensors", offline=True)
