"""The virtual beamline as a detector: each trigger sends the frame of where the motors are, over ZeroMQ."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import zmq
from bluesky.protocols import StreamAsset
from event_model import ComposeStreamResourceBundle, DataKey, StreamRange, compose_stream_resource
from ophyd_async.core import (
    AsyncStatus,
    StandardReadable,
    StandardReadableFormat,
    TriggerInfo,
    soft_signal_r_and_setter,
)
from ophyd_async.sim import SimMotor

from stream.core.config.scan import AxisName
from stream.simulate.scan import VirtualScan
from stream.simulate.wire import Encoder

SEND = 60_000  # ms that a frame waits for the processor


class VirtualDetector(StandardReadable):
    """Sends a series at `endpoint` (PUSH, bound) from its staging to its unstaging.

    motors by axis, in µm and degrees, are read at the moment of the exposure. Read are the frame's number and the
    incident intensity, ``<name>-frame`` and ``<name>-i0``. On the fly it is prepared for a number of triggers, and
    tells its frames as a stream.
    """

    def __init__(
        self,
        scan: VirtualScan,
        encoder: Encoder,
        endpoint: str,
        motors: Mapping[AxisName, SimMotor],
        name: str = "detector",
    ) -> None:
        self._scan, self._encoder, self._endpoint, self.motors = scan, encoder, endpoint, motors
        self._numbers = {int(slot): n for n, slot in enumerate(scan.grid.visit)}
        self._sent = self._collected = 0
        self._all_sent = asyncio.Event()
        self._sending = asyncio.Lock()
        self._due: int | None = None  # the number of frames at which those it was prepared for are there
        self._stream: ComposeStreamResourceBundle | None = None
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
        async with self._sending:
            self._sent = self._collected = 0
            self._due = self._stream = None
            await self._send(self._encoder.start())

    @AsyncStatus.wrap
    async def unstage(self) -> None:
        """The series is over."""
        async with self._sending:
            await self._send(self._encoder.end())

    @AsyncStatus.wrap
    async def trigger(self) -> None:
        """Expose where the motors are."""
        await self.expose({})

    async def expose(self, passed: Mapping[AxisName, float]) -> None:
        """Send the frame of the nearest grid point; passed is where moving axes are, µm and degrees.

        A plan that pauses gives an exposure up, and may go on before it has ended: it is sent and counted all the same.
        """
        place = {axis: await motor.user_readback.get_value() for axis, motor in self.motors.items()} | dict(passed)
        await asyncio.shield(self._expose(place))

    async def _expose(self, place: Mapping[AxisName, float]) -> None:
        async with self._sending:
            pixels, appendix = self._scan.frame(self._numbers[self._scan.grid.locate(0, place)])
            await self._send(self._encoder.image(self._sent, pixels, appendix))
            self._set_frame(self._sent)
            self._set_i0(float(appendix["i0"]))
            self._sent += 1
            if self._sent == self._due:
                self._all_sent.set()

    @AsyncStatus.wrap
    async def prepare(self, value: TriggerInfo) -> None:
        """A number of triggers will come; what was not collected of an earlier sweep is given up."""
        async with self._sending:
            self._collected, self._due = self._sent, self._sent + value.number_of_events
            self._all_sent.clear()

    @AsyncStatus.wrap
    async def kickoff(self) -> None:
        """It waits for triggers."""

    @AsyncStatus.wrap
    async def complete(self) -> None:
        """All of them came."""
        await self._all_sent.wait()

    async def describe_collect(self) -> dict[str, DataKey]:
        """Frames go to the processor; the documents count them."""
        shape: list[int | None] = [1, *self._scan.detector.shape]
        return {
            f"{self.name}-frames": DataKey(
                source=self._endpoint, dtype="array", shape=shape, dtype_numpy="<u2", external="STREAM:"
            )
        }

    async def get_index(self) -> int:
        """Frames sent."""
        return self._sent

    async def collect_asset_docs(self, index: int | None = None) -> AsyncIterator[StreamAsset]:
        """The frames that were sent since the last call; of a detector that is read at each point, events tell them."""
        if self._due is None:
            return
        stop = self._sent if index is None else min(index, self._sent)
        if self._stream is None:
            key = f"{self.name}-frames"
            mimetype, parameters = "application/octet-stream", {"chunk_shape": [1, *self._scan.detector.shape]}
            self._stream = compose_stream_resource(
                mimetype=mimetype, uri=self._endpoint, data_key=key, parameters=parameters
            )
            yield "stream_resource", self._stream.stream_resource_doc
        if stop > self._collected:
            indices = StreamRange(start=self._collected, stop=stop)
            self._collected = stop
            descriptor: Any = {"uid": ""}  # the engine fills it in
            yield "stream_datum", self._stream.compose_stream_datum(indices, descriptor=descriptor)

    async def _send(self, message: list[bytes]) -> None:
        """In a thread: a processor that is away holds up the exposure, not the engine."""
        await asyncio.to_thread(self._socket.send_multipart, message)

    def close(self) -> None:
        """Let go of the socket."""
        self._socket.close(linger=0)
        self._context.term()
