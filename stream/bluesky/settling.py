"""How much a class map will still change, from how much it has changed with the number of rays behind it.

What noise does to a voxel falls with the rays: between m and n of them its variance changes by 1/m − 1/n. The share of
a class' voxels that lie near enough to its borders to change sides goes with the standard deviation; live maps, which
are never quite converged, differ by something more, whatever the rays. So for each class

    (share that changed from m to n rays)² = a + b (1/m − 1/n),

fitted to all pairs of maps since half of the present rays, and from now, n, until all N are there the share
√(b (1/n − 1/N)) is still to change. Of a class of K voxels the share p that keeps it is known to √(p (1 − p) / K): told
is what all classes keep together with a probability of 95 %. Rays must come from all directions from the beginning, as
in golden-angle order.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq, nnls
from scipy.special import log_ndtr

Classes = npt.NDArray[np.integer[Any]]
FEWEST = 4  # maps, whose six pairs give two coefficients
MOST = 24  # maps that are compared, evenly over the rays
SURE = 0.95


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
        """Share of its voxels that every class is sure to keep until `total` rays are there; NaN of too few maps."""
        now = max(self.maps, default=0)
        since = sorted(rays for rays in self.maps if rays >= now / 2)
        if len(since) < FEWEST:
            return float("nan")
        picked = np.unique(np.linspace(0, len(since) - 1, MOST).round().astype(int))
        pairs = list(combinations([since[i] for i in picked], 2))
        latest, to_come = self.maps[now], max(1 / now - 1 / total, 0.0)
        classes, sizes = np.unique(latest[latest >= 0], return_counts=True)
        kept = np.array([1 - min(np.sqrt(self._slope(c, pairs) * to_come), 1.0) for c in classes])
        return kept_by_all(kept, sizes) if len(classes) else float("nan")

    def _slope(self, one: int, pairs: list[tuple[int, int]]) -> float:
        """The coefficient b of one class: of its voxels in the later map, those that had another in the earlier one."""
        shown = [(m, n, voxels) for m, n in pairs if (voxels := self.maps[n] == one).any()]
        come = np.array([1 / m - 1 / n for m, n, _ in shown])
        changed = np.array([(self.maps[m][voxels] != one).mean() for m, _, voxels in shown])
        columns = np.stack([np.ones_like(come), come / come.max()], axis=1)
        return float(nnls(columns, changed**2)[0][1] / come.max())


def kept_by_all(kept: npt.NDArray[np.float64], sizes: npt.NDArray[np.integer[Any]]) -> float:
    """The share that all classes reach with the probability SURE, where each is expected to keep `kept` of `sizes`."""
    errors = np.sqrt(kept * (1 - kept) / sizes)
    kept, errors = kept[errors > 0], errors[errors > 0]
    if not len(kept):
        return 1.0

    def surplus(share: float) -> float:
        return float(log_ndtr((kept - share) / errors).sum() - np.log(SURE))

    return float(brentq(surplus, float((kept - 9 * errors).min()), float(kept.min())))
