"""Denoise drawings of one size in batches, and lay the colors on the originals."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from colorize import __version__
from colorize.checkpoints.model_files import Loaded
from colorize.coloring.inputs import Kind, ModelInput, shrink
from colorize.coloring.options import Job, SampleOptions, sampling
from colorize.diffusion.samplers import State
from colorize.errors import ColorizeError, unexpected
from colorize.hints import Hints
from colorize.images import color_hints, files, finish, layers, regions
from colorize.images.flat_regions import Labels
from colorize.images.image import Picture
from colorize.images.ink import HintPixels
from colorize.images.layers import Layer
from colorize.images.metadata import MARK
from colorize.images.paper import Sheet
from colorize.images.regions import Region
from colorize.model import Sampling
from colorize.networks import devices
from colorize.recipes import overrides

SAME = 2.5 / 127.5  # of a channel; colors that differ by less are one
Regions = tuple[Sequence[Region], Labels]  # see `regions.find`
FILM = 512  # pixels of the longer side of a film's frames; GIFs of more grow huge
BATCH = {"cuda": 8}  # rows at once; elsewhere 1, as fast per picture and with the least memory


@dataclass(frozen=True)
class Painted:
    """A result, and how it was made.

    picture: of the drawing's size, depth and alpha; its text "colorize" holds `meta` as JSON. kind: what the
    drawing was taken for. seed, variation: give this picture again. seconds: its share of the time. calls: of the
    network. frames, layers: of the film and of the picture, if wanted.
    """

    picture: Picture
    kind: Kind
    seed: int
    variation: int
    seconds: float
    calls: int
    notes: tuple[str, ...]
    meta: dict[str, object]
    frames: tuple[Picture, ...] = ()
    layers: tuple[Layer, ...] = ()
    regions: Regions | None = None


@dataclass(frozen=True)
class Step:
    """A denoising step is done, which is this share of one drawing's work."""

    share: float


@dataclass
class Task:
    """A job under way, or one panel of its page.

    guidance: by hint. seconds: spent on it outside of the network. share: of its job's work. offered: the colors that
    each variation may use, (1, 3, N, 1), if they are limited.
    """

    job: Job
    input: ModelInput
    guidance: dict[str, float]
    seconds: float
    share: float = 1.0
    done: list[Painted] = field(default_factory=list)
    error: ColorizeError | None = None
    offered: tuple[Tensor, ...] = ()

    @property
    def key(self) -> tuple[object, ...]:
        """Tasks of equal keys fit into one batch: equal hints of equal sizes, equal guidance."""
        return *((name, value.shape) for name, value in self.input.hints.items()), *self.guidance.items()

    def hints(self, variation: int) -> Hints:
        """What a variation is colored by."""
        given = self.input.hints
        return Hints(**dict(given.items()), offered=self.offered[variation]) if self.offered else given


Row = tuple[Task, int]  # a task, and which of its variations


def seed_of(seed: int, drawing: Picture, variation: int) -> int:
    """Return the seed of a picture's noise: 63 bits of BLAKE2b over seed, variation and pixels.

    So a picture depends neither on its name nor on the rest of its batch.
    """
    shape = drawing.pixels.shape
    digest = hashlib.blake2b(f"{seed} {variation} {shape}".encode(), digest_size=8)
    for plane in (drawing.pixels, drawing.alpha):
        if plane is not None:
            digest.update(np.ascontiguousarray(plane).data)
    return int.from_bytes(digest.digest(), "big") >> 1


class BatchRunner:
    """A model and the options, on the device and in the precision that they ask for."""

    def __init__(self, loaded: Loaded, options: SampleOptions) -> None:
        self.model = loaded
        self.colorizer = loaded.colorizer.eval()
        self.options, self.sampling = options, sampling(loaded.recipe, options)
        self.device = self.colorizer.device
        self.dtype = devices.precision(options.precision, self.device)
        self.batch = options.batch or BATCH.get(self.device.type, 1)

    def run(self, tasks: Sequence[Task]) -> Iterator[Step]:
        """Fill in `done` or `error` of tasks of one key, `batch` rows at a time."""
        rows = [(task, at) for task in tasks for at in range(self.options.variations)]
        while rows:
            chunk, rows = rows[: self.batch], rows[self.batch :]
            yield from self._try([row for row in chunk if row[0].error is None])

    def _try(self, rows: Sequence[Row]) -> Iterator[Step]:
        """Color rows at once or, if that fails, one by one: the error may concern one alone."""
        if not rows:
            return
        try:
            yield from self._denoise(rows)
            return
        except ColorizeError as found:
            error = found
        except Exception as found:
            error = unexpected(found)
            if isinstance(found, MemoryError) or (isinstance(found, RuntimeError) and "memory" in str(found)):
                self.batch = 1  # from now on
                if self.device.type == "cuda":
                    torch.cuda.empty_cache()
                height, width = rows[0][0].input.hints.size
                error = ColorizeError(
                    f"out of memory for this picture, {width} x {height} pixels inside the model",
                    "give a smaller --size, or --device cpu",
                )
        if len(rows) == 1:
            rows[0][0].error = error
            return
        for row in rows:
            yield from self._try([row])

    def _denoise(self, rows: Sequence[Row]) -> Iterator[Step]:
        begin, options = time.perf_counter(), self.options
        frames: list[list[Picture]] = [[] for _ in rows]
        seeds = [self.seed(task.input.original, at) for task, at in rows]
        every = [task.hints(at) for task, at in rows]
        hints = Hints(**{name: torch.cat([one[name] for one in every]) for name in every[0]}).to(self.device)
        strength = dict(options.strength)
        if "hints" not in hints:
            strength.pop("hints", None)  # they lie on other panels of the page
        work = sum(task.share for task, _ in rows)
        weights = rows[0][0].guidance, strength, options.settings
        calls: list[int] = []  # of the network
        hook = self.colorizer.network.register_forward_hook(lambda *_: calls.append(1))
        try:
            told = hints if options.auto_hints is None else self._self_hinted(hints, seeds, weights)
            walk = self.colorizer.walk(told, self.sampling, seeds, *weights)
            while state := self._next(walk):
                last = state
                decoded = self._decoded(state.x0, hints) if options.film else ()  # what the model expects now
                for some, (task, _), (shaded, _) in zip(frames, rows, decoded, strict=False):
                    small = shrink(task.input.original, FILM)
                    frame = laid(small, shaded, task.input.kind, self.colorizer.inked, sheet=task.input.sheet)
                    some.append(finish.on_black(small, frame) if task.input.inverted else frame)
                yield Step(work / (self.sampling.steps * options.variations))
        finally:
            hook.remove()
        colors = self._decoded(last.x, hints)
        share = (time.perf_counter() - begin) / len(rows)
        for (task, at), color, film in zip(rows, colors, frames, strict=True):
            self._finish(task, at, color, share, len(calls), tuple(film))

    def _self_hinted(self, hints: Hints, seeds: Sequence[int], weights: tuple[Any, ...]) -> Hints:
        """Color once; some pixels of the result, where no hint was given, become hints."""
        walk = self.colorizer.walk(hints, self.sampling, seeds, *weights)
        while state := self._next(walk):
            last = state
        color = self.colorizer.decode(last.x.float(), hints)
        picked = color_hints.pick(color, self.options.auto_hints or 0.0, seeds)
        given = hints.get("hints", color_hints.blank(color))
        return Hints(**{**hints, "hints": torch.where(given[:, 3:] > 0, given, picked)})

    def seed(self, drawing: Picture, variation: int) -> int:
        """The seed of a row; 0 asks a system that can tell for the likeliest picture."""
        if self.colorizer.likeliest and not (self.options.seed or variation):
            return 0
        seed = seed_of(self.options.seed, drawing, variation)
        if not self.colorizer.likeliest:
            return seed
        # The lowest bits choose a remembered picture, the same one for all panels of a page.
        return (seed & -8) | ((self.options.seed + variation) & 7)

    def _next(self, walk: Iterator[State]) -> State | None:
        """The next state; the modes must not stay on while a generator waits."""
        dtype = self.dtype or torch.float32
        on = self.dtype is not None and not self.colorizer.full_precision
        with torch.inference_mode(), torch.autocast(self.device.type, dtype, enabled=on):
            return next(walk, None)

    def _decoded(self, x: Tensor, hints: Hints) -> tuple[tuple[Tensor, Tensor], ...]:
        """Shaded and flat color of every row, each (1, 3, h, w); where flats are not wanted the same twice."""
        strength, exact = self.options.strength, self.options.hint_mode == "hard"
        with torch.inference_mode():
            decode, flat = self.colorizer.decode, self.options.divides
            colors = decode(x.float(), hints, strength, exact).cpu()
            plain = decode(x.float(), hints, strength, exact, flat=True).cpu() if flat else colors
            return tuple((colors[at : at + 1], plain[at : at + 1]) for at in range(len(colors)))

    def _finish(
        self, task: Task, at: int, color: tuple[Tensor, Tensor], seconds: float, calls: int, film: tuple[Picture, ...]
    ) -> None:
        begin, item, options = time.perf_counter(), task.input, self.options
        last = self.model.recipe.system.finish
        shaded, flat = (last(one, item.hints, options.settings) for one in color)
        picture, parts, found = finished(item, shaded, flat, self.colorizer.inked, options)
        notes = item.notes
        if item.inverted:
            picture = finish.on_black(item.original, picture)
            lost = " or ".join(name for name, some in (("layers", parts), ("regions", found)) if some)
            notes += (f"no {lost} were saved: the drawing has white lines on black",) if lost else ()
            parts, found = (), None
        meta = provenance(self.model, options, self.sampling, task.job, item, task.guidance, at)
        picture = replace(picture, text={**picture.text, MARK: json.dumps(meta, ensure_ascii=False)})
        seconds += task.seconds / options.variations + time.perf_counter() - begin
        notes += finish.uncolored(item.original, picture)
        painted = Painted(picture, item.kind, options.seed, at, seconds, calls, notes, meta, film, parts)
        if found:
            painted = replace(painted, regions=with_sources(found, item.hints, task.job))
        task.done.append(painted)


def laid(
    original: Picture,
    color: Tensor,
    kind: Kind,
    inked: bool,
    exact: HintPixels | None = None,
    sheet: Sheet | None = None,
) -> Picture:
    """Return the original in color, see `finish.onto`; a gray one as on white paper, then on its own sheet."""
    with torch.inference_mode():
        if sheet is None:
            return finish.onto(original, color, kind, inked, exact)
        return sheet.under(finish.onto(sheet.whitened(original), color, kind, inked, exact), original)


def finished(
    item: ModelInput, color: Tensor, flat: Tensor, inked: bool, options: SampleOptions
) -> tuple[Picture, tuple[Layer, ...], Regions | None]:
    """Return the finished picture, and its layers from top to bottom and its regions if they are wanted.

    color, flat: (1, 3, h, w) in [-1, 1], with shade and without; inked: whether the drawing's ink is in it.
    See `finish.onto`. Gray panels of a page are shaded also where its line art is to be flat.
    """
    if item.kind == "gray" or not options.divides:
        return laid(item.original, color, item.kind, inked, item.exact, item.sheet), (), None
    with torch.inference_mode():
        hints = item.hints.get("hints") if item.exact else None
        divided = layers.divide(item.original, color, inked, hints, item.exact, flat, options.gaps, options.flat)
        parts = layers.layers(divided, options.flat) if options.layers else ()
        found = regions.find(divided) if options.save_regions else None
        return layers.merged(divided, options.flat), parts, found


def with_sources(found: Regions, hints: Hints, job: Job) -> Regions:
    """Add `source` to every region: the names of the pictures whose main colors hold its color, or `hint`."""
    from colorize.region_diffusion.pieces import main_colors

    known: list[tuple[str, Tensor]] = []
    if "hints" in hints:
        layer = hints["hints"][0].flatten(1).T
        known.append(("hint", torch.unique(layer[layer[:, 3] > 0, :3], dim=0)))
    pictures = torch.split(hints["reference"], 3, dim=1) if "reference" in hints else ()
    for one, picture in zip(job.references, pictures, strict=False):
        main = main_colors(picture.cpu().float())
        known.append((one.name, main.rgb[0][main.valid[0]]))
    with_source = []
    for region in found[0]:
        color = torch.tensor(list(bytes.fromhex(region.color[1:]))) / 127.5 - 1
        sources = [name for name, colors in known if len(colors) and (colors - color).abs().amax(1).min() < SAME]
        with_source.append(replace(region, source=tuple(sources)))
    return with_source, found[1]


def provenance(
    loaded: Loaded,
    options: SampleOptions,
    sampling: Sampling,
    job: Job,
    given: ModelInput,
    guidance: Mapping[str, float],
    variation: int,
) -> dict[str, object]:
    """Return what gives a picture again: the model, the sampling, and the inputs; pictures by name and fingerprint.

    The license of the weights is in it, where it is known: it may forbid uses of the picture.
    """
    source, back = loaded.source, job.background
    license_ = loaded.facts.get("license", "")[:200]  # some write all of it
    known: dict[str, object] = {
        "program": f"colorize {__version__}",
        "model": Path(source).name if Path(source).is_absolute() else source,
        "weights_license": license_ or None,
        "recipe": loaded.recipe.name,
        "adapters": [asdict(one) for one in loaded.adapters],
        "drawing": files.fingerprint(job.drawing) if isinstance(job.drawing, Path) else None,
        "kind": given.kind,
        "size": [*given.hints.size[::-1]],
        "seed": options.seed,
        "variation": variation,
        "sampler": sampling.sampler,
        "steps": sampling.steps,
        "eta": sampling.eta,
        "spacing": sampling.spacing,
        "settings": None if options.settings is None else overrides.to_dict(options.settings),
        "background": None if back is None else {back.name: _fingerprint(back.picture)},
        "mask": _fingerprint(job.mask) if isinstance(job.mask, Picture) else job.mask,
        "reference_mask": None if job.reference_mask is None else _fingerprint(job.reference_mask),
        "only": None if job.only is None else _fingerprint(job.only),
        "guidance": dict(guidance),
        "strength": dict(options.strength),
        "references": {one.name: _fingerprint(one.picture) for one in job.references},
        "flat": options.flat,
        "colors": options.colors,
        "gaps": options.gaps,
        "hints": "hints" in job.given,
        "dots": [dot.text for dot in job.dots],
        "hint_mode": options.hint_mode,
        "auto_hints": options.auto_hints,
    }
    return {name: value for name, value in known.items() if value is not None}


def _fingerprint(picture: Picture) -> str:
    """The first twelve digits of a hash of the pixels."""
    return hashlib.sha256(np.ascontiguousarray(picture.pixels).data).hexdigest()[:12]
