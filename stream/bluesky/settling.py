"""How much a class map will still change, from how much it has changed with the number of rays behind it.

What noise does to a voxel falls with the rays: between m and n of them its variance changes by 1/m − 1/n. The share of
a class' voxels that lie near enough to its borders to change sides goes with the standard deviation; live maps, which
are never quite converged, differ by something more, whatever the rays. So for each class

    (share that changed from m to n rays)² = a + b (1/m − 1/n),

fitted to all pairs of maps since half of the present rays, and from now, n, until all N are there the share
√(b (1/n − 1/N)) is still to change. Of a class of K voxels the share p that keeps it scatters by √(p (1 − p) / K), and
is itself known only as well as so few changes tell it, which leaving out one part of the class after another shows (the
jackknife: Efron, The Jackknife, the Bootstrap and Other Resampling Plans, 1982). Told is what all classes keep together
with a probability of 95 %. Rays must come from all directions from the beginning, as in golden-angle order.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq, nnls
from scipy.special import log_ndtr

Classes = npt.NDArray[np.integer[Any]]
FEWEST = 4  # maps, whose six pairs give two coefficients
MOST = 24  # maps that are compared, evenly over the rays
PARTS = 20  # of a class, left out one after another
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

    def changed(self) -> float:
        """Share of the voxels with another class in the latest map than in the one before; NaN of fewer than two."""
        if len(self.maps) < 2:
            return float("nan")
        before, now = (self.maps[rays] for rays in sorted(self.maps)[-2:])
        named = (before >= 0) | (now >= 0)
        return float((before != now)[named].mean()) if named.any() else float("nan")

    def settled(self, total: int) -> float:
        """Share of its voxels that every class is sure to keep until `total` rays are there; NaN of too few maps."""
        now = max(self.maps, default=0)
        since = sorted(rays for rays in self.maps if rays >= now / 2)
        if len(since) < FEWEST:
            return float("nan")
        picked = np.array(since)[np.unique(np.linspace(0, len(since) - 1, MOST).round().astype(int))]
        latest, to_come = self.maps[now], max(1 / now - 1 / total, 0.0)
        classes, sizes = np.unique(latest[latest >= 0], return_counts=True)
        if not len(classes):
            return float("nan")
        shown = np.stack([self.maps[rays].ravel() for rays in picked])
        expected = [still_to_change(shown == one, picked, to_come) for one in classes]
        changed, errors = np.array(expected).T
        return kept_by_all(1 - changed, np.hypot(np.sqrt(changed * (1 - changed) / sizes), errors))


def still_to_change(shown: npt.NDArray[np.bool_], rays: npt.NDArray[np.int64], to_come: float) -> tuple[float, float]:
    """The share of a class that is still to change, and the standard error of that.

    Parameters
    ----------
    shown : (map, voxel) where the maps have it, the latest last and somewhere
    rays : (map,) behind each
    to_come : 1/n − 1/N
    """
    parts = part_starts(shown[-1])
    taken = 1 - np.eye(len(parts) + 1, len(parts), -1)  # nothing is left out, then one part after another
    changed, come = [], []
    for later in range(1, len(rays)):
        size = taken @ np.add.reduceat(shown[later], parts, dtype=np.int64)
        kept = taken @ np.add.reduceat(shown[:later] & shown[later], parts, axis=1, dtype=np.int64).T
        if size[0]:
            changed.append(1 - np.divide(kept, size[:, None], out=np.ones_like(kept), where=size[:, None] > 0))
            come.append(1 / rays[:later] - 1 / rays[later])
    x, squares = np.concatenate(come), np.square(np.concatenate(changed, axis=1))
    columns = np.stack([np.ones_like(x), x / x.max()], axis=1)
    share = np.minimum([np.sqrt(nnls(columns, one)[0][1] / x.max() * to_come) for one in squares], 1.0)
    return float(share[0]), float(np.sqrt((len(parts) - 1) * share[1:].var()))


def part_starts(voxels: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
    """Where parts of neighbours begin that have equally many of the voxels: noise has neighbours in common."""
    of_class = np.flatnonzero(voxels)
    return np.unique([0, *of_class[np.arange(1, PARTS) * len(of_class) // PARTS]])


def kept_by_all(kept: npt.NDArray[np.float64], errors: npt.NDArray[np.float64]) -> float:
    """The share that all classes reach with the probability SURE, where each is expected to keep `kept` ± `errors`."""
    kept, errors = kept[errors > 0], errors[errors > 0]
    if not len(kept):
        return 1.0

    def surplus(share: float) -> float:
        return float(log_ndtr((kept - share) / errors).sum() - np.log(SURE))

    return float(brentq(surplus, float((kept - 9 * errors).min()), float(kept.min())))
