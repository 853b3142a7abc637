"""Where messages come from: the ZeroMQ sockets of the detector and the monitors, or a recording in their place."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

import zmq

from stream.core.config import FluorescenceConfig, FrameStream, MonitorStream
from stream.core.errors import BraggstreamError, UnavailableError
from stream.core.messages import Parts
from stream.ingest.curve import keys_of, to_server
from stream.ingest.recorded import RecordedMessage, read_recording

MAX_MESSAGE = 1 << 30
MONITOR_QUEUE = 100_000  # readings of a monitor that may wait; each is some hundred bytes


class Received(NamedTuple):
    """A message; stream 0 is the detector, i + 1 the i-th of the config's monitors."""

    stream: int
    parts: Parts


class Source(Protocol):
    """One message at a time; live where somebody is sending now."""

    @property
    def live(self) -> bool:
        """True for sockets."""
        ...

    @property
    def exhausted(self) -> bool:
        """True when no message will ever come again."""
        ...

    def receive(self, timeout: float) -> Received | None:
        """The next message, None when none came within `timeout` seconds."""
        ...

    def close(self) -> None:
        """Let go of sockets or files."""
        ...


@dataclass(slots=True)
class SocketSource:
    """PULL or SUB sockets to one detector and its monitors; queues are bounded in bytes by high-water marks."""

    sockets: list[zmq.Socket[bytes]]
    live: bool = True
    exhausted: bool = False
    _poller: zmq.Poller = field(default_factory=zmq.Poller)

    @classmethod
    def open(cls, detector: FrameStream, message_bytes: int, monitors: Sequence[MonitorStream] = ()) -> SocketSource:
        """Connect (or bind) as the config says.

        Parameters
        ----------
        message_bytes
            Size of the largest expected message; a quarter of ``detector.queue_bytes`` in such messages may wait
            in the socket, since a high-water mark counts messages.

        Raises
        ------
        UnavailableError
            when an endpoint cannot be used.
        """
        key = "fluorescence" if isinstance(detector, FluorescenceConfig) else "detector"
        room = max(1, detector.queue_bytes // 4 // max(message_bytes, 1))
        source = cls([])
        try:
            source.sockets.append(connected(detector, key, room))
            for i, monitor in enumerate(monitors):
                source.sockets.append(connected(monitor, f"monitors.{i}", MONITOR_QUEUE))
        except BraggstreamError:
            source.close()
            raise
        for socket in source.sockets:
            source._poller.register(socket, zmq.POLLIN)
        return source

    def receive(self, timeout: float) -> Received | None:
        """The next multipart message, readings before images; its parts are views of ZeroMQ's own memory."""
        if not self.sockets:
            time.sleep(timeout)
            return None
        ready = [socket for socket, _ in self._poller.poll(int(timeout * 1000))]
        if not ready:
            return None
        stream = max(self.sockets.index(socket) for socket in ready)
        return Received(stream, [frame.buffer for frame in self.sockets[stream].recv_multipart(copy=False)])

    def close(self) -> None:
        """Close the sockets; nothing comes any more."""
        for socket in self.sockets:
            socket.close()
        self.sockets = []


def connected(stream: FrameStream | MonitorStream, key: str, room: int) -> zmq.Socket[bytes]:
    """A socket as the config describes it, for `room` waiting messages; `key` names it in the error.

    Raises
    ------
    UnavailableError
        when the endpoint cannot be used.
    ConfigError
        when a key of CURVE is not there.
    """
    keys = None if stream.curve is None else keys_of(stream.curve, f"{key}.curve")
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context.instance()
    socket = context.socket(zmq.PULL if stream.socket == "pull" else zmq.SUB)
    socket.setsockopt(zmq.RCVHWM, room)
    socket.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE)
    socket.setsockopt(zmq.LINGER, 0)
    if stream.socket == "sub":
        socket.setsockopt(zmq.SUBSCRIBE, b"")
    if keys is not None:
        to_server(socket, *keys)
    try:
        if stream.bind:
            socket.bind(stream.endpoint)
        else:
            socket.connect(stream.endpoint)
    except zmq.ZMQError as error:
        socket.close()
        raise UnavailableError(f"{key}.endpoint {stream.endpoint} cannot be used: {error}") from None
    return socket


@dataclass(slots=True)
class RecordingSource:
    """Recorded messages in the place of the sockets; speed 1 is the recorded pace, None as fast as it goes.

    skip is the number of messages that an earlier process has taken already.
    """

    messages: Iterator[RecordedMessage]
    speed: float | None = None
    live: bool = False
    exhausted: bool = False
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    _next: RecordedMessage | None = field(init=False, default=None)
    _origin: tuple[float, float] | None = field(init=False, default=None)

    @classmethod
    def open(cls, path: Path, speed: float | None, skip: int, first_frame: int) -> RecordingSource:
        """Play what `read_recording` reads of `path`, but for the first `skip` messages."""
        return cls(read_recording(path, skip, first_frame=first_frame), speed)

    def receive(self, timeout: float) -> Received | None:
        """The next recorded message, when it is due."""
        if self._next is None:
            self._next = next(self.messages, None)
        if self._next is None:
            self.exhausted = True
            self.sleep(timeout)
            return None
        if self.speed is not None and self._next.received is not None:
            now, received = self.clock(), self._next.received
            self._origin = self._origin or (now, received)
            due = self._origin[0] + (received - self._origin[1]) / self.speed
            if due > now:
                self.sleep(min(due - now, timeout))
                if self.clock() < due:
                    return None
        message, self._next = self._next, None
        return Received(message.stream, message.parts)

    def close(self) -> None:
        """Nothing to let go of."""
