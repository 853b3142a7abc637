"""Where messages come from: the detector's ZeroMQ socket, or a recording in its place."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import zmq

from stream.core.config import DetectorConfig
from stream.core.errors import UnavailableError
from stream.core.messages import Parts
from stream.ingest.recorded import read_recording

MAX_MESSAGE = 1 << 30


class Source(Protocol):
    """One message at a time."""

    @property
    def exhausted(self) -> bool:
        """True when no message will ever come again."""
        ...

    def receive(self, timeout: float) -> Parts | None:
        """The next message, None when none came within `timeout` seconds."""
        ...

    def close(self) -> None:
        """Let go of socket or file."""
        ...


@dataclass(slots=True)
class SocketSource:
    """A PULL or SUB socket to one detector; its queue is bounded in bytes through its high-water mark."""

    socket: zmq.Socket[bytes]
    exhausted: bool = False

    @classmethod
    def open(cls, detector: DetectorConfig, message_bytes: int) -> SocketSource:
        """Connect (or bind) as the config says.

        Parameters
        ----------
        message_bytes
            Size of the largest expected message; a quarter of ``detector.queue_bytes`` in such messages may wait
            in the socket, since a high-water mark counts messages.

        Raises
        ------
        UnavailableError
            when the endpoint cannot be used.
        """
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context.instance()
        socket = context.socket(zmq.PULL if detector.socket == "pull" else zmq.SUB)
        socket.setsockopt(zmq.RCVHWM, max(1, detector.queue_bytes // 4 // max(message_bytes, 1)))
        socket.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE)
        socket.setsockopt(zmq.LINGER, 0)
        if detector.socket == "sub":
            socket.setsockopt(zmq.SUBSCRIBE, b"")
        try:
            if detector.bind:
                socket.bind(detector.endpoint)
            else:
                socket.connect(detector.endpoint)
        except zmq.ZMQError as error:
            socket.close()
            raise UnavailableError(f"detector.endpoint {detector.endpoint} cannot be used: {error}") from None
        return cls(socket)

    def receive(self, timeout: float) -> Parts | None:
        """The next multipart message; its parts are views of ZeroMQ's own memory."""
        if not self.socket.poll(int(timeout * 1000)):
            return None
        return [frame.buffer for frame in self.socket.recv_multipart(copy=False)]

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()


@dataclass(slots=True)
class RecordingSource:
    """A recording in the place of the socket; speed 1 is the recorded pace, None as fast as it goes.

    skip is the number of messages that an earlier process has taken already.
    """

    path: Path
    speed: float | None = None
    skip: int = 0
    exhausted: bool = False
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    _messages: Iterator[tuple[float, Parts]] = field(init=False)
    _next: tuple[float, Parts] | None = field(init=False, default=None)
    _origin: tuple[float, float] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        """Open the recording."""
        messages = read_recording(self.path, self.skip)
        self._messages = ((message.received or 0.0, message.parts) for message in messages)

    def receive(self, timeout: float) -> Parts | None:
        """The next recorded message, when it is due."""
        if self._next is None:
            self._next = next(self._messages, None)
        if self._next is None:
            self.exhausted = True
            self.sleep(timeout)
            return None
        received, parts = self._next
        if self.speed is not None:
            now = self.clock()
            self._origin = self._origin or (now, received)
            due = self._origin[0] + (received - self._origin[1]) / self.speed
            if due > now:
                self.sleep(min(due - now, timeout))
                if self.clock() < due:
                    return None
        self._next = None
        return parts

    def close(self) -> None:
        """Nothing to let go of."""
