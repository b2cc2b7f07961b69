"""What `colorize sample` refuses of archives, that nothing comes of it, and which oddities it takes."""

from __future__ import annotations

import io
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import pytest
from comics import content, pack, page
from drawings import run

pytestmark = pytest.mark.usefixtures("desk")


def hostile(name: str, **given: object) -> None:
    info = ZipInfo(name)
    for key, value in given.items():
        setattr(info, key, value)
    with ZipFile("bad.cbz", "w") as archive:
        archive.writestr("1.png", page(1))
        archive.writestr(info, b"x")


@pytest.mark.parametrize("name", ["../out.png", "/etc/x.png", "C:\\x.png", "a/../../x.txt"])
def test_a_volume_that_points_outside_is_refused(name: str) -> None:
    hostile(name)
    result = run("bad.cbz")
    assert (result.exit_code, "points outside its archive" in result.stderr) == (1, True)
    assert not Path("bad_color.cbz").exists()


def test_links_twins_and_bombs_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    hostile("link.png", external_attr=0o120777 << 16)
    assert "is a link" in run("bad.cbz").stderr
    with pytest.warns(UserWarning, match="Duplicate"):
        hostile("1.png")
    assert "twice" in run("bad.cbz").stderr
    monkeypatch.setattr("colorize.images.archives.HARMLESS", 2**20)
    with ZipFile("bad.cbz", "w", ZIP_DEFLATED) as archive:
        archive.writestr("1.png", bytes(2**24))
    assert "times its size" in run("bad.cbz").stderr
    assert not list(Path().glob(".bad*"))


def test_a_password_is_asked_to_be_taken_off() -> None:
    data = bytearray(pack("locked.cbz", 1).read_bytes())
    for sign, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = -1
        while (at := data.find(sign, at + 1)) >= 0:
            data[at + place] |= 1
    Path("locked.cbz").write_bytes(data)
    result = run("locked.cbz")
    assert (result.exit_code, "protected by a password" in result.stderr) == (1, True)


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"Rar!\x1a\x07\x01\x00", "RAR archive"),
        (b"7z\xbc\xaf\x27\x1c\0\0", "7-Zip"),
        (b"%PDF-1.7\n", "PDF"),
        (b"", "zip archive"),
        (b"PK\x03\x04 and no more", "zip archive"),
    ],
)
def test_what_is_no_zip_archive_is_named(data: bytes, word: str) -> None:
    Path("bad.cbr").write_bytes(data)
    result = run("bad.cbr")
    assert (result.exit_code, word in result.stderr) == (1, True)


def test_archives_inside_stay_closed() -> None:
    inner = io.BytesIO()
    with ZipFile(inner, "w") as archive:
        archive.writestr("1.png", page(1))
    with ZipFile("outer.cbz", "w") as archive:
        archive.writestr("inner.cbz", inner.getvalue())
    assert "unpack it first" in run("outer.cbz").stderr
    with ZipFile("outer.cbz", "a") as archive:
        archive.writestr("1.png", page(1))
    result = run("outer.cbz")
    assert (result.exit_code, "is an archive; it stays as it is" in result.stderr) == (0, True)
    assert content("outer_color.cbz")["inner.cbz"] == inner.getvalue()


def test_ten_thousand_files_are_no_trouble() -> None:
    with ZipFile("many.cbz", "w") as archive:
        for number in range(10_000):
            archive.writestr(f"notes/{number}.txt", b"")
        archive.writestr("1.png", page(1))
    assert run("many.cbz").exit_code == 0
    assert len(content("many_color.cbz")) == 10_001


@pytest.mark.parametrize(
    "more", [("--grid",), ("--variations", "2"), ("--film", "f.gif"), ("--layers", "l.ora"), ("-o", "-")]
)
def test_what_is_for_single_pictures_is_refused(more: tuple[str, ...]) -> None:
    pack()
    result = run("book.cbz", *more)
    assert (result.exit_code, "is a volume, and" in result.stderr) == (2, True)


@pytest.mark.parametrize(("source", "out"), [("book.cbz", "x.png"), ("sketch.png", "x.cbz")])
def test_a_picture_and_a_volume_cannot_be_written_as_each_other(source: str, out: str) -> None:
    pack()
    result = run(source, "-o", out)
    assert (result.exit_code, "cannot be written as" in result.stderr) == (2, True)


def test_a_full_disk_leaves_the_pages_and_no_half_volume(monkeypatch: pytest.MonkeyPatch) -> None:
    pack()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("colorize.images.archives.shutil.copyfileobj", full)
        result = run("book.cbz")
    assert (result.exit_code, "the disk is full" in result.stderr) == (1, True)
    assert not Path("book_color.cbz").exists()
    assert "3 skipped" in run("book.cbz").stderr
    assert len(content("book_color.cbz")) == 4


@pytest.mark.parametrize("name", ["n" * 240, "あ" * 79])
def test_the_longest_names_are_no_trouble(name: str) -> None:
    pack(f"{name}.cbz", 1)
    assert run(f"{name}.cbz").exit_code == 0
    assert len(content(f"{name}_color.cbz")) == 2


def test_the_longest_name_of_all_does_not_stop_its_folder() -> None:
    Path("lib").mkdir()
    names = ["n" * 251, "other", "short"]
    for name in names:
        pack(f"lib/{name}.cbz", 1)
    assert run("lib", "-o", "out").exit_code == 0
    assert sorted(path.stem for path in Path("out").glob("*.cbz")) == names
