"""Keep warnings of decoders from the terminal: they are for programmers."""

from __future__ import annotations

import ctypes
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import cv2
from PIL import Image


@contextmanager
def quiet() -> Iterator[None]:
    """Silence Pillow's warnings, and what libtiff and OpenCV print themselves.

    These are settings of the process: not for several threads at once.
    """
    log, opencv = logging.getLogger("PIL"), cv2.utils.logging
    before, level, tiff = log.level, opencv.getLogLevel(), _tiff(None)
    try:
        log.setLevel(logging.CRITICAL)
        opencv.setLogLevel(opencv.LOG_LEVEL_SILENT)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(before)
        opencv.setLogLevel(level)
        _tiff(tiff)


def _tiff(handler: int | None) -> int | None:
    """Set the function by which Pillow's libtiff prints errors; return the one before, None if it cannot be found."""
    with suppress(OSError, AttributeError):  # where libtiff is part of Pillow, as on Windows
        change = ctypes.CDLL(Image.core.__file__).TIFFSetErrorHandler  # type: ignore[attr-defined]
        change.argtypes, change.restype = [ctypes.c_void_p], ctypes.c_void_p
        before: int | None = change(handler)
        return before
    return None
