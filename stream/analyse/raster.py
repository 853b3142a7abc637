"""A raster scan: every point's own pattern is that of a voxel, and nothing is reconstructed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from stream.analyse.slices import Floats, Indices, Voxels, WholeSlice
from stream.analyse.store import PatternStore
from stream.analyse.tomography.additive import Additive, additive_values
from stream.scale.spread import HERE, Spread


@dataclass(slots=True)
class Raster:
    """The one picture of a raster: rows are the scan's slices, columns its positions; intensities are of a ray.

    volume: (1, y, x, bin) patterns, NaN where not measured or without beam.
    """

    store: PatternStore
    volume: Floats
    given: npt.NDArray[np.bool_] = field(init=False)
    """(y, x) points whose patterns are in the picture."""

    def __post_init__(self) -> None:
        """Nothing is measured yet."""
        self.given = np.zeros(self.volume.shape[1:3], dtype=bool)

    @property
    def told(self) -> dict[str, Any]:
        """There is no axis, and nothing was iterated."""
        return {"center_um": None, "center_from": None, "iterations": 0}

    def update(self, seconds: float) -> list[int]:
        """Take up new points; the picture stays at work until all of its voxels were read."""
        usable = self.store.with_beam[:, 0]
        for y in np.flatnonzero((usable != self.given).any(axis=1)):
            row = self.store.patterns[y, 0]
            self.volume[0, y] = np.where(usable[y, :, None], row, np.nan)
        self.given = usable
        return [0] if usable.any() else []

    def refine(self, seconds: float) -> None:
        """Nothing: patterns are as they were measured."""

    def voxels(self, s: int) -> Voxels:
        """The points measured so far."""
        return WholeSlice(self.volume[s], self.given, self._variances)

    def settle(self) -> None:
        """Take every point again."""
        self.given[:] = False

    def finals(self, spread: Spread = HERE) -> Iterator[tuple[Voxels, npt.NDArray[np.float64]]]:
        """The whole picture, at once; there is no residual."""
        self.volume[:] = np.nan
        self.update(0.0)
        yield self.voxels(0), np.zeros(0)

    def coverage(self) -> Floats:
        """(1, y, x): 1 where a point was measured, else 0."""
        return self.given[None].astype(np.float32)

    def covered(self, usable: npt.NDArray[np.bool_]) -> Floats:
        """As `coverage`, of these rays (slice, angle, position)."""
        return usable.transpose(1, 0, 2).astype(np.float32)

    def image(self, sinogram: Additive, usable: npt.NDArray[np.bool_], iterations: int) -> Floats:
        """(1, y, x, …) the rays' own values."""
        values = additive_values(sinogram)
        known = usable.reshape(*usable.shape, *[1] * (values.ndim - 3))
        return np.where(known, values, np.float32(np.nan)).swapaxes(0, 1)

    def seen(self, images: Floats) -> Floats:
        """The images themselves."""
        return images

    def residual(self) -> float | None:
        """None: nothing is fitted to the rays."""
        return None

    def _variances(self, voxels: Indices) -> Floats:
        y, x = (axis[voxels] for axis in np.nonzero(self.given))
        return self.store.variances((y, np.zeros_like(y), x))
