"""From an image to its ledger row and pattern, in threads: grid point, channel, checks, pixels, integration."""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Literal

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

Frame = tuple[FrameRow, Pattern]
NOWHERE = -1
"""Slot of a frame whose place comes from another stream."""


@dataclass(slots=True, kw_only=True)
class Reduction:
    """Reduces the images of one series after another; index is where a frame's grid point comes from."""

    detector: DetectorConfig
    index: Literal["order", "appendix", "bluesky", "pcap"]
    grid: ScanGrid
    base: Integrate
    expected: Expected
    preview: Preview
    _integrate: Integrate = field(init=False)
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(THREADS, "integrate"))

    def __post_init__(self) -> None:
        """Until a header says more, the detector is as config and geometry have it."""
        self._integrate = self.base

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
        return self._pool.submit(self._reduce, self._integrate, array, row)

    def slot(self, event: Image, number: int) -> int:
        """Grid point of an image, NOWHERE while only an encoder knows it.

        Raises
        ------
        MessageError
            ``beyond-grid`` or ``off-grid`` where there is none.
        """
        if self.index == "pcap":
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

    def _reduce(self, integrate: Integrate, array: EncodedArray, row: FrameRow) -> Frame:
        pattern = integrate.encoded(array)
        self.preview.offer(row.frame, lambda: decompress(array))
        return row, pattern


def rejected(error: MessageError) -> Future[Frame]:
    """A message whose fate is known already."""
    future: Future[Frame] = Future()
    future.set_exception(error)
    return future
