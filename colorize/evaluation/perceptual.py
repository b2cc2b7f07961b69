"""Score pictures by pretrained networks, which come with the extra `metrics`: LPIPS per picture, FID per folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import torch
from torch import Tensor

from colorize.errors import ColorizeError

FEWEST = 2  # pictures from which a covariance, and so an FID, can be estimated


class _Network(Protocol):
    """What is used of a torchmetrics metric."""

    def __call__(self, first: Tensor, second: Tensor) -> Tensor: ...
    def update(self, pictures: Tensor, real: bool) -> None: ...
    def compute(self) -> Tensor: ...
    def reset(self) -> None: ...


def lpips() -> Callable[[Tensor, Tensor], Tensor]:
    """Return a function from result and truth, (B, 3, H, W) in [-1, 1], to LPIPS (B,); lower is better.

    Zhang 2018 with AlexNet. Pictures have at least 64 x 64 pixels. Raises ColorizeError if the
    extra `metrics` is not installed or the weights of AlexNet can be had neither here nor online.
    """
    with _explained("LPIPS"):
        from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

        network: _Network = LearnedPerceptualImagePatchSimilarity(net_type="alex")

    def score(result: Tensor, truth: Tensor) -> Tensor:
        pairs = zip(_plain(result), _plain(truth), strict=True)
        with torch.inference_mode():
            values = torch.stack([network(a[None], b[None]).reshape(()) for a, b in pairs])
        network.reset()  # torchmetrics keeps every score it has seen
        return values

    return score


class FrechetDistance:
    """Gathers results and true pictures, and compares both as distributions: FID, lower is better.

    Heusel 2017 with InceptionV3. Below about 2,000 pictures FID is biased upwards: compare only
    values of equal numbers of pictures. Raises ColorizeError as `lpips` does, for the weights of InceptionV3.
    """

    def __init__(self) -> None:
        with _explained("FID", '"colorize[metrics]" torch-fidelity'):
            from torchmetrics.image.fid import FrechetInceptionDistance

            self._network: _Network = FrechetInceptionDistance(feature=2048)
        self._pictures = 0

    def add(self, result: Tensor, truth: Tensor) -> None:
        """Take in results and their true pictures, (B, 3, H, W) each in [-1, 1]."""
        for pictures, real in ((result, False), (truth, True)):
            levels = ((_plain(pictures) + 1) * 127.5).round().to(torch.uint8)
            self._network.update(levels, real=real)
        self._pictures += len(result)

    def value(self) -> float:
        """Return the FID of all that was added. Raises ColorizeError below two pictures."""
        if self._pictures < FEWEST:
            raise ColorizeError(
                f"FID compares distributions of pictures, and {self._pictures} is too few",
                "score at least two pictures; a steady value needs some hundreds",
            )
        return self._network.compute().item()


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


def _plain(picture: Tensor) -> Tensor:
    """Return the picture on the CPU in float32, clipped as a file would clip it."""
    return picture.detach().cpu().float().clamp(-1, 1)
