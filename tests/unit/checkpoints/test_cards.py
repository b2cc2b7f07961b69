"""Claims about the card of a model: how it is written, and which license it names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from colorize.checkpoints.cards import card, license_in, notice

PAGE = "https://hub/owner/name"


def fields(text: str) -> dict[str, object]:
    _, front, _ = text.split("---\n", 2)
    pairs = (line.split(": ", 1) for line in front.splitlines())
    return {name: json.loads(value) for name, value in pairs}


def test_the_card_names_its_library() -> None:
    assert fields(card("mini", "Small", {}))["library_name"] == "colorize"


def test_a_license_that_is_no_identifier_is_called_other() -> None:
    assert fields(card("mini", "Small", {"license": "ask me\ntags: [x]"}))["license"] == "other"


def test_facts_stand_in_the_card() -> None:
    assert "## pictures\n\nall CC0\n" in card("mini", "Small", {"pictures": "all CC0"})


CARDS = {
    "---\nlicense: cc-by-nc-4.0\n---\n": "cc-by-nc-4.0",
    "---\r\nlicense: cc-by-nc-4.0\r\n---\r\n": "cc-by-nc-4.0",
    "\ufeff---\ntags:\n- x\nlicense: openrail++\nlanguage: en\n---\n# A title\n": "openrail++",
    '---\nlicense: "mit"  # a comment\n---\n': "mit",
    "---\nlicense:\n- mit\n- x\n---\n": "mit",
    "---\nlicense: [mit, x]\n---\n": "mit",
    "---\nlicense: other\n---\n": "other",
    "---\nlicense: other\nlicense_name: my-own-1\n---\n": "my-own-1",
    "---\nlicense: other\nlicense_name: My very own\n---\n": "other",
    "---\nlicense_name: my-own-1\n---\n": "",
    "---\nlicense: \x1b[2J\n---\n": "",
    "---\nlicense:\n---\n": "",
    "---\ntags: [x]\n---\nlicense: mit\n": "",
    "license: mit\n": "",
    "": "",
    "---\n" + "x: 1\n" * 20_000 + "license: mit\n---\n": "",
}


@pytest.mark.parametrize("text", CARDS)
def test_the_license_is_found_in_the_fields_of_a_card(tmp_path: Path, text: str) -> None:
    path = tmp_path / "README.md"
    path.write_bytes(text.encode())
    assert license_in(path) == CARDS[text]


def test_a_card_in_no_known_letters_is_read_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_bytes(b"---\nlicense: mit\n---\n\xff\xfe\x00")
    assert license_in(path) == "mit"


def test_a_model_written_here_has_its_license_found(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_text(card("mini", "Small", {"license": "CC-BY-SA-4.0"}))
    assert license_in(path) == "cc-by-sa-4.0"


def test_no_card_names_no_license(tmp_path: Path) -> None:
    assert license_in(tmp_path / "README.md") == ""


@pytest.mark.parametrize(
    "license_", ["cc-by-nc-4.0", "CC-BY-NC-SA-4.0", "x-non-commercial-license", "fair-noncommercial-1"]
)
def test_a_license_without_commerce_is_told_as_such(license_: str) -> None:
    said = notice("owner/name", license_, PAGE)
    assert said == (f"the weights of `owner/name` are under {license_}, which forbids commercial use; see {PAGE}")


@pytest.mark.parametrize(
    ("license_", "told"),
    [
        ("apache-2.0", "are under apache-2.0; see"),
        ("other", "are under a license of their own, which may forbid some uses; see"),
        ("", "come without a license; ask their authors:"),
    ],
)
def test_other_licenses_are_told_without_a_verdict(license_: str, told: str) -> None:
    assert notice("owner/name", license_, PAGE) == f"the weights of `owner/name` {told} {PAGE}"
