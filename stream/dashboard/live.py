"""The push channel: one JSON message for each revision."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from starlette.concurrency import run_in_threadpool

from stream.core.errors import BraggstreamError
from stream.dashboard.answers import dumps
from stream.dashboard.guard import SUBPROTOCOL
from stream.dashboard.view import RunView

router = APIRouter()
POLL = 0.1
INTERNAL_ERROR = 1011
LONGEST_REASON = 123
"""Bytes that a close frame holds."""
LEFT_OUT = frozenset({"config", "residual_trace"})


@dataclass(slots=True, eq=False)
class News:
    """Looks for a new revision on behalf of all readers, so that an idle one costs nothing.

    message is the newest status, None before the first look; changed is set, and replaced, when there is another.
    """

    view: RunView
    message: str | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    _readers: int = 0
    _looking: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def followed(self) -> AsyncIterator[asyncio.Task[None]]:
        """Look, as long as somebody reads; the task that looks ends only by an error."""
        self._readers += 1
        if self._looking is None or self._looking.done():
            self.message = None
            self._looking = asyncio.create_task(self._look())
        try:
            yield self._looking
        finally:
            self._readers -= 1
            if not self._readers:
                self._looking.cancel()

    async def _look(self) -> None:
        told = None
        while True:
            revision = await run_in_threadpool(self.view.revision)
            number = revision.number if revision else 0
            if number != told:
                self.message = dumps(await run_in_threadpool(_message, self.view)).decode()
                told = number
                changed, self.changed = self.changed, asyncio.Event()
                changed.set()
            await asyncio.sleep(POLL)


@router.websocket("/api/v1/live")
async def live(socket: WebSocket) -> None:
    """Send the status at once, then again with each new revision, until the reader leaves."""
    news: News = socket.app.state.news
    await socket.accept(subprotocol=_offered(socket))
    gone = asyncio.ensure_future(_until_gone(socket))
    told = None
    try:
        async with news.followed() as looking:
            while not gone.done():
                changed = asyncio.ensure_future(news.changed.wait())
                if news.message is not None and news.message is not told:
                    told = news.message
                    await socket.send_text(told)
                await asyncio.wait({gone, changed, looking}, return_when=asyncio.FIRST_COMPLETED)
                changed.cancel()
                if looking.done():
                    await looking
    except WebSocketDisconnect:
        return
    except BraggstreamError as error:
        await socket.close(INTERNAL_ERROR, reason=str(error).encode()[:LONGEST_REASON].decode(errors="ignore"))
    finally:
        gone.cancel()


async def _until_gone(socket: WebSocket) -> None:
    """What a reader sends says nothing here."""
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass


def _offered(socket: WebSocket) -> str | None:
    return next((name for name in socket.scope.get("subprotocols", []) if name.startswith(SUBPROTOCOL)), None)


def _message(view: RunView) -> dict[str, Any]:
    return {key: value for key, value in view.status().items() if key not in LEFT_OUT}
