"""Who gets in: the host asked for, the key, the origin of a WebSocket, the size of a body; then the headers."""

from __future__ import annotations

import base64
import binascii
import hmac
from dataclasses import dataclass
from urllib.parse import urlsplit

import orjson
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODY_LIMIT = 1_000_000
LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
SUBPROTOCOL = "bearer."
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

    On loopback reads are open and the Host header must name this machine, so that a foreign name rebound to
    127.0.0.1 reads nothing. Elsewhere reads of the run need the key too. Whatever is not a read needs it always.
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
        if scope["type"] == "websocket":
            allowed = self._host_is_ours(headers) and self._same_origin(headers) and self._may(scope, headers)
            # closing before accepting is the 403 of the handshake
            return await (self.app(scope, receive, send) if allowed else send({"type": "websocket.close"}))
        send = _with_headers(send)
        if not self._host_is_ours(headers):
            sentence = f"this page does not answer for the host {headers.get('host', '')!r}"
            return await _refuse(send, 400, sentence)
        if not self._may(scope, headers):
            return await _refuse(send, 401, "this needs the header Authorization: Bearer KEY, with the key of this run")
        if scope["method"] in SAFE_METHODS:
            return await self.app(scope, receive, send)
        body = await _read(receive, headers)
        if body is None:
            return await _refuse(send, 413, f"the body is larger than {BODY_LIMIT} bytes")
        return await self.app(scope, _replay(body, receive), send)

    def _host_is_ours(self, headers: Headers) -> bool:
        if not self.loopback:
            return True
        try:
            name = urlsplit(f"//{headers.get('host', '')}").hostname
        except ValueError:
            return False
        return name in LOOPBACK_NAMES or name == self.host

    def _same_origin(self, headers: Headers) -> bool:
        origin = headers.get("origin")
        return origin is None or origin.partition("://")[2] == headers.get("host")

    def _may(self, scope: Scope, headers: Headers) -> bool:
        path: str = scope["path"]
        reads = scope["type"] == "websocket" or scope["method"] in SAFE_METHODS
        if reads and (self.loopback or not (path.startswith("/api/") or path == "/metrics")):
            return True
        given = _bearer(headers)
        return given is not None and hmac.compare_digest(given.encode(), self.key.encode())


def _bearer(headers: Headers) -> str | None:
    """The key of the request; a browser's WebSocket can carry it only as a subprotocol, in base64url."""
    scheme, _, given = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return given.strip()
    for offered in headers.get("sec-websocket-protocol", "").split(","):
        if offered.strip().startswith(SUBPROTOCOL):
            coded = offered.strip().removeprefix(SUBPROTOCOL)
            try:
                return base64.urlsafe_b64decode(coded + "=" * (-len(coded) % 4)).decode()
            except (binascii.Error, UnicodeDecodeError):
                return None
    return None


def _with_headers(send: Send) -> Send:
    async def wrapped(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in RESPONSE_HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return wrapped


async def _refuse(send: Send, status: int, sentence: str) -> None:
    body = orjson.dumps({"detail": sentence})
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _read(receive: Receive, headers: Headers) -> bytes | None:
    """The body, None when it is too large, whatever it claims."""
    claimed = headers.get("content-length", "0")
    if not claimed.isdecimal() or int(claimed) > BODY_LIMIT:
        return None
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > BODY_LIMIT:
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
