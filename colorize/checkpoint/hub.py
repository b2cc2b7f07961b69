"""Fetch a model from the Hugging Face Hub, and write its card. Knows nothing of what is in the files."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from colorize import __version__
from colorize.errors import ColorizeError

WEIGHTS, CONFIG, CARD = (
    "model.safetensors",
    "config.json",
    "README.md",
)  # PyTorchModelHubMixin's layout

_PART = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,95}"
_NAME = re.compile(f"{_PART}/{_PART}")
_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/+-]{0,254}")

_NO_LICENSE = "other"  # the Hub's word for what is not in its list
_SPDX = re.compile(r"[A-Za-z0-9.-]{1,40}")

# By the name of the error's class or of one it derives from, since these moved between modules and
# HTTP libraries from version to version. `name`, `id` (with its revision) and `why` are filled in.
SENTENCES = {
    "GatedRepoError": (
        "`{name}` is only for users who accepted its terms",
        "accept them at https://huggingface.co/{name}, then set HF_TOKEN to a token of yours",
    ),
    "DisabledRepoError": ("`{name}` was switched off by the Hub", "choose another model"),
    "RepositoryNotFoundError": (
        "there is no model `{name}` on the Hub, nor a file or folder of that name here",
        "check the spelling; if it is private, set HF_TOKEN to a token of yours",
    ),
    "RevisionNotFoundError": (
        "`{name}` has no such revision: `{id}`",
        "name a branch, a tag or a commit, or leave out what follows the @",
    ),
    "RemoteEntryNotFoundError": (
        "`{id}` has no " + WEIGHTS,
        "choose a model made for colorize; .ckpt, .pt, .pth and .bin files are not opened",
    ),
    "LocalEntryNotFoundError": (
        "`{id}` cannot be fetched: the Hub does not answer",
        "check the connection, or name a folder that holds the model",
    ),
    "OfflineModeIsEnabled": (
        "`{id}` is not in the cache of this machine, and the network is switched off",
        "fetch it once without --offline and HF_HUB_OFFLINE, or name a folder that holds the model",
    ),
    "HFValidationError": ("`{name}` cannot be a name on the Hub", "write it as OWNER/NAME"),
    "HfHubHTTPError": (
        "the Hub refused `{id}`: {why}",
        "try again later; if it is private, set HF_TOKEN to a token of yours",
    ),
    "TransportError": ("the connection broke while `{id}` was fetched: {why}", "try again"),
    "RequestException": ("the connection broke while `{id}` was fetched: {why}", "try again"),
    "XetDownloadError": ("the connection broke while `{id}` was fetched: {why}", "try again"),
    "OSError": (
        "`{id}` cannot be stored in the cache: {why}",
        "free some space, or set HF_HOME to a folder on another disk",
    ),
    "RuntimeError": ("`{id}` cannot be fetched: {why}", "try again, or set HF_HUB_DISABLE_XET=1"),
}


@dataclass(frozen=True)
class Address:
    """A model on the Hub: its OWNER/NAME and a branch, tag or commit; "" is the newest."""

    name: str
    revision: str = ""

    def __str__(self) -> str:
        return f"{self.name}@{self.revision}" if self.revision else self.name


def address(text: str) -> Address | None:
    """Read OWNER/NAME[@revision]; None if it is not of that form.

    Raises ColorizeError if the name is right and the revision is not.
    """
    name, at, revision = text.partition("@")
    if not _NAME.fullmatch(name) or ".." in name:
        return None
    if at and (not _REVISION.fullmatch(revision) or ".." in revision):
        raise ColorizeError(
            f"`{revision}` cannot be a revision of `{name}`", "name a branch, a tag or a commit"
        )
    return Address(name, revision)


def fetch(model: Address, offline: bool = False) -> Path:
    """Return a folder with the model's files, all of one commit; its name is that commit.

    The library keeps them in its cache (HF_HOME) and finds the token in the environment. offline, or
    HF_HUB_OFFLINE in the environment: look into the cache only.

    Raises ColorizeError for all that can go wrong on the way.
    """
    from huggingface_hub import constants
    from huggingface_hub.errors import EntryNotFoundError

    get = _cached if offline or constants.HF_HUB_OFFLINE else _downloaded
    try:
        folder = get(model.name, WEIGHTS, model.revision or None).parent
        with suppress(EntryNotFoundError):  # the header of the weights says the same
            get(model.name, CONFIG, folder.name)
    except Exception as error:
        told = sentence(model, error)
        if told is None:
            raise
        raise told from error
    return folder


def _cached(name: str, file: str, revision: str | None) -> Path:
    """Look into the cache; `hf_hub_download(local_files_only=True)` would still send telemetry."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import EntryNotFoundError, OfflineModeIsEnabled

    found = try_to_load_from_cache(name, file, revision=revision)
    if isinstance(found, str):
        return Path(found)
    raise OfflineModeIsEnabled if file == WEIGHTS else EntryNotFoundError


def _downloaded(name: str, file: str, revision: str | None) -> Path:
    from huggingface_hub import hf_hub_download

    path = hf_hub_download(
        name, file, revision=revision, library_name="colorize", library_version=__version__
    )
    return Path(path)


def card(recipe: str, summary: str, facts: Mapping[str, str]) -> str:
    """Write the README.md of a model: the Hub's fields first, then what it is and how to use it.

    facts: what is known of it; `license` goes into the Hub's field, too.
    """
    license_ = facts.get("license", "")
    fields = {
        "library_name": "colorize",
        "pipeline_tag": "image-to-image",
        "license": license_.lower() if _SPDX.fullmatch(license_) else _NO_LICENSE,
        "tags": ["colorization", "line-art", "manga", "diffusion", recipe],
    }
    lines = ["---", *(f"{name}: {json.dumps(value)}" for name, value in fields.items()), "---", ""]
    lines += [f"# {recipe}", "", f"{summary}.", ""]
    lines += ["```", "colorize sample drawing.png --model OWNER/NAME", "```", ""]
    for name, text in facts.items():
        lines += [f"## {name}", "", text, ""]
    return "\n".join(lines)


def sentence(
    model: Address, error: Exception, sentences: Mapping[str, tuple[str, str]] = SENTENCES
) -> ColorizeError | None:
    """Turn what the library raised into a sentence; None for what is not in the table."""
    cause = error.__cause__
    missing = type(error).__name__ == "LocalEntryNotFoundError"
    if missing and isinstance(cause, Exception) and hasattr(cause, "response"):
        error = cause  # it is not in the cache, and before that the Hub had refused it
    kinds = [kind.__name__ for kind in type(error).__mro__ if kind.__name__ in sentences]
    if not kinds:
        return None
    message, hint = sentences[kinds[0]]
    status = getattr(getattr(error, "response", None), "status_code", None)
    why = f"it answered {status}" if status else getattr(error, "strerror", None) or str(error)
    words = {"name": model.name, "id": str(model), "why": why.strip().partition("\n")[0]}
    return ColorizeError(message.format(**words), hint.format(**words))
