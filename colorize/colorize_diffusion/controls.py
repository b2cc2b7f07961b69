"""What ColorizeDiffusion's U-Net is told: five maps of the sketch, tokens of the reference, and what masks add."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from colorize.colorize_diffusion import background
from colorize.colorize_diffusion.clip import CLIPSpec, Words, tokenized
from colorize.colorize_diffusion.condition import Injection, LatentCond, Levels, Manner, joined, weights
from colorize.colorize_diffusion.encoders import ClusterSpec, ThresholdSpec
from colorize.colorize_diffusion.latent_space import PAPER, SketchSpec, on_board
from colorize.colorize_diffusion.text_edits import Edit, edited, encode
from colorize.colorize_diffusion.unet_blocks import SideSpec
from colorize.errors import ColorizeError
from colorize.hints import Hints
from colorize.images.resize import widened
from colorize.networks.encoders import Drop, Strength, kept
from colorize.system import ConditionSpec

CLIP = "laion/CLIP-ViT-H-14-laion2B-s32B-b79K/open_clip_model.safetensors"
SKETCH_STRIDE = 8  # pixels of the drawing for one cell of the finest map
Encode = Callable[[Tensor], Tensor]  # pictures (B, 3, H, W) -> latents
KNOWN = 4  # references whose tokens are kept while pictures are made; folders share theirs


@dataclass(frozen=True)
class SketchAndReference(ConditionSpec):
    """The sketch as maps, references as tokens of CLIP, which is never trained here.

    clip: its numbers. encoder: where its weights are, a file or OWNER/NAME/FILE on the Hub; empty if they are
    in the model's own file. threshold, clusters: version 1.5's way with background tokens. sides: version 2's
    encoders of background and style.
    """

    clip: CLIPSpec = CLIPSpec()
    encoder: str = CLIP
    threshold: ThresholdSpec | None = None
    clusters: ClusterSpec | None = None
    sides: SideSpec | None = None

    stacked = 0

    @property
    def tokens(self) -> int:
        """The width of the tokens."""
        return self.clip.embed

    def build(self, widths: tuple[int, ...] = (320, 640, 1280, 1280)) -> LatentDoors:
        """Make the module. widths: of the U-Net's levels, which its maps must have."""
        return LatentDoors(self, widths)


class LatentDoors(nn.Module):
    """All encoders; `words` is there only where texts are to be read.

    let_go: called after CLIP has read pictures, if its weights lie in a file and memory can do without them.
    """

    words: Words | None
    let_go: Callable[[], None] | None = None

    def __init__(self, spec: SketchAndReference, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.spec, self.multiple = spec, SKETCH_STRIDE * 2 ** (len(widths) - 1)
        self.sketch = SketchSpec(widths).build()
        self.vision = spec.clip.pictures().requires_grad_(False)
        self.words = None
        self.known: list[tuple[Tensor, float, Tensor]] = []  # pictures, margin, tokens
        if spec.threshold is not None:
            self.threshold = spec.threshold.build()
        if spec.clusters is not None:
            self.clusters = spec.clusters.build()
        if spec.sides is not None:
            self.background = spec.sides.build(tokens=spec.tokens)
            self.style = spec.sides.build(tokens=spec.tokens, pooled=True)

    @staticmethod
    def join(conds: Sequence[LatentCond], rows: int) -> LatentCond:
        """Make one condition of several, so that guidance takes one call a step; see `cond.joined`."""
        return joined(conds, rows)

    def forward(
        self,
        hints: Hints,
        drop: Drop | None = None,
        strength: Strength | None = None,
        manner: Manner | None = None,
        latent: Encode | None = None,
    ) -> LatentCond:
        """Encode all hints. latent: the autoencoder, for what only some manners need."""
        drop, strength, how = drop or {}, strength or {}, manner or Manner()
        rows = kept(hints, "reference", drop)[:, :, 0]  # (B, 1, 1)
        tokens = self.tokens(hints, rows, how)
        cond = LatentCond(
            tokens=tokens,
            maps=self.maps(hints, kept(hints, "line", drop), strength.get("line", 1.0)),
            token_scale=strength.get("reference", 1.0),
            places=_places(how.levels, how.compat),
            window=how.window,
        )
        cond = background.halved(self, cond, hints, rows, how, latent)
        if how.echo is None or not bool(rows.any() or "reference" in hints):
            return cond
        return self.echoing(cond, hints, rows, how, latent)

    def maps(self, hints: Hints, rows: Tensor, strength: float) -> tuple[Tensor, ...]:
        """The sketch's five maps; rows: (B, 1, 1, 1), 0 where there is to be none, which is black throughout."""
        line = on_board(hints["line"], self.multiple, PAPER)
        white_on_black = rows * -line + (rows - 1)
        maps = self.sketch(white_on_black.expand(-1, 3, -1, -1))
        return tuple(value * strength for value in maps)

    def tokens(self, hints: Hints, rows: Tensor, how: Manner) -> Tensor:
        """All references of a picture as one row of tokens, (B, R * N, T); zeros where rows (B, 1, 1) are 0."""
        reference = hints.get("reference")
        count = 1 if reference is None else reference.shape[1] // 3
        if reference is None or not bool(rows.any()):
            places = self.vision.positional_embedding.shape[0] - 1
            return rows.new_zeros(len(rows), count * places, self.spec.tokens)
        read = edited(self.read(reference, how), self.edits(how))[:, 1:]
        return rows * read.reshape(len(rows), -1, read.shape[-1])  # (B * R, N, T) -> (B, R * N, T)

    def read(self, pictures: Tensor, how: Manner) -> Tensor:
        """Pictures (B, 3 R, h, w) as CLIP sees them, (B * R, 1 + N, T), the whole picture's token first.

        In inference mode the last ones are kept, so that drawings that share a reference share its tokens, too.
        """
        keeping = torch.is_inference_mode_enabled()
        for known, margin, tokens in self.known if keeping else ():
            if margin == how.margin and torch.equal(known, pictures):
                return tokens
        several = pictures.reshape(-1, 3, *pictures.shape[-2:])
        with torch.no_grad():
            found: Tensor = self.vision(widened(several, how.margin))
        if keeping:
            self.known = [*self.known[1 - KNOWN :], (pictures, how.margin, found)]
            if self.let_go is not None:
                self.let_go()
        return found

    def edits(self, how: Manner) -> list[Edit]:
        """What the prompts of a manner mean. Raises ColorizeError without the tower of words or its vocabulary."""
        if not any(prompt.scale > 0 for prompt in how.prompts):
            return []
        if self.words is None:
            raise ColorizeError(
                "the colors are to be changed by words, but the model was loaded without words",
                "load it with LoadOptions(words=True)",
            )
        words, on = self.words, next(self.words.parameters()).device
        with torch.no_grad(), torch.autocast(on.type, enabled=False):
            return encode(how.prompts, lambda texts: words.say(tokenized(texts).to(on), how.skip or how.compat))

    def echoing(self, cond: LatentCond, hints: Hints, rows: Tensor, how: Manner, latent: Encode | None) -> LatentCond:
        """Let self-attention read the noised reference, too; rows without reference do so only in part."""
        from dataclasses import replace

        echo = how.echo
        assert echo is not None
        picture = background.squashed(hints["reference"][:, :3], cond.maps[0])
        maps: tuple[Tensor, ...] = ()
        if echo.lines > 0:
            maps = tuple(value * echo.lines for value in self.sketch(-picture))
        clean = background.seen(latent)(picture)
        own = (1 - rows) * echo.own
        return replace(cond, injection=Injection(_noised(clean), maps, own, echo.start))


def _noised(clean: Tensor) -> Callable[[Tensor], Tensor]:
    """Add fresh noise to latents, (B, C, h, w), one noise for all of them, for an index of the noise table."""
    from colorize.diffusion.schedules import ScaledLinear

    abar, rng = ScaledLinear().abar(), torch.Generator().manual_seed(0)

    def at(index: Tensor) -> Tensor:
        place = abar[int(index.flatten()[0])]
        fresh = torch.randn(clean.shape[1:], generator=rng).to(clean)
        return float(place.sqrt()) * clean + float((1 - place).sqrt()) * fresh

    return at


def _places(levels: Levels, compat: bool) -> tuple[float, ...]:
    if levels.places:
        return levels.places
    if levels == Levels() and not compat:
        return ()
    return weights(levels.overall, levels.encoder, levels.middle, levels.low, compat)
