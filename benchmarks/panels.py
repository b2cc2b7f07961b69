"""Find the panels and bubbles of made-up manga pages. Run: python benchmarks/panels.py [PAGES [SEED]].

So many pages of 1120 x 1600 pixels of every layout. Prints a JSON object per layout: mean and least intersection over
union of panels with the truth, pages on which their number is right, bubbles found, made up and in all, and the
share of gutters and bubbles, in pixels, that a model may touch.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from colorize.images.page_masks import find_bubbles, keep_mask, panel_mask
from colorize.images.panels import find_panels

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

if TYPE_CHECKING:
    from volumes import Made

    from colorize.images.panels import Panel

SIZE = (1600, 1120)
LEAST = 300  # pixels of a bubble; what is smaller is a tip that another bubble cut off
HALF = 0.5  # of a bubble that is found, or of a finding that is none


def overlap(made: Made, found: tuple[Panel, ...]) -> float:
    """Mean over the true panels of the best intersection over union."""
    masks = [_filled(panel.polygon) for panel in found]
    pairs = ([(_filled(panel), mask) for mask in masks] for panel in made.panels)
    return float(np.mean([max((a & b).sum() / (a | b).sum() for a, b in row) for row in pairs]))


def _filled(polygon: np.ndarray) -> np.ndarray:
    mask = np.zeros(SIZE, np.uint8)
    cv2.fillPoly(mask, [np.rint(polygon).astype(np.int32)], 1)
    return mask > 0


def covered(areas: np.ndarray, by: np.ndarray) -> list[float]:
    """How much of each area of a mask lies in another one."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(areas.astype(np.uint8))
    large = [one for one in range(1, count) if stats[one, cv2.CC_STAT_AREA] >= LEAST]
    return [float(by[labels == one].mean()) for one in large]


def scores(layout: str, pages: int, seed: int) -> dict[str, object]:
    """Look at pages of one layout."""
    from volumes import page

    overlaps, right, true, made_up, touched, all_ = [], 0, list[float](), 0, 0, 0
    for number in range(100, 100 + pages):
        made = page(number, seed, SIZE, layout)
        bubbles = find_bubbles(made.gray)
        found = find_panels(made.gray, bubbles=bubbles)
        if made.panels:
            overlaps.append(overlap(made, found))
        right += len(found) == max(1, len(made.panels))
        true += covered(made.bubbles, bubbles)
        made_up += sum(share < HALF for share in covered(bubbles, made.bubbles))
        stays = keep_mask(made.gray, found, bubbles)
        free = np.zeros(SIZE, bool)
        for panel in found:
            left, top, far, low = panel.box
            free[top:low, left:far] |= panel_mask(panel)
        still = made.gutters | made.bubbles
        touched, all_ = touched + int((free & still & ~stays).sum()), all_ + int(still.sum())
    result: dict[str, object] = {"layout": layout, "pages": pages, "count_right": right}
    if overlaps:
        result |= {"mean": round(float(np.mean(overlaps)), 3), "least": round(min(overlaps), 3)}
    found_ = sum(share > HALF for share in true)
    result |= {"bubbles": len(true), "found": found_, "made_up": made_up}
    return result | {"touched": round(touched / max(1, all_), 6)}


def main(pages: str = "30", seed: str = "5") -> None:
    """Look at all layouts."""
    from volumes import LAYOUTS

    for layout in LAYOUTS:
        print(json.dumps(scores(layout, int(pages), int(seed))), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
