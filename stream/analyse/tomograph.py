"""The slices of a scan under reconstruction: rotation axis, progressive SIRT, final SIRT."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import structlog

from stream.analyse.store import PatternStore, window
from stream.analyse.tomography.center import find_center
from stream.analyse.tomography.noise import noise_gain, voxel_variance
from stream.analyse.tomography.projector import Projector
from stream.analyse.tomography.sirt import ProgressiveSirt, reconstruct
from stream.core.config import ReconstructionConfig

QUIETEST = 1e-3  # of a voxel's mean variance: a bin that caught no count is not known exactly
MOVED = 0.1  # steps: a smaller change of the axis does not restart the live reconstruction
GROWN = 1.2  # times the rays of the last look for the axis, before the next: looking takes longer than an update

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Center:
    """The rotation axis: motor position in µm, and whether config, data or the grid's middle gave it."""

    um: float
    source: Literal["config", "data", "grid"]


@dataclass(slots=True)
class Tomograph:
    """Live volumes of all slices; each is warm from one update to the next."""

    store: PatternStore
    config: ReconstructionConfig
    center: Center = field(init=False)
    slices: list[ProgressiveSirt] = field(init=False)
    given: npt.NDArray[np.bool_] = field(init=False)
    gains: dict[int, tuple[int, npt.NDArray[np.float64]]] = field(default_factory=dict)
    _looked: int = 0

    def __post_init__(self) -> None:
        """Begin with the best axis known."""
        self._begin(self.estimate_center())

    def projector(self) -> Projector:
        """The geometry of every slice."""
        return Projector(self.store.grid.angles, self.store.grid.positions, self.center.um)

    def estimate_center(self) -> Center:
        """The rotation axis: configured, or found in the slice with most rays, or the middle of the grid."""
        if self.config.center != "auto":
            return Center(float(self.config.center), "config")
        usable = self.store.with_beam
        fullest = int(usable.sum(axis=(1, 2)).argmax())
        sinogram = window(self.store.patterns[fullest], self.store.axis, None)
        found = find_center(sinogram, usable[fullest], self.store.grid.angles, self.store.grid.positions)
        return Center(found.center_um, found.source)

    def update(self, seconds: float) -> list[int]:
        """Take up new rays and iterate for about `seconds`; the slices that changed, the newest first."""
        usable = self.store.with_beam
        rays = int(usable.sum())
        if rays >= GROWN * self._looked and rays != self._looked:
            self._looked = rays
            self._follow(self.estimate_center())
        changed = [s for s in range(len(self.slices)) if (usable[s] != self.given[s]).any()]
        for s in changed:
            angle, position = np.nonzero(usable[s] != self.given[s])
            rays = self.store.patterns[s, angle, position]
            self.slices[s].add_many(angle, position, rays, usable[s, angle, position].astype(float))
        self.given = usable
        filled = [s for s in reversed(range(len(self.slices))) if usable[s].any()]
        busy = changed[::-1] or filled
        deadline = time.monotonic() + seconds
        for s in busy:
            self.slices[s].iterate_for(max(deadline - time.monotonic(), 0.0) / len(busy))
        return busy

    def settle(self) -> None:
        """Take axis and noise that the complete set gives, whatever the live ones were."""
        self.center = self.estimate_center()
        self.gains.clear()

    def final(self, index: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
        """SIRT of one slice from zero on the complete, sorted set: volume (y, x, bin), residual trace."""
        measured = self.store.with_beam[index]
        return reconstruct(self.projector(), self.store.patterns[index], measured, self.config.iterations)

    def voxel_variance(self, index: int) -> npt.NDArray[np.float32]:
        """Variance of each voxel's pattern, (y, x, bin), from the counts in the rays that cross it.

        The gain of the noise falls as rays are added: between two Monte Carlo estimates (at every doubling of the
        rays, and on the final set) it is taken to fall with their number.
        """
        projector, usable = self.projector(), self.store.with_beam[index]
        rays = int(usable.sum())
        known = self.gains.get(index)
        if rays == 0:
            return np.full((projector.count, projector.count, self.store.axis.bins), np.nan, dtype=np.float32)
        if known is None or rays >= 2 * known[0] or (usable.all() and rays > known[0]):
            known = (rays, noise_gain(projector, usable, self.config.iterations))
            self.gains[index] = known
        gain = known[1] * (known[0] / rays)
        variance = voxel_variance(projector, self.store.variances(index), usable, gain)
        return np.asarray(np.maximum(variance, QUIETEST * variance.mean(axis=-1, keepdims=True)))

    def coverage(self) -> npt.NDArray[np.float32]:
        """Measured share of the planned ray weight, (slice, y, x), NaN outside the field of view."""
        projector, usable = self.projector(), self.store.with_beam
        planned = np.where(projector.support, projector.column_sums(np.ones(projector.rays)), np.nan)
        return np.stack([projector.column_sums(rays) / planned for rays in usable]).astype(np.float32)

    def residual(self) -> float | None:
        """Root mean square of the slices' relative residuals, None before the first iteration."""
        known = [sirt.residual for sirt in self.slices if np.isfinite(sirt.residual)]
        return float(np.sqrt(np.mean(np.square(known)))) if known else None

    def _follow(self, center: Center) -> None:
        if abs(center.um - self.center.um) > MOVED * abs(self.store.grid.step):
            log.info("axis.moved", center_um=center.um, source=center.source)
            self._begin(center)

    def _begin(self, center: Center) -> None:
        self.center = center
        projector: Any = self.projector()
        self.slices = [ProgressiveSirt(projector, self.store.axis.bins) for _ in self.store.grid.slices]
        self.given = np.zeros(self.store.grid.shape, dtype=bool)
