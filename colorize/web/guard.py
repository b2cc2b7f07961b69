"""What every request passes before anything is done for it: who asks, from where, how much and how slowly."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import socket
from collections.abc import MutableMapping
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qs, quote

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

SMALL, PICTURES, UPLOAD = 4 * 2**20, 384 * 2**20, 2**30  # bytes of a body: JSON, pictures in one, a file
PATIENCE, SLOWEST = 20.0, 16 * 2**10  # seconds that a body may take, and bytes a second beyond that
LONGEST = 60.0  # seconds until a part of an answer must be taken
COOKIE = "colorize"
SECURITY = {  # of every answer; the page loads nothing from elsewhere and is shown in no other page
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self';"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}


class Refused(Exception):
    """A request that is not answered, with the status that says why."""

    def __init__(self, status: int, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.answer = problem(status, message, hint, {"connection": "close"})  # what else is sent is not read


def problem(status: int, message: str, hint: str = "", headers: dict[str, str] | None = None) -> JSONResponse:
    """Return an error as the page and clients read it; `detail` is where Stable Diffusion's clients look."""
    told = f"{message}; {hint}" if hint else message
    return JSONResponse({"error": message, "hint": hint, "detail": told}, status, headers)


def is_loopback(host: str) -> bool:
    """Whether an address to listen at is only reached from this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Guard:
    """Refuses other hosts and origins, requests without the token, and bodies that are too large or too slow."""

    def __init__(self, app: ASGIApp, host: str, token: str = "") -> None:
        self.app, self.host, self.token = app, host, token
        self.local = is_loopback(host)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return  # no WebSocket is spoken here

        async def secured(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *((k.encode(), v.encode()) for k, v in SECURITY.items())]
            await asyncio.wait_for(send(message), LONGEST)  # whoever reads no answer keeps no connection

        try:
            if answer := self.check(scope):
                await answer(scope, receive, secured)
            else:
                await self.app(scope, _bounded(scope, receive), secured)
        except Refused as refused:
            await refused.answer(scope, receive, secured)

    def check(self, scope: Scope) -> Response | None:
        """Return the answer to a request that the page does not get to see; None lets it through."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self.is_ours(host):  # a foreign name that was made to mean this machine (DNS rebinding)
            raise Refused(403, f"this server is not `{host[:100]}`", "open the address that colorize web printed")
        origin = headers.get("origin")
        cross = headers.get("sec-fetch-site") in ("cross-site", "same-site")
        opened = scope["method"] == "GET" and headers.get("sec-fetch-mode") == "navigate"
        if (origin is not None and origin != f"http://{host}") or (cross and not opened):
            raise Refused(403, "the request comes from another page", "use the page that colorize web opened")
        return self.admit(scope, headers) if self.token else None

    def is_ours(self, host: str) -> bool:
        """Whether a Host header names this server."""
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
        if name in ("localhost", "127.0.0.1", "[::1]", self.host):
            return True
        if self.local:
            return False
        try:
            return bool(ipaddress.ip_address(name.strip("[]")))
        except ValueError:
            own = socket.gethostname().lower()
            return name.lower() in (own, f"{own}.local")

    def admit(self, scope: Scope, headers: Headers) -> Response | None:
        """Let requests with the token through; the one that brings it in its address gets a cookie for the others."""
        given = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("token", [""])[0]
        if given and _equal(given, self.token) and scope["path"] == "/":
            answer = RedirectResponse("/", 303)
            answer.set_cookie(COOKIE, quote(self.token), httponly=True, samesite="strict", path="/")
            return answer
        kept = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        word, _, bearer = headers.get("authorization", "").partition(" ")
        if kept and _equal(kept.value, quote(self.token)):
            return None
        spoken = bearer.strip().encode("latin-1").decode("utf-8", "replace")
        if word.lower() == "bearer" and _equal(spoken, self.token):
            return None
        raise Refused(401, "the token is missing or wrong", "open the address that colorize web printed")


def _equal(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))


def _most(path: str) -> int:
    """How many bytes the body of a request may have."""
    if path in ("/api/color", "/sdapi/v1/img2img"):
        return PICTURES
    return UPLOAD if path.endswith("/pictures") else SMALL


def _bounded(scope: Scope, receive: Receive) -> Receive:
    """The parts of a request's body, as long as they are not too many and come fast enough."""
    most, seen, waited = _most(scope["path"]), 0, 0.0
    length = Headers(scope=scope).get("content-length", "0")
    too_large = f"the request has more than {most >> 20} MiB"
    if not length.isdecimal() or int(length) > most:
        raise Refused(413, too_large, "send less at once")
    clock = asyncio.get_running_loop().time
    complete = False

    async def part() -> MutableMapping[str, Any]:
        nonlocal seen, waited, complete
        if complete:  # what follows is only that the client has gone
            return await receive()
        begin = clock()
        try:
            message = await asyncio.wait_for(receive(), PATIENCE + seen / SLOWEST - waited)
        except TimeoutError:
            raise Refused(408, "the request came too slowly", "send it again") from None
        waited += clock() - begin
        seen += len(message.get("body", b""))
        complete = not message.get("more_body", False)
        if seen > most:
            raise Refused(413, too_large, "send less at once")
        return message

    return part
