"""A detector in a process of its own: frames made beforehand, over a PUSH socket, in bursts or at a pace."""

from __future__ import annotations

import json
import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any, Self

import numpy as np
import zmq

from stream.benchmark.frames import WAVELENGTH, Kind, frames, geometry
from stream.core.errors import BraggstreamError
from stream.simulate.wire import DectrisV1, Series

QUEUE = 4  # messages that wait in the socket
PATIENCE = 60.0  # s

Message = list[bytes]


class Sender:
    """The end of the pipe to the process that sends; endpoint is where it is bound."""

    def __init__(self, pipe: Connection) -> None:
        self.pipe = pipe
        self.endpoint: str = self.answer()

    @classmethod
    @contextmanager
    def started(cls, kind: Kind, total: int) -> Iterator[Self]:
        """Start a process that announces a series of `total` frames."""
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=serve, args=(theirs, kind, total), daemon=True)
        process.start()
        theirs.close()
        try:
            yield cls(ours)
        finally:
            process.kill()  # what waits in its socket is wanted by nobody
            process.join()
            ours.close()

    def send(self, count: int, rate: float | None) -> None:
        """Send the next frames: so many a second, or as fast as they are taken."""
        self.pipe.send((count, rate))

    def sent(self) -> list[float]:
        """When each of them was due to leave, on the monotonic clock; waits for the last one."""
        times: list[float] = self.answer()
        return times

    def answer(self) -> Any:
        """What the process says."""
        try:
            if self.pipe.poll(PATIENCE):
                return self.pipe.recv()
        except EOFError:
            pass
        raise BraggstreamError(f"the process that sends frames gave no answer within {PATIENCE:g} s")


def serve(pipe: Connection, kind: Kind, total: int) -> None:
    """The process: one series, its frames as they are asked for."""
    with zmq.Context() as context, context.socket(zmq.PUSH) as socket:
        socket.setsockopt(zmq.SNDHWM, QUEUE)
        socket.bind("tcp://127.0.0.1:*")
        pipe.send(socket.getsockopt_string(zmq.LAST_ENDPOINT))
        images = messages(kind, total)
        socket.send_multipart(next(images))
        while True:
            count, rate = pipe.recv()
            pipe.send([paced(socket, next(images), due) for due in dues(count, rate)])


def messages(kind: Kind, total: int) -> Iterator[Message]:
    """The start, then the images; compressed before the first is sent, only the frame number is new in each."""
    place = geometry(kind.size)
    mask = place.detector_mask().astype(np.uint32)
    encoder = DectrisV1(Series(total, mask, WAVELENGTH, place.pixel_size, 0, dtype=kind.dtype))
    made = [encoder.image(n, image, {}) for n, image in enumerate(frames(kind).images)]
    yield encoder.start()
    head = json.loads(made[0][0])
    for n in range(total):
        image = made[n % len(made)]
        yield [json.dumps({**head, "frame": n}).encode(), *image[1:]]


def dues(count: int, rate: float | None) -> Iterator[float | None]:
    """When each frame is due, on the monotonic clock; None: at once."""
    begun = time.monotonic()
    for n in range(count):
        yield None if rate is None else begun + n / rate


def paced(socket: zmq.Socket[bytes], message: Message, due: float | None) -> float:
    """Send a message when it is due, and return when it was; a frame held up by the one before it was due then."""
    now = time.monotonic()
    if due is not None and due > now:
        time.sleep(due - now)
        now = due = time.monotonic()
    socket.send_multipart(message, copy=False)
    return now if due is None else due
