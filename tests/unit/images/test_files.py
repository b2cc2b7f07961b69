"""Reading picture files loses nothing."""

from __future__ import annotations

import io
import struct
import zlib
from contextlib import suppress
from functools import cache
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageOps

from colorize.errors import ColorizeError
from colorize.images import metadata
from colorize.images.encode import encode
from colorize.images.files import read
from colorize.images.image import Picture
from colorize.images.metadata import Exif, join_png, png_chunks

RNG = np.random.default_rng(0)
COLORS = RNG.integers(0, 256, (6, 5, 3), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (6, 5, 3), dtype=np.uint16)


def saved(image: Image.Image, form: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def colored(form: str, **options: object) -> bytes:
    return saved(Image.fromarray(COLORS), form, **options)


def rotated(orientation: int) -> bytes:
    tags = Image.Exif()
    tags[0x0112], tags[0x010F] = orientation, "Maker"
    return tags.tobytes()


@pytest.mark.parametrize("form", ["PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_applied(form, orientation):
    options = {"lossless": True} if form == "WEBP" else {}
    found = read(colored(form, exif=rotated(orientation), **options))
    tagged = Image.fromarray(COLORS)
    tagged.getexif()[0x0112] = orientation
    assert np.array_equal(found.pixels, np.asarray(ImageOps.exif_transpose(tagged)))


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_orientation_is_dropped_but_other_exif_kept(form):
    tags = Image.Exif()
    tags.load(read(colored(form, exif=rotated(6))).exif)
    assert (tags.get(0x0112), tags.get(0x010F)) == (None, "Maker")


def test_orientation_of_a_16_bit_tiff_is_applied_though_opencv_decodes_it():
    exif = Exif()
    exif.set_numbers(metadata.ORIENTATION, metadata.SHORT, 6)
    found = read(encode(Picture(DEEP, exif=exif.block()), ".tif"))
    assert np.array_equal(found.pixels, np.rot90(DEEP, -1))


def test_the_thumbnail_of_the_uncolored_picture_is_cut_off():
    block = b"II*\0" + struct.pack("<IHHHIII", 8, 1, 0x010F, 3, 1, 6, 26) + b"thumbnail directory"
    assert b"thumbnail" not in Exif.parse(block).block()


def test_damaged_exif_is_a_note_not_an_error():
    assert "EXIF" in read(colored("PNG", exif=b"II*\0\xff\xff\xff\x7f")).notes[0]


@settings(deadline=None)
@given(st.binary(max_size=60), st.sampled_from([b"", b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08"]))
def test_no_exif_block_can_raise_anything_but_valueerror(body, head):
    with suppress(ValueError):
        found = Exif.parse(head + body)
        found.orientation(), found.dpi(), found.take_texts()
        again = Exif.parse(found.descriptive().block())
        assert again == found.descriptive()


def test_palette_transparency_becomes_alpha():
    image = Image.fromarray(COLORS).quantize(4)
    found = read(saved(image, "PNG", transparency=bytes([0, 99])))
    assert np.array_equal(found.alpha, np.array([0, 99, 255, 255])[np.asarray(image)])


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_the_transparent_gray_of_a_png_is_found_at_every_depth(bits):
    row = bytes([0]) + {1: b"\x40", 2: b"\x10", 4: b"\x01", 8: b"\0\1", 16: b"\0\0\0\1"}[bits]
    header = struct.pack(">IIBBBBB", 2, 1, bits, 0, 0, 0, 0)
    parts = [(b"IHDR", header), (b"tRNS", b"\0\1"), (b"IDAT", zlib.compress(row)), (b"IEND", b"")]
    found = read(join_png(parts))
    assert found.alpha.tolist() == [[np.iinfo(found.pixels.dtype).max, 0]]


def test_the_transparent_color_of_a_16_bit_png_is_found():
    parts = png_chunks(encode(Picture(DEEP), ".png"))
    parts.insert(1, (b"tRNS", struct.pack(">3H", *DEEP[2, 3])))
    alpha = read(join_png(parts)).alpha
    assert (alpha == 0).nonzero() == (np.array([2]), np.array([3]))


def test_one_bit_is_black_and_white():
    found = read(saved(Image.new("1", (3, 2), 1), "PNG"))
    assert (found.gray, found.pixels.min()) == (True, 255)


def test_adobe_cmyk_is_not_inverted():
    paper = saved(Image.new("CMYK", (8, 8), (0, 0, 0, 0)), "JPEG")
    assert read(paper).pixels.min() == 255


def test_cmyk_goes_through_its_profile(monkeypatch):
    seen, transform = [], SimpleNamespace(apply=lambda picture: picture.convert("RGB"))
    monkeypatch.setattr("colorize.images.metadata._transform", lambda icc, mode: seen.append(mode) or transform)
    read(saved(Image.new("CMYK", (8, 8)), "JPEG", icc_profile=bytes(16) + b"CMYK" + bytes(110)))
    assert seen == ["CMYK"]


@cache  # it holds the second in which it was made
def profile(name: str) -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile(name)).tobytes()


def swapped() -> bytes:
    """An sRGB profile whose red and green are exchanged, so that conversion must show."""
    return profile("sRGB").replace(b"rXYZ", b"tmp!").replace(b"gXYZ", b"rXYZ").replace(b"tmp!", b"gXYZ")


def test_an_srgb_profile_leaves_the_pixels_and_itself():
    own = profile("sRGB")
    found = read(colored("PNG", icc_profile=own))
    assert np.array_equal(found.pixels, COLORS)
    assert found.icc == own


def test_another_profile_is_converted_and_the_result_tagged_as_srgb():
    found = read(saved(Image.new("RGB", (4, 4), (255, 0, 0)), "PNG", icc_profile=swapped()))
    assert found.pixels[0, 0].tolist() == [0, 255, 0]
    made = profile("sRGB")
    assert found.icc is not None
    assert found.icc[:24] + found.icc[36:] == made[:24] + made[36:]  # but for when it was made
    assert found.icc[24:36] == bytes.fromhex("07d000010001000000000000")  # which is always the same


def test_16_bit_pixels_keep_their_profile_with_a_note():
    found = read(encode(Picture(DEEP, icc=swapped()), ".png"))
    assert np.array_equal(found.pixels, DEEP)
    assert (found.icc, "16-bit" in found.notes[0]) == (swapped(), True)


@pytest.mark.parametrize("icc", [b"nonsense", bytes(16) + b"RGB " + bytes(110)])
def test_a_broken_profile_is_ignored_with_a_note(icc):
    found = read(colored("PNG", icc_profile=icc))
    assert (found.icc, "ignored" in found.notes[0]) == (None, True)
    assert np.array_equal(found.pixels, COLORS)


def test_a_gray_picture_with_an_rgb_profile_stays_gray():
    assert read(saved(Image.new("L", (2, 2), 9), "PNG", icc_profile=profile("sRGB"))).gray


@pytest.mark.parametrize("mode", ["1", "LA", "PA", "LAB", "YCbCr", "CMYK", "RGBX", "I;16", "I;16B"])
def test_every_mode_of_a_tiff_is_read(mode):
    assert read(saved(Image.new(mode, (3, 2)), "TIFF")).size == (2, 3)


def test_premultiplied_16_bit_colors_are_divided_by_alpha():
    stored = np.full((2, 2, 3), 1000, np.uint16)
    data = encode(Picture(stored, np.full((2, 2), 32768, np.uint16)), ".tif")
    row = struct.pack("<HHI", 338, 3, 1)
    found = read(data.replace(row + b"\2", row + b"\1"))
    assert found.pixels.max() == 2000


def test_big_endian_16_bit_gray_is_read():
    image = Image.frombytes("I;16B", (2, 1), b"\x01\x02\x03\x04")
    assert read(saved(image, "TIFF")).pixels.ravel().tolist() == [0x0102, 0x0304]


@pytest.mark.parametrize(("value", "fine"), [(65535, True), (65536, False), (-1, False)])
def test_32_bit_gray_is_read_only_if_16_bits_hold_it(value, fine):
    data = saved(Image.new("I", (2, 2), value), "TIFF")
    if fine:
        assert read(data).pixels.max() == value
    else:
        with pytest.raises(ColorizeError, match=str(value)):
            read(data)


def test_floating_point_is_refused():
    for data in (saved(Image.new("F", (2, 2)), "TIFF"), cv2.imencode(".tiff", np.ones((2, 2, 3), "f4"))[1].tobytes()):
        with pytest.raises(ColorizeError, match=r"8 (or|and) 16 bits"):
            read(data)


def test_an_opencv_16_bit_tiff_is_read_in_rgb_order():
    assert np.array_equal(read(cv2.imencode(".tiff", DEEP[..., ::-1])[1].tobytes()).pixels, DEEP)


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_several_frames_the_first_is_taken_and_the_rest_told(form):
    frames = [Image.new("RGB", (8, 8), (level, level, level)) for level in (0, 90, 200)]
    options = {"lossless": True} if form == "WEBP" else {}
    found = read(saved(frames[0], form, save_all=True, append_images=frames[1:], **options))
    assert (found.pixels.max(), " 3 " in found.notes[0]) == (0, True)
