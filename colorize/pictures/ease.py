"""Go from 0 to 1 without a step. Knows nothing of what is weighed so."""

from __future__ import annotations

from torch import Tensor


def ease(value: Tensor, low: float, high: float) -> Tensor:
    """0 up to `low`, 1 from `high` on, between them Hermite's cubic without a kink: shape of `value`."""
    share = ((value - low) / (high - low)).clamp(0, 1)
    return share * share * (3 - 2 * share)
