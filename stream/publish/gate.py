"""What both web servers ask before they answer: for which host, and from whose page; and Tiled's gate."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import orjson
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
TILED_HEADERS = {
    "Content-Security-Policy": "object-src 'none'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@dataclass(frozen=True, slots=True)
class TiledGate:
    """Stands before the embedded Tiled, which itself answers for every host name and every page's WebSocket.

    It also reads a body before it looks for the key; here whatever is not a read needs the key first.
    """

    app: ASGIApp
    key: str

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through, or answer it."""
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        headers = Headers(scope=scope)
        ours = names_loopback(headers)
        if scope["type"] == "websocket":
            allowed = ours and same_origin(headers)
            return await (self.app(scope, receive, send) if allowed else send({"type": "websocket.close"}))
        send = with_headers(send, TILED_HEADERS)
        if not ours:
            return await refuse(send, 400, wrong_host(headers))
        if scope["method"] not in SAFE_METHODS and not self._has_key(headers):
            return await refuse(send, 401, "this needs the header Authorization: Apikey KEY", "Apikey")
        return await self.app(scope, receive, send)

    def _has_key(self, headers: Headers) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        return scheme.lower() == "apikey" and same_key(given, self.key)


def same_key(given: str, key: str) -> bool:
    """Compared in a time that does not tell how much of it is right."""
    return hmac.compare_digest(given.strip().encode(), key.encode())


def names_loopback(headers: Headers, host: str | None = None) -> bool:
    """True where the Host header names this machine, so that a foreign name rebound to 127.0.0.1 reads nothing."""
    try:
        name = urlsplit(f"//{headers.get('host', '')}").hostname
    except ValueError:
        return False
    return name is not None and (name in LOOPBACK_NAMES or name == host)


def wrong_host(headers: Headers) -> str:
    """The sentence for one that is foreign."""
    return f"this server does not answer for the host {headers.get('host', '')!r}"


def same_origin(headers: Headers) -> bool:
    """True for a WebSocket that no browser opens, or a page of this very server."""
    origin = headers.get("origin")
    return origin is None or origin.partition("://")[2] == headers.get("host")


def with_headers(send: Send, table: Mapping[str, str]) -> Send:
    """Add these to every answer that has none of its own."""

    async def wrapped(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in table.items():
                headers.setdefault(name, value)
        await send(message)

    return wrapped


async def refuse(send: Send, status: int, sentence: str, scheme: str | None = None) -> None:
    """Answer with a sentence; scheme is how a 401 asks for the key."""
    body = orjson.dumps({"detail": sentence})
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if scheme is not None:
        headers.append((b"www-authenticate", scheme.encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
