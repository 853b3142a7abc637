"""Looking for the rotation axis beside the live updates: it takes longer than one of them."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from stream.analyse.tomography.center import CenterEstimate, find_center
from stream.core.scan import ScanGrid

GROWN = 1.2  # times the rays of the last look, before the next


@dataclass(slots=True)
class AxisSearch:
    """Looks for the axis in the slice with most rays, in a thread of its own.

    sums: (slice, angle, position) sum of each ray's pattern; they are filled while rays arrive.
    """

    grid: ScanGrid
    sums: npt.NDArray[np.float32]
    _thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "axis"))
    _running: Future[CenterEstimate] | None = None
    _looked: int = 0

    def follow(self, weights: npt.NDArray[np.float64]) -> CenterEstimate | None:
        """What a search has found since the last call; the next one begins where the rays have grown."""
        found = None
        if self._running is not None and self._running.done():
            found, self._running = self._running.result(), None
        rays = int(np.count_nonzero(weights))
        if self._running is None and rays >= GROWN * self._looked and rays != self._looked:
            self._looked = rays
            self._running = self._begin(weights)
        return found

    def find(self, weights: npt.NDArray[np.float64]) -> CenterEstimate:
        """The axis from these rays, waited for."""
        return self._begin(weights).result()

    def _begin(self, weights: npt.NDArray[np.float64]) -> Future[CenterEstimate]:
        s = int(weights.sum(axis=(1, 2)).argmax())
        return self._thread.submit(
            find_center, self.sums[s].copy(), weights[s].copy(), self.grid.angles, self.grid.positions
        )
