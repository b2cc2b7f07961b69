"""A colored comic says in its description that it is in color, and nothing else in it changes."""

from __future__ import annotations

import pytest

from colorize.images.comic_info import colored, is_colored

SAID = b"<BlackAndWhite>No</BlackAndWhite>"


@pytest.mark.parametrize("old", [b"<BlackAndWhite>Yes</BlackAndWhite>", b"<BlackAndWhite />", SAID])
def test_what_it_says_is_replaced_in_place(old: bytes) -> None:
    xml = b"\xef\xbb\xbf<?xml version='1.0'?>\r\n<ComicInfo>\r\n  <Title>\xc3\xa9</Title>\r\n  %s\r\n</ComicInfo>\r\n"
    assert colored(xml % old) == xml % SAID
    assert is_colored(xml % old) == (old == SAID)


@pytest.mark.parametrize("end", [b"\n  <Manga>Yes</Manga>\n</ComicInfo>", b"\n</ComicInfo>\n"])
def test_it_is_added_where_the_schema_has_it(end: bytes) -> None:
    assert colored(b"<ComicInfo>\n  <Format>x</Format>" + end) == b"<ComicInfo>\n  <Format>x</Format>\n  " + SAID + end


@pytest.mark.parametrize("xml", [b"", b"<ComicInfo/>", "<ComicInfo></ComicInfo>".encode("utf-16")])
def test_a_description_without_a_place_for_it_stays(xml: bytes) -> None:
    assert colored(xml) == xml
