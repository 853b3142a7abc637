"""What voxels are without a model: principal components of their patterns, and groups of those that are alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from stream.analyse.classify.components import COMPONENTS, Axes, Components
from stream.analyse.classify.grouping import GROUPS, Groups, Method, dbscan, k_means
from stream.analyse.classify.preprocess import Q_GRID
from stream.analyse.classify.sample import MOST, Sample, compressed

Floats = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class Partition:
    """Clusters as they were found: any pattern can be told by it, of any slice, now or later."""

    axes: Axes
    groups: Groups

    def index(self, values: Floats, level: float) -> Numbers:
        """Cluster of each pattern (n, bins) of a slice of this level, -1 where there is none or it is not known."""
        found = np.full(len(values), -1, np.int8)
        known = np.isfinite(values[:, self.axes.bins]).all(axis=1)
        if level > 0 and known.any():
            found[known] = self.groups.index(self.axes.project(compressed(values[known], level)))
        return found

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers, from which `from_dict` makes the same to the bit."""
        axes, groups = self.axes, self.groups
        return {
            "bins": axes.bins.tolist(),
            "mean": axes.mean.tolist(),
            "vectors": axes.vectors.tolist(),
            "nodes": groups.nodes.tolist(),
            "group": groups.group.tolist(),
            "reach": groups.reach if np.isfinite(groups.reach) else None,
        }

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Self:
        """What `as_dict` told."""
        axes = Axes(np.array(told["bins"], np.intp), np.array(told["mean"]), np.array(told["vectors"]))
        nodes = np.array(told["nodes"]).reshape(-1, COMPONENTS)
        reach = float("inf") if told["reach"] is None else float(told["reach"])
        return cls(axes, Groups(nodes, np.array(told["group"], np.int8), reach))


@dataclass(slots=True)
class Clusters:
    """Of all slices together, found again as they change.

    A cluster keeps its number for as long as it keeps most of its voxels. First numbers are those of `named`, where a
    user has named clusters; else they grow with the mean intensity: 0 is the emptiest.
    """

    method: Method = "k-means"
    named: Partition | None = None
    partition: Partition | None = None
    patterns: Floats = field(default_factory=lambda: np.zeros((0, Q_GRID.bins), np.float32))
    samples: dict[int, Sample] = field(default_factory=dict)
    _components: Components = field(default_factory=Components)
    _found: int = 0

    def take(self, s: int, sample: Sample) -> None:
        """Voxels of a slice, in the place of its earlier ones."""
        self.samples[s] = sample
        self._components.take(s, sample)

    def find(self) -> None:
        """Group what was taken; nothing changes where that is too little."""
        axes = self._components.axes()
        parts = [self.samples[s] for s in sorted(self.samples)]
        step = -(-sum(len(part.values) for part in parts) // MOST) or 1
        points = [axes.project(part.points[::step]) for part in parts] if axes is not None else []
        if axes is None or sum(map(len, points)) < 2 * GROUPS:
            return
        together = np.concatenate(points)
        former = self._index(parts, step, self.partition)
        groups = dbscan(together) if self.method == "dbscan" else k_means(together, former, self._found)
        self._found += 1
        group = groups.index(together)
        values = np.concatenate([part.values[::step] for part in parts])
        means = [values[group == k].mean(axis=0) for k in range(int(groups.group.max(initial=-1)) + 1)]
        numbers = renumbered(group, self._index(parts, step, self.partition or self.named), np.array(means))
        self.patterns = np.full((int(numbers.max(initial=-1)) + 1, Q_GRID.bins), np.nan, np.float32)
        for mean, number in zip(means, numbers, strict=True):
            self.patterns[number] = mean
        self.partition = Partition(axes, Groups(groups.nodes, numbers[groups.group], groups.reach))

    def index(self, values: Floats, level: float) -> Numbers:
        """Cluster of each pattern (n, bins) of a slice of this level, -1 where it is not known."""
        return np.full(len(values), -1, np.int8) if self.partition is None else self.partition.index(values, level)

    def told(self) -> dict[str, Any]:
        """Method, q of the grid (Å⁻¹) and each cluster's mean pattern, by its number; None where not measured."""
        rows = [[float(x) if np.isfinite(x) else None for x in row] for row in self.patterns]
        return {"method": self.method, "q": Q_GRID.centers.tolist(), "patterns": rows}

    @staticmethod
    def _index(parts: list[Sample], step: int, partition: Partition | None) -> Numbers | None:
        if partition is None:
            return None
        return np.concatenate([partition.index(part.values[::step], part.scale.level) for part in parts])


def renumbered(group: Numbers, before: Numbers | None, means: Floats) -> Numbers:
    """The number of each group: that of before with which it shares most points, else the lowest that is free.

    Parameters
    ----------
    group, before
        (n,) of each point, -1 for none; before is None where there is none to follow.
    means
        (groups, bins) mean patterns: new ones are numbered as they grow.
    """
    count = len(means)
    found = np.full(count, -1, np.int8)
    if before is not None and count:
        both = (group >= 0) & (before >= 0)
        shared = np.zeros((count, int(before.max(initial=-1)) + 1), np.int64)
        np.add.at(shared, (group[both], before[both]), 1)
        for one, other in zip(*linear_sum_assignment(shared, maximize=True), strict=True):
            if shared[one, other]:
                found[one] = other
    free = [number for number in range(2 * count) if number not in found]
    new = [k for k in np.argsort([np.nanmean(mean) for mean in means], kind="stable") if found[k] < 0]
    found[new] = free[: len(new)]
    return found
