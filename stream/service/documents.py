"""Bluesky documents come in: a PULL socket of the supervisor, read in a thread, kept in the directory of the run."""

from __future__ import annotations

import threading
import time
from collections import deque
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import structlog
import zmq

from stream.core.config import BlueskyCurve
from stream.core.documents import LARGEST, Document, KeptDocuments, decode_document, keep_document
from stream.core.errors import MessageError, StoreError, UnavailableError
from stream.ingest.curve import pull_from_known

POLL = 100  # ms
MOST = 100_000
"""Documents that wait for a run to be there; the oldest go first."""

CUT_SHORT = {"exit_status": "abort", "reason": "another plan began, and no stop came of this one"}

log = structlog.get_logger()


class Receiver:
    """Documents wait here until a run is there, then go into its file as they come.

    single: a run takes the documents of one start; those from the next start on wait for the next run.
    """

    def __init__(self, endpoint: str, *, single: bool = False, curve: BlueskyCurve | None = None) -> None:
        self.single = single
        self._path: Path | None = None
        self._open: str | None = None  # uid of the plan whose documents the run takes
        self._begun = False
        self._waiting: deque[Document] = deque(maxlen=MOST)
        self._lock = threading.Lock()
        self._closing = threading.Event()
        with ExitStack() as stack:
            self._socket = stack.enter_context(pull_from_known(curve))
            _bind(self._socket, endpoint)
            self._held = stack.pop_all()
        self._thread = threading.Thread(target=self._receive, name="documents", daemon=True)

    def __enter__(self) -> Self:
        """Begin to receive."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End; what waits in the sender's queue stays there."""
        self._closing.set()
        self._thread.join()
        self._held.close()

    def start(self, stop: threading.Event) -> Document | None:
        """Wait for a start document, which stays the first that waits; None once `stop` is set."""
        while not stop.wait(POLL / 1000):
            with self._lock:
                while self._waiting and self._waiting[0].name != "start":
                    self._waiting.popleft()  # of a run that nobody took
                if self._waiting:
                    return self._waiting[0]
        return None

    def into(self, path: Path) -> None:
        """From now on documents, those that wait first, are kept in this file."""
        with self._lock:
            self._path, self._open, self._begun = path, None, False
            for document in KeptDocuments(path).new():
                self._note(document)
            waiting, self._waiting = self._waiting, deque(maxlen=MOST)
            for document in waiting:
                self._take(document)

    def release(self) -> None:
        """The run is over: documents wait for the next one."""
        with self._lock:
            self._path = None

    def over(self, seconds: float) -> bool:
        """Whether the plan whose documents the run takes has ended, or does so within `seconds`."""
        deadline = time.monotonic() + seconds
        while not (ended := self._begun and self._open is None) and time.monotonic() < deadline:
            time.sleep(POLL / 1000)
        return ended

    def _receive(self) -> None:
        while not self._closing.is_set():
            if not self._socket.poll(POLL):
                continue
            try:
                document = decode_document(self._socket.recv_multipart())
            except MessageError as error:
                log.warning("documents.rejected", why=str(error))
                continue
            with self._lock:
                self._take(document)

    def _take(self, document: Document) -> None:
        next_run = self.single and self._begun and document.name == "start"
        if self._path is None or self._waiting or next_run:
            self._waiting.append(document)
            if next_run and self._open is not None and self._path is not None:
                self._keep(self._path, Document("stop", {"run_start": self._open, **CUT_SHORT}))
        else:
            self._keep(self._path, document)

    def _keep(self, path: Path, document: Document) -> None:
        self._note(document)
        try:
            keep_document(path, document)
        except (MessageError, StoreError) as error:
            log.error("documents.lost", name=document.name, why=str(error))

    def _note(self, document: Document) -> None:
        if document.name == "start":
            self._open, self._begun = str(document.content.get("uid")), True
        elif document.name == "stop":
            self._open = None


def _bind(socket: zmq.Socket[bytes], endpoint: str) -> None:
    socket.setsockopt(zmq.MAXMSGSIZE, 2 * LARGEST)
    socket.setsockopt(zmq.LINGER, 0)
    try:
        socket.bind(endpoint)
    except zmq.ZMQError as error:
        raise UnavailableError(f"bluesky.endpoint {endpoint} cannot be used: {error}") from None
