"""Slices from zero, on the complete and sorted set: the same bits whatever the live ones were."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import structlog

from stream.analyse.agreement import weigh_agreement
from stream.analyse.slices import Voxels, WholeSlice, share_out, show, some_rays
from stream.analyse.store import PatternStore
from stream.analyse.tomography.basis import RANK, Basis, Moments, find_basis
from stream.analyse.tomography.cuda import Solver
from stream.analyse.tomography.displaced import DisplacedProjector, facing, reconstruct_displaced
from stream.analyse.tomography.noise import noise_gain
from stream.analyse.tomography.projector import Projector
from stream.analyse.tomography.spectral import SpectralSlice
from stream.core.config import ReconstructionConfig

CONSTRAINED = 10  # iterations in a basis between two looks at x ≥ 0

log = structlog.get_logger()
Floats = npt.NDArray[np.float32]
Reals = npt.NDArray[np.float64]


@dataclass(slots=True)
class FinalSlices:
    """What the complete set gives: weights of its rays, its basis, and slice after slice.

    projector: with the rotation axis that the complete set has.
    weights: (slice, angle, position) 0..1; a ray that the others contradict weighs less than its beam gives it.
    agreement: what the metadata say of drift, jitter and outliers.
    """

    store: PatternStore
    config: ReconstructionConfig
    projector: Projector
    weights: Reals
    agreement: dict[str, Any]
    basis: Basis
    distance_um: float
    """From the axis to the detector; once the first slice is through, negative where depth counts upstream."""
    solver: Solver
    """Of every channel without parallax; bases, parallax and other quantities are the CPU's."""
    sense: str | None = None
    """Of the depth along the beam, as the data have it; None where parallax is not corrected."""

    @classmethod
    def of(
        cls,
        store: PatternStore,
        config: ReconstructionConfig,
        projector: Projector,
        sums: Floats,
        beam: Reals,
        distance_um: float,
        solver: Solver,
    ) -> Self:
        """Weigh the rays, whose beam is (slice, angle, position) 0..1 and whose summed patterns are `sums`."""
        weights, agreement = weigh_agreement(sums, beam, store.grid, projector.center_um)
        moments = Moments(store.axis.bins)
        for s, a in np.argwhere(weights.any(axis=2)):
            rays = (np.full(n := np.count_nonzero(weights[s, a]), s), np.full(n, a), np.flatnonzero(weights[s, a]))
            moments.add(store.patterns[rays], store.variances(rays), store.monitors[rays])
        basis = find_basis(moments, config.rank or RANK)
        return cls(store, config, projector, weights, agreement, basis, distance_um, solver)

    @property
    def backend(self) -> str:
        """What reconstructs the patterns: cpu or cuda."""
        return "cpu" if self.config.parallax or self.config.rank is not None else self.solver.name

    def slice(self, s: int, volume: Floats) -> tuple[Voxels, Reals]:
        """SIRT of one slice into volume (y, x, bin): its voxels, residual trace."""
        part = SpectralSlice(self.projector, self.basis)
        weights = self.weights[s]
        for angle, position in some_rays(weights > 0):
            part.add(angle, position, self.store.patterns[s, angle, position], weights[angle, position])
        part.measure_noise(self.store.monitors[s], self.store.norms, self.store.taken_off)
        if self.config.rank is None:
            trace = self._every_channel(s, volume)
            part.set_gain(noise_gain(self.projector, weights, self.config.iterations))
            return WholeSlice(volume, part.inside, part.variances), trace
        trace = np.concatenate([_constrained(part, n) for n in _portions(self.config.iterations)])
        volume[:] = np.nan
        share_out(lambda some: show(volume, part.inside, some, part.patterns(some)), np.arange(part.count))
        return part, trace

    def _every_channel(self, s: int, out: Floats) -> Reals:
        """Every channel of a slice, for its own sake; the residual trace."""
        patterns, weights, iterations = self.store.patterns[s], self.weights[s], self.config.iterations
        if not self.config.parallax:
            return self.solver.reconstruct(self.projector, patterns, weights, iterations, out)[1]
        if not weights.any():
            out[:] = np.nan
            return np.full(iterations, np.nan)
        if self.sense is None:
            self.distance_um = facing(self.projector, patterns, weights, self.store.axis, self.distance_um).distance_um
            self.sense = "downstream" if self.distance_um > 0 else "upstream"
            log.info("parallax.sense", sense=self.sense)
        displaced = DisplacedProjector(self.projector, self.store.axis, self.distance_um)
        return reconstruct_displaced(displaced, patterns, weights, iterations, out)


def _constrained(part: SpectralSlice, iterations: int) -> Reals:
    trace = part.iterate(iterations)
    share_out(part.constrain, np.arange(part.count))
    return trace


def _portions(iterations: int) -> list[int]:
    whole, rest = divmod(iterations, CONSTRAINED)
    return [CONSTRAINED] * whole + ([rest] if rest else [])
