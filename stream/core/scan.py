"""The scan grid: which grid point the n-th frame belongs to."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from stream.core.config.scan import ScanConfig

GOLDEN = (np.sqrt(5.0) - 1) / 2


@dataclass(frozen=True, slots=True)
class ScanGrid:
    """Slices × angles × positions, and the order in which they are visited.

    A slot is the flat index of a grid point in C order of (slice, angle, position), each in the order of the
    config's list. visit[n] is the slot of frame n.
    """

    slices: npt.NDArray[np.float64]
    angles: npt.NDArray[np.float64]
    positions: npt.NDArray[np.float64]
    visit: npt.NDArray[np.int64] = field(repr=False)

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
        return cls(slices, angles, positions, visit)

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

    def slot(self, frame: int) -> int | None:
        """Slot of frame `frame` (counted from 0), None beyond the grid."""
        return int(self.visit[frame]) if 0 <= frame < self.visit.size else None


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
