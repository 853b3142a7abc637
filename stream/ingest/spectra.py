"""From a fluorescence message to its ledger row and spectrum: dead time corrected, elements summed.

A spectrum travels and is kept as a `Pattern`: sums are Σ factor · counts over the detector's elements, variances
Σ factor² · counts, norms 1.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np

from stream.core.config import FluorescenceConfig
from stream.core.errors import MessageError, Reject
from stream.core.messages import EncodedArray, Image, Pattern, SeriesStart
from stream.core.scan import ScanGrid
from stream.core.wire.compression import decompress
from stream.ingest.checks import read_monitor
from stream.ingest.deadtime import FACTOR, dead_time_factors
from stream.ingest.ledger import FrameRow, Mask
from stream.ingest.reduction import Frame, rejected

CHANNELS = 4096  # of an Xspress3
ELEMENTS = 16  # more than detectors have


@dataclass(frozen=True, slots=True)
class SpectraExpected:
    """What spectra must be like; shape is that of the largest detector."""

    shape: tuple[int, int] = (ELEMENTS, CHANNELS)

    def check(self, array: EncodedArray) -> None:
        """Refuse what is no set of spectra, (elements, channels)."""
        elements, channels = array.shape
        if channels != CHANNELS or not 1 <= elements <= ELEMENTS:
            raise MessageError(
                Reject.SHAPE, f"the spectra are {elements} × {channels}, not those of 1 to {ELEMENTS} × {CHANNELS}"
            )
        if array.dtype.kind != "u" or array.dtype.itemsize > 4:
            raise MessageError(Reject.DTYPE, f"the spectra are of type {array.dtype}, not unsigned of 8 to 32 bits")

    def differences(self, header: SeriesStart) -> list[str]:
        """A fluorescence header says nothing that could differ."""
        return []


@dataclass(slots=True, kw_only=True)
class SpectraReduction:
    """Reduces the messages of a fluorescence stream; the number of a frame is its place on the grid.

    note takes a sentence for the run's events.
    """

    detector: FluorescenceConfig
    grid: ScanGrid
    note: Callable[[str], None]
    expected: SpectraExpected = SpectraExpected()
    transmission: str | None = None
    _told: bool = False

    @property
    def monitor(self) -> str | None:
        """Key of the incident intensity in the header."""
        return self.detector.monitor

    def mask_of(self, event: SeriesStart) -> Mask | None:
        """Channels are not masked."""
        return None

    def begin(self, saturation: int | None, mask: Mask | None) -> None:
        """What another header tells changes nothing."""

    def submit(self, event: Image, number: int, received: float) -> Future[Frame]:
        """Row and spectrum of a message, made at once: to hand it to a thread costs more; a MessageError otherwise."""
        try:
            slot = self.slot(event, number)
            array = next(iter(event.channels.values()))
            self.expected.check(array)
            factors = dead_time_factors(event.appendix, array.shape[0])
            spectrum = summed(array, np.ones(array.shape[0]) if factors is None else factors)
        except MessageError as error:
            return rejected(error)
        if factors is None and not self._told:
            self._told = True
            self.note(f"the spectra tell no dead time (no {FACTOR}, no scalers): their counts are summed as they are")
        row = FrameRow(
            slot=slot, number=number, series=event.series, frame=event.frame, received=received,
            monitor=read_monitor(event, self.monitor),
        )  # fmt: skip
        done: Future[Frame] = Future()
        done.set_result((row, spectrum))
        return done

    def slot(self, event: Image, number: int) -> int:
        """Grid point of a frame; ``beyond-grid`` where there is none."""
        slot = self.grid.slot(number)
        if slot is None:
            raise MessageError(Reject.BEYOND_GRID, f"frame {event.frame} is beyond the grid of {self.grid.size}")
        return slot

    def close(self) -> None:
        """Nothing to let go of."""


def summed(array: EncodedArray, factors: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Pattern:
    """Σ factor · counts over the elements of (elements, channels), and its Poisson variance."""
    counts = decompress(array).astype(np.float64)
    return Pattern(
        sums=(factors @ counts).astype(np.float32),
        norms=np.ones(counts.shape[1], dtype=np.float32),
        variances=(factors**2 @ counts).astype(np.float32),
    )
