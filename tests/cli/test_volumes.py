"""The made-up pages are what they say they are, since other tests believe them."""

from __future__ import annotations

import numpy as np
import pytest
import volumes

SMALL = (500, 350)


def test_a_page_is_the_same_again_and_another_number_is_another_page() -> None:
    first, again, other = (volumes.page(number, 0, SMALL) for number in (3, 3, 4))
    assert np.array_equal(first.gray, again.gray)
    assert not np.array_equal(first.gray, other.gray)


@pytest.mark.parametrize("layout", volumes.LAYOUTS)
def test_gutters_are_bare_and_letters_lie_in_bubbles(layout: str) -> None:
    made = volumes.page(1, 0, SMALL, layout)
    shades = made.gray[made.gutters]
    assert np.isin(shades, (0, 255)).sum() >= 0.95 * len(shades)
    assert not (made.letters & ~made.bubbles).any()
    bare = made.gray[made.bubbles & ~made.letters]
    assert (bare == 255).sum() >= 0.98 * len(bare)
    assert bool(made.panels) != (layout == "splash")


def test_two_pages_of_a_volume_are_in_color() -> None:
    colors = [made.color for made in volumes.volume(8, size=SMALL)]
    found = [color for color in colors if color is not None]
    assert [at for at, color in enumerate(colors) if color is not None] == [0, 4]
    assert all(np.ptp(color.astype(int), axis=2).max() > 100 for color in found)


def test_given_pictures_fill_the_panels() -> None:
    made = volumes.page(0, 0, SMALL, "grid", contents=[np.full((20, 30), 77, np.uint8)])
    assert (made.gray == 77).mean() > 0.3
