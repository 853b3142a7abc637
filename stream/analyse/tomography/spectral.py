"""A slice reconstructed in a basis: coefficients in place of channels, and sixteen channels of noise beside them.

Coefficients may be negative, patterns may not: voxels are expanded to their patterns, clipped at zero and folded back
into the basis (`constrain`), some at a time. The channels of noise tell how uncertain a voxel is after the very
iterations that the coefficients had.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from stream.analyse.tomography.basis import NOISE, Basis
from stream.analyse.tomography.noise import RayNoise, smooth_gain
from stream.analyse.tomography.progressive import ProgressiveSirt
from stream.analyse.tomography.projector import Floats, Projector

Indices = NDArray[np.intp]


class SpectralSlice:
    """Coefficients of one slice, warm while rays arrive and the basis turns.

    Parameters
    ----------
    sets, diffusion : as `ProgressiveSirt` takes them

    Attributes
    ----------
    owed : share of a whole reconstruction that the rays added so far ask for and have not had, 0..1
    stale : (angle, position) rays whose coefficients lack what only the newest basis can hold
    inside : (y, x) the field of view; its voxels are numbered in C order
    """

    held = True

    def __init__(self, projector: Projector, basis: Basis, sets: int = 1, diffusion: float = 0.0) -> None:
        self.basis = basis
        self.sirt = ProgressiveSirt(
            projector, basis.rank + NOISE, nonnegative=False, aside=NOISE, sets=sets, diffusion=diffusion
        )
        self.owed = 0.0
        self.stale = np.zeros(projector.rays, np.bool_)
        self.inside = projector.support
        self._places = np.flatnonzero(self.inside)
        self._samples = np.random.default_rng(0).standard_normal((*projector.rays, NOISE), dtype=np.float32)
        self._noise: RayNoise | None = None
        self._gain: NDArray[np.float64] | None = None

    @property
    def count(self) -> int:
        """Number of voxels."""
        return len(self._places)

    def add(self, angle: Indices, position: Indices, patterns: Floats, weights: NDArray[np.float64]) -> None:
        """Set rays: indices, patterns (ray, bin), weights 0..1."""
        found = np.concatenate([self.basis.coefficients(patterns), self._samples[angle, position]], axis=1)
        self.sirt.add_many(angle, position, found, weights)
        self.stale[angle, position] = False
        rays = int(np.count_nonzero(self.sirt.weight))
        self.owed = min(self.owed + len(angle) / max(rays, 1), 1.0)

    def renew(self, angle: Indices, position: Indices, patterns: Floats) -> None:
        """Give stale rays their coefficients in the newest basis."""
        self.sirt.sinogram[angle, position, : self.basis.rank] = self.basis.coefficients(patterns)
        self.stale[angle, position] = False

    def iterate(self, steps: int) -> NDArray[np.float64]:
        """Take so many steps, as `ProgressiveSirt` does; the residuals before, in units of noise."""
        self._gain = None
        return self.sirt.iterate(steps)

    def follow(self, basis: Basis, sets: int = 1) -> None:
        """Go over to a newer basis; what is known so far is turned into it."""
        if basis is self.basis:
            return
        matrix = np.zeros((basis.rank + NOISE, self.basis.rank + NOISE), np.float32)
        matrix[: basis.rank, : self.basis.rank] = basis.turn(self.basis)
        matrix[basis.rank :, self.basis.rank :] = np.eye(NOISE)
        self.sirt.transform(matrix)
        self.basis = basis
        self.stale = np.isfinite(self.sirt.sinogram[..., 0])

    def restart(self, projector: Projector) -> None:
        """Begin again from zero with all the rays, in another geometry."""
        self.sirt.restart(projector)
        self.owed = 1.0 if self.sirt.weight.any() else 0.0

    def set_gain(self, gain: NDArray[np.float64]) -> None:
        """Take the noise for that of another reconstruction of the same rays; gain is (y, x)."""
        self._gain = gain

    def constrain(self, voxels: Indices) -> Floats:
        """Patterns (n, bin) of the voxels, which are held at zero or above from here on."""
        patterns = self.patterns(voxels)
        self._flat[self._places[voxels], : self.basis.rank] = self.basis.coefficients(patterns)
        return patterns

    def through(self, linear: Callable[[Floats], NDArray[np.floating]], voxels: Indices | None = None) -> Floats:
        """A linear function of patterns (n, bin) → (n, ...), of the voxels' (all by default), at next to no cost."""
        functional = linear(self.basis.synthesis)
        shape = functional.shape[1:]
        known = np.isfinite(functional)
        found = self._coefficients(voxels) @ np.where(known, functional, 0).reshape(self.basis.rank, -1).astype("f4")
        return np.asarray(np.where(known[0], found.reshape(-1, *shape), np.nan).astype(np.float32))

    def patterns(self, voxels: Indices) -> Floats:
        """(n, bin) patterns of the voxels, at least 0; NaN in bins that nothing reaches."""
        return np.asarray(np.maximum(self.basis.patterns(self._coefficients(voxels)), 0))

    def unheld(self, voxels: Indices) -> Floats:
        """The same: coefficients are held at patterns of zero or above as they are iterated."""
        return self.patterns(voxels)

    def mean(self) -> Floats:
        """(bin,) mean pattern of the voxels."""
        return self.basis.patterns(self._coefficients(None).mean(axis=0, dtype=np.float64).astype(np.float32))

    def measure_noise(self, monitors: NDArray[np.float64], norms: Floats, background: Floats) -> None:
        """Bring the mean noise of the rays up to date.

        Parameters
        ----------
        monitors : (angle, position), each ray's
        norms, background : (bin,)
        """
        rays = np.concatenate([self.sirt.sinogram[..., : self.basis.rank], np.ones((*monitors.shape, 1), "f4")], axis=2)
        with np.errstate(invalid="ignore", divide="ignore"):
            rays /= monitors[..., None].astype(np.float32)
            factors = (np.vstack([self.basis.synthesis, background]) / norms).astype(np.float32)
        factors[:, ~np.isfinite(factors).all(axis=0)] = np.nan
        self._noise = RayNoise.of(self.sirt.projector, rays, self.sirt.weight, factors)

    def variances(self, voxels: Indices) -> Floats:
        """(n, bin) variances of the patterns of the voxels; NaN before `measure_noise`."""
        if self._noise is None:
            return np.full((len(voxels), self.basis.synthesis.shape[1]), np.nan, np.float32)
        return self._noise.variances(self._spread(), self._places[voxels])

    def noise(self) -> Floats:
        """(bin,) mean variance of a voxel's pattern."""
        if self._noise is None:
            return np.full(self.basis.synthesis.shape[1], np.nan, np.float32)
        return self._noise.mean_variance(self._spread(), self._places)

    def _spread(self) -> NDArray[np.float64]:
        if self._gain is None:
            self._gain = smooth_gain(self.sirt.projector, self.sirt.volume[..., self.basis.rank :])
        return self._gain

    @property
    def _flat(self) -> Floats:
        return self.sirt.volume.reshape(-1, self.sirt.volume.shape[2])

    def _coefficients(self, voxels: Indices | None) -> Floats:
        places = self._places if voxels is None else self._places[voxels]
        return self._flat[places, : self.basis.rank]
