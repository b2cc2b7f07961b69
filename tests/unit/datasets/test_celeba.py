"""CelebA: its splits, its people, and what is missing of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from sources import colored, run, save

from colorize.errors import ColorizeError
from colorize.images.dataset_folder import read_folder

SPLITS = "0001120022"  # of ten pictures, as the list of CelebA writes them
PEOPLE = "2222233344"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Ten faces of three people."""
    base = tmp_path / "source/celeba"
    names = [f"{number:06d}.jpg" for number in range(1, 11)]
    for number, name in enumerate(names):
        save(colored(number), base / "img_align_celeba" / name)
    for file, values in (("list_eval_partition.txt", SPLITS), ("identity_CelebA.txt", PEOPLE)):
        lines = (f"{name} {value}\n" for name, value in zip(names, values, strict=True))
        (base / file).write_text("".join(lines))
    return tmp_path / "source"


@pytest.mark.parametrize("below", ["", "celeba"])
def test_the_splits_are_those_of_the_list(source, tmp_path, below):
    summary = run(source / below, tmp_path / "data", near=-1)
    assert summary.layout == "celeba"
    assert summary.counts == {"train": 5, "validation": 2, "test": 3}
    names = [row.file.stem for row in read_folder(tmp_path / "data", "validation")]
    assert names == ["000004", "000005"]


def test_pictures_of_a_person_are_a_group(source, tmp_path):
    run(source, tmp_path / "data", near=-1)
    groups = {row.file.stem: row.group for row in read_folder(tmp_path / "data", "train")}
    assert groups["000001"] == groups["000002"] == "person 2"
    assert groups["000007"] == "person 3"


def test_groups_may_be_given_up(source, tmp_path):
    run(source, tmp_path / "data", group="none")
    rows = read_folder(tmp_path / "data", "train")
    assert len({row.group for row in rows}) == len(rows)


def test_torchvision_loads_the_same_splits(source, tmp_path, monkeypatch):
    """The layout claimed is the one its loader takes; its checksums know only the real files."""
    from torchvision.datasets import CelebA

    base = source / "celeba"
    names = [f"{number:06d}.jpg" for number in range(1, 11)]
    for list_ in ("list_bbox_celeba", "list_landmarks_align_celeba", "list_attr_celeba"):
        lines = "".join(f"{name} 1 1\n" for name in names)
        (base / f"{list_}.txt").write_text(f"10\na b\n{lines}")
    monkeypatch.setattr(CelebA, "_check_integrity", lambda self: True)
    run(source, tmp_path / "data", near=-1)
    for theirs, ours in (("train", "train"), ("valid", "validation"), ("test", "test")):
        rows = read_folder(tmp_path / "data", ours)
        stems = [Path(name).stem for name in CelebA(str(source), split=theirs).filename]
        assert [row.file.stem for row in rows] == stems


# What is missing


@pytest.mark.parametrize("list_", ["list_eval_partition.txt", "identity_CelebA.txt"])
def test_a_missing_list_is_named(source, tmp_path, list_):
    (source / "celeba" / list_).unlink()
    with pytest.raises(ColorizeError, match=f"has no `{list_}`"):
        run(source, tmp_path / "data")


def test_pictures_still_packed_are_named(source, tmp_path):
    (source / "celeba/img_align_celeba").rename(tmp_path / "away")
    (source / "celeba/img_align_celeba.zip").write_bytes(b"PK")
    with pytest.raises(ColorizeError, match="img_align_celeba` holds no pictures") as error:
        run(source, tmp_path / "data")
    assert "unpack img_align_celeba.zip" in error.value.hint


def test_missing_pictures_are_counted_and_named(source, tmp_path):
    for name in ("000004.jpg", "000009.jpg"):
        (source / "celeba/img_align_celeba" / name).unlink()
    with pytest.raises(ColorizeError, match=r"lacks 2 of 10 pictures, such as `000004\.jpg`"):
        run(source, tmp_path / "data")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("000001.jpg 0\n", "lacks 9 of 10 pictures, such as `000002.jpg`"),
        ("000001.jpg 7\n", "gives `000001.jpg` an unknown split"),
        ("../../evil.jpg 0 0\n", "holds `../../evil.jpg 0 0` instead of names and numbers"),
        ("", "holds nothing instead"),
        ("é 0\n", "cannot be read"),
    ],
)
def test_a_damaged_list_is_refused(source, tmp_path, text, told):
    (source / "celeba/list_eval_partition.txt").write_text(text)
    with pytest.raises(ColorizeError) as error:
        run(source, tmp_path / "data")
    assert told in error.value.message


def test_what_is_no_celeba_is_refused_when_it_is_asked_for(tmp_path):
    save(colored(1), tmp_path / "source/a.png")
    with pytest.raises(ColorizeError, match=r"neither `list_eval_partition\.txt`"):
        run(tmp_path / "source", tmp_path / "data", layout="celeba")
