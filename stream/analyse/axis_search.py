"""Looking for the rotation axis beside the live updates: it takes longer than one of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

import numpy as np
import numpy.typing as npt

from stream.analyse.aside import Aside
from stream.analyse.tomography.center import CenterEstimate, find_center
from stream.core.scan import ScanGrid

GROWN = 1.2  # times the rays of the last look, before the next


@dataclass(slots=True)
class AxisSearch:
    """Looks for the axis in the slice with most rays, beside the updates.

    sums: (slice, angle, position) sum of each ray's pattern; they are filled while rays arrive.
    """

    grid: ScanGrid
    sums: npt.NDArray[np.float32]
    _aside: Aside[CenterEstimate] = field(default_factory=lambda: Aside("axis"))
    _looked: int = 0

    def follow(self, weights: npt.NDArray[np.float64]) -> CenterEstimate | None:
        """What a search has found since the last call; the next one begins where the rays have grown."""
        found = self._aside.taken()
        rays = int(np.count_nonzero(weights))
        if not self._aside.busy and rays >= GROWN * self._looked and rays != self._looked:
            self._looked = rays
            self._aside.begin(self._search(weights))
        return found

    def find(self, weights: npt.NDArray[np.float64]) -> CenterEstimate:
        """The axis from these rays, waited for."""
        return self._search(weights)()

    def _search(self, weights: npt.NDArray[np.float64]) -> partial[CenterEstimate]:
        s = int(weights.sum(axis=(1, 2)).argmax())
        return partial(find_center, self.sums[s].copy(), weights[s].copy(), self.grid.angles, self.grid.positions)
