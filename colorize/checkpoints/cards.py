"""Model cards: the README.md of a model, its license, and what a user should know of it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

OTHER = "other"  # the Hub's word for a license that is not in its list

_LICENSE = re.compile(r"[A-Za-z0-9.+-]{1,60}")
_HEAD = re.compile(r"\s*---\n(.*?\n)---", re.DOTALL)
_LONG = 65536  # characters; a card's fields come first


def card(recipe: str, summary: str, facts: Mapping[str, str]) -> str:
    """Return the README.md of a model: the Hub's fields, what it is, how to use it, and the facts (a license, too)."""
    license_ = facts.get("license", "")
    fields = {
        "library_name": "colorize",
        "pipeline_tag": "image-to-image",
        "license": license_.lower() if _LICENSE.fullmatch(license_) else OTHER,
        "tags": ["colorization", "line-art", "manga", "diffusion", recipe],
    }
    lines = ["---", *(f"{name}: {json.dumps(value)}" for name, value in fields.items()), "---", ""]
    lines += [f"# {recipe}", "", f"{summary}.", ""]
    lines += ["```bash", "colorize sample drawing.png --ref reference.png --model OWNER/NAME", "```", ""]
    call = 'colorize.paint("drawing.png", reference="reference.png", model="OWNER/NAME").save("colored.png")'
    lines += ["```python", "import colorize", "", call, "```", ""]
    for name, text in facts.items():
        lines += [f"## {name}", "", text, ""]
    return "\n".join(lines)


def license_in(path: Path) -> str:
    """Return the license that a card's fields name, such as cc-by-nc-4.0; "" if there is no card or none in it.

    For a license outside the Hub's list, this is its name in the card, or `other`.
    """
    if not path.is_file():
        return ""
    with path.open(encoding="utf-8-sig", errors="replace") as stream:
        return license_of(stream.read(_LONG))


def license_of(text: str) -> str:
    """Return the license that the text of a card names, as `license_in` does."""
    head = _HEAD.match(text[:_LONG])
    fields = head.group(1) if head else ""
    found = _field(fields, "license")
    return (_field(fields, "license_name") or found) if found.lower() == OTHER else found


def notice(name: str, license_: str, page: str) -> str:
    """Return what whoever fetched a model should know, its license, in one line; page: where its card is."""
    words, subject = license_.lower().split("-"), f"the weights of `{name}`"
    if not license_:
        return f"{subject} come without a license; ask their authors: {page}"
    if license_.lower() == OTHER:
        return f"{subject} are under a license of their own, which may forbid some uses; see {page}"
    limit = ", which forbids commercial use" if "nc" in words or "noncommercial" in "".join(words) else ""
    return f"{subject} are under {license_}{limit}; see {page}"


def _field(fields: str, name: str) -> str:
    """Return the word of a field, even if quoted or first in a list; "" if it is no word."""
    found = re.search(rf"(?m)^{name}:[ \t]*(?:\[|\n[ \t]*-)?([^\n,#\]]*)", fields)
    word = found.group(1).strip(" \t\"'") if found else ""
    return word if _LICENSE.fullmatch(word) else ""
