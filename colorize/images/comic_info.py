"""What ComicInfo.xml, the description in comic archives, says of color."""

from __future__ import annotations

import re

NAME = "comicinfo.xml"
_TAG = re.compile(rb"<BlackAndWhite\s*(?:/>|>\s*(\w*)\s*</BlackAndWhite\s*>)")
# What follows it in the schema, in which the order counts: https://anansi-project.github.io/docs/comicinfo
_AFTER = re.compile(
    rb"\s*<(?:Manga|Characters|Teams|Locations|ScanInformation|StoryArc|StoryArcNumber|SeriesGroup|AgeRating|Pages"
    rb"|CommunityRating|MainCharacterOrTeam|Review|GTIN)[\s/>]|\s*</ComicInfo\s*>"
)


def is_colored(xml: bytes) -> bool:
    """Whether a description says that its comic is in color."""
    found = _TAG.search(xml)
    return found is not None and (found[1] or b"").lower() == b"no"


def colored(xml: bytes) -> bytes:
    """Return a description that says so, with every other byte as it was; itself if there is no place for it."""
    said = b"<BlackAndWhite>No</BlackAndWhite>"
    if found := _TAG.search(xml):
        return xml if is_colored(xml) else xml[: found.start()] + said + xml[found.end() :]
    if not (place := _AFTER.search(xml)):
        return xml
    indent = re.search(rb"\r?\n[ \t]+(?=<)", xml)
    return xml[: place.start()] + (indent[0] if indent else b"") + said + xml[place.start() :]
