"""The virtual beamline as a detector: each trigger sends the frame of where the motors are, over ZeroMQ."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import zmq
from ophyd_async.core import (
    AsyncReadable,
    AsyncStatus,
    StandardReadable,
    StandardReadableFormat,
    soft_signal_r_and_setter,
)

from stream.core.config.scan import AxisName
from stream.simulate.scan import VirtualScan
from stream.simulate.wire import Encoder

SEND = 60_000  # ms that a frame waits for the processor


class VirtualDetector(StandardReadable):
    """Sends a series at `endpoint` (PUSH, bound) from its staging to its unstaging.

    motors by axis, in µm and degrees, are read at the moment of the exposure. Read are the frame's number and the
    incident intensity, ``<name>-frame`` and ``<name>-i0``.
    """

    def __init__(
        self,
        scan: VirtualScan,
        encoder: Encoder,
        endpoint: str,
        motors: Mapping[AxisName, AsyncReadable],
        name: str = "detector",
    ) -> None:
        self._scan, self._encoder, self._motors = scan, encoder, motors
        self._numbers = {int(slot): n for n, slot in enumerate(scan.grid.visit)}
        self._sent = 0
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.PUSH)
        self._socket.setsockopt(zmq.SNDTIMEO, SEND)
        self._socket.bind(endpoint)
        with self.add_children_as_readables(StandardReadableFormat.HINTED_SIGNAL):
            self.frame, self._set_frame = soft_signal_r_and_setter(int, -1)
            self.i0, self._set_i0 = soft_signal_r_and_setter(float, float("nan"))
        super().__init__(name=name)

    @AsyncStatus.wrap
    async def stage(self) -> None:
        """The series begins."""
        self._sent = 0
        await self._send(self._encoder.start())

    @AsyncStatus.wrap
    async def unstage(self) -> None:
        """The series is over."""
        await self._send(self._encoder.end())

    @AsyncStatus.wrap
    async def trigger(self) -> None:
        """Expose where the motors are."""
        place = {axis: float((await motor.read())[motor.name]["value"]) for axis, motor in self._motors.items()}
        pixels, appendix = self._scan.frame(self._numbers[self._scan.grid.locate(0, place)])
        await self._send(self._encoder.image(self._sent, pixels, {}))
        self._set_frame(self._sent)
        self._set_i0(float(appendix["i0"]))
        self._sent += 1

    async def _send(self, message: list[bytes]) -> None:
        """In a thread: a processor that is away holds up the exposure, not the engine."""
        await asyncio.to_thread(self._socket.send_multipart, message)

    def close(self) -> None:
        """Let go of the socket."""
        self._socket.close(linger=0)
        self._context.term()
