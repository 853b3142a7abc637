"""A scan sent over ZeroMQ, as the detector would: a PUSH socket that binds, blocks and loses nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import zmq

from stream.core.errors import UnavailableError
from stream.simulate.faults import Faults, cut_short, deliveries
from stream.simulate.scan import VirtualScan
from stream.simulate.wire import Encoder, Series, make_encoder

QUEUE = 32  # messages that wait in the socket
POLL = 0.1  # s between looks at `stop`
LINGER = 60.0  # s given to the receiver to take the last messages

Progress = Callable[[int, int], None]
"""Called after each frame with (image messages sent, frames of the scan)."""


class Beamline:
    """Sends a virtual scan once: start, images, end.

    Parameters
    ----------
    scan
        The frames.
    endpoint
        Where to bind; ``tcp://127.0.0.1:*`` takes a free port, told by `endpoint`.
    format
        ``dectris-1`` or ``dectris-2``.
    rate
        Frames per second; None or 0 is as fast as they are made and taken.
    faults
        What goes wrong.

    Raises
    ------
    UnavailableError
        if the endpoint cannot be bound.
    """

    def __init__(
        self,
        scan: VirtualScan,
        endpoint: str,
        format: str = "dectris-1",
        rate: float | None = None,
        faults: Faults | None = None,
    ) -> None:
        self.scan, self.rate, self.faults = scan, rate or None, faults or Faults()
        detector = scan.detector
        self._encoder: Encoder = make_encoder(
            format,
            Series(
                scan.grid.size,
                detector.pixel_mask,
                detector.wavelength,
                (detector.integrator.detector.pixel1, detector.integrator.detector.pixel2),
                scan.seed,
            ),
        )
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.PUSH)
        self._socket.setsockopt(zmq.SNDHWM, QUEUE)
        try:
            self._socket.bind(endpoint)
        except zmq.ZMQError as error:
            self._context.destroy(linger=0)
            raise UnavailableError(f"the endpoint {endpoint} cannot be bound: {error}") from None
        self.endpoint = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)

    def run(self, stop: threading.Event | None = None, progress: Progress | None = None) -> int:
        """Send the scan; returns the number of image messages sent. Setting `stop` ends it within a moment.

        Returns once the receiver has taken the last message, or a minute after it was sent.
        """
        stop = stop or threading.Event()
        sent = 0
        try:
            if self._send(self._encoder.start(), stop):
                sent = self._send_images(stop, progress)
            if not self.faults.no_end:
                self._send(self._encoder.end(), stop)
        finally:
            self._close(stop)
        return sent

    def _close(self, stop: threading.Event) -> None:
        """Let the socket empty itself; in a thread, because nothing else can leave zmq_ctx_term early."""
        self._socket.close(linger=0 if stop.is_set() else int(1000 * LINGER))
        emptying = threading.Thread(target=self._context.term, daemon=True)
        emptying.start()
        while emptying.is_alive() and not stop.is_set():
            emptying.join(POLL)

    def _send_images(self, stop: threading.Event, progress: Progress | None) -> int:
        sent, due = 0, time.monotonic()
        for frame, cut in deliveries(self.scan.grid.size, self.faults, self.scan.seed):
            pixels, appendix = self.scan.frame(frame)
            parts = self._encoder.image(frame, pixels, appendix)
            if self.rate:
                due = max(due + 1 / self.rate, time.monotonic())
                stop.wait(due - time.monotonic())
            if not self._send(cut_short(parts) if cut else parts, stop):
                break
            sent += 1
            if progress is not None:
                progress(sent, self.scan.grid.size)
        return sent

    def _send(self, parts: list[bytes], stop: threading.Event) -> bool:
        """Wait until the receiver has room; False when `stop` came first."""
        while not stop.is_set():
            if self._socket.poll(int(1000 * POLL), zmq.POLLOUT):
                self._socket.send_multipart(parts, copy=False)
                return True
        return False
