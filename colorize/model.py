"""One trained system, and its walk from noise to color."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from colorize.diffusion import denoiser as denoising
from colorize.diffusion import names, samplers
from colorize.diffusion.denoiser import Denoiser, Dynamic, Static
from colorize.diffusion.samplers import State
from colorize.diffusion.schedules import Schedule, times
from colorize.errors import SEEDS, ColorizeError, nearest, within
from colorize.hints import Hints
from colorize.networks.conditions import Drop, Strength, single
from colorize.networks.spaces import Space

if TYPE_CHECKING:
    from colorize.checkpoints.adapters import AppliedAdapter
    from colorize.recipes.recipe import Recipe


class Settings:
    """Settings that one system alone has."""

    @property
    def reads_text(self) -> bool:
        """Whether they hold text, for which the system must load an encoder."""
        return False


@dataclass(frozen=True)
class Sampling:
    """How a trained system walks from noise to picture.

    steps: states of the walk, each of one network call or more.
    sampler: the solver's name.
    eta: fresh noise, from 0 (DDIM) to 1 (DDPM), for the samplers that take any.
    spacing: how times are chosen.
    start: pure noise, or the reference with noise.
    begin: the time at which the walk begins; 1 is the end of the schedule.
    threshold: what keeps predicted pictures in range, by the name of its class; none for nothing.
    guidance: how much each hint is exaggerated by default; each costs another call wherever there is one.
    """

    steps: int = 10
    sampler: str = "ddim"
    eta: float = 0.0
    spacing: str = "trailing"
    start: Literal["noise", "noised-reference"] = "noise"
    begin: float = 1.0
    threshold: Static | Dynamic | None = Static()
    guidance: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ColorizeError(f"steps is {self.steps}", "choose at least 1", code=2)
        names.check(self.sampler, code=2)
        if self.spacing not in names.SPACINGS:
            hint = nearest(self.spacing, names.SPACINGS)
            raise ColorizeError(f"unknown spacing `{self.spacing}`", hint, code=2)
        if not 0 <= self.eta <= 1:
            raise ColorizeError(f"eta is {self.eta:g}", "choose 0 (DDIM) to 1 (DDPM)", code=2)
        if not 0 < self.begin <= 1:
            raise ColorizeError(f"begin is {self.begin:g}", "choose a number above 0, up to 1", code=2)

    def stops(self, schedule: Schedule) -> Tensor:
        """Return the times of the walk: (steps + 1,), see `schedule.times`.

        With `karras` and `exponential`, which end next to clean pictures, the samplers of DPM2's kind skip the last
        noisy stop: it is worth no second call, and the third order overshoots there.
        """
        short = names.SAMPLERS[self.sampler].short and self.spacing in names.RATIO_SPACINGS
        return times(schedule, self.steps, begin=self.begin, rule=self.spacing, skip=short)


class Noise:
    """Random numbers per picture: a picture's noise depends on its seed, not on its batch."""

    def __init__(self, seeds: Sequence[int]) -> None:
        for seed in seeds:
            within("seed", seed, *SEEDS)
        self.generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def __call__(self, like: Tensor) -> Tensor:
        """Draw standard normal noise of a tensor's shape, (B, ...), on its device."""
        rows = [torch.randn(like.shape[1:], generator=rng) for rng in self.generators]
        return torch.stack(rows).to(like)


class Colorizer(nn.Module):
    """Colors pictures: hints in, a walk of ever cleaner x out.

    Conditions are encoded once per call of `walk`, and once more per guided hint, never once per step. critic: judges
    pictures during adversarial training; no part of the model's file. full_precision: never run under autocast.
    likeliest: seed 0 stands for the likeliest picture, whatever the drawing. recipe: what it was built by. source,
    facts, adapters: as `model_files.Loaded` has them. notes: sentences on parts that are missing.
    """

    critic: nn.Module | None
    full_precision: bool = False
    likeliest: bool = False
    recipe: Recipe | None = None
    source: str = "a model made here"
    facts: Mapping[str, str] = MappingProxyType({})
    adapters: tuple[AppliedAdapter, ...] = ()
    notes: tuple[str, ...] = ()

    def __init__(self, space: Space, condition: nn.Module, denoiser: Denoiser) -> None:
        super().__init__()
        self.space, self.condition, self.denoiser, self.critic = space, condition, denoiser, None

    @classmethod
    def from_pretrained(
        cls,
        model: str | Path = "mini",
        *,
        revision: str = "",
        token: str | None = None,
        cache_dir: str | Path | None = None,
        offline: bool = False,
    ) -> Colorizer:
        """Load a model: a recipe's name, a file, a folder, or OWNER/NAME[/FILE.safetensors] on the Hub.

        revision: a branch, a tag or a commit. token, cache_dir: by default HF_TOKEN or that of `hf auth login`, and
        HF_HUB_CACHE. offline: look into the cache only. Raises ColorizeError as `model_files.load` does.
        """
        from colorize.checkpoints import access, model_files

        with access.access(token, cache_dir):
            return model_files.load(model_files.at_revision(model, revision), offline=offline).own()

    def save_pretrained(self, folder: str | Path, *, half: bool = False) -> Path:
        """Write model.safetensors, config.json and, if there is none, README.md into a folder, and return it.

        half: store float16, half the size. Raises ColorizeError as `model_files.save` does.
        """
        from colorize.checkpoints import model_files

        known = model_files.loaded(self)
        model_files.save_folder(self, known.recipe, Path(folder), known.facts, half)
        return Path(folder)

    def push_to_hub(
        self,
        name: str,
        *,
        private: bool | None = None,
        token: str | None = None,
        commit_message: str = "",
        half: bool = False,
        license: str = "",
    ) -> str:
        """Upload the files of `save_pretrained` to OWNER/NAME on the Hub; return the address of the commit.

        license: of the weights, such as cc-by-4.0, if the model does not know its own. A card that is there stays.
        Raises ColorizeError for a model without a license, and as `colorize.checkpoints.model_files.push` does.
        """
        from colorize.checkpoints import model_files

        known = model_files.loaded(self)
        if license:
            known = replace(known, facts={**known.facts, "license": license})
        if not known.facts.get("license"):
            raise ColorizeError("the model has no license", 'give it one: license="cc-by-4.0"', code=2)
        with TemporaryDirectory() as folder:
            file = Path(folder, "model.safetensors")
            model_files.save(self, known.recipe, file, known.facts, half)
            return model_files.push(file, name, private=private, token=token, message=commit_message)

    @property
    def network(self) -> nn.Module:
        """The network whose calls are counted, and to which adapters belong."""
        return self.denoiser.net

    @property
    def inked(self) -> bool:
        """Whether the ink of line art is in the color that `decode` gives."""
        return self.space.inked

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def start(self, hints: Hints, sampling: Sampling, noise: Tensor) -> Tensor:
        """Return x at the first time of the walk: pure noise, or the reference noised to that time."""
        alpha, sigma = self.denoiser.schedule(torch.tensor(sampling.begin, device=noise.device))
        if sampling.start == "noise":
            return noise
        reference = single(hints["reference"], "a start from the reference")
        reference = nn.functional.interpolate(reference, hints.size, mode="bilinear", antialias=True)
        plain = Hints(line=torch.ones_like(reference[:, :1]))
        return alpha * self.space.encode(reference, plain) + sigma * noise

    def encode(self, hints: Hints, drop: Drop, strength: Strength, settings: Settings | None = None) -> object:
        """Encode the hints into a condition. Raises ColorizeError (wrong usage) for settings, which this has not."""
        if settings is not None:
            raise ColorizeError("this model takes none of these settings", "leave them out, or choose another", code=2)
        return self.condition(hints, drop, strength)

    def guided(
        self,
        hints: Hints,
        guidance: Mapping[str, float],
        strength: Mapping[str, float],
        settings: Settings | None = None,
    ) -> denoising.Denoise:
        """Encode the hints and return x, t -> x0.

        Every hint with guidance != 1 costs one more call a step, or more rows where conditions can be joined.
        """
        unknown = [name for name in [*guidance, *strength] if name not in hints]
        if unknown:
            raise ColorizeError(f"`{unknown[0]}` is not among the given hints", nearest(unknown[0], hints), code=2)
        everyone = torch.ones(hints.batch, dtype=torch.bool, device=hints.drawing.device)
        cond = self.encode(hints, {}, strength, settings)
        guided = [name for name, weight in guidance.items() if weight != 1]
        without = {name: self.encode(hints, {name: everyone}, strength, settings) for name in guided}
        return denoising.guide(self.denoiser, cond, without, guidance, getattr(self.condition, "join", None))

    def walk(
        self,
        hints: Hints,
        sampling: Sampling,
        seeds: Sequence[int],
        guidance: Mapping[str, float] | None = None,
        strength: Mapping[str, float] | None = None,
        settings: Settings | None = None,
    ) -> Iterator[State]:
        """Yield the state after every step; the last one's x is the answer in the space of the system.

        hints: B pictures on the device of the weights. seeds: one per picture. settings: of this system, see `encode`.
        """
        noise = Noise(seeds)
        blank = hints.drawing.new_empty(self.space.shape(hints))
        x = self.start(hints, sampling, noise(blank))
        yield from samplers.walk(
            self.guided(hints, guidance or {}, strength or {}, settings),
            x,
            sampling.stops(self.denoiser.schedule).to(x.device),
            self.denoiser.schedule,
            sampler=sampling.sampler,
            eta=sampling.eta,
            noise=lambda _: noise(blank),
            threshold=sampling.threshold,
        )

    def decode(
        self,
        x: Tensor,
        hints: Hints,
        strength: Mapping[str, float] | None = None,
        obedient: bool = True,
        flat: bool = False,
    ) -> Tensor:
        """Turn x into color (B, 3, h, w) in [-1, 1], drawn towards the user's hints if it is to be obedient.

        flat: without shade, where the system knows what that is.
        """
        return self.space.decode(x, hints, (strength or {}).get("hints", 1.0) * obedient)

    def sample(
        self,
        hints: Hints,
        sampling: Sampling,
        seeds: Sequence[int],
        guidance: Mapping[str, float] | None = None,
        strength: Mapping[str, float] | None = None,
        settings: Settings | None = None,
    ) -> Tensor:
        """Walk to the end and decode: color (B, 3, h, w) in [-1, 1], under or with ink as `space.inked` says."""
        for state in self.walk(hints, sampling, seeds, guidance, strength, settings):
            x = state.x
        return self.decode(x, hints, strength)
