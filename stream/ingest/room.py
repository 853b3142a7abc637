"""Room on the disk: what a run will still need of it, and whether its recording fits beside that."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from stream.core.scan import ScanGrid

MARGIN = 64 << 20
"""Bytes for what is small: HDF5 must be able to flush and close, the ledger to book what comes."""
LOOK_EVERY = 10.0  # seconds
ENOUGH = 100  # messages that tell how large one is


def room_for_results(grid: ScanGrid, bins: int) -> int:
    """Bytes that the recording must leave: patterns are still to go to Tiled and, with the volume, to results.nxs.

    Journal, patterns and live volume have their room from the start.
    """
    return MARGIN + 4 * bins * (2 * grid.size + math.prod(grid.map_shape))


@dataclass(slots=True)
class Foresight:
    """Says once that the disk has no room for the rest of a scan; messages and size (bytes) are of those so far."""

    folder: Path
    reserve: int
    messages: int = 0
    size: int = 0
    _due: float = 0.0
    _told: bool = False

    def count(self, size: int) -> None:
        """A message was recorded."""
        self.messages += 1
        self.size += size

    def notes(self, left: int, now: float) -> Iterator[str]:
        """The sentence, where it is news; so many more messages are to come."""
        if self._told or now < self._due or self.messages < ENOUGH:
            return
        self._due = now + LOOK_EVERY
        needed, free = self.size / self.messages * left, shutil.disk_usage(self.folder).free - self.reserve
        if needed > free:
            self._told = True
            yield (
                f"the rest of the recording needs {needed / 1e9:.3g} GB, and the disk has {max(free, 0) / 1e9:.3g} GB "
                f"beside {self.reserve / 1e9:.3g} GB for the results: the recording will be suspended when it is full"
            )
