"""Voxels in turn: as many at a time as fit into the time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FEWEST = 16  # voxels a time, however slow they are
FIRST = 64  # as many while nothing is known of their pace
SMOOTH = 0.5  # how much of a slower pace is believed


@dataclass(slots=True)
class Turn:
    """One job that goes round the voxels of a slice."""

    seconds: float = 0.0
    """A voxel."""
    at: int = 0

    def choose(self, count: int, budget: float) -> npt.NDArray[np.intp]:
        """Which of `count` voxels are next, in ascending order; all of them where the budget (seconds) allows."""
        most = max(int(budget / self.seconds), FEWEST) if self.seconds else FIRST
        if most >= count:
            return np.arange(count)
        chosen = (self.at + np.arange(most)) % count
        self.at = int(chosen[-1] + 1) % count
        return np.sort(chosen)

    @contextmanager
    def timed(self, voxels: int) -> Iterator[None]:
        """Take the time of a job with so many voxels."""
        begun = time.perf_counter()
        yield
        if voxels:
            pace = (time.perf_counter() - begun) / voxels
            # quicker is believed at once: the first time is much slower than any other
            self.seconds = self.seconds + SMOOTH * (pace - self.seconds) if 0 < self.seconds < pace else pace
