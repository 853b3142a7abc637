"""From an image to its ledger row and pattern, in threads: grid point, channel, checks, pixels, integration."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

import numpy as np

from stream.core.config import DetectorConfig
from stream.core.errors import MessageError, Reject
from stream.core.messages import EncodedArray, Image, Integrate, Pattern, SeriesStart
from stream.core.scan import ScanGrid
from stream.core.wire.compression import decompress
from stream.ingest.checks import Expected, choose_channel, read_monitor, read_place, read_transmission
from stream.ingest.ledger import FrameRow, Mask
from stream.ingest.preview import Preview

THREADS = max(2, min(8, os.cpu_count() or 2))
TOGETHER = 8
"""Frames that one thread takes at a time at most, on a CPU."""

Frame = tuple[FrameRow, Pattern]
NOWHERE = -1
"""Slot of a frame whose place comes from another stream."""


class Reduces(Protocol):
    """What makes a row and a pattern of an image; monitor and transmission are the keys of its readings."""

    @property
    def monitor(self) -> str | None:
        """Key of the incident intensity, None where there is none."""
        ...

    @property
    def transmission(self) -> str | None:
        """Key of the beam behind the sample."""
        ...

    @property
    def grid(self) -> ScanGrid:
        """The scan."""
        ...

    @property
    def expected(self) -> Expects:
        """What images must be like."""
        ...

    def mask_of(self, event: SeriesStart) -> Mask | None:
        """Pixels that a header masks, None where it tells none."""
        ...

    def begin(self, saturation: int | None, mask: Mask | None) -> None:
        """From now on images are of a series whose header told this."""
        ...

    def submit(self, event: Image, number: int, received: float) -> Future[Frame]:
        """Row and pattern of an image."""
        ...

    def slot(self, event: Image, number: int) -> int:
        """Grid point of an image."""
        ...

    def close(self) -> None:
        """End the threads."""
        ...


class Expects(Protocol):
    """What images must be like."""

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        ...

    def differences(self, header: SeriesStart) -> list[str]:
        """Sentences for what a header says otherwise."""
        ...


class Job(NamedTuple):
    """A frame that waits for a thread, and what integrates its series."""

    integrate: Integrate
    array: EncodedArray
    row: FrameRow
    done: Future[Frame]


@dataclass(slots=True, kw_only=True)
class Reduction:
    """Reduces the images of one series after another; index is where a frame's grid point comes from.

    together: frames that one thread takes at a time at most.
    """

    detector: DetectorConfig
    index: Literal["order", "appendix", "bluesky", "pcap"]
    grid: ScanGrid
    base: Integrate
    expected: Expected
    preview: Preview
    together: int = TOGETHER
    _integrate: Integrate = field(init=False)
    _waiting: deque[Job] = field(default_factory=deque)
    _busy: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(THREADS, "integrate"))

    def __post_init__(self) -> None:
        """Until a header says more, the detector is as config and geometry have it."""
        self._integrate = self.base

    @property
    def monitor(self) -> str | None:
        """Key of the incident intensity."""
        return self.detector.monitor

    @property
    def transmission(self) -> str | None:
        """Key of the beam behind the sample."""
        return self.detector.transmission

    def mask_of(self, event: SeriesStart) -> Mask | None:
        """Pixels that a header masks for the configured channel, (rows, columns); None where it tells none.

        Raises
        ------
        MessageError
            where the mask cannot be decoded or is of another shape.
        """
        encoded = event.mask.get(self.detector.channel or next(iter(event.channels), ""))
        if encoded is None:
            return None
        if tuple(encoded.shape) != self.expected.shape:
            raise MessageError(Reject.SHAPE, f"its shape is {encoded.shape}, the geometry's {self.expected.shape}")
        return np.asarray(decompress(encoded) != 0)

    def begin(self, saturation: int | None, mask: Mask | None) -> None:
        """From now on images are of a series whose header told this."""
        self._integrate = self.base.for_series(mask, saturation)

    def submit(self, event: Image, number: int, received: float) -> Future[Frame]:
        """Row and pattern of an image, once a thread has made them; a MessageError where the image cannot be used.

        Parameters
        ----------
        number
            of the frame in the scan, counted from 0.
        """
        try:
            slot = self.slot(event, number)
            array = choose_channel(event, self.detector.channel)
            self.expected.check(array)
        except MessageError as error:
            return rejected(error)
        row = FrameRow(
            slot=slot, number=number, series=event.series, frame=event.frame, received=received,
            monitor=read_monitor(event, self.detector.monitor),
            transmission=read_transmission(event, self.detector.transmission),
        )  # fmt: skip
        job = Job(self._integrate, array, row, Future())
        self._waiting.append(job)
        self._pool.submit(self._work)
        return job.done

    def slot(self, event: Image, number: int) -> int:
        """Grid point of an image, NOWHERE while only encoders or a plan's documents know it.

        Raises
        ------
        MessageError
            ``beyond-grid`` or ``off-grid`` where there is none.
        """
        if self.index in {"pcap", "bluesky"}:
            return NOWHERE
        if self.index == "appendix":
            return self.grid.locate(number, read_place(event))
        slot = self.grid.slot(number)
        if slot is None:
            raise MessageError(Reject.BEYOND_GRID, f"frame {event.frame} is beyond the grid of {self.grid.size}")
        return slot

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()

    def _work(self) -> None:
        """Reduce a share of what waits; there is none where other threads have taken it."""
        jobs = self._take()
        if not jobs:
            return
        results: Sequence[Pattern | Exception]
        try:
            results = jobs[0].integrate.many([job.array for job in jobs])
        except Exception as error:  # noqa: BLE001  whoever waits for one of them gets it
            results = [error] * len(jobs)
        for job, result in zip(jobs, results, strict=True):
            self._finish(job, result)
        with self._lock:
            self._busy -= 1

    def _take(self) -> list[Job]:
        """The oldest frames, all of one series: as many as leave each idle thread its share, `together` at most."""
        taken: list[Job] = []
        with self._lock:
            share = min(self.together, -(-len(self._waiting) // (THREADS - self._busy)))
            while len(taken) < share and (not taken or self._waiting[0].integrate is taken[0].integrate):
                taken.append(self._waiting.popleft())
            self._busy += bool(taken)
        return taken

    def _finish(self, job: Job, result: Pattern | Exception) -> None:
        try:
            if isinstance(result, Exception):
                raise result
            self.preview.offer(job.row.frame, lambda: decompress(job.array))
        except Exception as error:  # noqa: BLE001  as above
            job.done.set_exception(error)
        else:
            job.done.set_result((job.row, result))


def rejected(error: MessageError) -> Future[Frame]:
    """A message whose fate is known already."""
    future: Future[Frame] = Future()
    future.set_exception(error)
    return future
