"""Pages of TIFF files: all but smaller copies, each as a file of its own."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from colorize.images import files, tiff


def page(value: int, width: int = 40, height: int = 60) -> Image.Image:
    return Image.fromarray(np.full((height, width), value, np.uint8))


def tif(*pages: Image.Image, **options: object) -> bytes:
    stream = io.BytesIO()
    pages[0].save(stream, "TIFF", save_all=True, append_images=pages[1:], **options)
    return stream.getvalue()


@pytest.mark.parametrize("options", [{}, {"big_tiff": True}, {"compression": "tiff_lzw"}])
def test_each_page_is_a_file_of_its_own(options: dict[str, object]) -> None:
    data = tif(page(10), page(20, 30), page(30), **options)
    found = tiff.pages(io.BytesIO(data))
    alone = [files.read(tiff.page_file(data, one)) for one in found]
    assert [(one.size, int(one.pixels.max()), one.notes) for one in alone] == [
        ((60, 40), 10, ()),
        ((60, 30), 20, ()),
        ((60, 40), 30, ()),
    ]
    assert files.read(data, "a.tif").notes == ("`a.tif` has 3 pages; the first is used",)


@pytest.mark.parametrize("sizes", [(1, 2, 4), (4, 2, 1)])
def test_a_pyramid_is_one_picture_its_largest(sizes: tuple[int, ...]) -> None:
    read = files.read(tif(*(page(10 * one, 200 // one, 300 // one) for one in sizes)))
    assert (read.size, int(read.pixels.max()), read.notes) == ((300, 200), 10, ())


@pytest.mark.parametrize("end", [3, 9, 40])
def test_a_damaged_file_has_no_pages(end: int) -> None:
    assert tiff.pages(io.BytesIO(tif(page(10), page(20))[:end])) == []
    assert tiff.pages(io.BytesIO(b"\x89PNG\r\n\x1a\n" + bytes(60))) == []
