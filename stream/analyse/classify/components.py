"""Principal components of the voxels of all slices, kept up as one slice after another comes and changes.

A slice's share of the moments is replaced by its newer one, so that what is known is always that of the newest voxels
alone, whatever came before, and in whatever order.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from stream.analyse.classify.sample import Sample

Reals = npt.NDArray[np.float64]
COMPONENTS = 3


@dataclass(frozen=True, slots=True)
class Moments:
    """Of one slice: how many voxels, their sum (bins,) and products (bins, bins), and the bins that were measured."""

    count: int
    total: Reals
    products: Reals
    measured: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Axes:
    """bins: which of the q grid are looked at; mean (bins,) and vectors (bins, COMPONENTS), the strongest first."""

    bins: npt.NDArray[np.intp]
    mean: Reals
    vectors: Reals

    def project(self, points: Reals) -> Reals:
        """Points (n, bins of the q grid) to (n, COMPONENTS)."""
        return np.asarray((points[:, self.bins] - self.mean) @ self.vectors)


@dataclass(slots=True)
class Components:
    """The moments of every slice."""

    _slices: dict[int, Moments] = field(default_factory=dict)

    def take(self, s: int, sample: Sample) -> None:
        """A slice's voxels, in the place of its earlier ones."""
        points = sample.points
        self._slices[s] = Moments(len(points), points.sum(axis=0), points.T @ points, sample.measured)

    def axes(self) -> Axes | None:
        """Mean and eigenvectors of the covariance; None where too little is known."""
        slices = [self._slices[s] for s in sorted(self._slices) if self._slices[s].count]
        count = sum(part.count for part in slices)
        if count <= COMPONENTS:
            return None
        bins = np.flatnonzero(np.all([part.measured for part in slices], axis=0))
        if bins.size < COMPONENTS:
            return None
        mean = np.sum([part.total[bins] for part in slices], axis=0) / count
        products = np.sum([part.products[np.ix_(bins, bins)] for part in slices], axis=0) / count
        vectors = np.linalg.eigh(products - np.outer(mean, mean))[1][:, : -COMPONENTS - 1 : -1]
        signs = np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(COMPONENTS)])
        return Axes(bins, mean, vectors * signs)
