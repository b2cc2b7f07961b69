"""Train a recipe in a run folder: begin, go on, or say what is in the way. Knows nothing of terminals."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
import torch.distributed

from colorize.checkpoints import adapters, model_files
from colorize.checkpoints.adapters import Adapter
from colorize.checkpoints.model_files import Loaded
from colorize.errors import ColorizeError
from colorize.images.files import atomic
from colorize.model import Colorizer
from colorize.networks import devices, lora
from colorize.recipes.objective import Adversarial, Choosing
from colorize.recipes.recipe import Recipe, Stage
from colorize.region_diffusion.system import RegionColorizer
from colorize.training import distributed, frozen_networks, objectives, region_objective, region_store, remember, resume
from colorize.training.batches import Pictures
from colorize.training.job import Order
from colorize.training.lock import Lock
from colorize.training.loop import fit
from colorize.training.objectives import Objective
from colorize.training.preview import Preview
from colorize.training.region_batches import RegionBatches
from colorize.training.resume import ADAPTER, MADE, STATE, VALUES, WEIGHTS, check, done
from colorize.training.settings import Progress


def objective(stage: Stage, recipe: Recipe) -> Objective:
    """Make the losses a stage asks for, along the walk that the recipe samples with; or refuse to."""
    noisy = getattr(stage.objective, "noisy", 0.0)
    if noisy and not recipe.condition.tokens:
        told = f"objective.noisy is {noisy:g}, but `{recipe.name}` has no tokens to make noisy"
        raise ColorizeError(told, "leave it at 0, or choose a recipe whose references are tokens", 2)
    if isinstance(stage.objective, Choosing) != recipe.chooses:
        told = f"`{recipe.name}` cannot be trained by the objective {type(stage.objective).__name__}"
        raise ColorizeError(told, "leave `objective` as the recipe has it", code=2)
    if isinstance(stage.objective, Choosing):
        return region_objective.ChoosingLoss(stage.objective)
    if not isinstance(stage.objective, Adversarial):
        return objectives.build(stage.objective, recipe.sampling)
    if not recipe.once:
        told = f"`{recipe.name}` walks from noise, and a critic judges what is made in one call"
        raise ColorizeError(told, "choose objective=Denoising, or a recipe such as manga-gan", 2)
    return objectives.build_adversarial(stage.objective, frozen_networks.eyes(stage.objective))


def batches(order: Order, device: torch.device, first: bool = True) -> Pictures | RegionBatches:
    """Make the training data of a stage. first: of several processes, the one that prepares files for all."""
    stage, seed = order.stage, order.fit.seed
    if not isinstance(stage.objective, Choosing):
        return Pictures(order.data, order.recipe, stage, seed, device)
    store = region_store.opened(order.data, stage.mix.sets, first)
    return RegionBatches(store, stage, seed)


class Training:
    """A run that is ready to go: its model and pictures, and the step it stands at."""

    def __init__(self, order: Order, restart: bool = False) -> None:
        """Load everything; afterwards the folder is this run's. restart: forget an earlier one.

        Raises ColorizeError for a folder of another run, or that another process trains in, for
        pictures or weights that cannot be read, and for values that do not go together.
        """
        self.order, begun = order, time.monotonic()
        self.ranks, name = distributed.join(order.fit.device)
        self.device = devices.device(name)
        devices.precision(order.fit.precision, self.device)  # refused before the folder is made
        self.lock: Lock | None = None
        self.refresh: remember.Refresh | None = None
        try:
            self._load(restart)
        except BaseException:
            self._leave()
            raise
        # The first optimizer of a process imports torch.compile, 1 to 2 s that belong to loading.
        torch.optim.AdamW([torch.zeros(1, requires_grad=True)])
        self.setup = time.monotonic() - begun

    def _load(self, restart: bool) -> None:
        order = self.order
        if order.out.is_dir():  # before anything that takes time
            self._enter()
        self.objective = objective(order.stage, order.recipe)
        torch.manual_seed(order.fit.seed)
        if not restart:
            check(order)
        goes_on = not restart and (order.out / STATE).exists()
        self.model = resume.model(order, goes_on)
        self.facts = {} if restart else resume.facts(order.out / WEIGHTS)
        self.adapter: Adapter | None = None
        if order.lora:
            self.adapter = resume.adapter(self.model, order, restart)
        elif resume.takes(self.model, order, goes_on):
            facts = resume.untold(resume.take(self.model, order).facts)
            self.facts = self.facts if goes_on else facts  # frozen weights are not in the state
        if not goes_on and not order.start:
            frozen_networks.see(self.model, order.recipe)
        objectives.equip(self.model, order.stage)
        self.pictures = batches(order, self.device, self.ranks.first)
        self._settle(restart)
        self.step = done(order.out)[0]

    @property
    def parameters(self) -> int:
        """The number of weights that are trained."""
        return sum(value.numel() for value in self.model.parameters() if value.requires_grad)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know of how this is trained."""
        wanted = self.order.stage.objective
        if not isinstance(wanted, Adversarial) or wanted.vgg or wanted.tagger or not wanted.perceptual:
            return ()
        how = "--set objective.vgg=FILE, objective.tagger=FILE or both add that"
        return (f"without frozen networks the loss has no perceptual part; {how}",)

    def steps(self) -> Iterator[Progress]:
        """Train, yielding after every step; `fit.limit` counts the time of loading, too.

        Leaves model.safetensors (or adapter.safetensors), the averaged weights, and everything that
        going on needs.
        """
        order, limit = self.order, self.order.fit.limit
        left = None if limit is None else max(1.0, limit - self.setup)
        begun = bool(order.start)  # so that its frozen weights need not be kept twice
        numbers = replace(order.fit, limit=left, prefetch=self._ahead(), keep_frozen=not begun)
        preview = Preview(order.data, order.recipe, order.stage.size, order.out / "samples")
        show = preview if order.fit.sample_every else None
        parts = self.model, self.objective, self.pictures, numbers, order.out
        self._enter()
        try:
            for progress in fit(*parts, save=self._save, show=show):
                self.step = progress.step
                yield progress
            if show and self.ranks.first:
                preview(self._result().colorizer, self.step)
        finally:
            self._leave()
            if torch.distributed.is_initialized():
                torch.distributed.destroy_process_group()

    def _ahead(self) -> int:
        """How many batches to make ahead: none where that takes from the network what it works on.

        On the CPU both need the same cores; and batches of pictures in graphics memory are made
        there.
        """
        shared = self.device.type == "cpu" or self.pictures.store.color is not None
        return 0 if shared else self.order.fit.prefetch

    def _enter(self) -> None:
        """Take the folder; of several processes that train as one, the first does."""
        if self.ranks.first and self.lock is None:
            self.lock = Lock(self.order.out)

    def _leave(self) -> None:
        if self.lock is not None:
            self.lock.free()
            self.lock = None

    def _save(self, model: Colorizer, path: Path) -> None:
        order = self.order
        step = done(order.out)[0]  # the state is written first
        told = f"{order.phase}, {step} steps, {len(self.pictures)} pictures, {order.stage.size} px"
        if isinstance(model, RegionColorizer) and isinstance(self.pictures, RegionBatches):
            self.refresh = self.refresh or remember.Refresh(self.pictures.store)
            self.refresh(model)
        if self.adapter is None:
            model_files.save(model, order.recipe, path, {**self.facts, "training": told})
            return
        facts = {**self.adapter.facts, "training": told}
        found = lora.tensors_of(model.network)
        adapters.save(replace(self.adapter, facts=facts, tensors=found), path.with_name(ADAPTER))

    def _result(self) -> Loaded:
        """What the run has written, as others will load it."""
        out, begun = self.order.out, self.order.start
        if self.adapter is None:
            return model_files.load(out / WEIGHTS, device=self.device)
        return model_files.load(begun, device=self.device, lora=out / ADAPTER)

    def _settle(self, restart: bool) -> None:
        """Make the folder this run's, before any process looks into it."""
        out = self.order.out
        if self.ranks.first:
            out.mkdir(parents=True, exist_ok=True)
            self._enter()
            if self.lock is not None:
                self.lock.tidy()
            if restart:
                for path in (*(out / name for name in MADE), *out.glob("samples/step-*.png")):
                    path.unlink(missing_ok=True)
            with atomic(out / VALUES) as path:
                path.write_text(json.dumps(self.order.identity(), indent=2) + "\n", "utf-8")
        if self.ranks.world > 1:
            torch.distributed.barrier()
