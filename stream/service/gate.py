"""The detector's messages on their way to one run after another: those of the next run wait for it.

What a ZeroMQ socket has read ahead is gone with it, so that a run which lets go of the detector takes along what has
come of the next one. `watch` therefore holds the detector's socket from the first run to the last, and each run gets
its messages by one of its own. The header that is the next run's is held, and everything behind it waits with the
sender, or, of a SUB socket, is lost in gaps that the next run names.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from tempfile import TemporaryDirectory
from typing import Self

import zmq

from stream.core.config import Config, FrameStream
from stream.core.errors import MessageError
from stream.core.messages import Decoder, SeriesEnd, SeriesStart
from stream.core.wire import decoder_for
from stream.ingest.series import Series
from stream.ingest.sources import connected

ROOM = 16  # messages read ahead, on either side
POLL = 0.1

Over = Callable[[Series], bool]
"""Whether a run has had its series, so that the next one is not for it; asked at each header."""
Socket = zmq.Socket[bytes]


class Passage:
    """One run's socket, and the series that went through it; closed once the header of the next run's has come."""

    def __init__(self, config: Config, endpoint: str, over: Over) -> None:
        scan = config.scan
        count = scan.points // scan.series_frames
        self.closed = False
        self._series, self._over = Series(frames=scan.series_frames, count=count, kind=scan.series), over
        self._decode: Decoder = decoder_for(config.detector.format)
        self.socket: Socket = zmq.Context.instance().socket(zmq.PUSH)
        self.socket.setsockopt(zmq.SNDHWM, ROOM)
        self.socket.bind(endpoint)

    def look(self, parts: list[zmq.Frame]) -> None:
        """Note what a message begins or ends."""
        with suppress(MessageError):  # ingest says what is wrong with it
            event = self._decode([frame.buffer for frame in parts])
            if isinstance(event, SeriesEnd):
                self._series.end(event)
            elif isinstance(event, SeriesStart):
                self.closed = self._over(self._series)
                if not self.closed:
                    self._series.start(event)


class Gate:
    """Holds the socket of a detector while runs come and go."""

    def __init__(self, detector: FrameStream) -> None:
        self._detector = connected(detector, "detector", ROOM)
        self._held: list[zmq.Frame] | None = None
        self._passage: Passage | None = None
        self._coming: SimpleQueue[Passage] = SimpleQueue()
        self._runs = 0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._pass, name="gate", daemon=True)

    def __enter__(self) -> Self:
        """Begin; nothing is read before the first run is there."""
        self._folder = TemporaryDirectory(prefix="braggstream-")  # nobody else may enter it
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End; what the detector has not sent stays with it."""
        self._closing.set()
        self._thread.join()
        self._detector.close(linger=0)
        if self._passage is not None:
            self._passage.socket.close(linger=0)
        self._folder.cleanup()

    def open(self, config: Config, over: Over) -> str:
        """Let messages, what was held first, pass to a run with this config; the endpoint where it gets them."""
        self._runs += 1
        endpoint = f"ipc://{Path(self._folder.name) / str(self._runs)}"
        self._coming.put(Passage(config, endpoint, over))
        return endpoint

    def _pass(self) -> None:
        while not self._closing.is_set():
            self._change()
            if self._passage is None or self._passage.closed:
                continue
            if self._held is not None:
                if self._passage.socket.poll(int(POLL * 1000), zmq.POLLOUT):
                    self._passage.socket.send_multipart(self._held, copy=False)
                    self._held = None
            elif self._detector.poll(int(POLL * 1000)):
                self._held = self._detector.recv_multipart(copy=False)
                self._passage.look(self._held)

    def _change(self) -> None:
        """The next run, waited for where there is none that takes messages."""
        try:
            following = self._coming.get(self._passage is None or self._passage.closed, POLL)
        except Empty:
            return
        if self._passage is not None:
            self._passage.socket.close(linger=0)
        self._passage = following
        if self._held is not None:
            following.look(self._held)
