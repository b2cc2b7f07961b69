"""What ColorizeDiffusion's U-Net gets of the hints: maps of the sketch, tokens of references, figure and background."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from colorize.colorize_diffusion.clip import CLIPSpec, Vision, Words, tokenized
from colorize.colorize_diffusion.condition import Injection, LatentCond, LatentSettings, Split, joined
from colorize.colorize_diffusion.encoders import ClusterSpec, SideSpec, SketchSpec, ThresholdSpec, proportions
from colorize.colorize_diffusion.token_edits import Edit, edited, encode
from colorize.colorize_diffusion.vae import on_canvas
from colorize.diffusion.schedules import ScaledLinear
from colorize.errors import ColorizeError
from colorize.hints import Hints
from colorize.images.resize import widen
from colorize.networks.conditions import Drop, Strength, kept
from colorize.system import ConditionSpec

CLIP = "laion/CLIP-ViT-H-14-laion2B-s32B-b79K/open_clip_model.safetensors"
CELL = 8  # pixels of the drawing a side for one cell of a latent, and of the finest map
OUTSIDE = -1.0  # of masks on the canvas around a drawing: background
CACHED = 4  # references whose tokens are kept while pictures are made; folders share theirs
Encode = Callable[[Tensor], Tensor]  # pictures (B, 3, H, W) -> latents


@dataclass(frozen=True)
class SketchAndReference(ConditionSpec):
    """The sketch as maps, references as tokens of CLIP, which is never trained here.

    clip: its numbers. encoder: where its weights are, a file or OWNER/NAME/FILE on the Hub; empty if they are in the
    model's own file. threshold, clusters: version 1.5's background tokens. sides: version 2's encoders of background
    and style.
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

    def build(self, widths: tuple[int, ...] = (320, 640, 1280, 1280)) -> Conditioner:
        """Make the module. widths: of the U-Net's levels, which its maps must have."""
        return Conditioner(self, widths)


class Conditioner(nn.Module):
    """All encoders; `words` is there only where texts are to be read.

    release: called after CLIP has read pictures, if its weights lie in a file and memory can do without them.
    """

    words: Words | None
    release: Callable[[], None] | None = None

    def __init__(self, spec: SketchAndReference, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.spec, self.multiple = spec, CELL * 2 ** (len(widths) - 1)
        self.sketch = SketchSpec(widths).build()
        self.vision = Vision(spec.clip).requires_grad_(False)
        self.words = None
        self.cache: list[tuple[Tensor, float, Tensor]] = []  # pictures, margin, tokens
        if spec.threshold is not None:
            self.threshold = spec.threshold.build()
        if spec.clusters is not None:
            self.clusters = spec.clusters.build()
        if spec.sides is not None:
            self.background = spec.sides.build(tokens=spec.tokens)
            self.style = spec.sides.build(tokens=spec.tokens, pooled=True)

    join = staticmethod(joined)  # so that guidance takes one call a step

    def forward(
        self,
        hints: Hints,
        drop: Drop | None = None,
        strength: Strength | None = None,
        settings: LatentSettings | None = None,
        latent: Encode | None = None,
    ) -> LatentCond:
        """Encode all hints. latent: the autoencoder, for injection and for version 2's encoders."""
        drop, strength, settings = drop or {}, strength or {}, settings or LatentSettings()
        rows = kept(hints, "reference", drop)[:, :, 0]  # (B, 1, 1)
        cond = LatentCond(
            tokens=self.tokens(hints, rows, settings),
            maps=self.maps(hints, kept(hints, "line", drop), strength.get("line", 1.0)),
            token_scale=strength.get("reference", 1.0),
            places=settings.levels.of_places(settings.compat),
            window=settings.window,
        )
        if settings.halves.style and self.spec.sides is None:
            way_out = "leave it out, or choose a model of version 2"
            raise ColorizeError("this model has no style encoder", way_out, code=2)
        if settings.halves.style and "reference" in hints:
            style = self.features(self.style, hints["reference"][:, :3], cond, settings, latent)
            if "background" in hints and (share := settings.halves.merge):
                other = self.features(self.style, hints["background"], cond, settings, latent)
                style = tuple(torch.lerp(one, two, share) for one, two in zip(style, other, strict=True))
            cond = replace(cond, style=style)
        if "mask" in hints:
            cond = self.with_background(cond, hints, rows, settings, latent)
        if settings.echo is not None and bool(rows.any() or "reference" in hints):
            cond = self.with_injection(cond, hints, rows, settings, latent)
        return cond

    def maps(self, hints: Hints, rows: Tensor, strength: float) -> tuple[Tensor, ...]:
        """The sketch's five maps; rows: (B, 1, 1, 1), 0 where there is to be none, which is black throughout."""
        white_on_black = rows * -on_canvas(hints["line"], self.multiple) + (rows - 1)
        return tuple(value * strength for value in self.sketch(white_on_black.expand(-1, 3, -1, -1)))

    def tokens(self, hints: Hints, rows: Tensor, settings: LatentSettings) -> Tensor:
        """All references of a picture as one row of tokens, (B, R * N, T); zeros where rows (B, 1, 1) are 0."""
        reference = hints.get("reference")
        count = 1 if reference is None else reference.shape[1] // 3
        if reference is None or not bool(rows.any()):
            places = self.vision.positional_embedding.shape[0] - 1
            return rows.new_zeros(len(rows), count * places, self.spec.tokens)
        read = edited(self.read(reference, settings), self.edits(settings))[:, 1:]
        return rows * read.reshape(len(rows), -1, read.shape[-1])  # (B * R, N, T) -> (B, R * N, T)

    def read(self, pictures: Tensor, settings: LatentSettings) -> Tensor:
        """Pictures (B, 3 R, h, w) as CLIP sees them, (B * R, 1 + N, T), the whole picture's token first.

        In inference mode the last ones are kept, so that drawings that share a reference share its tokens, too.
        """
        caching, margin = torch.is_inference_mode_enabled(), settings.margin
        for cached, its_margin, tokens in self.cache if caching else ():
            if its_margin == margin and torch.equal(cached, pictures):
                return tokens
        several = pictures.reshape(-1, 3, *pictures.shape[-2:])
        with torch.no_grad():
            found: Tensor = self.vision(widen(several, margin))
        if caching:
            self.cache = [*self.cache[1 - CACHED :], (pictures, margin, found)]
            if self.release is not None:
                self.release()
        return found

    def edits(self, settings: LatentSettings) -> list[Edit]:
        """The edits by text as vectors. Raises ColorizeError without the tower of words or its vocabulary."""
        if not any(prompt.scale > 0 for prompt in settings.prompts):
            return []
        if self.words is None:
            message = "edits by text need the text encoder, which was not loaded"
            raise ColorizeError(message, "load it with `words=True`")
        words, device = self.words, next(self.words.parameters()).device
        skip = settings.skip or settings.compat
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            return encode(settings.prompts, lambda texts: words.say(tokenized(texts).to(device), skip))

    def with_background(
        self, cond: LatentCond, hints: Hints, rows: Tensor, settings: LatentSettings, latent: Encode | None
    ) -> LatentCond:
        """Add tokens of the background behind those of the figure, the mask, and what version 2 adds."""
        ground, front = settings.halves, cond.tokens
        assert front is not None
        picture = background_picture(hints, ground.reference)
        back = self.read(picture, settings)[:, 1:]
        if self.spec.threshold is not None:
            back = back + self.threshold(rows.new_tensor([ground.reference]))
            if settings.compat:
                front = front + rows * self.threshold(rows.new_tensor([ground.drawing]))
        if self.spec.clusters is not None and not (settings.compat and "background" in hints):
            back = self.clusters(back)
        back = (rows * back).repeat(1, front.shape[1] // back.shape[1], 1)  # copies read as one
        mask = on_canvas(hints["mask"], self.multiple, OUTSIDE)
        mask = F.interpolate((mask + 1) / 2, scale_factor=1 / CELL, mode="bicubic")
        weights = ground.drawing, ground.figure, ground.background, ground.merge
        split = Split(mask, *weights, tuned=(ground.tuned, True))
        cond = replace(cond, tokens=torch.cat([front, back], dim=1), split=split)
        if self.spec.sides is None:
            return cond
        features = self.features(self.background, picture, cond, settings, latent)
        return replace(cond, background=tuple(ground.factor * one for one in features))

    def features(
        self, encoder: nn.Module, picture: Tensor, cond: LatentCond, settings: LatentSettings, latent: Encode | None
    ) -> tuple[Tensor, ...]:
        """Encode a picture (B, 3, h, w) by version 2's encoder of background or style."""
        assert latent is not None
        assert self.spec.sides is not None
        height, width = (side * CELL for side in cond.maps[0].shape[-2:])
        labels = proportions((picture.shape[-2], picture.shape[-1]), (height, width), self.spec.sides.labels)
        tokens = self.read(picture, settings)[:, 1:]
        clean = latent(resized(picture, cond.maps[0]))
        found: tuple[Tensor, ...] = encoder(clean, labels.to(picture).expand(len(picture), -1), tokens)
        return found

    def with_injection(
        self, cond: LatentCond, hints: Hints, rows: Tensor, settings: LatentSettings, latent: Encode | None
    ) -> LatentCond:
        """Let self-attention read the noised reference, too; rows without reference do so only in part."""
        assert settings.echo is not None
        assert latent is not None
        lines, own = settings.echo.lines, (1 - rows) * settings.echo.own
        picture = resized(hints["reference"][:, :3], cond.maps[0])
        maps = tuple(value * lines for value in self.sketch(-picture)) if lines > 0 else ()
        return replace(cond, injection=Injection(_noised(latent(picture)), maps, own, settings.echo.start))


def _noised(clean: Tensor) -> Callable[[Tensor], Tensor]:
    """For an index of the noise table, add fresh noise to latents (B, C, h, w), one noise for all of them."""
    abar, rng = ScaledLinear().abar(), torch.Generator().manual_seed(0)

    def at(index: Tensor) -> Tensor:
        place = abar[int(index.flatten()[0])]
        fresh = torch.randn(clean.shape[1:], generator=rng).to(clean)
        return float(place.sqrt()) * clean + float((1 - place).sqrt()) * fresh

    return at


def background_picture(hints: Hints, threshold: float) -> Tensor:
    """The picture of the background, (B, 3, h, w): the one given, or the reference with a white figure.

    Raises ColorizeError if there is neither.
    """
    own, reference, mask = (hints.get(name) for name in ("background", "reference", "reference_mask"))
    if own is not None:
        return own
    if reference is None:
        raise no_background()
    picture = reference[:, :3]
    return picture if mask is None else torch.where((mask + 1) / 2 >= threshold, torch.ones_like(picture), picture)


def no_background() -> ColorizeError:
    """Return the error of a mask with nothing to take the background from."""
    return ColorizeError(
        "a mask needs a background or a reference, and neither was given",
        "add --background or --ref, or leave --mask out",
        code=2,
    )


def resized(picture: Tensor, cells: Tensor) -> Tensor:
    """Bring a picture to the size in pixels of a map of cells, whatever its proportions."""
    size = [side * CELL for side in cells.shape[-2:]]
    return F.interpolate(picture, size, mode="bicubic", antialias=True).clamp(-1, 1)
