"""Who gets in: the host asked for, the key, the origin of a WebSocket, size and time of a body; then the headers."""

from __future__ import annotations

import asyncio
import base64
import binascii
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stream.publish.gate import SAFE_METHODS, names_loopback, refuse, same_key, same_origin, with_headers, wrong_host

BODY_LIMIT = 1_000_000
BODY_SECONDS = 10.0
SUBPROTOCOL = "bearer."
OPEN = frozenset({"/", "/healthz", "/readyz", "/openapi.json"})
"""With /static/, what is read without a key on any bind: nothing of the run but whether it is ready."""
RESPONSE_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


@dataclass(frozen=True, slots=True)
class Guard:
    """Stands before the app and before any parsing of a body.

    On loopback reads are open and the Host header must name this machine. Elsewhere reads need the key too, but for
    those of `OPEN`. Whatever is not a read needs it always.
    """

    app: ASGIApp
    key: str
    host: str
    loopback: bool

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through, or answer it."""
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        headers = Headers(scope=scope)
        ours = not self.loopback or names_loopback(headers, self.host)
        if scope["type"] == "websocket":
            allowed = ours and same_origin(headers) and self._may(scope, headers)
            # closing before accepting is the 403 of the handshake
            return await (self.app(scope, receive, send) if allowed else send({"type": "websocket.close"}))
        send = with_headers(send, RESPONSE_HEADERS)
        if not ours:
            return await refuse(send, 400, wrong_host(headers))
        if not self._may(scope, headers):
            sentence = "this needs the header Authorization: Bearer KEY, with the key of this run"
            return await refuse(send, 401, sentence, "Bearer")
        if scope["method"] in SAFE_METHODS:
            return await self.app(scope, receive, send)
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await _read(receive, headers)
        except TimeoutError:
            return await refuse(send, 408, f"the body did not come within {BODY_SECONDS:g} s")
        if body is None:
            return await refuse(send, 413, f"the body is larger than {BODY_LIMIT} bytes")
        return await self.app(scope, _replay(body, receive), send)

    def _may(self, scope: Scope, headers: Headers) -> bool:
        path: str = scope["path"]
        reads = scope["type"] == "websocket" or scope["method"] in SAFE_METHODS
        if reads and (self.loopback or path in OPEN or path.startswith("/static/")):
            return True
        given = _bearer(headers)
        return given is not None and same_key(given, self.key)


def _bearer(headers: Headers) -> str | None:
    """The key of the request; a browser's WebSocket can carry it only as a subprotocol, in base64url."""
    scheme, _, given = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return given
    for offered in headers.get("sec-websocket-protocol", "").split(","):
        if offered.strip().startswith(SUBPROTOCOL):
            coded = offered.strip().removeprefix(SUBPROTOCOL)
            try:
                return base64.urlsafe_b64decode(coded + "=" * (-len(coded) % 4)).decode()
            except (binascii.Error, UnicodeDecodeError):
                return None
    return None


async def _read(receive: Receive, headers: Headers) -> bytes | None:
    """The body, None when it is too large, whatever it claims, or when its sender left."""
    claimed = headers.get("content-length", "0")
    if not claimed.isdecimal() or int(claimed) > BODY_LIMIT:
        return None
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > BODY_LIMIT or message["type"] == "http.disconnect":
            return None
        if not message.get("more_body", False):
            return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
