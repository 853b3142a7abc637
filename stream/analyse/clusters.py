"""What a slice's voxels are without a model: principal components of their patterns, and k-means on those."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from stream.analyse.classify.preprocess import COMPRESSION, Q_GRID

Floats = npt.NDArray[np.float32]
COMPONENTS, GROUPS = 3, 6
STARTS, STEPS = 4, 40  # of k-means: the best of so many starts, each at most so many steps


@dataclass(slots=True)
class Clusters:
    """Found in one slice, and told apart in the others by the same centres.

    Numbers grow with the mean intensity: 0 is the emptiest.
    """

    level: float = 0.0
    measured: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros(Q_GRID.bins, np.bool_))
    mean: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    components: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, COMPONENTS)))
    centres: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, COMPONENTS)))
    patterns: Floats = field(default_factory=lambda: np.zeros((0, Q_GRID.bins), np.float32))

    def find(self, values: Floats, level: float) -> None:
        """From the patterns (n, bins) of a slice on the q grid; nothing changes where too few of them are known."""
        measured = np.asarray(~np.isnan(values).all(axis=0))
        known = values[np.isfinite(values[:, measured]).all(axis=1)]
        if level <= 0 or len(known) < 2 * GROUPS or measured.sum() < COMPONENTS:
            return
        self.level, self.measured = level, measured
        compressed = self._compressed(known)
        self.mean = compressed.mean(axis=0)
        _, vectors = np.linalg.eigh(np.cov(compressed, rowvar=False))
        self.components = vectors[:, -COMPONENTS:]
        points = (compressed - self.mean) @ self.components
        tried = [k_means(points, np.random.default_rng(start)) for start in range(STARTS)]
        centres = min(tried, key=lambda found: float(distances(points, found).min(axis=1).sum()))
        group = distances(points, centres).argmin(axis=1)
        means = np.stack([known[group == k].mean(axis=0) for k in range(len(centres))])
        order = np.argsort(np.nanmean(means, axis=1))
        self.centres, self.patterns = centres[order], means[order]

    def index(self, values: Floats) -> npt.NDArray[np.int8]:
        """Cluster of each pattern (n, bins), -1 where it is not known."""
        found = np.full(len(values), -1, np.int8)
        known = np.isfinite(values[:, self.measured]).all(axis=1)
        if len(self.centres):
            points = (self._compressed(values[known]) - self.mean) @ self.components
            found[known] = distances(points, self.centres).argmin(axis=1)
        return found

    def told(self) -> dict[str, Any]:
        """q of the grid (Å⁻¹) and the mean pattern of each cluster, as intensities; None where not measured."""
        rows = [[float(x) if np.isfinite(x) else None for x in row] for row in self.patterns]
        return {"q": Q_GRID.centers.tolist(), "patterns": rows}

    def _compressed(self, values: Floats) -> npt.NDArray[np.float64]:
        return np.arcsinh(values[:, self.measured].astype(np.float64) * (COMPRESSION / self.level))


def k_means(points: npt.NDArray[np.float64], rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Centres (GROUPS, d) by Lloyd's steps, begun far apart (k-means++: Arthur and Vassilvitskii 2007)."""
    centres = points[[rng.integers(len(points))]]
    while len(centres) < GROUPS:
        nearest = distances(points, centres).min(axis=1)
        total = nearest.sum()
        odds = nearest / total if total > 0 else None
        centres = np.concatenate([centres, points[[rng.choice(len(points), p=odds)]]])
    for _ in range(STEPS):
        group = distances(points, centres).argmin(axis=1)
        count = np.bincount(group, minlength=GROUPS)
        sums = np.stack([np.bincount(group, column, GROUPS) for column in points.T], axis=1)
        moved = np.where(count[:, None] > 0, sums / np.maximum(count, 1)[:, None], centres)
        if np.array_equal(moved, centres):
            break
        centres = moved
    return np.asarray(centres[np.unique(distances(points, centres).argmin(axis=1))])


def distances(points: npt.NDArray[np.float64], centres: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Squared, (n, centres)."""
    return np.asarray(((points[:, None] - centres) ** 2).sum(axis=2))
