"""Score pictures by pretrained networks, which come with the extra `metrics`: LPIPS per picture, FID per folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from colorize.errors import ColorizeError


def lpips() -> Callable[[Tensor, Tensor], float]:
    """Return a function from result and truth, (1, 3, H, W) in [-1, 1], to LPIPS; lower is better.

    Zhang 2018 with AlexNet. Pictures have at least 64 x 64 pixels. Raises ColorizeError if the
    extra `metrics` is not installed or the weights of AlexNet can be had neither here nor online.
    """
    with _explained("LPIPS"):
        from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

        network = LearnedPerceptualImagePatchSimilarity(net_type="alex")

    def score(result: Tensor, truth: Tensor) -> float:
        with torch.inference_mode():
            value = float(network(result, truth))
        network.reset()  # torchmetrics keeps every score it has seen
        return value

    return score


class FrechetDistance:
    """Gathers results and true pictures, and compares both as distributions: FID, lower is better.

    Heusel 2017 with InceptionV3. Below about 2,000 pictures FID is biased upwards: compare only
    values of equal numbers of pictures. Raises ColorizeError as `lpips` does, for the weights of InceptionV3.
    """

    def __init__(self) -> None:
        with _explained("FID", '"colorize[metrics]" torch-fidelity'):
            from torchmetrics.image.fid import FrechetInceptionDistance

            self._network = FrechetInceptionDistance(feature=2048)
        self._pictures = 0

    def add(self, result: Tensor, truth: Tensor) -> None:
        """Take in results and their true pictures, (B, 3, H, W) each in [-1, 1]."""
        for pictures, real in ((result, False), (truth, True)):
            self._network.update(((pictures + 1) * 127.5).round().to(torch.uint8), real=real)
        self._pictures += len(result)

    def value(self) -> float | None:
        """Return the FID of all that was added; None for fewer than two pictures, which have no covariance."""
        return float(self._network.compute()) if self._pictures > 1 else None


@contextmanager
def _explained(name: str, packages: str = '"colorize[metrics]"') -> Iterator[None]:
    """Turn what a library says about missing packages or weights into a sentence for the user."""
    try:
        yield
    except ImportError as error:
        missing = f"; `{error.name}` is missing" if error.name else ""
        raise ColorizeError(
            f"{name} needs packages that are not installed{missing}", f"install them with pip install {packages}"
        ) from error
    except (OSError, RuntimeError, EOFError) as error:  # no network, wrong hash, cut off file
        raise ColorizeError(
            f"the weights {name} needs could not be fetched: {error}",
            f"connect to the internet once, or evaluate without {name}",
        ) from error
