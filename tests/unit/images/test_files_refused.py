"""Files that are damaged, hostile or not there are refused with a sentence."""

from __future__ import annotations

import io
import os
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from colorize.errors import ColorizeError
from colorize.images import decode, files
from colorize.images.decode import LIMIT
from colorize.images.encode import encode
from colorize.images.files import read
from colorize.images.image import Picture
from colorize.images.metadata import join_png, png_chunks

DEEP = np.random.default_rng(0).integers(0, 65536, (6, 5, 3), dtype=np.uint16)


def plain(form: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray((DEEP >> 8).astype(np.uint8)).save(stream, form, **options)
    return stream.getvalue()


def header(width: int, height: int) -> bytes:
    """A PNG that says how large it is and holds nothing."""
    return join_png([(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", b"")])


WHOLE = {
    "baseline": plain("JPEG"),
    "progressive": plain("JPEG", progressive=True),
    "PNG": plain(),
    "GIF": plain("GIF"),
    "BMP": plain("BMP"),
    "WebP": plain("WEBP"),
    "TIFF": plain("TIFF"),
    "16-bit PNG": encode(Picture(DEEP), ".png"),
    "16-bit TIFF": encode(Picture(DEEP), ".tif"),
}


@pytest.mark.parametrize("form", WHOLE)
def test_a_cut_off_file_is_never_half_a_picture(form):
    data, whole = WHOLE[form], read(WHOLE[form]).pixels
    for cut in range(0, len(data), 7):
        with suppress(ColorizeError):
            assert np.array_equal(read(data[:cut]).pixels, whole)  # only metadata was cut off


@pytest.mark.parametrize("form", WHOLE)
def test_a_file_without_its_last_quarter_is_refused(form):
    with pytest.raises(ColorizeError, match=r"cut off|damaged"):
        read(WHOLE[form][: len(WHOLE[form]) * 3 // 4])


@settings(deadline=None)
@given(st.binary(max_size=80), st.sampled_from(["", *WHOLE]), st.integers(0, 40))
def test_no_bytes_can_raise_anything_but_our_error(body, form, keep):
    start = WHOLE[form][:keep] if form else b""
    with suppress(ColorizeError):
        read(start + body)


def test_an_empty_file_says_so():
    with pytest.raises(ColorizeError, match="`a` is empty"):
        read(b"", "a")


def test_what_is_no_picture_is_told_with_what_it_is():
    with pytest.raises(ColorizeError, match="not a picture") as caught:
        read(b"%PDF-1.7 ...")
    assert "PDF" in caught.value.hint


def test_a_missing_file_says_so(tmp_path):
    with pytest.raises(ColorizeError, match="no such file"):
        read(tmp_path / "a.png")


def test_a_folder_says_so(tmp_path):
    with pytest.raises(ColorizeError, match="is a folder"):
        read(tmp_path)


def test_a_nul_in_a_name_says_so():
    with pytest.raises(ColorizeError, match="NUL"):
        read("a\0.png")


def test_a_forbidden_file_says_so(tmp_path, monkeypatch):
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")  # root may read all, so it is played

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ColorizeError, match="permission is denied"):
        read(tmp_path / "a.png")


def test_control_signs_of_a_name_do_not_reach_the_terminal(tmp_path):
    with pytest.raises(ColorizeError) as caught:
        read(tmp_path / "\x1b[2Ja.png")
    assert "\x1b" not in caught.value.message


def test_a_bomb_is_refused_by_its_header():
    with pytest.raises(ColorizeError, match=f"30000 x 20000 .*{LIMIT // 10**6} million"):
        read(header(30_000, 20_000))


def test_a_huge_picture_in_a_tiny_file_is_refused():
    with pytest.raises(ColorizeError, match="it is nearly empty, or made to exhaust memory"):
        read(header(14_000, 14_000))


def test_a_png_without_the_bytes_for_its_pixels_is_cut_off():
    empty = [(b"IDAT", zlib.compress(b"")), (b"IEND", b"")]  # Pillow would take what is missing for black
    with pytest.raises(ColorizeError, match="300 x 300 pixels, but is cut off: 65 bytes cannot hold them"):
        read(join_png([(b"IHDR", struct.pack(">IIBBBBB", 300, 300, 8, 2, 0, 0, 0)), *empty]))


def test_a_tile_far_larger_than_its_picture_is_refused():
    tags = {256: 64, 257: 64, 258: 8, 259: 8, 262: 1, 277: 1, 322: 45_008, 323: 45_008, 324: 8, 325: 9}
    rows = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    with pytest.raises(ColorizeError, match="64 x 64 pixels, but its tiles are 45008 x 45008"):
        read(struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + rows + bytes(4))


def test_a_file_that_is_too_large_is_refused_before_it_is_read(tmp_path):
    with (tmp_path / "a.png").open("wb") as stream:
        stream.truncate(6 * 2**30)
    with pytest.raises(ColorizeError, match=r"`.*a.png` has more than 1024 MiB"):
        read(tmp_path / "a.png")


def test_standard_input_has_a_limit(monkeypatch):
    monkeypatch.setattr(files, "BYTES", 2**20)
    with pytest.raises(ColorizeError, match="`standard input` has more than 1 MiB"):
        read(io.BytesIO(bytes(2**20 + 1)))


def test_a_large_picture_below_the_limit_is_no_bomb():
    with pytest.raises(ColorizeError, match="cut off"):  # but no warning and no refusal by size
        read(header(10_000, 9_900))


def test_one_pixel_is_a_picture():
    assert read(encode(Picture(DEEP[:1, :1]), ".png")).size == (1, 1)


def test_the_limit_of_pillow_is_back_after_reading_in_threads():
    before = Image.MAX_IMAGE_PIXELS
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(read, [WHOLE["PNG"]] * 40))
    assert before == Image.MAX_IMAGE_PIXELS is not None


@pytest.mark.parametrize("name", [b"zTXt", b"iTXt", b"iCCP"])
def test_a_text_bomb_is_left_out_and_the_picture_read(name):
    middle = b"\0\1\0\0\0" if name == b"iTXt" else b"\0\0"
    bomb = (name, b"bomb" + middle + zlib.compress(bytes(2 << 20)))
    parts = png_chunks(WHOLE["PNG"])
    found = read(join_png([parts[0], bomb, *parts[1:]]))
    assert np.array_equal(found.pixels, DEEP >> 8)


def test_many_texts_are_left_out_with_a_note(monkeypatch):
    monkeypatch.setattr("PIL.PngImagePlugin.MAX_TEXT_MEMORY", 9000)  # 64 MiB in truth
    parts = png_chunks(WHOLE["PNG"])
    bombs = [(b"tEXt", b"bomb\0" + bytes(999))] * 10
    assert "texts" in read(join_png([parts[0], *bombs, *parts[1:]])).notes[0]


def test_postscript_is_not_run():
    with pytest.raises(ColorizeError, match="not a picture"):
        read(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")


def test_a_stream_is_read_to_its_end():
    assert read(io.BytesIO(WHOLE["PNG"])).size == (6, 5)


def test_an_error_of_a_stream_is_a_sentence():
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as stream, pytest.raises(ColorizeError, match="standard input"):
        read(stream)


def test_the_formats_that_are_tried_are_known_to_pillow():
    Image.init()
    plugins = {"HEIF", "AVIF"}
    assert set(decode._COMMON + decode._RARE) - plugins <= set(Image.OPEN)


def test_a_picture_cut_off_in_its_header_is_to_be_fetched_again() -> None:
    with pytest.raises(ColorizeError, match=r"cut off or damaged.*\(copy or download it again\)"):
        read(plain()[:33])  # the signature and IHDR
