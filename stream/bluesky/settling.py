"""How much a class map will still change, from how much it has changed with the number of rays behind it.

What noise does to a voxel falls with the rays: between m and n of them its variance changes by 1/m − 1/n. The share of
a class' voxels that lie near enough to its borders to change sides goes with the standard deviation; live maps, which
are never quite converged, differ by something more, whatever the rays. So for each class

    (share that changed from m to n rays)² = a + b (1/m − 1/n),

fitted to the maps since half of the present rays, and from now, n, until all N are there the share √(b (1/n − 1/N)) is
still to change. Of a class of K voxels the share p that keeps it is known to √(p (1 − p) / K), which is taken off. Rays
must come from all directions from the beginning, as in golden-angle order.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls

Classes = npt.NDArray[np.integer[Any]]
FEWEST = 3  # earlier maps, for two coefficients


@dataclass(slots=True)
class Settling:
    """Class maps of one run by the number of rays that they knew."""

    maps: dict[int, Classes] = field(default_factory=dict)

    def take(self, rays: int, classes: Classes | None) -> None:
        """A map, -1 where a voxel has no class; none, or one of fewer rays than before, begins another run."""
        if classes is None or rays < max(self.maps, default=0):
            self.maps.clear()
        if classes is not None and rays:
            self.maps[rays] = classes

    def settled(self, total: int) -> float:
        """Share of a class' voxels, of the class that changes most, that keep it until `total` rays are there.

        Less a standard error; NaN while there is too little to compare.
        """
        now = max(self.maps, default=0)
        since = np.array([rays for rays in self.maps if now / 2 <= rays < now])
        if len(since) < FEWEST:
            return float("nan")
        come, to_come = 1 / since - 1 / now, max(1 / now - 1 / total, 0.0)
        latest = self.maps[now]
        told = []
        for one in np.unique(latest[latest >= 0]):
            voxels = latest == one
            kept = 1 - min(np.sqrt(self._slope(voxels, one, since, come) * to_come), 1.0)
            told.append(float(kept - np.sqrt(kept * (1 - kept) / voxels.sum())))
        return min(told, default=float("nan"))

    def _slope(self, voxels: npt.NDArray[np.bool_], one: int, since: npt.NDArray[Any], come: npt.NDArray[Any]) -> float:
        """The coefficient b of one class, whose voxels these are now."""
        changed = np.array([(self.maps[rays][voxels] != one).mean() for rays in since.tolist()])
        columns = np.stack([np.ones_like(come), come / come.max()], axis=1)
        return float(nnls(columns, changed**2)[0][1] / come.max())
