"""A RunEngine's documents on their way to the processor; the plan neither waits for it nor breaks with it."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Mapping
from typing import Any, Protocol

import httpx
import orjson
import zmq

from stream.core.config import Curve
from stream.core.documents import encode_document
from stream.core.errors import MessageError, Reject
from stream.ingest.curve import keys_of, to_server

ROOM = 100_000
"""Documents that wait while the processor is away; the oldest are dropped first, and counted."""
BATCH = 500_000  # bytes of one HTTP request
REFUSED = frozenset({413, 422})  # what is too large or no document, now and for ever
POLL = 0.1
BACKOFF = 1.0  # seconds between two attempts over HTTP
FAREWELL = 5.0

log = logging.getLogger("braggstream")
Message = list[bytes]


class Forwarder:
    """``RE.subscribe(Forwarder("tcp://host:5578"))``: to bluesky.endpoint; or the page's ``http://`` address and key.

    Calls return at once and never raise. While the processor is away documents wait; what is beyond that is dropped
    and counted in `dropped`, with one warning. curve: where the processor's public key and our secret one are, each
    ``env:NAME`` or ``file:PATH``, for a ``tcp://`` endpoint with ``bluesky.curve``.
    """

    def __init__(self, url: str, key: str | None = None, curve: tuple[str, str] | None = None) -> None:
        self.dropped = 0
        self._waiting: deque[Message] = deque()
        self._news = threading.Condition()
        self._closing = False
        self._carrier: Carrier = ByHttp(url, key) if url.startswith("http") else ByZmq(url, curve)
        self._away = False
        self._thread = threading.Thread(target=self._send, name="braggstream-documents", daemon=True)
        self._thread.start()

    def __call__(self, name: str, document: Mapping[str, Any]) -> None:
        """Take a document."""
        try:
            message = encode_document(name, document)
        except (TypeError, ValueError) as error:
            self._drop(f"a {name} document cannot be told as JSON: {error}")
            return
        with self._news:
            self._waiting.append(message)
            if len(self._waiting) > ROOM:
                self._waiting.popleft()
                self._drop(f"the processor does not take documents, {ROOM} wait")
            self._news.notify()

    def close(self, timeout: float = FAREWELL) -> None:
        """Send what waits, for at most `timeout` seconds, and end."""
        deadline = time.monotonic() + timeout
        while self._waiting and time.monotonic() < deadline:
            time.sleep(POLL)
        with self._news:
            self._closing = True
            self._news.notify()
        self._thread.join()
        self._carrier.close()

    def _drop(self, why: str) -> None:
        if not self.dropped:
            log.warning("braggstream: documents are dropped: %s", why)
        self.dropped += 1

    def _send(self) -> None:
        while not self._closing:
            with self._news:
                self._news.wait_for(lambda: self._closing or bool(self._waiting), POLL)
                batch = list(self._waiting)
            try:
                sent = self._carrier.carry(batch) if batch else 0
            except MessageError as error:
                self._drop(str(error))
                sent = 1
            with self._news:
                for _ in range(min(sent, len(self._waiting))):
                    self._waiting.popleft()
            self._tell(bool(batch) and not sent)

    def _tell(self, away: bool) -> None:
        if away and not self._away:
            log.warning("braggstream: the processor is away; documents wait")
        self._away = away


class Carrier(Protocol):
    """How messages travel."""

    def carry(self, messages: list[Message]) -> int:
        """Send from the first one on; how many went.

        Raises
        ------
        MessageError
            where the first one will never be taken.
        """
        ...

    def close(self) -> None:
        """Let go of the connection."""
        ...


class ByZmq:
    """PUSH, only to a processor that is there."""

    def __init__(self, url: str, curve: tuple[str, str] | None) -> None:
        keys = curve and keys_of(Curve(server_key=curve[0], secret_key=curve[1]), "curve")
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.PUSH)
        self._socket.setsockopt(zmq.SNDHWM, 1)  # what waits, waits here, where a restart of the processor costs nothing
        self._socket.setsockopt(zmq.IMMEDIATE, 1)
        self._socket.setsockopt(zmq.LINGER, int(FAREWELL * 1000))
        if keys:
            to_server(self._socket, *keys)
        self._socket.connect(url)

    def carry(self, messages: list[Message]) -> int:
        """See `Carrier`."""
        for n, message in enumerate(messages):
            if not self._socket.poll(int(POLL * 1000), zmq.POLLOUT):
                return n
            self._socket.send_multipart(message, zmq.NOBLOCK)
        return len(messages)

    def close(self) -> None:
        """See `Carrier`."""
        self._socket.close()
        self._context.term()


class ByHttp:
    """POST /api/v1/documents, some at a time."""

    def __init__(self, url: str, key: str | None) -> None:
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
        self._url = f"{url.rstrip('/')}/api/v1/documents"
        self._client = httpx.Client(headers=headers, timeout=FAREWELL)

    def carry(self, messages: list[Message]) -> int:
        """See `Carrier`."""
        count = size = 0
        while (count < len(messages) and (size := size + len(messages[count][2])) <= BATCH) or not count:
            count += 1
        documents = [[name.decode(), orjson.Fragment(content)] for _, name, content in messages[:count]]
        try:
            answer = self._client.post(self._url, content=orjson.dumps({"documents": documents}))
        except httpx.HTTPError:
            time.sleep(BACKOFF)
            return 0
        if answer.status_code in REFUSED:
            if count > 1:
                return self.carry(messages[: count // 2])
            raise MessageError(Reject.NOT_DECODABLE, f"the processor refuses a document: {answer.text[:200]}")
        if answer.is_error:
            time.sleep(BACKOFF)
            return 0
        return count

    def close(self) -> None:
        """See `Carrier`."""
        self._client.close()
