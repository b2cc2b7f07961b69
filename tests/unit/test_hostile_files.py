"""Files that somebody else made for a folder of the program: no link is followed, no name leads elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from comics import pack

from colorize.cli.config import _beside
from colorize.cli.messages import seconds
from colorize.cli.outputs import Target
from colorize.cli.volumes import VolumeJob, pages_folder
from colorize.coloring import inputs
from colorize.coloring.options import SampleOptions
from colorize.datasets.journal import JOURNAL, Journal
from colorize.errors import ColorizeError
from colorize.images import files, hint_files, json_lines, region_files
from colorize.images.archives import open_volume
from colorize.images.dataset_folder import METADATA, read_folder
from colorize.images.files import LINE, lines
from colorize.images.image import Picture
from colorize.images.metadata import MARK
from colorize.recipes import find
from colorize.recipes.overrides import override
from colorize.training.run_folder import LOCK, Lock

SECRET = "what nobody but its owner changes"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret" / "a.png"
    path.parent.mkdir()
    path.write_text(SECRET)
    return path


def folder(tmp_path: Path, *entries: dict[str, object]) -> Path:
    target = tmp_path / "data"
    target.mkdir()
    rows = [{"version": 2, "source": "x"}, *entries]
    (target / JOURNAL).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return target


def test_a_lock_that_is_a_link_is_refused_and_its_target_stays(tmp_path, secret):
    (tmp_path / LOCK).symlink_to(secret)
    with pytest.raises(ColorizeError, match=r"`.*\.lock` is a link"):
        Lock(tmp_path)
    assert secret.read_text() == SECRET


@pytest.mark.parametrize("name", ["samples", "tensorboard"])
def test_a_linked_folder_of_a_run_is_refused(tmp_path, secret, name):
    (tmp_path / name).symlink_to(secret.parent)
    with pytest.raises(ColorizeError, match=f"`.*{name}` is a link"):
        Lock(tmp_path)


def test_nothing_is_added_to_what_a_link_points_at(tmp_path, secret):
    (tmp_path / "log.jsonl").symlink_to(secret)
    with pytest.raises(ColorizeError, match="is a link, or not a file"):
        json_lines.append(tmp_path / "log.jsonl", {"step": 1})
    assert secret.read_text() == SECRET


def test_a_line_without_end_is_not_read(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(bytes(LINE + 1))
    with pytest.raises(ColorizeError, match="has a line of more than 1 MiB"):
        list(lines(tmp_path / "a.jsonl"))


def test_nothing_is_removed_through_a_linked_split(tmp_path, secret):
    target = folder(tmp_path, {"key": "k", "files": ["train/a.png"]})
    (target / "train").symlink_to(secret.parent)
    with pytest.raises(ColorizeError, match=r"`.*train` is a link"):
        Journal(target, {"source": "x"}, overwrite=True)
    assert secret.read_text() == SECRET


def test_nothing_is_removed_through_a_linked_folder_of_a_split(tmp_path, secret):
    target = folder(tmp_path, {"key": "k", "files": ["train/color/a.png"]})
    (target / "train").mkdir()
    (target / "train" / "color").symlink_to(secret.parent)
    with pytest.raises(ColorizeError, match=r"`.*color` is a link"):
        Journal(target, {"source": "x"}, overwrite=True)
    assert secret.exists()


def test_a_linked_journal_is_refused(tmp_path, secret):
    target = tmp_path / "data"
    target.mkdir()
    (target / JOURNAL).symlink_to(folder(tmp_path / "secret") / JOURNAL)
    with pytest.raises(ColorizeError, match=rf"`.*{JOURNAL}` is a link"):
        Journal(target, {"source": "x"})


@pytest.mark.parametrize(
    "name",
    [METADATA, "/a.png", "train/../../secret/a.png", "train/" + "x" * 300, "train/" + "x/" * 3000 + "a", "train/a\0"],
)
def test_a_journal_names_files_of_its_splits_only(tmp_path, secret, name):
    target = folder(tmp_path, {"key": "k", "files": [name]})
    with pytest.raises(ColorizeError, match="is damaged"):
        Journal(target, {"source": "x"}, overwrite=True)
    assert secret.read_text() == SECRET


def waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Target, Path]:
    """A volume to color in the working folder, and where its pages will wait."""
    monkeypatch.chdir(tmp_path)
    pack()
    target = Target(Path("book.cbz"), "book.cbz", Path("book.cbz"), Path("book_color.cbz"))
    return target, tmp_path / pages_folder(Path("book_color.cbz"))


def test_the_pages_of_a_volume_are_not_kept_in_a_linked_folder(tmp_path, monkeypatch, secret):
    target, folder = waiting(tmp_path, monkeypatch)
    folder.symlink_to(secret.parent)
    with pytest.raises(ColorizeError, match="is a link"):
        VolumeJob(target, SampleOptions(), True)
    assert secret.read_text() == SECRET


def test_only_files_of_the_program_are_removed_from_the_folder_of_pages(tmp_path, monkeypatch):
    target, folder = waiting(tmp_path, monkeypatch)
    folder.mkdir()
    for name in ("00001.png", "pages.jsonl", "diary.txt"):
        (folder / name).write_text("x")
    VolumeJob(target, SampleOptions(), True).close()
    assert [path.name for path in folder.iterdir()] == ["diary.txt"]


def test_a_page_comes_from_the_folder_of_pages_only(tmp_path, monkeypatch, secret):
    target, folder = waiting(tmp_path, monkeypatch)
    job = VolumeJob(target, SampleOptions(), True)
    line = {"page": "ch/1.png", "state": "colored", "file": "../secret/a.png", "why": "", "size": len(SECRET)}
    json_lines.append(folder / "pages.jsonl", line)
    json_lines.append(folder / "pages.jsonl", {"page": "ch/2.png", "what": "no result"})
    job._free()
    again = VolumeJob(target, SampleOptions(), True)
    assert (again.results, "ch/1.png" in again.left) == ({}, True)
    again.close()


@pytest.mark.parametrize("name", ["../x.png", "/etc/x.png", "a\\\\b.png"])
def test_a_map_of_regions_lies_beside_its_list(tmp_path, name):
    (tmp_path / "a.toml").write_text(f'map = "{name}"\n[regions]\n')
    with pytest.raises(ColorizeError, match="does not lie beside it"):
        region_files.read(tmp_path / "a.toml")


LONG = "x" * 300


@pytest.mark.parametrize(
    "text",
    [
        f'map = "{LONG}.png"\n[regions]\n',
        f'map = "a_regions_map.png"\n[regions]\n{"9" * 5000} = {{}}\n',
        f'map = "a_regions_map.png"\ncolored = "{LONG}"\n[regions]\n',
    ],
)
def test_names_and_numbers_of_regions_have_a_length(tmp_path, text):
    state = region_files.State("", None, ("#ffffff",))
    region_files.write_map(np.ones((2, 2), np.int32), tmp_path / "a_regions_map.png", state)
    (tmp_path / "a.toml").write_text(text)
    with pytest.raises(ColorizeError):
        region_files.read(tmp_path / "a.toml")


def test_a_map_of_regions_that_remembers_nonsense_is_refused(tmp_path):
    files.write(Picture(np.ones((2, 2, 1), np.uint16), text={MARK: "[" * 100_000}), tmp_path / "a_regions_map.png")
    (tmp_path / "a.toml").write_text('map = "a_regions_map.png"\n[regions]\n')
    with pytest.raises(ColorizeError, match="is not the map of the regions"):
        region_files.read(tmp_path / "a.toml")


def test_an_entry_without_a_name_is_passed_over(tmp_path):
    with ZipFile(tmp_path / "a.cbz", "w") as archive:
        archive.writestr("aa", b"x")
        archive.writestr("1.png", b"x")
    data = (tmp_path / "a.cbz").read_bytes()
    place = data.rindex(b"aa")  # in the index; without a name the two bytes become a part of its extra field
    data = data[: place - 18] + b"\0\0\2\0" + data[place - 14 :]
    (tmp_path / "a.cbz").write_bytes(data)
    assert open_volume(tmp_path / "a.cbz").pages == ("1.png",)


def test_a_picture_of_an_impossible_name_is_told(tmp_path):
    (tmp_path / METADATA).write_text(json.dumps({"file_name": LONG}))
    with pytest.raises(ColorizeError, match="which does not exist"):
        read_folder(tmp_path)


def test_a_palette_may_be_longer_than_a_path():
    assert inputs.palette(", ".join(["#aabbcc"] * 32)).palette


@pytest.mark.parametrize("text", ["[" * 100_000, '{"points": [{"x": ' + "9" * 5000])
def test_hints_too_deep_or_too_long_are_a_sentence(text):
    with pytest.raises(ColorizeError, match="a number that is too long, or too many brackets"):
        hint_files.parse(text, (8, 8))


@pytest.mark.parametrize("key", ["x", "radius"])
def test_a_hint_at_a_number_without_end_is_a_sentence(key):
    point = {"x": 1, "y": 1, "color": "navy", "radius": 1, key: 10**400}
    with pytest.raises(ColorizeError, match=r"needs a place|not a positive number"):
        hint_files.parse(json.dumps({"points": [point]}), (8, 8))


def test_a_reference_in_settings_of_an_impossible_name_is_left_as_it_is(tmp_path):
    assert _beside("a." + LONG, tmp_path) == "a." + LONG


def test_a_time_of_thousands_of_digits_is_a_sentence():
    with pytest.raises(ColorizeError, match="is not a time"):
        seconds("9" * 100_000 + "m")


@pytest.mark.parametrize("text", ["=5", "a..b=3", ".=1"])
def test_a_setting_without_a_name_is_a_sentence(text):
    with pytest.raises(ColorizeError, match="names no setting"):
        override(find("anime-diffusion"), text)


def test_a_setting_that_divides_by_zero_is_a_sentence():
    with pytest.raises(ColorizeError, match=r"`denoiser\.net\.head` has an impossible value"):
        override(find("colorize-diffusion"), "denoiser.net.head=0")
    for recipe in ("anime-diffusion", "mini"):
        with pytest.raises(ColorizeError, match=r"net\.heads is 0"):
            override(find(recipe), "denoiser.net.heads=0")
