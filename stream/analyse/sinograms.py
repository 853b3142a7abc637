"""What is integrated over each ray's pattern, written as the ray arrives: sinograms, and the sum pattern."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from stream.analyse.store import PatternStore, window
from stream.core.config import Region

Floats = npt.NDArray[np.float32]
Rays = tuple[npt.NDArray[np.intp], ...]

AT_ONCE = 4096  # rays whose amounts an update brings up to date


@dataclass(slots=True)
class Sinograms:
    """Windows (slice, angle, position) by name, amounts of the phases, and the sum of the patterns with beam."""

    store: PatternStore
    regions: Mapping[str, tuple[float, float] | None]
    phases: list[str]
    windows: dict[str, Floats] = field(init=False)
    amounts: Floats = field(init=False)
    _operator: Floats | None = None
    _at: int = 0
    """Where the latest update ended among the rays."""
    _old: npt.NDArray[np.bool_] = field(init=False)
    _summed: npt.NDArray[np.bool_] = field(init=False)
    _sum: npt.NDArray[np.float64] = field(init=False)
    known: npt.NDArray[np.bool_] = field(init=False)
    """(bin,) bins that a ray knows."""

    def __post_init__(self) -> None:
        shape, bins = self.store.grid.shape, self.store.axis.bins
        self.windows = {name: np.full(shape, np.nan, np.float32) for name in self.regions}
        self.amounts = np.full((*shape, len(self.phases)), np.nan, np.float32)
        self._old, self._summed = np.zeros(shape, bool), np.zeros(shape, bool)
        self._sum, self.known = np.zeros(bins), np.zeros(bins, bool)

    def take(self, slots: Iterable[int]) -> None:
        """Rays that have just been stored, by flat index."""
        rays = np.unravel_index(np.fromiter(slots, np.intp), self.store.grid.shape)
        if not rays[0].size:
            return
        patterns = self.store.patterns[rays]
        self.known |= np.isfinite(patterns).any(axis=0)
        for name, limits in self.regions.items():
            self.windows[name][rays] = window(patterns, self.store.axis, limits)
        self._old[rays] = True

    def look_at(self, regions: Iterable[Region]) -> None:
        """Regions that a person drew; one of a known name replaces it."""
        drawn = {region.name: region.range for region in regions}
        self.regions = {**self.regions, **drawn}
        for name, limits in drawn.items():
            planes = [window(plane, self.store.axis, limits) for plane in self._projections()]
            self.windows[name] = np.reshape(planes, self.store.grid.shape).astype(np.float32)

    def weigh(self, operator: Mapping[str, npt.NDArray[np.float64]]) -> None:
        """From now on an amount is the product of a pattern and the phase's row (bin,) of this operator."""
        rows = np.array([operator[name] for name in self.phases])
        self._operator = np.where(self.known, rows, 0).T.astype(np.float32)
        self._old = self.store.measured.copy()

    def update(self) -> None:
        """Bring amounts up to date, AT_ONCE rays at a time: those without any first, then the others in turn."""
        if self._operator is None or not self.phases:
            return
        old = np.flatnonzero(self._old)
        without = np.isnan(self.amounts.reshape(-1, len(self.phases))[old, 0])
        order = np.lexsort((old < self._at, ~without))  # the sort is stable: in ascending order otherwise
        chosen = old[order[:AT_ONCE]]
        known = chosen[~without[order[:AT_ONCE]]]
        self._at = int(known[-1]) + 1 if known.size else self._at
        rays = np.unravel_index(chosen, self._old.shape)
        self.amounts[rays] = np.nan_to_num(self.store.patterns[rays]) @ self._operator
        self._old[rays] = False

    def settle(self) -> None:
        """Everything once more, in the order of the grid."""
        self._sum[:], self._summed[:] = 0, False
        for name, limits in self.regions.items():
            planes = [window(plane, self.store.axis, limits) for plane in self._projections()]
            self.windows[name][:] = np.reshape(planes, self.store.grid.shape)  # in place: others look at it, too

    def weigh_all(self) -> None:
        """Amounts of all rays, in the order of the grid."""
        if self._operator is None or not self.phases:
            return
        found = [np.nan_to_num(plane) @ self._operator for plane in self._projections()]
        self.amounts[:] = np.where(self.store.measured[..., None], np.reshape(found, self.amounts.shape), np.nan)

    def sum_pattern(self, usable: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
        """(bin,) sum of the patterns of the rays with beam; NaN where none reaches."""
        changed = usable != self._summed
        for s, a in np.argwhere(changed.any(axis=2)):
            sign = np.where(usable[s, a], 1.0, -1.0)[changed[s, a]]
            self._sum += sign @ np.nan_to_num(self.store.patterns[s, a, changed[s, a]])
        self._summed = usable.copy()
        return np.where(self.known & usable.any(), self._sum, np.nan)

    def arrays(self) -> dict[str, Floats]:
        """By their paths in the tree."""
        found = {f"sinograms/{name}": window.copy() for name, window in self.windows.items()}
        return found | {f"sinograms/{name}": self.amounts[..., k].copy() for k, name in enumerate(self.phases)}

    def _projections(self) -> Iterable[Floats]:
        return (self.store.patterns[s, a] for s, a in np.ndindex(self.store.grid.shape[:2]))
