"""When live updates begin: as a line of the scan is complete."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from stream.core.config.scan import ScanConfig
from stream.core.scan import AXES, ScanGrid


@dataclass(slots=True)
class Pace:
    """Updates begin as a line is complete, from half the time between them on; else at its end.

    A line that will be complete soon is waited for, half the time at most. So one that takes as long as an update,
    such as a projection, is on the maps as soon as it can be, and finds none under way that began just before.

    visited: by slot, which frame it is; length: frames of a line; every: seconds between two updates.
    """

    visited: npt.NDArray[np.int64]
    length: int
    every: float
    next: float = 0.0
    """When an update is due, whatever the lines are."""
    complete: int = 0
    shown: int = 0
    """Lines: those that are complete, and as many as were when the latest update began."""
    at: float = 0.0
    took: float = np.inf
    """When the latest line was complete, and the seconds since the one before."""

    @classmethod
    def of(cls, grid: ScanGrid, scan: ScanConfig, every: float) -> Self:
        """The lines of a scan."""
        return cls(np.argsort(grid.visit), grid.shape[AXES.index(scan.order[2])], every)

    def take(self, slots: Iterable[int]) -> None:
        """Frames have come."""
        lines = int(self.visited[list(slots)].max() + 1) // self.length
        if lines > self.complete:
            now = time.monotonic()
            self.took, self.at = (now - self.at) / (lines - self.complete), now
            self.complete = lines

    def due(self) -> bool:
        """Whether an update shall begin."""
        now, half = time.monotonic(), self.every / 2
        if self.complete > self.shown:
            return now >= self.next - half
        soon = self.at + self.took - now < half
        return now >= self.next + (half if soon else 0)

    def begin(self) -> None:
        """An update begins."""
        self.shown, self.next = self.complete, time.monotonic() + self.every

    def hurry(self) -> None:
        """The next update is due at once."""
        self.next = -np.inf
