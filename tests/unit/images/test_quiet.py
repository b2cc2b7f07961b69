"""Warnings of decoders are for programmers: whatever is wrong with a file, only our own sentences are told."""

from __future__ import annotations

import logging
import struct
import warnings
from io import BytesIO

import cv2
import numpy as np
import pytest
from PIL import Image

from colorize.images import files

LEVEL = cv2.utils.logging.getLogLevel()


def with_tags(data: bytes) -> bytes:
    """A TIFF with tags that no library knows, of types that do not exist and places beyond its end."""
    (place,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, place)
    rows = [data[place + 2 + 12 * at : place + 14 + 12 * at] for at in range(count)]
    rows += [struct.pack("<HHII", *row) for row in ((50000, 3, 1, 5), (60001, 99, 1, 5), (60002, 4, 10**6, 4 * 10**8))]
    more = struct.pack("<H", len(rows)) + b"".join(rows) + bytes(4)
    return data[:4] + struct.pack("<I", len(data)) + data[8:] + more


def saved(form: str, **options: object) -> bytes:
    stream = BytesIO()
    Image.new("L", (64, 64), 200).save(stream, form, **options)
    return stream.getvalue()


def deep() -> bytes:
    return bytes(cv2.imencode(".tif", np.arange(64 * 64 * 3, dtype=np.uint16).reshape(64, 64, 3))[1])


def with_segment(data: bytes, content: bytes) -> bytes:
    return data[:2] + b"\xff\xe2" + struct.pack(">H", len(content) + 2) + content + data[2:]


PICTURES = {
    "tags of a TIFF": with_tags(saved("TIFF", compression="tiff_lzw")),
    "tags of a TIFF of 16 bits": with_tags(deep()),
    "EXIF": saved("JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\x05\0\x12\x01\x03\0\xff\xff\xff\xff\x01\0"),
    "MPO": with_segment(saved("JPEG"), b"MPF\0II*\0\x08\0\0\0\x03\0" + bytes(10)),
}


@pytest.mark.parametrize("data", PICTURES.values(), ids=PICTURES)
def test_warnings_of_libraries_reach_nobody(data: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert files.read(data).size == (64, 64)
    assert (told, *capfd.readouterr()) == ([], "", "")


def test_a_damaged_picture_is_told_in_our_words_alone(capfd: pytest.CaptureFixture[str]) -> None:
    data = bytearray(saved("TIFF", compression="tiff_lzw"))
    data[8:40] = b"\xff" * 32
    with pytest.raises(files.ColorizeError, match="cut off or damaged"):
        files.read(bytes(data))
    assert capfd.readouterr() == ("", "")


def test_what_the_process_had_chosen_is_put_back(capfd: pytest.CaptureFixture[str]) -> None:
    files.read(PICTURES["EXIF"])
    assert cv2.utils.logging.getLogLevel() == LEVEL
    assert logging.getLogger("PIL").level == logging.NOTSET
    with pytest.warns(UserWarning, match="Corrupt EXIF"):
        Image.open(BytesIO(PICTURES["EXIF"])).getexif()
    with pytest.warns(UserWarning, match="Skipping tag"), Image.open(BytesIO(PICTURES["tags of a TIFF"])) as picture:
        picture.load()
    assert "60001" in capfd.readouterr().err
