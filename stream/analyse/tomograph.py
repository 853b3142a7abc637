"""The slices of a scan under reconstruction: rotation axis, spectral basis, progressive SIRT, final SIRT."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import ceil
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import structlog

from stream.analyse.axis_search import AxisSearch
from stream.analyse.final import FinalSlices
from stream.analyse.slices import Voxels, share_out, show, some_rays
from stream.analyse.store import PatternStore
from stream.analyse.tomography.additive import Additive, additive_values
from stream.analyse.tomography.basis import RANK, Basis, Moments, find_basis
from stream.analyse.tomography.cuda import Solver
from stream.analyse.tomography.progressive import fading
from stream.analyse.tomography.projector import Projector
from stream.analyse.tomography.sirt import reconstruct
from stream.analyse.tomography.spectral import SpectralSlice
from stream.analyse.tomography.unheld import reconstruct_unheld
from stream.analyse.turns import Turn
from stream.core.config import ReconstructionConfig
from stream.scale.spread import HERE, Spread

GROWN = 1.2  # times the rays that basis and noise are of, before they are made anew
SETS = 6  # of projections, in live volumes
PASSES = 1.0  # over all sets for each of the final iterations that the rays ask for
LEAST = 0.1  # of a pass: less waits for more rays
RENEWED = 4096  # rays that an update brings into the newest basis

log = structlog.get_logger()
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Center:
    """The rotation axis: motor position in µm, and whether config, data or the grid's middle gave it."""

    um: float
    source: Literal["config", "data", "grid"]


@dataclass(slots=True)
class Tomograph:
    """Live slices in a spectral basis, warm from one update to the next; final ones from zero.

    volume: (slice, y, x, bin) voxels' patterns, NaN where not known; live ones are written in turn.
    """

    store: PatternStore
    config: ReconstructionConfig
    volume: Floats
    sums: npt.NDArray[np.float32]
    """(slice, angle, position) sum of each ray's pattern, which tells the axis."""
    distance_um: float = np.inf
    """From the axis to the detector, for the parallax of the final slices; live ones have it uncorrected."""
    solver: Solver = field(default_factory=Solver)
    """Of the final slices."""
    center: Center = field(init=False)
    basis: Basis = field(init=False)
    slices: list[SpectralSlice] = field(init=False)
    given: npt.NDArray[np.float64] = field(init=False)
    """(slice, angle, position) weights of the rays that the slices have."""
    columns: npt.NDArray[np.float64] = field(init=False)
    """(slice, y, x) weighted path through each voxel, µm; planned (y, x) is that of the whole scan."""
    planned: npt.NDArray[np.float64] = field(init=False)
    _moments: Moments = field(init=False)
    _learnt: npt.NDArray[np.bool_] = field(init=False)
    """(slice, angle, position) rays that the moments hold."""
    _turns: list[Turn] = field(init=False)
    _axis: AxisSearch = field(init=False)
    _final: FinalSlices | None = None
    _based: int = 0
    _noised: dict[int, int] = field(default_factory=dict)
    _improved: list[int] = field(default_factory=list)
    """Slices that the latest update changed."""

    def __post_init__(self) -> None:
        """Begin with the axis of the config, or with the grid's middle."""
        slices, _, count = self.store.grid.shape
        self._axis = AxisSearch(self.store.grid, self.sums)
        self._moments = Moments(self.store.axis.bins)
        self._learnt = np.zeros(self.store.grid.shape, np.bool_)
        self.basis = find_basis(self._moments, RANK)
        self.given = np.zeros(self.store.grid.shape)
        self.columns = np.zeros((slices, count, count))
        middle = float(self.store.grid.positions[[0, -1]].mean())
        known = self.config.center != "auto"
        self._turn_about(Center(float(self.config.center), "config") if known else Center(middle, "grid"))
        projector = self.projector()
        faded = fading(SETS, self.config.iterations)
        self.slices = [SpectralSlice(projector, self.basis, SETS, faded) for _ in range(slices)]
        self._turns = [Turn() for _ in range(slices)]

    @property
    def told(self) -> dict[str, Any]:
        """What the metadata say of the reconstruction."""
        basis = self.basis
        return {
            "center_um": self.center.um,
            "center_from": self.center.source,
            "iterations": self.config.iterations,
            "reconstruction_backend": self._final.backend if self._final else "cpu",
            "parallax_sense": self._final and self._final.sense,
            "basis": {"rank": basis.rank, "structures": basis.structures, "left_out": basis.left_out,
                      "worst_bin": basis.worst},
            **(self._final.agreement if self._final else {"outliers": None, "alignment": None}),
        }  # fmt: skip

    def projector(self) -> Projector:
        """The geometry of every slice."""
        return Projector(self.store.grid.angles, self.store.grid.positions, self.center.um)

    def weights(self) -> npt.NDArray[np.float64]:
        """What each ray counts for, (slice, angle, position), 0..1."""
        return self.store.with_beam.astype(np.float64)

    def update(self, seconds: float) -> list[int]:
        """Take up new rays and iterate for about `seconds`; the slices that changed, those being scanned first."""
        deadline = time.monotonic() + seconds
        weights = self.weights()
        self._follow_axis(weights)
        changed, self.given = weights != self.given, weights
        if not self._based:
            self._learn()
        for s in np.flatnonzero(changed.any(axis=(1, 2))):
            self.slices[s].follow(self.basis)
            for angle, position in some_rays(changed[s]):
                patterns = self.store.patterns[s, angle, position]
                self.slices[s].add(angle, position, patterns, weights[s, angle, position])
        return self._sharpen(deadline, changed.any(axis=(1, 2)))

    def refine(self, seconds: float) -> None:
        """What the next update profits by: basis, noise, and for about so long voxels held at x ≥ 0, and shown."""
        self._learn()
        for s in self._improved:
            self.slices[s].follow(self.basis)
            self._renew(s)
            self._measure_noise(s)
            self._constrain(s, seconds / len(self._improved))

    def _sharpen(self, deadline: float, scanned: npt.NDArray[np.bool_]) -> list[int]:
        """Iterate the slices that are owed iterations: those being scanned first, then those with most to do."""
        passes = self.config.iterations * PASSES
        busy = [s for s in range(len(self.slices)) if self.slices[s].owed * passes >= LEAST]
        busy.sort(key=lambda s: (not scanned[s], -self.slices[s].owed))
        improved: list[int] = []
        for k, s in enumerate(busy):
            if improved and time.monotonic() >= deadline:
                break
            part = self.slices[s]
            part.follow(self.basis)
            left = (deadline - time.monotonic()) / (len(busy) - k)
            affordable = part.sirt.affordable(left) or (0 if improved else 1)
            whole = passes * part.sirt.round  # steps
            wanted = min(affordable, ceil(part.owed * whole - LEAST))
            if not wanted:
                continue
            part.iterate(wanted)
            self.columns[s] = part.sirt.column_sums()
            part.owed = max(part.owed - wanted / whole, 0.0)
            improved.append(s)
        self._improved = improved
        return improved

    def _renew(self, s: int) -> None:
        angle, position = (axis[:RENEWED] for axis in np.nonzero(self.slices[s].stale))
        if angle.size:
            self.slices[s].renew(angle, position, self.store.patterns[s, angle, position])

    def _constrain(self, s: int, seconds: float) -> None:
        part, turn = self.slices[s], self._turns[s]
        chosen = turn.choose(part.count, seconds)
        with turn.timed(len(chosen)):
            share_out(lambda some: show(self.volume[s], part.inside, some, part.constrain(some)), chosen)

    def _measure_noise(self, s: int) -> None:
        rays = int(np.count_nonzero(self.given[s]))
        if rays >= GROWN * self._noised.get(s, 0):
            self._noised[s] = rays
            self.slices[s].measure_noise(self.store.monitors[s], self.store.norms, self.store.taken_off)

    def _learn(self) -> None:
        """Add new rays to the moments, take back those that lost their beam, and renew the basis at times."""
        lit = self.given > 0
        for sign, rays in ((1, lit & ~self._learnt), (-1, self._learnt & ~lit)):
            for part in some_rays(rays):
                patterns, monitors = self.store.patterns[part], self.store.monitors[part]
                self._moments.add(patterns, self.store.variances(part), monitors, sign)
        self._learnt = lit
        if self._moments.rays >= GROWN * self._based and self._moments.rays != self._based:
            self.basis = find_basis(self._moments, RANK, self.basis if self._based else None)
            self._based = self._moments.rays

    def settle(self) -> None:
        """Take axis, basis and weights that the complete set gives, whatever the live ones were."""
        beam = self.weights()
        if self.config.center == "auto":
            found = self._axis.find(beam)
            self._turn_about(Center(found.center_um, found.source))
        self._final = FinalSlices.of(
            self.store, self.config, self.projector(), self.sums, beam, self.distance_um, self.solver
        )
        self.basis = self._final.basis

    def finals(self, spread: Spread = HERE) -> Iterator[tuple[Voxels, npt.NDArray[np.float64]]]:
        """SIRT of slice after slice from zero on the complete, sorted set, after `settle`: voxels, residual trace."""
        assert self._final is not None, "settle comes first"
        for s, measured in enumerate(self.weights()):  # however little a ray counts
            self.columns[s] = self._final.projector.column_sums(measured)
        return self._final.slices(self.volume, spread)

    def image(self, sinogram: Additive, usable: npt.NDArray[np.bool_], iterations: int) -> Floats:
        """(slice, y, x, …) SIRT of other quantities that add along the usable rays (slice, angle, position, …)."""
        projector, values = self.projector(), additive_values(sinogram)
        rays = zip(values.reshape(*usable.shape, -1), usable.astype(np.float64), strict=True)
        found = np.stack([reconstruct(projector, v, w, iterations)[0] for v, w in rays])
        return found.reshape(*found.shape[:3], *values.shape[3:])

    def seen(self, images: Floats) -> Floats:
        """What fits of the final voxels see of images (slice, y, x, channel) along the measured rays."""
        projector, iterations = self.projector(), self.config.iterations
        pairs = zip(images, self.weights(), strict=True)
        return np.stack([reconstruct_unheld(projector, projector.forward(one), w, iterations) for one, w in pairs])

    def covered(self, usable: npt.NDArray[np.bool_]) -> Floats:
        """As `coverage`, of these rays (slice, angle, position)."""
        projector = self.projector()
        columns = np.stack([projector.column_sums(rays) for rays in usable.astype(np.float64)])
        return np.clip(columns / self.planned, 0, 1).astype(np.float32)

    def coverage(self) -> Floats:
        """Measured share of the planned ray weight, (slice, y, x), NaN outside the field of view."""
        return np.clip(self.columns / self.planned, 0, 1).astype(np.float32)

    def voxels(self, s: int) -> Voxels:
        """The voxels of a slice as they stand."""
        return self.slices[s]

    def residual(self) -> float | None:
        """Root mean square of the slices' relative residuals, None before the first iteration."""
        known = [part.sirt.residual for part in self.slices if np.isfinite(part.sirt.residual)]
        return float(np.sqrt(np.mean(np.square(known)))) if known else None

    def _follow_axis(self, weights: npt.NDArray[np.float64]) -> None:
        """Take the axis that a search found; live volumes begin again where it moved."""
        found = self._axis.follow(weights) if self.config.center == "auto" else None
        if found is None:
            return
        if found.differs(self.slices[0].sirt.projector.center_um, self.store.grid.step):
            log.info("axis.moved", center_um=found.center_um, source=found.source)
            self._turn_about(Center(found.center_um, found.source))
            projector = self.projector()
            for part in self.slices:
                part.restart(projector)
        self.center = Center(self.center.um, found.source)

    def _turn_about(self, center: Center) -> None:
        self.center = center
        projector = self.projector()
        self.planned = np.where(projector.support, projector.column_sums(np.ones(projector.rays)), np.nan)
