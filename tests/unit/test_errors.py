"""Claims about hints on misspelt words: near words are offered, unlike ones never."""

from __future__ import annotations

import pytest

from colorize import recipes
from colorize.errors import LISTED, nearest

NEAR = {
    "mnii": "mini",
    "minni": "mini",
    "MINI": "mini",
    "manga": "manga-gan",
    "lab-difusion": "lab-diffusion",
    "colorize-difusoin": "colorize-diffusion",
}


@pytest.mark.parametrize("word", NEAR)
def test_a_misspelt_or_shortened_word_is_understood(word: str) -> None:
    assert nearest(word, recipes.names()) == f"did you mean `{NEAR[word]}`?"


@pytest.mark.parametrize("word", ["stable-diffusion", "photo", "large", "gan", "mine-craft", "x", ""])
def test_an_unlike_word_gets_the_list(word: str) -> None:
    assert nearest(word, recipes.names()) == "known: " + ", ".join(recipes.names())


@pytest.mark.parametrize(("word", "known"), [("metal", "betas"), ("fast", "flat"), ("int8", "hint"), ("out", "auto")])
def test_words_that_share_only_letters_are_not_confused(word: str, known: str) -> None:
    assert nearest(word, [known]) == f"known: {known}"


def test_of_two_near_words_the_nearer_is_offered() -> None:
    assert nearest("ddmi", ["ddpm", "ddim"]) == "did you mean `ddim`?"


def test_a_long_list_is_cut() -> None:
    hint = nearest("x", [f"word{number}" for number in range(LISTED + 7)])
    assert hint.endswith(" and 7 more")
