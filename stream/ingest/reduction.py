"""From an image to its ledger row and pattern, in threads: grid point, channel, checks, pixels, integration."""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from stream.core.config import DetectorConfig
from stream.core.errors import MessageError, Reject
from stream.core.messages import EncodedArray, Image, Integrate, Pattern, SeriesStart
from stream.core.scan import ScanGrid
from stream.core.wire.compression import decompress
from stream.ingest.ledger import FrameRow, Mask
from stream.ingest.preview import Preview
from stream.ingest.series import Expected, choose_channel, read_monitor

THREADS = max(2, min(8, os.cpu_count() or 2))

Frame = tuple[FrameRow, Pattern]


@dataclass(slots=True, kw_only=True)
class Reduction:
    """Reduces the images of one series after another."""

    detector: DetectorConfig
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

    def submit(self, event: Image, first_seen: int, received: float) -> Future[Frame]:
        """Row and pattern of an image, once a thread has made them; a MessageError where the image cannot be used.

        Parameters
        ----------
        first_seen
            number of the first image of the series, which begins the grid where the config names no other.
        """
        first = first_seen if self.detector.first_frame is None else self.detector.first_frame
        try:
            slot = self.grid.slot(event.frame - first)
            if slot is None:
                raise MessageError(Reject.BEYOND_GRID, f"frame {event.frame} is beyond the grid of {self.grid.size}")
            array = choose_channel(event, self.detector.channel)
            self.expected.check(array)
        except MessageError as error:
            return rejected(error)
        monitor = read_monitor(event, self.detector.monitor)
        row = FrameRow(slot=slot, series=event.series, frame=event.frame, monitor=monitor, received=received)
        return self._pool.submit(self._reduce, self._integrate, array, row)

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()

    def _reduce(self, integrate: Integrate, array: EncodedArray, row: FrameRow) -> Frame:
        image = decompress(array)
        self.preview.offer(row.frame, image)
        return row, integrate(image)


def rejected(error: MessageError) -> Future[Frame]:
    """A message whose fate is known already."""
    future: Future[Frame] = Future()
    future.set_exception(error)
    return future
