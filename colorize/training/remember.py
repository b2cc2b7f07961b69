"""Choose the pictures that a system remembers for drawings with which nothing is given, and remember them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from importlib import resources

import torch
from torch import Generator, Tensor

from colorize.region_diffusion.network import Choices
from colorize.region_diffusion.pieces import lab_of, main_colors
from colorize.region_diffusion.system import RegionColorizer
from colorize.training.region_store import PictureStore

CHOSEN = "memory.txt"  # in the package's folder of weights: folder and file of each picture
LEAST = 4  # main colors that a picture worth remembering has
FRESH = 16.0  # mean chroma of its colored area, at least
PALE, DULL = 92.0, 8.0  # L* and chroma; lighter and grayer is paper
RARE = 0.01  # of the area; rarer colors do not count
TRIES = 12  # pictures looked at for one that is remembered


def remember(model: RegionColorizer, store: PictureStore, seed: int = 0) -> list[int]:
    """Fill a model's memory from training pictures, drawn as training draws them; return their numbers.

    Pictures of few or dull colors are passed over, and only one of a character is taken.
    """
    rng = Generator().manual_seed(seed)
    count = min(int((store.weights > 0).sum()), TRIES * model.memory.room)
    order = torch.multinomial(store.weights, count, replacement=False, generator=rng)
    picked: list[int] = []
    taken: set[int] = set()
    for at in order.tolist():
        if len(picked) >= model.memory.room:
            break
        if at not in taken and fresh(store.color[at][None].float() / 127.5 - 1):
            picked.append(at)
            taken.update((at, *store.mates[at]))
    keep(model, store, picked)
    return picked


class Refresh:
    """Remembers anew when a model is saved: what is kept of a picture follows the encoder that is trained.

    That takes some seconds, and is left out where less than ten times as many went by since the last time.
    """

    def __init__(self, store: PictureStore, clock: Callable[[], float] = time.monotonic) -> None:
        self.store, self.clock = store, clock
        self.picked = chosen(store)
        self.until = -math.inf

    def __call__(self, model: RegionColorizer) -> None:
        """Fill the model's memory, if it is time."""
        begun = self.clock()
        if begun < self.until:
            return
        if self.picked:
            keep(model, self.store, self.picked[: model.memory.room])
        else:
            self.picked = remember(model, self.store)
        self.until = begun + 11 * (self.clock() - begun)


def chosen(store: PictureStore) -> list[int]:
    """The pictures that were chosen by eye for the embedded model, where the folder holds all of them, else none."""
    names = resources.files("colorize.weights").joinpath(CHOSEN).read_text("utf-8").split()
    place = {name: at for at, name in enumerate(store.names)}
    return [place[name] for name in names] if all(name in place for name in names) else []


def keep(model: RegionColorizer, store: PictureStore, picked: list[int]) -> None:
    """Fill a model's memory with these pictures of a store."""
    offers: list[Choices] = []
    shares: list[Tensor] = []
    before = model.training
    model.eval()
    with torch.inference_mode():
        for at in picked:
            color = store.color[at][None].float() / 127.5 - 1
            line = store.ink[at, 0][None, None].float() / 127.5 - 1
            choices, share = model.offer(color, line)
            offers.append(choices)
            shares.append(share)
        model.memory.keep(offers, shares)
    model.train(before)


def fresh(picture: Tensor) -> bool:
    """Whether a picture (1, 3, H, W) in [-1, 1] has several colors that are not dull."""
    found = main_colors(picture)
    lab = lab_of(found.rgb)[0]
    chroma = lab[:, 1:].norm(dim=1)
    there = found.valid[0] & (found.share[0] > RARE)
    colored = there & ((lab[:, 0] < PALE) | (chroma > DULL))
    area = (found.share[0] * colored).sum().clamp(min=0.02)
    mean = float((chroma * found.share[0] * there).sum() / area)
    return int(there.sum()) >= LEAST and mean >= FRESH
