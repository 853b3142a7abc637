"""The slices of a scan under reconstruction: rotation axis, progressive SIRT, final SIRT."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import structlog

from stream.analyse.store import PatternStore, window
from stream.analyse.tomography.center import CenterEstimate, find_center
from stream.analyse.tomography.projector import Projector
from stream.analyse.tomography.sirt import ProgressiveSirt, reconstruct
from stream.core.config import ReconstructionConfig

MOVED = 0.1  # steps: a smaller change of the axis does not restart the live reconstruction

log = structlog.get_logger()


@dataclass(slots=True)
class Tomograph:
    """Live volumes of all slices; each is warm from one update to the next."""

    store: PatternStore
    config: ReconstructionConfig
    center: CenterEstimate = field(init=False)
    slices: list[ProgressiveSirt] = field(init=False)
    given: npt.NDArray[np.bool_] = field(init=False)

    def __post_init__(self) -> None:
        """Begin with the best axis known."""
        self._begin(self.estimate_center())

    def projector(self) -> Projector:
        """The geometry of every slice."""
        return Projector(self.store.grid.angles, self.store.grid.positions, self.center.center_um)

    def estimate_center(self) -> CenterEstimate:
        """The rotation axis: configured, or found in the slice with most rays, or the middle of the grid."""
        if self.config.center != "auto":
            return CenterEstimate(float(self.config.center), "config", 0.0)
        usable = self.store.with_beam
        fullest = int(usable.sum(axis=(1, 2)).argmax())
        sinogram = window(self.store.patterns[fullest], self.store.axis, None)
        return find_center(sinogram, usable[fullest], self.store.grid.angles, self.store.grid.positions)

    def update(self, seconds: float) -> list[int]:
        """Take up new rays and iterate for about `seconds`; the slices that changed, the newest first."""
        estimate = self.estimate_center()
        if abs(estimate.center_um - self.center.center_um) > MOVED * abs(self.store.grid.step):
            log.info("axis.moved", center_um=estimate.center_um, source=estimate.source)
            self._begin(estimate)
        usable = self.store.with_beam
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

    def final(self, index: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
        """SIRT of one slice from zero on the complete, sorted set: volume (y, x, bin), residual trace."""
        measured = self.store.with_beam[index]
        return reconstruct(self.projector(), self.store.patterns[index], measured, self.config.iterations)

    def coverage(self) -> npt.NDArray[np.float32]:
        """Measured share of the planned ray weight, (slice, y, x), NaN outside the field of view."""
        return np.stack([sirt.coverage() for sirt in self.slices]).astype(np.float32)

    def residual(self) -> float | None:
        """Root mean square of the slices' relative residuals, None before the first iteration."""
        known = [sirt.residual for sirt in self.slices if np.isfinite(sirt.residual)]
        return float(np.sqrt(np.mean(np.square(known)))) if known else None

    def _begin(self, center: CenterEstimate) -> None:
        self.center = center
        projector: Any = self.projector()
        self.slices = [ProgressiveSirt(projector, self.store.axis.bins) for _ in self.store.grid.slices]
        self.given = np.zeros(self.store.grid.shape, dtype=bool)
