"""The push channel: one JSON message for each revision."""

from __future__ import annotations

import asyncio
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


@router.websocket("/api/v1/live")
async def live(socket: WebSocket) -> None:
    """Send the status at once, then again with each new revision, until the reader leaves."""
    view: RunView = socket.app.state.view
    await socket.accept(subprotocol=_offered(socket))
    reading = asyncio.ensure_future(_until_gone(socket))
    told = None
    try:
        while not reading.done():
            revision = await run_in_threadpool(view.revision)
            number = revision.number if revision else 0
            if number != told:
                await socket.send_text(dumps(await run_in_threadpool(_message, view)).decode())
                told = number
            await asyncio.wait({reading}, timeout=POLL)
    except WebSocketDisconnect:
        return
    except BraggstreamError as error:
        await socket.close(INTERNAL_ERROR, reason=str(error).encode()[:LONGEST_REASON].decode(errors="ignore"))
    finally:
        reading.cancel()


async def _until_gone(socket: WebSocket) -> None:
    """What a reader sends says nothing here."""
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass


def _offered(socket: WebSocket) -> str | None:
    return next((name for name in socket.scope.get("subprotocols", []) if name.startswith(SUBPROTOCOL)), None)


def _message(view: RunView) -> dict[str, Any]:
    return {key: value for key, value in view.status().items() if key not in LEFT_OUT}
