"""Models on the Hub that others published: which of their files to take, and what it must hold. Knows no network."""

from __future__ import annotations

from collections.abc import Sequence

# The same two files under the names of both repositories; ColorizeDiffusion, version 1, 512 px.
_V1 = ("mult-eps-ft.safetensors", "mult-ft.safetensors")
_V1_NEW = ("mult-eps-newft.safetensors", "mult-newft.safetensors")
USUAL = {  # which file is meant where none is named: the first of these that a repository lists
    "tellurion/ColorizeDiffusion": _V1,
    "tellurion/colorizer": _V1,  # its old name
}
_SUMS = {
    **dict.fromkeys(_V1, "53c09691c57164754d5ade61afeabb7e673517747436153dd831dcf38862cc21"),
    **dict.fromkeys(_V1_NEW, "3396c079c4ecb42c69cd45d8a18b0688564d919f74aa8c2b5c18a114f6ecab44"),
}


def usual(name: str, files: Sequence[str]) -> str | None:
    """Return the file that is meant where none is named: the only one at the top, or else a known one."""
    top = [file for file in files if "/" not in file]
    if len(top) == 1:
        return top[0]
    return next((file for file in USUAL.get(name, ()) if file in top), None)


def sha256(name: str, file: str) -> str:
    """Return the checksum that a file on the Hub must have, 64 hexadecimal digits; "" if it is not known."""
    return _SUMS.get(file, "") if name in USUAL else ""
