"""Color on a yellowed page lies on yellowed paper, and what is kept stays as it was."""

from __future__ import annotations

import numpy as np
import pytest
import volumes
from drawings import one, pixels

from colorize.checkpoints import model_files
from colorize.coloring.options import Job
from colorize.images.image import Picture

MADE = volumes.page(10, 1, (1000, 700), "grid")
INSIDE = (MADE.gray == 255) & ~MADE.gutters & ~MADE.bubbles
STAYS = MADE.gutters | MADE.bubbles


@pytest.mark.parametrize("paper", [(250, 236, 205), (230, 230, 230)])
def test_paper_in_panels_has_the_tint_of_that_around_them(paper: tuple[int, int, int]) -> None:
    page = np.rint(MADE.gray[..., None] / 255 * np.array(paper)).astype(np.uint8)
    outcome = one(Job("p", Picture(page)), model_files.load("mini"), kind="gray")
    made = pixels(outcome).astype(int)
    assert (made == page)[STAYS].all()
    assert np.abs(np.median(made[INSIDE], 0) - paper).max() <= 12
