"""The scan grid: which grid point the n-th frame belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from stream.core.config.scan import AxisName, ScanConfig
from stream.core.errors import MessageError, Reject

AXES: tuple[AxisName, AxisName, AxisName] = ("slice", "angle", "position")
GOLDEN = (np.sqrt(5.0) - 1) / 2


@dataclass(frozen=True, slots=True)
class ScanGrid:
    """Slices × angles × positions, and the order in which they are visited.

    A slot is the flat index of a grid point in C order of (slice, angle, position), each in the order of the
    config's list. visit[n] is the slot of frame n; reach is that of `reaches` for each axis. raster says that there is
    one angle, and that the maps are the slices × positions themselves.
    """

    slices: npt.NDArray[np.float64]
    angles: npt.NDArray[np.float64]
    positions: npt.NDArray[np.float64]
    visit: npt.NDArray[np.int64] = field(repr=False)
    reach: tuple[npt.NDArray[np.float64], ...] = field(repr=False)
    raster: bool = False

    @classmethod
    def from_config(cls, scan: ScanConfig) -> ScanGrid:
        """The grid that the `scan` section describes."""
        slices, angles, positions = (
            np.asarray(values, dtype=np.float64)
            for values in (scan.slices.points(), scan.angles.points(), scan.positions.points())
        )
        indices = {
            "slice": np.arange(len(slices)),
            "angle": angle_sequence(len(angles), scan.angles.sequence),
            "position": np.arange(len(positions)),
        }
        visit = visiting_order(indices, scan.order, scan.snake)
        reach = (
            reaches(slices, scan.slices.step),
            reaches(angles, scan.angles.step),
            reaches(positions, scan.positions.step),
        )
        return cls(slices, angles, positions, visit, reach, scan.mode == "raster")

    @property
    def shape(self) -> tuple[int, int, int]:
        """(slices, angles, positions)."""
        return len(self.slices), len(self.angles), len(self.positions)

    @property
    def size(self) -> int:
        """Number of grid points."""
        return self.visit.size

    @property
    def step(self) -> float:
        """Signed distance of two positions in µm."""
        return float(self.positions[1] - self.positions[0]) if len(self.positions) > 1 else 1.0

    @property
    def map_shape(self) -> tuple[int, int, int]:
        """Shape of a map, (slice, y, x): a picture of count × count voxels for each slice of a tomography.

        A raster is one picture, whose rows are the scan's slices and whose columns are its positions.
        """
        slices, _, count = self.shape
        return (1, slices, count) if self.raster else (slices, count, count)

    @property
    def map_axes(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Coordinates of a map along (slice, y, x) in µm.

        y and x count from the rotation axis; those of a raster are the motors' own, and its one picture is at 0.
        """
        if self.raster:
            return np.zeros(1), self.slices, self.positions
        middle = np.asarray((np.arange(len(self.positions)) - (len(self.positions) - 1) / 2) * self.step)
        return self.slices, middle, middle

    @property
    def field_of_view(self) -> npt.NDArray[np.bool_]:
        """(y, x) where a map has values: the circle x² + y² ≤ (count·step/2)², all of a raster."""
        if self.raster:
            return np.ones(self.map_shape[1:], dtype=bool)
        _, y, x = self.map_axes
        return np.asarray(np.hypot(y[:, None], x) <= len(x) * abs(self.step) / 2)

    def slot(self, frame: int) -> int | None:
        """Slot of frame `frame` (counted from 0), None beyond the grid."""
        return int(self.visit[frame]) if 0 <= frame < self.visit.size else None

    def at(self, frame: int) -> tuple[int, int, int]:
        """Index of (slice, angle, position) of a frame of the grid."""
        at, angle, position = np.unravel_index(self.visit[frame], self.shape)
        return int(at), int(angle), int(position)

    def locate(self, frame: int, where: Mapping[AxisName, float]) -> int:
        """Slot nearest to the coordinates in `where` (µm, degrees); the other axes are those of frame `frame`.

        Raises
        ------
        MessageError
            ``off-grid`` where a coordinate is more than half a step from every grid point, ``beyond-grid`` where the
            frame is needed and is beyond the grid.
        """
        index = [0, 0, 0]
        if any(axis not in where and n > 1 for axis, n in zip(AXES, self.shape, strict=True)):
            slot = self.slot(frame)
            if slot is None:
                raise MessageError(Reject.BEYOND_GRID, f"frame {frame} is beyond the grid of {self.size}")
            index = [int(i) for i in np.unravel_index(slot, self.shape)]
        for k, axis in enumerate(AXES):
            if axis in where:
                index[k] = self._nearest(axis, where[axis])
        return int(np.ravel_multi_index(index, self.shape))

    def _nearest(self, axis: AxisName, value: float) -> int:
        points = (self.slices, self.angles, self.positions)[AXES.index(axis)]
        away = np.abs(points - value)
        if axis == "angle":
            away = np.abs((points - value + 180) % 360 - 180)  # a full turn is the same direction
        if not np.isfinite(value):
            raise MessageError(Reject.OFF_GRID, f"{axis} is {value}")
        nearest = int(away.argmin())
        if away[nearest] > self.reach[AXES.index(axis)][nearest]:
            raise MessageError(Reject.OFF_GRID, f"{axis} is {value:g}, the nearest grid point {points[nearest]:g}")
        return nearest


def reaches(points: npt.NDArray[np.float64], step: float | None) -> npt.NDArray[np.float64]:
    """How far from each point of an axis a coordinate still belongs to it: half a step (points,).

    Between unequal steps the larger one counts; a single listed point (step None) reaches everywhere.
    """
    if len(points) == 1:
        half = np.array([np.inf if step is None else abs(step) / 2])
    else:
        order = np.argsort(points)
        gaps = np.diff(points[order])
        half = np.empty_like(points)
        half[order] = np.maximum(np.append(gaps[0], gaps), np.append(gaps, gaps[-1])) / 2
    return half * (1 + 1e-6)  # what rounding may add


def angle_sequence(count: int, sequence: str) -> npt.NDArray[np.int64]:
    """Indices of the angles in the order of the visit, shape (count,).

    ``interlaced:N`` makes N passes with every N-th angle; ``golden`` steps by the golden section of the range
    (Köhler 2004, IEEE NSS), each step at the angle of its rank, so that every angle is visited once.
    """
    if sequence.startswith("interlaced:"):
        passes = int(sequence.partition(":")[2])
        return np.concatenate([np.arange(first, count, passes) for first in range(min(passes, count))])
    if sequence == "golden":
        return np.argsort(np.argsort(np.arange(count) * GOLDEN % 1.0))
    return np.arange(count)


def visiting_order(
    indices: dict[str, npt.NDArray[np.int64]], order: tuple[str, str, str], snake: bool
) -> npt.NDArray[np.int64]:
    """Slot of each frame, shape (points,); `order` names the axes, slowest first."""
    sizes = [len(indices[axis]) for axis in order]
    steps = np.indices(sizes).reshape(3, -1)
    if snake:
        line = np.arange(steps.shape[1]) // sizes[2]
        steps[2] = np.where(line % 2 == 1, sizes[2] - 1 - steps[2], steps[2])
    at = {axis: indices[axis][steps[i]] for i, axis in enumerate(order)}
    shape = tuple(len(indices[axis]) for axis in ("slice", "angle", "position"))
    slots = np.ravel_multi_index((at["slice"], at["angle"], at["position"]), shape)
    return np.asarray(slots, dtype=np.int64)
