"""Color the drawings of sessions with one model, and keep what need not be made again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from colorize.images import files, ink, metadata, regions
from colorize.images.encode import encode
from colorize.images.image import Picture
from colorize.web import options as choices
from colorize.web.asked import AUTO, Asked, Edit
from colorize.web.sessions import Made, Recent, Session, Upload, pixels
from colorize.web.worker import Report

if TYPE_CHECKING:  # torch takes seconds to import, and the page is there before
    from colorize.checkpoints.model_files import Loaded
    from colorize.coloring.batch import Painted
    from colorize.coloring.options import Job, SampleOptions
    from colorize.images.flat_regions import Labels
    from colorize.images.regions import Region

DECODED, REGIONS = 512 * 2**20, 256 * 2**20  # bytes of pictures, and of maps of regions, that are kept


class Studio:
    """Colors, recolors, and remembers."""

    def __init__(self, server: Mapping[str, Any]) -> None:
        """server: options that all requests share: the default model, device, precision, and so on."""
        self.server = server
        self._key: object = None
        self._loaded: Loaded | None = None
        self._decoded, self._regions = Recent(DECODED), Recent(REGIONS)

    # The model

    def load(self, options: SampleOptions) -> Loaded:
        """Return the model that options name; the one that was used last is kept. For the thread that colors."""
        from colorize.coloring import paint

        words = bool(options.settings and options.settings.reads_text)
        key = (str(options.model), str(options.lora), words)
        if self._loaded is None or key != self._key:
            self._key, self._loaded = None, None  # its memory is free before another is loaded
            self._key, self._loaded = key, paint.load_model(options)
        return self._loaded

    def warm(self, _: Report) -> None:
        """Load the default model."""
        self.load(choices.sample_options({}, self.server))

    # Pictures

    def picture(self, session: Session, one: Upload) -> Picture:
        """Return an upload's pixels."""
        found: Picture = self._decoded.get((session.id, one.id), lambda: files.read(one.read(), one.name), pixels)
        return found

    def finished(self, session: Session, made: Made) -> Picture:
        """Return a result's pixels."""
        found: Picture = self._decoded.get((session.id, made.id), lambda: files.read(made.path), pixels)
        return found

    # Coloring

    def color(self, session: Session, wanted: Asked, report: Report) -> list[Made]:
        """Color a drawing, and then its regions as they are wanted; for the thread that colors."""
        bases = session.known.get(("made", wanted.key))
        if bases is None or any(one not in session.results for one in bases):
            bases = [one.id for one in self._colored(session, wanted, report)]
            session.known["made", wanted.key] = bases
        return [self.recolor(session, session.result(one), wanted.edits) for one in bases]

    def ready(self, session: Session, wanted: Asked) -> bool:
        """Whether a request needs no network, since only colors of regions differ from an earlier one."""
        bases = session.known.get(("made", wanted.key))
        return bases is not None and all(one in session.results for one in bases)

    def _colored(self, session: Session, wanted: Asked, report: Report) -> list[Made]:
        from colorize.coloring import paint
        from colorize.coloring.batch import Step

        options = choices.sample_options(wanted.values, self.server)
        drawing = session.upload(wanted.drawing)
        loaded, job = self.load(options), self.job(session, wanted)
        share = 0.0
        report(share)
        key = self._facts(session, wanted, loaded, job, options)
        for event in paint.work(loaded, [job], self._known(session, key, options)):
            if isinstance(event, Step):
                share = min(1.0, share + event.share)
                report(share)
                continue
            if event.error:
                raise event.error
            session.known["kind", *key] = event.painted[0].kind
            return [self._kept(session, drawing, wanted, one) for one in event.painted]
        raise AssertionError("a job ends with an outcome")

    def _facts(
        self, session: Session, wanted: Asked, loaded: Loaded, job: Job, options: SampleOptions
    ) -> tuple[str, ...]:
        """Find out whether a drawing is a page, once; return the key of what is known of it."""
        from colorize.coloring import pages
        from colorize.coloring.options import Named

        names = ("kind", "panels", "force", "size")
        key = (wanted.drawing, loaded.recipe.name, *(str(getattr(options, one)) for one in names))
        if ("page", *key) not in session.known:
            drawing = Named(job.name, self.picture(session, session.upload(wanted.drawing)))
            found = pages.divide(drawing, replace(job, hints=None), None, loaded.recipe, options)
            session.known["page", *key] = found is not None
        return key

    def _known(self, session: Session, key: tuple[str, ...], options: SampleOptions) -> SampleOptions:
        """Return the options with what is known of a drawing: that it is no page, and line art.

        The result is the same, in half the time.
        """
        if options.panels != "auto" or options.force or session.known["page", *key]:
            return options
        options = replace(options, panels="off")
        lined = session.known.get(("kind", *key)) == "line"
        return replace(options, kind="line", force=True) if lined else options

    def job(self, session: Session, wanted: Asked) -> Job:
        """Return a drawing and what is given with it."""
        import torch  # noqa: F401 - before what needs it

        from colorize.coloring.options import Job, Named
        from colorize.images import palettes
        from colorize.images.image import from_tensor

        def named(key: str) -> Named:
            one = session.upload(key)
            return Named(one.name, self.picture(session, one))

        given = {key: one for key, one in wanted.pictures.items() if one != AUTO}
        drawing, more = named(wanted.drawing), {key: named(one).picture for key, one in given.items()}
        references = [named(one) for one in wanted.references]
        if text := wanted.values.get("palette"):
            swatches = from_tensor(palettes.swatches(palettes.parse(text)))
            references.append(Named(f"palette {text}", swatches, palette=True))
        hints: Picture | str | None = more.get("hints")
        hints = wanted.hints or hints
        background = wanted.pictures.get("background")
        return Job(
            *(drawing.name, drawing.picture, tuple(references), hints, ()),
            named(background) if background else None,
            AUTO if wanted.pictures.get("mask") == AUTO else more.get("mask"),  # type: ignore[arg-type]
            more.get("ref_mask"),
            more.get("only"),
        )

    def _kept(self, session: Session, drawing: Upload, wanted: Asked, painted: Painted) -> Made:
        key = session.new("r")
        path = session.folder / f"{key}.png"
        path.write_bytes(encode(painted.picture, ".png"))
        height, width = painted.picture.size
        facts = {"notes": painted.notes, "kind": painted.kind, "seconds": round(painted.seconds, 2)}
        facts |= {"width": width, "height": height, "seed": painted.seed}
        names = {AUTO: AUTO, **{one: session.upload(one).name for one in wanted.uploads}}
        return session.remember(Made(key, path, drawing, wanted, names, painted.variation, facts=facts))

    # Regions

    def regions(self, session: Session, made: Made) -> tuple[tuple[Region, ...], Labels]:
        """Return the regions of a result that was not recolored, with their colors, and their map (H, W)."""
        base = session.result(made.base) if made.base else made

        def find() -> tuple[tuple[Region, ...], Labels]:
            drawing = self.picture(session, base.drawing)
            divided = regions.divide(drawing, self.finished(session, base), base.asked.values.get("gaps"))
            return regions.find(divided)

        found: tuple[tuple[Region, ...], Labels] = self._regions.get(
            (session.id, base.id), find, lambda one: one[1].nbytes
        )
        return found

    def recolor(self, session: Session, base: Made, edits: Sequence[Edit]) -> Made:
        """Return a result with other colors in some regions, without the network; itself if there are none."""
        if not edits or base.facts["kind"] != "line":
            return base
        known = ("recolored", base.id, files.sha256(str(edits)))
        if (before := session.known.get(known)) in session.results:
            return session.result(before)
        found, numbers = self.regions(session, base)
        old = regions.levels([one.color for one in found])
        new = self.wanted(found, numbers, edits)
        drawing = ink.on_paper(self.picture(session, base.drawing))
        colored = self.finished(session, base)
        picture = regions.recolored(drawing, colored, numbers, old, new)
        text = json.dumps({**metadata.record(colored.text), "regions": f"{base.stem}_regions.toml"})
        picture = replace(picture, text={**picture.text, metadata.MARK: text})
        key = session.new("r")
        path = session.folder / f"{key}.png"
        path.write_bytes(encode(picture, ".png"))
        facts = {**base.facts, "recolored": int((old != new).any(1).sum())}
        session.known[known] = key
        return session.remember(replace(base, id=key, path=path, base=base.id, edits=tuple(edits), facts=facts))

    def wanted(self, found: Sequence[Region], numbers: Labels, edits: Sequence[Edit]) -> Any:
        """Return the colors (N, 3) of regions after edits at places, of which the last one at a region counts."""
        colors = regions.levels([one.color for one in found])
        height, width = numbers.shape
        for x, y, color in edits:
            if 0 <= x < width and 0 <= y < height:
                colors[numbers[int(y), int(x)] - 1] = list(bytes.fromhex(color[1:]))
        return colors
