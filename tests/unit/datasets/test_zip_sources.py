"""Pictures in zip archives become the training data that folders would, and hostile archives do no harm."""

from __future__ import annotations

import json
import stat
from itertools import islice
from pathlib import Path
from zipfile import ZIP_BZIP2, ZIP_DEFLATED, ZipFile, ZipInfo

import pytest
from sources import SMALL, colored, contents, drawing, look, run, save, stories
from tables import encoded

from colorize.datasets.prepare import PrepareOptions, prepare
from colorize.datasets.sources import Source
from colorize.errors import ColorizeError
from colorize.images import archives
from colorize.images.dataset_folder import read_folder


def pack(path: Path, members: dict[str, bytes], method: int = ZIP_DEFLATED) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with ZipFile(path, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def picture(seed: int) -> bytes:
    return encoded(colored(seed))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Two pairs of archives of six pictures each, those of the second in a folder inside."""
    root = tmp_path / "source"
    for number, inside in (("0001", ""), ("0002", "miku/")):
        seeds = range(6) if number == "0001" else range(6, 12)
        pack(root / f"color/{number}.zip", {f"{inside}{i}.png": picture(i) for i in seeds})
        lines = {f"{inside}{i}.jpg": encoded(drawing(i), "JPEG") for i in seeds}
        pack(root / f"sketch/{number}.zip", lines)
    return root


def test_pairs_of_archives_become_what_pairs_of_folders_become(source, tmp_path):
    for packed in source.rglob("*.zip"):
        with ZipFile(packed) as archive:
            archive.extractall(tmp_path / "folders" / packed.relative_to(source).with_suffix(""))
    shares = {"validation": 0.0, "test": 0.0}
    summary = run(source, tmp_path / "a", **shares)
    run(tmp_path / "folders", tmp_path / "b", **shares)
    assert (summary.layout, summary.counts["train"]) == ("pairs in zip", 12)
    seen, wanted = contents(tmp_path / "a"), contents(tmp_path / "b")
    assert seen.keys() == wanted.keys()
    assert "train/color/0001/3.png" in seen
    assert {name for name in seen if seen[name] != wanted[name]} == {"train/metadata.jsonl"}


def test_an_archive_alone_makes_no_group_but_a_folder_in_it_does(source):
    groups = {item.color: item.group for item in look(source).items}
    assert groups["color/0001.zip/3.png"] == "0001/3"
    assert groups["color/0002.zip/miku/7.png"] == "0002/miku"


def test_an_archive_of_color_pictures_alone_gets_lines_extracted(tmp_path):
    packed = pack(tmp_path / "all.zip", {f"part/{i}.png": picture(i) for i in range(4)})
    summary = run(packed, tmp_path / "data", group="none")
    assert (summary.layout, sum(summary.counts.values())) == ("pictures in zip", 4)
    assert read_folder(tmp_path / "data")[0].line is not None


def test_pictures_beside_archives_go_first_unless_zip_is_asked_for(source):
    save(colored(20), source / "loose.png")
    assert look(source).layout == "pictures"
    assert look(source, "zip").layout == "pairs in zip"


def test_a_folder_without_archives_is_told(tmp_path):
    with pytest.raises(ColorizeError, match="holds no zip archives"):
        look(stories(tmp_path), "zip")


def test_an_index_tells_which_drawings_are_to_be_extracted(source):
    extra = {f"{i}.png": picture(i) for i in (20, 21)}
    pack(source / "color/0003.zip", extra)
    entry = {"aesthetic_score": 6.1, "resolution": 900, "exist_sketch": False}
    (source / "image_list1.json").write_text(json.dumps({"0003.zip/20.png": entry}))
    found = look(source)
    lines = {item.color: item.line for item in found.items}
    assert lines["color/0003.zip/20.png"] == ""
    assert lines["color/0001.zip/1.png"] == "sketch/0001.zip/1.jpg"
    assert [path for path, _ in found.skipped] == ["color/0003.zip/21.png"]
    assert "`image_list1.json` says which drawings exist" in found.notes[0]


@pytest.mark.parametrize("text", ["", "[1]", '{"a": 1}', "[" * 10_000, '{"a": {"b": 1}'])
def test_a_damaged_index_is_refused(source, text):
    (source / "image_list.json").write_text(text)
    with pytest.raises(ColorizeError, match=r"image_list.json` is not an index"):
        look(source)


@pytest.mark.parametrize("packed", [True, False])
def test_masks_are_left_out_with_a_note(source, tmp_path, packed):
    if packed:
        pack(source / "mask/0001.zip", {"0.png": picture(0), "1.png": picture(1)})
    else:
        source = tmp_path / "folders"
        for side, pixels in (("color", colored(1)), ("sketch", drawing(1)), ("mask", drawing(2))):
            for name in ("a", "b"):
                save(pixels, source / side / f"{name}.png")
    found = look(source)
    assert not found.skipped
    assert found.notes == ["masks are left out (2); training does not use them"]


def test_a_stopped_run_goes_on_and_a_changed_archive_is_read_again(source, tmp_path):
    events = prepare(source, tmp_path / "data", PrepareOptions(**SMALL))
    list(islice(events, 5))
    events.close()
    run(source, tmp_path / "data")
    run(source, tmp_path / "whole")
    assert contents(tmp_path / "data") == contents(tmp_path / "whole")
    before = contents(tmp_path / "data")
    lines = {f"{i}.jpg": encoded(drawing(i + 50), "JPEG") for i in range(6)}
    pack(source / "sketch/0001.zip", lines)
    run(source, tmp_path / "data")
    after = contents(tmp_path / "data")
    changed = {name for name in before if before[name] != after[name]}
    assert {name.split("/", 1)[1] for name in changed} == {f"line/0001/{i}.png" for i in range(6)}


def test_ten_thousand_pictures_are_listed(tmp_path):
    pack(tmp_path / "many.zip", {f"{i % 7}/{i}.png": b"" for i in range(10_500)})
    assert len(look(tmp_path).items) == 10_500


# Hostile archives


def refusals(root: Path, *members: tuple[ZipInfo | str, bytes], method: int = ZIP_DEFLATED) -> Source:
    """What is found in an archive with one good picture and others."""
    pack(root / "a.zip", {"good.png": picture(1)})
    with ZipFile(root / "a.zip", "a", method) as archive:
        for info, data in members:
            archive.writestr(info, data)
    found = look(root)
    assert [item.color for item in found.items] == ["a.zip/good.png"]
    return found


@pytest.mark.parametrize("name", ["../evil.png", "/evil.png", "a/../../evil.png", "C:/evil.png", "..\\evil.png"])
def test_names_that_point_out_of_the_archive_are_refused(tmp_path, name):
    root = tmp_path / "deep/er"
    found = refusals(root, (name, picture(2)))
    assert "points outside its archive" in found.skipped[0][1]
    run(root, tmp_path / "data", group="none")
    assert not list(tmp_path.rglob("*evil*"))


def test_links_and_archives_inside_are_refused_and_other_files_passed_over(tmp_path):
    link = ZipInfo("link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    other = (("inner.zip", b"PK"), ("notes.txt", b"a"), ("__MACOSX/._a.png", b"b"), (".b.png", b"c"))
    found = refusals(tmp_path, (link, b"/etc/passwd"), *other)
    assert [reason.split("` ")[1] for _, reason in found.skipped] == [
        "is a link", "is an archive in an archive",
    ]  # fmt: skip


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_occurs_twice_is_read_once(tmp_path):
    assert "twice" in refusals(tmp_path, ("good.png", picture(2))).skipped[0][1]


def test_methods_that_unpack_without_limit_are_refused(tmp_path):
    found = refusals(tmp_path, ("a.png", picture(2)), method=ZIP_BZIP2)
    assert "is compressed in a rare way" in found.skipped[0][1]


def test_encrypted_pictures_are_refused(tmp_path):
    packed = pack(tmp_path / "a.zip", {"good.png": picture(1)})
    data = bytearray(packed.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    packed.write_bytes(data)
    with pytest.raises(ColorizeError, match="hold no pictures") as caught:
        look(tmp_path)
    assert "is encrypted" in str(caught.value.hint)


def test_too_large_a_picture_is_refused_and_too_swollen_an_archive(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAX_BYTES", 2**20)
    assert "has 2 MiB, of at most 1" in refusals(tmp_path, ("a.png", bytes(2**21))).skipped[0][1]
    monkeypatch.setattr(archives, "HARMLESS", 2**20)
    with pytest.raises(ColorizeError, match=r"would unpack to 2 MiB, .* times its size"):
        look(tmp_path)


def test_a_picture_larger_than_its_header_says_is_no_picture(tmp_path):
    # The header of the bomb claims 100 bytes; not more than that is unpacked.
    packed = pack(tmp_path / "source/a.zip", {"good.png": picture(1), "bomb.png": bytes(2**20)})
    data = bytearray(packed.read_bytes())
    place = data.rindex(b"PK\x01\x02") + 24
    data[place : place + 4] = (100).to_bytes(4, "little")
    packed.write_bytes(data)
    summary = run(tmp_path / "source", tmp_path / "data")
    assert [path for path, _ in summary.skipped] == ["a.zip/bomb.png"]


@pytest.mark.parametrize("size", [0, 10, -30])
def test_a_cut_archive_is_refused_and_a_damaged_picture_in_one_skipped(source, tmp_path, size):
    packed = source / "color/0001.zip"
    whole = packed.read_bytes()
    packed.write_bytes(whole[:size])
    with pytest.raises(ColorizeError, match=r"`color/0001.zip` cannot be read as a zip archive"):
        look(source)
    packed.write_bytes(whole[:60] + bytes(40) + whole[100:])
    assert [path for path, _ in run(source, tmp_path / "data").skipped] == ["color/0001.zip/0.png"]
