"""Slices from zero, on the complete and sorted set: the same bits whatever the live ones were."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import structlog

from stream.analyse.agreement import weigh_agreement
from stream.analyse.slices import Indices, Voxels, WholeSlice, share_out, show, some_rays
from stream.analyse.store import PatternStore, rest
from stream.analyse.tomography.basis import RANK, Basis, Moments, find_basis
from stream.analyse.tomography.cuda import Solver
from stream.analyse.tomography.cuda.solver import Solve
from stream.analyse.tomography.displaced import DisplacedProjector, facing, solve_displaced
from stream.analyse.tomography.noise import noise_gain
from stream.analyse.tomography.projector import Projector
from stream.analyse.tomography.spectral import SpectralSlice
from stream.analyse.tomography.steps import relative
from stream.analyse.tomography.unheld import reconstruct_unheld
from stream.core.axis import RadialAxis
from stream.core.config import ReconstructionConfig
from stream.scale.spread import Spread

CONSTRAINED = 10  # iterations in a basis between two looks at x ≥ 0

log = structlog.get_logger()
Floats = npt.NDArray[np.float32]
Reals = npt.NDArray[np.float64]
Solved = tuple[Floats, Reals, Floats | None]
"""Some channels of a slice, their sums of squares as `relative` takes them, and the channels without x ≥ 0."""
Solves = Callable[..., Solved]


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
    """From the axis to the detector; once the data have told the sense, negative where depth counts upstream."""
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

    def slices(self, volume: Floats, spread: Spread) -> Iterator[tuple[Voxels, Reals]]:
        """Slice after slice, by SIRT into volume (slice, y, x, bin): its voxels, residual trace."""
        projector = self.projector.on(spread.threads)
        if self.config.rank is not None:
            return self._in_a_basis(projector, volume, spread)
        if self.config.parallax:
            self._face()
            displaced = partial(_displaced, projector, self.store.axis, self.distance_um)
            return self._every_channel(projector, displaced, volume.shape[3], volume, spread)
        both = partial(_held_and_not, self.solver.solve, projector)
        return self._every_channel(projector, both, self.solver.channels, volume, spread)

    def _every_channel(
        self, projector: Projector, solve: Solves, together: int, volume: Floats, spread: Spread
    ) -> Iterator[tuple[Voxels, Reals]]:
        """So many channels together, each for its own sake; those of the next slices may be begun before."""
        iterations, patterns = self.config.iterations, self.store.patterns
        blocks = [slice(c, c + together) for c in range(0, volume.shape[3], together)]
        sinograms = (np.ascontiguousarray(rays[..., block]) for rays in patterns for block in blocks)
        weights = (weights for weights in self.weights for _ in blocks)
        solved = spread.map(partial(solve, iterations=iterations), sinograms, weights)
        gains = spread.map(partial(noise_gain, projector, iterations=iterations), self.weights)
        for s in range(len(volume)):
            squares = np.zeros((2, iterations))
            inside, whole = projector.support, volume[s]
            free = None if self.config.parallax else np.empty((np.count_nonzero(inside), volume.shape[3]), np.float32)
            for block in blocks:
                held, more, unheld = next(solved)
                squares += more
                rest(self.store.patterns)
                whole[..., block] = held
                if free is not None:
                    free[:, block] = unheld[inside]
                rest(volume)
            part = self._part(s, self.projector)
            part.set_gain(next(gains))
            yield WholeSlice(whole, inside, part.variances, free, held=free is None), relative(squares)

    def _in_a_basis(self, projector: Projector, volume: Floats, spread: Spread) -> Iterator[tuple[Voxels, Reals]]:
        """Coefficients, held at x ≥ 0 in between: a slice is worked on as one."""
        parts = (self._part(s, projector) for s in range(len(volume)))
        iterated = spread.map(partial(_iterated, iterations=self.config.iterations), parts)
        for whole, (part, trace) in zip(volume, iterated, strict=True):
            whole[:] = np.nan
            share_out(partial(_show, whole, part), np.arange(part.count))
            yield part, trace

    def _part(self, s: int, projector: Projector) -> SpectralSlice:
        """The rays of a slice in the basis, and their noise; nothing is iterated."""
        part, weights = SpectralSlice(projector, self.basis), self.weights[s]
        for angle, position in some_rays(weights > 0):
            part.add(angle, position, self.store.patterns[s, angle, position], weights[angle, position])
        part.measure_noise(self.store.monitors[s], self.store.norms, self.store.taken_off)
        return part

    def _face(self) -> None:
        """Find the sense of the depth, from the first slice that has rays."""
        for patterns, weights in zip(self.store.patterns, self.weights, strict=True):
            if weights.any():
                found = facing(self.projector, patterns, weights, self.store.axis, self.distance_um)
                self.distance_um = found.distance_um
                self.sense = "downstream" if self.distance_um > 0 else "upstream"
                log.info("parallax.sense", sense=self.sense)
                return


def _held_and_not(solve: Solve, projector: Projector, rays: Floats, weights: Reals, iterations: int) -> Solved:
    return *solve(projector, rays, weights, iterations), reconstruct_unheld(projector, rays, weights, iterations)


def _displaced(
    projector: Projector, axis: RadialAxis, distance_um: float, rays: Floats, weights: Reals, iterations: int
) -> Solved:
    return *solve_displaced(DisplacedProjector(projector, axis, distance_um), rays, weights, iterations), None


def _iterated(part: SpectralSlice, iterations: int) -> tuple[SpectralSlice, Reals]:
    traces = []
    for n in _portions(iterations):
        traces.append(part.iterate(n))
        share_out(part.constrain, np.arange(part.count))
    return part, np.concatenate(traces)


def _show(volume: Floats, part: SpectralSlice, some: Indices) -> None:
    show(volume, part.inside, some, part.patterns(some))


def _portions(iterations: int) -> list[int]:
    whole, rest = divmod(iterations, CONSTRAINED)
    return [CONSTRAINED] * whole + ([rest] if rest else [])
