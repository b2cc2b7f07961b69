"""What is written is found again by reading, and is written whole or not at all."""

from __future__ import annotations

import errno
import os
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from colorize.errors import ColorizeError
from colorize.images.encode import FORMATS, encode, lost
from colorize.images.files import atomic, read, write
from colorize.images.image import Picture, from_tensor
from colorize.images.metadata import ASCII, EXIF_FOLDER, MAIN, UNDEFINED, Exif, png_chunks, profile

TEXT = {"colorize": "seed 1\n☃ 漫画", "Title": "", "XML:com.adobe.xmp": "<x:xmpmeta/>"}


def random(dtype: type, channels: int, alpha: bool) -> Picture:
    values = np.random.default_rng(0).integers(0, np.iinfo(dtype).max + 1, (5, 7, 4), dtype=dtype)
    return Picture(values[..., :channels].copy(), values[..., 3].copy() if alpha else None)


GRAY = random(np.uint8, 1, False)
KINDS = [
    (suffix, dtype, channels, alpha)
    for suffix, depths, alphas in (
        (".png", (np.uint8, np.uint16), (False, True)),
        (".tif", (np.uint8, np.uint16), (False, True)),
        (".webp", (np.uint8,), (False, True)),
        (".bmp", (np.uint8,), (False,)),
    )
    for dtype in depths
    for channels in (1, 3)
    for alpha in alphas
]


@pytest.mark.parametrize(("suffix", "dtype", "channels", "alpha"), KINDS)
def test_lossless_formats_keep_every_value(suffix, dtype, channels, alpha):
    picture = random(dtype, channels, alpha)
    found = read(encode(picture, suffix))
    wide = found.pixels.shape[2]  # WebP has no gray, and 16-bit gray TIFF no alpha
    assert found.pixels.dtype == dtype
    assert np.array_equal(found.pixels, picture.pixels.repeat(wide // channels, 2))
    assert np.array_equal(found.alpha, picture.alpha) if alpha else found.alpha is None


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("alpha", [False, True])
def test_png_keeps_gray_gray(dtype, alpha):
    assert read(encode(random(dtype, 1, alpha), ".png")).gray


@pytest.mark.parametrize("suffix", sorted(set(FORMATS) - {".bmp"}))
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_texts_are_found_again(suffix, dtype):
    assert read(encode(random(dtype, 3, False), suffix, TEXT)).text == TEXT


def resolved() -> Exif:
    exif = Exif()
    exif.set_dpi(600, 300)
    return exif


@pytest.mark.parametrize("suffix", sorted(set(FORMATS) - {".bmp"}))
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_exif_and_profile_are_found_again(suffix, dtype):
    exif = resolved()
    exif.tags[MAIN][0x010F] = ASCII, b"Maker\0"
    written = Picture(random(dtype, 3, False).pixels, None, profile("sRGB"), exif.block())
    found = read(encode(written, suffix, TEXT))
    tags = Image.Exif()
    tags.load(found.exif)
    assert (tags[0x010F], found.icc == profile("sRGB")) == ("Maker", True)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".bmp"])
def test_resolution_survives_from_format_to_format(suffix):
    picture = Picture(GRAY.pixels, exif=resolved().block())
    found = read(encode(read(encode(picture, suffix)), ".png")).exif
    assert Exif.parse(found).dpi() == pytest.approx((600, 300), rel=1e-3)


def test_writing_again_replaces_an_old_text():
    once = read(encode(GRAY, ".jpg", {"seed": "1"}))
    assert read(encode(once, ".png", {"seed": "2"})).text == {"seed": "2"}


@pytest.mark.parametrize("order", ["<", ">"])
def test_maker_notes_are_kept_when_a_text_is_added(order):
    exif = Exif(order)
    exif.tags[EXIF_FOLDER][0x927C] = UNDEFINED, b"notes of the camera"
    written = encode(Picture(GRAY.pixels, exif=exif.block()), ".webp", {"seed": "1"})
    found = read(written)
    assert (Exif.parse(found.exif).tags, found.text) == (exif.tags, {"seed": "1"})


def test_a_text_that_is_not_unicode_is_written_with_question_marks():
    name = os.fsdecode(b"\xff.png")
    assert read(encode(GRAY, ".png", {"input": name})).text == {"input": "?.png"}


def test_a_text_too_long_for_jpeg_does_not_cost_the_picture():
    assert read(encode(GRAY, ".jpg", {"long": "x" * 70_000})).text == {}
    assert "text" in lost(GRAY, ".jpg", {"long": "x" * 70_000})[0]


def test_a_gray_profile_is_not_given_to_colors():
    icc = bytes(16) + b"GRAY" + bytes(110)
    data = encode(Picture(random(np.uint8, 3, False).pixels, icc=icc), ".png")
    assert b"iCCP" not in [name for name, _ in png_chunks(data)]


def test_jpeg_keeps_thin_red_lines_red():
    pixels = np.full((32, 32, 3), 255, np.uint8)
    pixels[:, 15] = 255, 0, 0
    found = read(encode(Picture(pixels), ".jpg")).pixels
    assert found[:, 15, 1].max() < 10  # 48 with halved colors


@pytest.mark.parametrize("suffix", [".jpg", ".bmp"])
def test_without_transparency_a_picture_is_laid_on_white_and_that_is_told(suffix):
    picture = Picture(np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.uint8))
    assert read(encode(picture, suffix)).pixels.min() == 255
    assert "white" in lost(picture, suffix)[0]


def test_lost_bits_are_told_and_rounded():
    picture = Picture(np.array([[[128], [129]]], np.uint16))  # half of 257 is 128.5
    assert read(encode(picture, ".bmp")).pixels.ravel().tolist() == [0, 1]
    assert "8 bits" in lost(picture, ".bmp")[0]


def test_an_unknown_suffix_lists_the_known_ones(tmp_path):
    with pytest.raises(ColorizeError, match=r"\.gif.*\.png") as caught:
        write(GRAY, tmp_path / "a.gif")
    assert not list(tmp_path.iterdir()), caught.value


def test_a_side_too_long_for_webp_is_told():
    with pytest.raises(ColorizeError, match="16383"):
        encode(Picture(np.zeros((1, 16_384, 1), np.uint8)), ".webp")


@settings(deadline=None, max_examples=30)
@given(
    st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1).filter(
        lambda name: name not in (".", "..") and len(name.encode()) < 250
    )
)
def test_any_unicode_name_is_written_and_read(tmp_path_factory, name):
    path = tmp_path_factory.getbasetemp() / "names" / f"{name}.png"
    write(GRAY, path)
    assert np.array_equal(read(path).pixels, GRAY.pixels)


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_an_interrupted_writing_leaves_the_old_file_and_no_other(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def interrupted() -> None:
        with atomic(path) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        interrupted()
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("a.txt", "old")]


@pytest.mark.parametrize(("code", "words"), [(errno.ENOSPC, "full"), (errno.EACCES, "permission")])
def test_a_failed_writing_is_a_sentence_and_leaves_nothing(tmp_path, monkeypatch, code, words):
    def fail(path: Path, data: bytes) -> None:
        path.touch()
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(ColorizeError, match=words):
        write(GRAY, tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


def test_folders_on_the_way_are_made(tmp_path):
    write(GRAY, tmp_path / "b" / "c" / "a.png")
    assert (tmp_path / "b" / "c" / "a.png").is_file()


def test_a_file_in_the_way_is_told(tmp_path):
    (tmp_path / "b").touch()
    with pytest.raises(ColorizeError, match="not a folder"):
        write(GRAY, tmp_path / "b" / "a.png")


def test_a_device_is_never_replaced():
    with pytest.raises(ColorizeError, match="not a file"), atomic(Path(os.devnull)):
        pass
    assert not Path(os.devnull).is_file()


def test_a_link_is_replaced_and_its_target_stays(tmp_path):
    (tmp_path / "other").write_text("mine")
    (tmp_path / "link.png").symlink_to(tmp_path / "other")
    write(GRAY, tmp_path / "link.png")
    assert read(tmp_path / "link.png").size == GRAY.size
    assert (tmp_path / "other").read_text() == "mine"


def test_a_link_of_the_system_is_not_replaced():
    with pytest.raises(ColorizeError, match="is not a file"), atomic(Path("/dev/stdout")):
        pass
    assert Path("/dev/stdout").is_symlink()


def test_permissions_of_a_replaced_file_stay(tmp_path):
    (tmp_path / "a.png").touch(0o640)
    write(GRAY, tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_mode & 0o777 == 0o640


def test_a_tensor_becomes_the_nearest_levels():
    values = torch.tensor([-2.0, -1, -1 + 0.6 / 127.5, 1, 2]).reshape(1, 1, 1, 5)
    assert from_tensor(values).pixels.ravel().tolist() == [0, 0, 1, 255, 255]


@pytest.mark.parametrize("channels", [1, 3])
def test_tensor_and_back_is_the_same_picture(channels):
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(channels, 2)
    assert np.array_equal(from_tensor(Picture(levels).tensor()).pixels[..., :channels], levels)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_white_is_exactly_one_and_transparency_is_white(dtype):
    peak = np.iinfo(dtype).max
    picture = Picture(np.array([[[0], [peak], [0]]], dtype), np.array([[0, peak, peak]], dtype))
    assert picture.tensor()[0, 1].tolist() == [[1, 1, -1]]


def test_values_that_are_no_numbers_are_refused():
    with pytest.raises(ColorizeError, match="not numbers"):
        from_tensor(torch.full((1, 3, 2, 2), float("nan")))


def test_a_16_bit_png_is_checked_by_every_sum():
    data = encode(random(np.uint16, 3, True), ".png", TEXT)
    sums = [zlib.crc32(name + content) for name, content in png_chunks(data)]
    assert all(value.to_bytes(4, "big") in data for value in sums)
