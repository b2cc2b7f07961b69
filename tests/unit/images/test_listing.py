"""Inputs of the command line become a list of pictures that mirrors their folders."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from colorize.errors import ColorizeError
from colorize.images.listing import PICTURE_SUFFIXES, Source, find, natural


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def touch(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


def relatives(*inputs: str) -> list[str]:
    return [source.relative.as_posix() for source in find(inputs)]


def test_a_file_is_mirrored_by_its_name(here):
    touch("book/page.png")
    assert find(["book/page.png"]) == [Source(Path("book/page.png"), Path("page.png"))]


def test_a_folder_is_mirrored_with_all_below(here):
    touch("book/a.png", "book/one/a.png", "book/one/two/b.jpg")
    assert relatives("book") == ["a.png", "one/a.png", "one/two/b.jpg"]


def test_numbers_are_sorted_by_value(here):
    touch("book/page10.png", "book/page2.png", "book/Page1.png")
    assert relatives("book") == ["Page1.png", "page2.png", "page10.png"]


@given(st.lists(st.text(), max_size=5))
def test_natural_order_sorts_any_names(names):
    sorted((Path(name.replace("\0", "")) for name in names), key=natural)


def test_named_files_keep_the_order_in_which_they_are_named(here):
    touch("b.png", "a.png")
    assert relatives("b.png", "a.png") == ["b.png", "a.png"]


def test_suffixes_are_known_in_any_case(here):
    touch("book/a.PNG", "book/b.JpEg")
    assert len(find(["book"])) == 2


def test_other_files_of_a_folder_are_skipped(here):
    touch("book/a.png", "book/notes.txt", "book/b.png.part")
    assert relatives("book") == ["a.png"]


def test_a_named_file_is_taken_whatever_its_suffix(here):
    touch("scan.dat")
    assert relatives("scan.dat") == ["scan.dat"]


@pytest.mark.parametrize("name", [".a.png", ".thumbs/a.png", "__MACOSX/a.png", "@eaDir/a.png"])
def test_hidden_files_are_skipped(here, name):
    touch("book/a.png", f"book/{name}")
    assert relatives("book") == relatives("book/**/*.png") == ["a.png"]


def test_a_hidden_folder_is_taken_if_named(here):
    touch(".cache/a.png")
    assert relatives(".cache") == ["a.png"]


@pytest.mark.parametrize("pattern", ["book/**/*.png", "book/**", "book/**/*", "book/*"])
def test_a_pattern_is_mirrored_from_its_fixed_start(here, pattern):
    touch("book/one/a.png", "book/two/a.png", "book/two/deep/b.png")
    assert relatives(pattern) == ["one/a.png", "two/a.png", "two/deep/b.png"]


def test_a_pattern_skips_what_is_no_picture(here):
    touch("a.png", "notes.txt")
    assert relatives("*") == ["a.png"]


def test_a_pattern_that_spells_a_suffix_takes_it(here):
    touch("a.dat", "b.dat")
    assert relatives("*.dat") == ["a.dat", "b.dat"]


def test_an_absolute_pattern_works(here):
    touch("book/a.png")
    assert relatives(f"{here}/b*/a.png") == ["book/a.png"]


def test_a_name_with_brackets_is_a_name_before_it_is_a_pattern(here):
    touch("page[1].png", "page1.png")
    assert relatives("page[1].png") == ["page[1].png"]


def test_what_is_named_twice_is_taken_once(here):
    touch("book/a.png")
    assert relatives("book", "book/a.png", f"{here}/book", "book/*.png", "./book/") == ["a.png"]


def test_same_names_of_two_folders_get_the_folder_in_front(here):
    touch("one/a.png", "one/b.png", "two/a.png", "three/c.png")
    assert relatives("one", "two", "three") == ["one/a.png", "one/b.png", "two/a.png", "c.png"]


def test_same_names_of_two_named_files_get_the_folder_in_front(here):
    touch("one/a.png", "two/a.png")
    assert relatives("one/a.png", "two/a.png") == ["one/a.png", "two/a.png"]


def test_same_names_of_folders_of_the_same_name_get_more_in_front(here):
    touch("x/one/a.png", "y/one/a.png")
    assert relatives("x/one", "y/one") == ["x/one/a.png", "y/one/a.png"]


def test_a_folder_and_a_prefix_that_meets_it_are_kept_apart(here):
    touch("one/a.png", "two/a.png", "three/one/a.png")
    assert len(set(relatives("one", "two", "three"))) == 3


def test_links_in_a_circle_end(here):
    touch("book/a.png")
    for name in ("x", "y", "z"):
        Path(f"book/{name}").symlink_to(here / "book", target_is_directory=True)
    assert relatives("book") == relatives("book/**/*.png") == ["a.png"]


def test_a_linked_folder_is_followed_once_under_its_own_name(here):
    touch("other/a.png", "book/real/b.png")
    Path("book/away").symlink_to(here / "other", target_is_directory=True)
    Path("book/again").symlink_to(here / "book/real", target_is_directory=True)
    assert relatives("book") == ["away/a.png", "real/b.png"]


def test_a_dash_is_standard_input(here):
    touch("a.png")
    assert [source.path for source in find(["a.png", "-", "-"])] == [Path("a.png"), None]


def test_a_missing_file_is_told_with_the_nearest_name(here):
    touch("page.png")
    with pytest.raises(ColorizeError, match=r"`pages.png` does not exist") as caught:
        find(["pages.png"])
    assert "`page.png`" in caught.value.hint


def test_a_link_to_nothing_is_told(here):
    Path("a.png").symlink_to("gone.png")
    with pytest.raises(ColorizeError, match="is a broken link"):
        find(["a.png"])


def test_a_folder_without_pictures_is_told(here):
    touch("book/notes.txt")
    with pytest.raises(ColorizeError, match="`book` holds no pictures"):
        find(["book"])


def test_a_pattern_without_matches_is_told(here):
    with pytest.raises(ColorizeError, match="no picture matches"):
        find(["*.png"])


@pytest.mark.parametrize("pattern", ["a\0.png", "[", "/*/\0*"])
def test_a_senseless_pattern_is_told(here, pattern):
    with pytest.raises(ColorizeError):
        find([pattern])


def test_a_forbidden_folder_is_told(here, monkeypatch):
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))  # root may read all

    touch("book/a.png")
    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(ColorizeError, match="`book` cannot be read: Permission denied"):
        find(["book"])


def test_nothing_named_is_wrong_usage():
    with pytest.raises(ColorizeError) as caught:
        find([])
    assert caught.value.code == 2


@settings(deadline=None)
@given(
    st.lists(st.lists(st.sampled_from("ab"), min_size=1, max_size=4), min_size=1, max_size=6),
    st.lists(st.sampled_from(["a", "b", "a/a", "a/b", "b/a", "b/b"]), min_size=1, max_size=4),
)
def test_no_two_pictures_share_a_relative_path(tmp_path_factory, files, inputs):
    root = tmp_path_factory.mktemp("tree")
    for parts in files:
        touch(f"{root}/{'/'.join(parts)}/x.png")
    given_paths = [f"{root}/{name}" for name in inputs if (root / name).exists()]
    found = relatives(*given_paths) if given_paths else []
    assert len(found) == len(set(found))


def test_suffixes_are_written_in_lower_case():
    assert all(suffix == suffix.lower() for suffix in PICTURE_SUFFIXES)
