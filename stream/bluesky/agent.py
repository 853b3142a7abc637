"""Where to measure next, from what the maps lack: an agent with the ask and tell of bluesky-adaptive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from stream.core.scan import ScanGrid

Floats = npt.NDArray[np.float64]


@dataclass
class NextProjection:
    """Asks for the projections of a grid that add most: slices whose maps still change, angles far from any measured.

    A projection is (slice, angle) in µm and degrees. `tell` takes one that was measured, and how much the class map of
    its slice changed by it (`Processor`'s ``class_change``; NaN where it is not known).
    """

    grid: ScanGrid
    _measured: set[tuple[int, int]] = field(default_factory=set)
    _change: dict[int, float] = field(default_factory=dict)

    def tell(self, x: Sequence[float], y: float) -> dict[str, list[float]]:
        """A projection was measured, with this change of the maps.

        Raises
        ------
        MessageError
            where it is not on the grid.
        """
        where = dict(zip(("slice", "angle"), map(float, x), strict=True))
        slot = self.grid.locate(0, {**where, "position": float(self.grid.positions[0])})  # type: ignore[dict-item]
        at, angle, _ = (int(i) for i in np.unravel_index(slot, self.grid.shape))
        self._measured.add((at, angle))
        self._change[at] = float(y)
        return {"projection": [*map(float, x)], "class_change": [float(y)]}

    def ask(self, count: int = 1) -> tuple[list[dict[str, Any]], list[tuple[float, float]]]:
        """The next projections, best first, each as if those before it were measured; fewer where none is left."""
        told, points = [], []
        measured = set(self._measured)
        for _ in range(count):
            worth = self._worth(measured)
            at, angle = (int(i) for i in np.unravel_index(int(np.argmax(worth)), worth.shape))
            if worth[at, angle] <= 0:
                break
            measured.add((at, angle))
            points.append((float(self.grid.slices[at]), float(self.grid.angles[angle])))
            told.append({"projection": list(points[-1]), "worth": float(worth[at, angle])})
        return told, points

    def report(self) -> Mapping[str, Any]:
        """Measured projections of each slice, and the latest change of its maps."""
        slices = range(len(self.grid.slices))
        counts = [sum(at == s for at, _ in self._measured) for s in slices]
        return {"projections": counts, "class_change": [self._change.get(s, float("nan")) for s in slices]}

    def _worth(self, measured: set[tuple[int, int]]) -> Floats:
        """(slice, angle) gap that a projection would halve, in degrees, times the change of the slice's maps."""
        slices, angles, _ = self.grid.shape
        worth = np.zeros((slices, angles))
        for s in range(slices):
            known = np.array([angle for at, angle in measured if at == s], dtype=int)
            change = self._change.get(s, 1.0)
            gap = half_turn_gaps(self.grid.angles, self.grid.angles[known]) if known.size else np.full(angles, 180.0)
            worth[s] = gap * (1.0 if np.isnan(change) else max(change, 1e-3))
            worth[s, known] = 0
        return worth


def half_turn_gaps(angles: Floats, known: Floats) -> Floats:
    """Distance of each angle from the nearest known one, degrees; a half turn gives the same projection mirrored."""
    away = np.abs((angles[:, None] - known + 90) % 180 - 90)
    return np.asarray(away.min(axis=1))
