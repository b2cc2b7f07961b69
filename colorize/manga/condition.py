"""A page, and what is given beside it, for generators that color in one call. Knows nothing of files or training."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from colorize.errors import within
from colorize.hints import Hints
from colorize.manga.colorization_v2 import FFDNet
from colorize.manga.frozen import FEATURES, TaggerSpec
from colorize.networks.encoders import Drop, Strength, kept, shown
from colorize.networks.unet import Cond
from colorize.system import ConditionSpec


@dataclass(frozen=True)
class Page(ConditionSpec):
    """One plane of line art or gray; behind it, where a system takes them, color hints and their mask.

    hints: add four planes, the hints' RGB where there are any and 0 elsewhere, then a mask of 0 and 1.
    extractor: tell the generator's depth what a frozen tagger makes of the page. tagger: where a new model
    takes the tagger's weights from, a file or OWNER/NAME/FILE on the Hub; `random` for a tagger that
    knows nothing. body: the tagger's numbers. denoise: noise to take out of what the generator sees, in
    levels of 255, by a frozen network; 0 takes out none.
    """

    hints: bool = False
    extractor: bool = False
    tagger: str = ""
    body: TaggerSpec = TaggerSpec()
    denoise: float = 0.0

    def __post_init__(self) -> None:
        within("condition.denoise", self.denoise, 0, 75, "25 is usual for scans, 0 for clean pages")

    @property
    def stacked(self) -> int:
        """How many channels the stack door receives."""
        return 5 if self.hints else 1

    @property
    def tokens(self) -> int:
        """The width of what the tagger says, or 0."""
        return FEATURES if self.extractor else 0

    def build(self, widths: tuple[int, ...] = ()) -> nn.Module:
        """Make the module."""
        return PageDoor(self)


class PageDoor(nn.Module):
    """Stack of the page and its hints, and the tagger's features as one token."""

    def __init__(self, spec: Page) -> None:
        super().__init__()
        self.spec = spec
        self.tagger = spec.body.build() if spec.extractor else None
        self.denoiser = FFDNet() if spec.denoise else None

    def forward(self, hints: Hints, drop: Drop | None = None, strength: Strength | None = None) -> Cond:
        """Encode the page; dropped or missing hints look like an empty map."""
        page = shown(hints, drop or {})
        if self.denoiser is not None:
            with torch.no_grad():
                page = self.denoiser(page, self.spec.denoise)
        planes = [page]
        if self.spec.hints:
            planes.append(_marks(hints, page, drop or {}, (strength or {}).get("hints", 1.0)))
        tokens = None
        if self.tagger is not None:
            with torch.no_grad():
                tokens = self.tagger(page)[:, None]  # (B, 512) -> (B, 1, 512)
        return Cond(stack=torch.cat(planes, dim=1), tokens=tokens)


def _marks(hints: Hints, page: Tensor, drop: Drop, strength: float) -> Tensor:
    """Colors where there are hints, and the mask: (B, 4, H, W)."""
    given = hints.get("hints")
    if given is None:
        return page.new_zeros(hints.batch, 4, *page.shape[-2:])
    mask = (given[:, 3:] + 1) / 2 * kept(hints, "hints", drop) * strength
    return torch.cat([given[:, :3] * mask, mask], dim=1)
