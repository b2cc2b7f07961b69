"""Named texts in EXIF blocks, for formats without a place for them. Knows nothing of pixels."""

from __future__ import annotations

import json
from collections.abc import Mapping

from colorize.images import exif as blocks

XMP = "XML:com.adobe.xmp"  # the name PNG gives it; every format has a place for it
TIFF_XMP = 700  # the tag that holds it in TIFF files
MARK = "colorize"  # the text of results that says how they were made
_CODE = b"ASCII\0\0\0"  # EXIF 2.3, table 9: the text is 7-bit, which JSON can always be


def clean(text: Mapping[str, str]) -> dict[str, str]:
    """Return texts that every format can hold: names of 1 to 79 Latin-1 signs, Unicode values.

    Other names are dropped; what is not Unicode, such as raw bytes of a file name, becomes `?`.
    """
    return {name: value.encode("utf-8", "replace").decode() for name, value in text.items() if _named(name)}


def put(block: bytes | None, text: Mapping[str, str]) -> bytes | None:
    """Return the EXIF block with the texts, but XMP, as JSON in its user comment."""
    kept = {name: value for name, value in text.items() if name != XMP}
    if not kept:
        return block
    comment = _CODE + json.dumps(kept).encode("ascii")
    tags = {blocks.USER_COMMENT: (blocks.UNDEFINED, comment)}
    return blocks.put(block, tags, blocks.FOLDER)


def take(block: bytes) -> tuple[bytes, dict[str, str]]:
    """Return the EXIF block without its user comment, and the texts found there.

    Another program's comment becomes one text named `UserComment`. Raises ValueError if damaged.
    """
    rest, raw = blocks.take(block, blocks.USER_COMMENT, blocks.FOLDER)
    comment = _decoded(raw or b"", blocks.order(block)).strip(" \0")
    try:
        found = json.loads(comment)
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, dict) and all(_named(k) and isinstance(v, str) for k, v in found.items()):
        return rest, clean(found)
    return rest, clean({"UserComment": comment}) if comment else {}


def _named(name: str) -> bool:
    return 1 <= len(name) <= 79 and all(" " <= sign <= "~" or "\xa1" <= sign <= "\xff" for sign in name)


def _decoded(raw: bytes, end: str) -> str:
    if raw.startswith(b"UNICODE\0"):
        return raw[8:].decode("utf-16-le" if end == "<" else "utf-16-be", "replace")
    return (raw[8:] if raw[:8] in (_CODE, b"JIS\0\0\0\0\0", bytes(8)) else raw).decode("utf-8", "replace")
