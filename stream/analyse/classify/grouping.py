"""Points that belong together: k-means, or DBSCAN where groups have any shape and some points belong to none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

Reals = npt.NDArray[np.float64]
Method = Literal["k-means", "dbscan"]
GROUPS = 6  # of k-means
STARTS, STEPS = 4, 40  # of k-means: the best of so many starts, each at most so many steps
BETTER = 0.8  # of the spread: else what nothing tells apart is parted anew at each update
LOOKED_AT = 1024  # points that DBSCAN groups: the others go with the nearest of them
MOST = 32  # groups of DBSCAN that are told: the largest


@dataclass(frozen=True, slots=True)
class Groups:
    """A point belongs to the group of the nearest of these, if that is not farther than `reach`.

    nodes: (m, d); group: (m,) the number of each one's group, from 0.
    """

    nodes: Reals
    group: npt.NDArray[np.int8]
    reach: float = float("inf")

    def index(self, points: Reals) -> npt.NDArray[np.int8]:
        """The group of each point (n, d), -1 for none."""
        if not len(self.nodes):
            return np.full(len(points), -1, np.int8)
        distance, nearest = cKDTree(self.nodes).query(points)
        return np.where(distance <= self.reach, self.group[nearest], -1).astype(np.int8)


def k_means(points: Reals, before: npt.NDArray[np.int8] | None, seed: int) -> Groups:
    """By Lloyd's steps from points far apart, and from where groups were `before`, which are left only for better ones.

    before: (n,) groups, -1 for none; None at first, which takes more starts.
    """

    def spread(centres: Reals) -> float:
        return float(squares(points, centres).min(axis=1).sum())

    former = before is not None and before.max(initial=-1) >= 0
    begun = [far_apart(points, np.random.default_rng([seed, n])) for n in range(1 if former else STARTS)]
    best = min((lloyd(points, centres) for centres in begun), key=spread)
    if before is not None and former:
        kept = lloyd(points, np.stack([points[before == k].mean(axis=0) for k in np.unique(before[before >= 0])]))
        best = kept if spread(best) > BETTER * spread(kept) else best
    return Groups(best, np.arange(len(best), dtype=np.int8))


def far_apart(points: Reals, rng: np.random.Generator) -> Reals:
    """GROUPS of the points (k-means++: Arthur and Vassilvitskii 2007)."""
    centres = points[[rng.integers(len(points))]]
    while len(centres) < GROUPS:
        nearest = squares(points, centres).min(axis=1)
        total = nearest.sum()
        odds = nearest / total if total > 0 else None
        centres = np.concatenate([centres, points[[rng.choice(len(points), p=odds)]]])
    return np.asarray(centres)


def lloyd(points: Reals, centres: Reals) -> Reals:
    """Centres moved to the mean of what is nearest to them until nothing changes; those of nothing are left out."""
    for _ in range(STEPS):
        group = squares(points, centres).argmin(axis=1)
        count = np.bincount(group, minlength=len(centres))
        sums = np.stack([np.bincount(group, column, len(centres)) for column in points.T], axis=1)
        moved = sums[count > 0] / count[count > 0, None]
        if np.array_equal(moved, centres):
            break
        centres = moved
    return np.asarray(centres[np.unique(squares(points, centres).argmin(axis=1))])


def squares(points: Reals, centres: Reals) -> Reals:
    """Squared distances, (n, centres)."""
    return np.asarray(((points[:, None] - centres) ** 2).sum(axis=2))


def dbscan(points: Reals) -> Groups:
    """Ester et al. (1996), with twice as many neighbours as dimensions, within the distance at the k-distances' knee.

    Both as Sander et al. (1998, Data Min. Knowl. Discov. 2, 169) have it; the knee is where the sorted distances are
    farthest below the straight line from the first to the last (Satopää et al. 2011).
    """
    from sklearn.cluster import DBSCAN  # takes a second to import

    some = points[:: -(-len(points) // LOOKED_AT)]
    least = 2 * points.shape[1]
    distance = np.sort(np.asarray(cKDTree(some).query(some, least + 1)[0])[:, -1])
    line = np.linspace(distance[0], distance[-1], len(distance))
    reach = float(distance[np.argmax(line - distance)])
    if reach <= 0:
        return Groups(np.zeros((0, points.shape[1])), np.zeros(0, np.int8))
    found = DBSCAN(eps=reach, min_samples=least).fit(some)
    labels = found.labels_[found.core_sample_indices_]
    largest = np.argsort(-np.bincount(labels), kind="stable")[:MOST] if len(labels) else labels
    place = {int(label): number for number, label in enumerate(largest)}
    told = np.isin(labels, largest)
    group = np.array([place[int(label)] for label in labels[told]], np.int8)
    return Groups(some[found.core_sample_indices_][told], group, reach)
