"""Number the regions of a drawing, its hints and its surroundings. Knows nothing of colors to come."""

from __future__ import annotations

from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt
from torch import Tensor

from colorize.pictures.regions import nearest as nearest

Mask = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.int64]
Plane = TypeVar("Plane", Mask, Labels)

PAPER = 0.6  # in [-1, 1]; lighter pixels of line art are paper, so thin gray lines still separate
GAP = 6 / 256  # of the side; openings of a line up to this width are taken for closed
WHITE = 0.94  # in [-1, 1]; a color is white if no channel is darker


def dots(hints: Tensor) -> Labels:
    """Number the separate hints 1, 2, ...; 0 where there is none. (S, S)."""
    held = (hints[0, 3].numpy() > 0).astype(np.uint8)
    return cv2.connectedComponents(held, connectivity=4)[1].astype(np.int64)


def enclosed(drawing: Tensor) -> Labels:
    """Number the regions of paper that ink encloses, small gaps taken for closed; 0 is ink."""
    paper = (drawing[0, 0].numpy() >= PAPER).astype(np.uint8)
    reach = max(1, round(GAP * max(paper.shape) / 2))
    ball = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    core = cv2.erode(paper, ball, borderType=cv2.BORDER_CONSTANT, borderValue=1)
    whole = cv2.connectedComponents(paper, connectivity=4)[1].astype(np.int64)
    count, label = cv2.connectedComponents(core, connectivity=4)
    lost = ~np.isin(whole, whole[core > 0]) & (paper > 0)  # too thin for the ball: own number
    numbers: Labels = np.where(lost, whole + count, label.astype(np.int64))
    if numbers.any():  # the rest of the paper belongs to the region nearest to it
        numbers = np.where(paper > 0, numbers.ravel()[nearest(numbers > 0)], 0)
    return numbers


def frame(values: Plane) -> Plane:
    """Return the pixels along the four sides, (4 S,)."""
    return np.concatenate([values[0], values[-1], values[:, 0], values[:, -1]])


def reaching_border(regions: Labels) -> Mask:
    """Tell for every number of region whether that region reaches the border; ink never does."""
    reaches = np.zeros(regions.max() + 1, bool)
    reaches[frame(regions)] = True
    reaches[0] = False
    return reaches


def white_around(picture: Tensor) -> Mask:
    """Return the white of a color picture that is connected to its border, (S, S)."""
    white = (picture[0].amin(dim=0) >= WHITE).numpy().astype(np.uint8)
    regions = cv2.connectedComponents(white, connectivity=4)[1].astype(np.int64)
    return reaching_border(regions)[regions]
