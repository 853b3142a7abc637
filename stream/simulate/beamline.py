"""A scan sent over ZeroMQ, as the detector would: by PUSH, which blocks and loses nothing, or by PUB."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import structlog
import zmq

from stream.core.config import MonitorStream
from stream.simulate.arming import Arm, Message, SeriesPlan, make_arms, make_messages
from stream.simulate.damage import cut_short, flip_bits
from stream.simulate.deliveries import deliveries
from stream.simulate.faults import Faults
from stream.simulate.fluorescence import VirtualSpectra
from stream.simulate.monitors import Monitor
from stream.simulate.scan import VirtualScan
from stream.simulate.sockets import POLL, Context, Outlet, Thief
from stream.simulate.spectra_outlet import SpectraOutlet, spectra_border, spectra_message
from stream.simulate.wire import Encoder, Series, make_encoder, retype

QUEUE = 32  # messages that wait in the detector's socket
LINGER = 60.0  # s given to the receiver to take the last messages
SUBSCRIBED = 10.0  # s given to the receiver of frames to subscribe to the monitors, too

Progress = Callable[[int, int], None]
"""Called after each frame with (image messages sent, frames of the scan)."""
log = structlog.get_logger()


class Beamline:
    """Sends a virtual scan once: for each series start, images, end; the monitors' readings beside it.

    Parameters
    ----------
    scan
        The frames.
    endpoint
        Where to bind; ``tcp://127.0.0.1:*`` takes a free port, told by `endpoint`.
    format
        ``dectris-1``, ``dectris-2`` or ``stins``.
    rate
        Frames per second; None or 0 is as fast as they are made and taken.
    faults
        What goes wrong on the way. The monitors' readings are not affected.
    plan
        How the scan is divided into series.
    monitors
        Streams of readings; each has a socket of its own, which connects where the receiver's binds.
    attach_reading
        Whether the image appendix carries the incident intensity.
    spectra
        The fluorescence, and where it goes; a spectrum that nobody is there to take is lost.
    publish, connect
        PUB in the place of PUSH, for a receiver that subscribes; connect, to one that binds.
    secret
        The key of the sockets, all of which then speak CURVE.

    Raises
    ------
    UsageError
        for an unknown format.
    UnavailableError
        if an endpoint cannot be bound.
    """

    def __init__(
        self,
        scan: VirtualScan,
        endpoint: str,
        format: str = "dectris-1",
        rate: float | None = None,
        faults: Faults | None = None,
        *,
        plan: SeriesPlan | None = None,
        monitors: Sequence[MonitorStream] = (),
        attach_reading: bool = True,
        spectra: tuple[VirtualSpectra, SpectraOutlet] | None = None,
        publish: bool = False,
        connect: bool = False,
        secret: bytes | None = None,
    ) -> None:
        self._secret = secret
        self.scan, self.format, self.rate, self.faults = scan, format, rate or None, faults or Faults()
        self.plan, self.attach_reading = plan or SeriesPlan(), attach_reading
        self.arms = make_arms(scan.grid.size, self.plan, self.faults, scan.seed)
        self._encoder(self.arms[0])
        self._bits = np.random.default_rng([scan.seed, 7])
        self._due = 0.0
        self._thief: Thief | None = None
        self._context: Context = zmq.Context()
        try:
            kind = zmq.XPUB if publish else zmq.PUSH
            self._detector = Outlet(self._context, kind, endpoint, QUEUE, connect=connect, secret=secret)
            self._monitors = [(Monitor(stream, scan), self._monitor_outlet(stream)) for stream in monitors]
            self._spectra = None if spectra is None else (spectra[0], spectra[1].open(self._context, secret))
            self._first_spectrum = 0 if spectra is None else spectra[1].first_frame
        except BaseException:
            self._context.destroy(linger=0)
            raise
        self.endpoint = self._detector.endpoint

    @property
    def stolen(self) -> int:
        """Messages that the second puller took."""
        return self._thief.taken if self._thief else 0

    def run(self, stop: threading.Event | None = None, progress: Progress | None = None) -> int:
        """Send the scan; returns the number of image messages sent. Setting `stop` ends it within a moment.

        Returns once the receiver has taken the last message, or a minute after it was sent.
        """
        stop = stop or threading.Event()
        sent = 0
        try:
            self._wait_for_subscribers(stop)
            made = self._monitored(make_messages(self.arms), stop)
            for message in deliveries(made, self.faults, self.scan.seed):
                if not self._deliver(message, stop):
                    break
                if self.faults.steal and self._thief is None:
                    self._thief = Thief(self._detector)
                if message.kind == "image":
                    sent += 1
                    if progress is not None:
                        progress(sent, self.scan.grid.size)
        finally:
            self._close(stop)
        return sent

    def _monitored(self, made: Iterable[Message], stop: threading.Event) -> Iterator[Message]:
        """Publish the readings of what the detector makes, whatever becomes of it on its way."""
        for message in made:
            for monitor, outlet in self._monitors:
                for envelope in monitor.follow(message):
                    outlet.send([envelope], stop)
            self._follow(message, stop)
            yield message

    def _follow(self, message: Message, stop: threading.Event) -> None:
        """Send the spectrum that belongs to a frame, and the stream's own begin and end."""
        if self._spectra is None:
            return
        spectra, outlet = self._spectra
        if not outlet.socket.poll(0, zmq.POLLOUT):
            return
        if message.kind == "image":
            counts, told = spectra.spectra(message.arm.first + message.frame)
            outlet.send(spectra_message(message.frame + self._first_spectrum, counts, told), stop)
        else:
            outlet.send(spectra_border(message.kind), stop)

    def _deliver(self, message: Message, stop: threading.Event) -> bool:
        """Send a message when its time has come and there is room; False when `stop` came first."""
        parts = self._parts(message)
        if self.rate and message.kind == "image":
            self._due = max(self._due + 1 / self.rate, time.monotonic())
            stop.wait(self._due - time.monotonic())
        return self._detector.send(parts, stop)

    def _parts(self, message: Message) -> list[bytes]:
        encoder = self._encoder(message.arm)
        if message.kind != "image":
            return encoder.start() if message.kind == "start" else encoder.end()
        pixels, appendix = self.scan.frame(message.arm.first + message.frame)
        if not self.attach_reading:
            del appendix["i0"]
        parts = encoder.image(message.frame, retype(pixels, message.arm.dtype(message.frame)), appendix)
        if message.damage == "corrupt":
            return flip_bits(parts, self._bits)
        return cut_short(parts) if message.damage == "truncate" else parts

    def _encoder(self, arm: Arm) -> Encoder:
        detector = self.scan.detector
        series = Series(
            arm.planned,
            detector.pixel_mask,
            detector.wavelength,
            (detector.integrator.detector.pixel1, detector.integrator.detector.pixel2),
            self.scan.seed,
            index=arm.index,
            message=arm.message,
            first_frame=self.plan.first_frame,
            dtype=arm.dtypes[0],
            label=arm.label,
        )
        return make_encoder(self.format, series)

    def _monitor_outlet(self, stream: MonitorStream) -> Outlet:
        """XPUB, because it hears who subscribes."""
        kind, queue = (zmq.XPUB, 0) if stream.socket == "sub" else (zmq.PUSH, QUEUE)
        return Outlet(self._context, kind, stream.endpoint, queue, connect=stream.bind, secret=self._secret)

    def _wait_for_subscribers(self, stop: threading.Event) -> None:
        """Once somebody takes the frames, wait a while for his subscriptions: what nobody has asked for is lost."""
        publishing = [outlet for _, outlet in self._monitors if outlet.socket.type == zmq.XPUB]
        if self._detector.socket.type == zmq.XPUB:
            self._detector.wait(zmq.POLLIN, stop)
        elif publishing or self._spectra is not None:
            self._detector.wait(zmq.POLLOUT, stop)
        if self._spectra is not None:
            outlet = self._spectra[1]
            event = zmq.POLLIN if outlet.socket.type == zmq.XPUB else zmq.POLLOUT
            if not outlet.wait(event, stop, SUBSCRIBED) and not stop.is_set():
                log.warning("fluorescence.nobody-there", endpoint=outlet.endpoint, waited_s=SUBSCRIBED)
        for outlet in publishing:
            if not outlet.wait(zmq.POLLIN, stop, SUBSCRIBED) and not stop.is_set():
                log.warning("monitor.nobody-subscribed", endpoint=outlet.endpoint, waited_s=SUBSCRIBED)

    def _close(self, stop: threading.Event) -> None:
        """Let the sockets empty themselves; in a thread, because nothing else can leave zmq_ctx_term early."""
        beside = [] if self._spectra is None else [self._spectra[1]]
        for outlet in (self._detector, *(outlet for _, outlet in self._monitors), *beside):
            outlet.socket.close(linger=0 if stop.is_set() else int(1000 * LINGER))
        emptying = threading.Thread(target=self._context.term, daemon=True)
        emptying.start()
        while emptying.is_alive() and not stop.is_set():
            emptying.join(POLL)
        if self._thief is not None:
            self._thief.close()
