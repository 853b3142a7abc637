"""Connections of a web server: bounded in number, and in what the head of a request may take in seconds and bytes."""

from __future__ import annotations

import asyncio
import resource
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_SECONDS = 10.0
"""From the opening of a connection, or the first byte of a further request, until its headers are there."""
HEAD_BYTES = 65536


def most_connections() -> int:
    """Half of the descriptors that this process may hold: the others are for files."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2


class Connection(HttpToolsProtocol):
    """A connection of uvicorn's that does not wait for ever: the server itself sets no limit to a head."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._overdue: asyncio.TimerHandle | None = None
        self._head_bytes: int | None = None  # of the head that is coming in

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Close at once where there are too many."""
        super().connection_made(transport)
        if len(self.connections) > most_connections():
            transport.abort()
        else:
            self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is expected any more."""
        self._forget_head()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """The first byte of a head."""
        self._head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The head is there."""
        self._forget_head()
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Whatever comes outside of a request is the begin of one, or the rest of one that was refused."""
        super().data_received(data)
        if self.transport.is_closing() or self.transport.get_protocol() is not self:
            return
        if self._overdue is None and (self.cycle is None or self.cycle.response_complete):
            self._expect_head()
        if self._head_bytes is not None:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                self.transport.abort()

    def _expect_head(self) -> None:
        self._overdue = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def _forget_head(self) -> None:
        self._head_bytes = None
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None
