"""Some of a slice's voxels, for what need not see them all: components, clusters, learning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from stream.analyse.classify.preprocess import COMPRESSION, SliceScale

Floats = npt.NDArray[np.float32]
MOST = 4096  # voxels of a slice: what an update has time for


@dataclass(frozen=True, slots=True)
class Sample:
    """Patterns (n, bins) on the q grid, evenly drawn from a slice in C order, and the slice's scale.

    voxels: (n,) which of those it was made of.
    """

    voxels: npt.NDArray[np.intp]
    values: Floats
    scale: SliceScale

    @classmethod
    def of(cls, values: Floats, scale: SliceScale) -> Self:
        """From the patterns (n, bins) of all the slice's voxels, but for those that are not known."""
        measured = np.isfinite(scale.brightest)
        known = np.flatnonzero(np.isfinite(values[:, measured]).all(axis=1) & (scale.level > 0))
        voxels = known[:: -(-len(known) // MOST) or 1]
        return cls(voxels, values[voxels], scale)

    @property
    def measured(self) -> npt.NDArray[np.bool_]:
        """(bins,) where the slice was measured."""
        return np.asarray(np.isfinite(self.scale.brightest))

    @property
    def points(self) -> npt.NDArray[np.float64]:
        """The patterns compressed, (n, bins)."""
        return compressed(self.values, self.scale.level)


def compressed(values: Floats, level: float) -> npt.NDArray[np.float64]:
    """Intensities over the slice's level, linear far below it, logarithmic far above; 0 where either is not known."""
    scale = COMPRESSION / level if level > 0 else 0.0
    return np.arcsinh(np.nan_to_num(values).astype(np.float64) * scale)
