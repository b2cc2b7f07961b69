"""Send the files of a model to the Hugging Face Hub, in one commit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from colorize.checkpoints import hub
from colorize.checkpoints.access import access, sender
from colorize.checkpoints.cards import license_in, license_of
from colorize.errors import ColorizeError
from colorize.images.files import shown

LOGIN = "log in with `hf auth login`, or set HF_TOKEN, to a token that may write to `{name}`"
TRY_AGAIN = "check the connection and try again"
# By the name of the error's class or of a base class, since these move between modules and HTTP libraries.
_HINTS = {
    "OfflineModeIsEnabled": "unset HF_HUB_OFFLINE",
    **dict.fromkeys(("HfHubHTTPError", "LocalTokenNotFoundError"), LOGIN),
    **dict.fromkeys(("ConnectionError", "TransportError", "RequestException", "OSError", "RuntimeError"), TRY_AGAIN),
    "ValueError": "check its README.md, and the name",  # the Hub reads the card before it takes anything
}


def upload(
    name: str, files: Mapping[str, Path | bytes], private: bool | None, token: str | None, message: str, card: bytes
) -> str:
    """Commit files to OWNER/NAME, a repository that is made if there is none; return the address of the commit.

    card: its README.md if neither `files` nor the Hub has one. Raises ColorizeError if the Hub does not take them, and
    (wrong usage) if the card there names another license.
    """
    from huggingface_hub import CommitOperationAdd, HfApi, constants

    address = hub.parse_address(name)
    if address is None or str(address) != address.name:
        raise ColorizeError(f"`{shown(name)}` cannot be a name on the Hub", "write it as OWNER/NAME", code=2)
    with access(token):
        api = HfApi(endpoint=constants.ENDPOINT, **sender())
    try:
        api.create_repo(name, private=private, exist_ok=True)
        wanted = {**files}
        if hub.CARD not in files and not api.file_exists(name, hub.CARD):
            wanted[hub.CARD] = card
        elif hub.CARD not in files:
            old, now = license_in(Path(api.hf_hub_download(name, hub.CARD))), license_of(card.decode())
            if old and old.lower() != now.lower():
                message = f"the card of `{name}` on the Hub has the license `{old}`, and this model `{now}`"
                raise ColorizeError(message, "change the card there first, or choose another name", code=2)
        adds = [CommitOperationAdd(path, content) for path, content in wanted.items()]
        return str(api.create_commit(name, adds, commit_message=message).commit_url)
    except Exception as error:
        kinds = [kind.__name__ for kind in type(error).__mro__]
        kind = next((kind for kind in kinds if kind in _HINTS), "")
        if not kind:
            raise
        cause = error.__cause__ if kind == "RuntimeError" and error.__cause__ else error
        answer = getattr(cause, "response", None)
        why = f"the Hub answered {answer.status_code}" if answer is not None else str(cause).partition("\n")[0]
        why = "the network is switched off" if kind == "OfflineModeIsEnabled" else why
        raise ColorizeError(f"`{name}` cannot be pushed: {why}", _HINTS[kind].format(name=name)) from error
