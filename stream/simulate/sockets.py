"""Sockets of a sender: they wait until there is room, and can be stopped while they wait."""

from __future__ import annotations

import threading
import time

import zmq

from stream.core.errors import UnavailableError
from stream.ingest.curve import as_server

POLL = 0.1  # s between looks at `stop`
JOINED = 10.0  # s that a second puller may take to be connected

Context = zmq.Context[zmq.Socket[bytes]]


class Outlet:
    """A sending socket.

    Parameters
    ----------
    context
        ZeroMQ's.
    kind
        ``zmq.PUSH`` or ``zmq.XPUB``.
    endpoint
        Where to bind, or to connect where `connect`; ``tcp://127.0.0.1:*`` takes a free port.
    queue
        Messages that wait in the socket; 0: any number.
    secret
        Our key, where the receiver wants CURVE.

    Raises
    ------
    UnavailableError
        if it cannot be bound.
    """

    def __init__(
        self, context: Context, kind: int, endpoint: str, queue: int, connect: bool = False, secret: bytes | None = None
    ) -> None:
        self.socket = context.socket(kind)
        self.socket.setsockopt(zmq.SNDHWM, queue)
        if secret is not None:
            as_server(self.socket, secret)
        try:
            (self.socket.connect if connect else self.socket.bind)(endpoint)
        except zmq.ZMQError as error:
            self.socket.close(0)
            verb = "connected" if connect else "bound"
            raise UnavailableError(f"the endpoint {endpoint} cannot be {verb}: {error}") from None
        self.endpoint = self.socket.getsockopt_string(zmq.LAST_ENDPOINT)

    def wait(self, event: int, stop: threading.Event, seconds: float = float("inf")) -> bool:
        """Wait for POLLIN or POLLOUT; False when the time is over or `stop` came first."""
        deadline = time.monotonic() + seconds
        while not stop.is_set() and time.monotonic() < deadline:
            if self.socket.poll(int(1000 * POLL), event):
                return True
        return False

    def send(self, parts: list[bytes], stop: threading.Event) -> bool:
        """Wait until the receiver has room; False when `stop` came first."""
        if not self.wait(zmq.POLLOUT, stop):
            return False
        self.socket.send_multipart(parts, copy=False)
        return True


class Thief:
    """A second puller on a PUSH socket, as a forgotten viewer is one: what it takes, the receiver never sees.

    PUSH gives each puller its turn, but passes over one that has no room.
    """

    def __init__(self, victim: Outlet) -> None:
        self.taken = 0
        self._context: Context = zmq.Context()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._take, args=(victim.endpoint,), daemon=True)
        joined = victim.socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        self._thread.start()
        connected = joined.poll(int(1000 * JOINED))
        victim.socket.disable_monitor()
        joined.close(0)
        if not connected:
            self.close()
            raise UnavailableError(f"no second puller could connect to {victim.endpoint} within {JOINED:g} s")

    def close(self) -> None:
        """Stop taking."""
        self._over.set()
        self._thread.join()
        self._context.term()

    def _take(self, endpoint: str) -> None:
        with self._context.socket(zmq.PULL) as socket:
            socket.setsockopt(zmq.LINGER, 0)
            socket.connect(endpoint)
            while not self._over.is_set():
                if socket.poll(int(1000 * POLL)):
                    socket.recv_multipart()
                    self.taken += 1
