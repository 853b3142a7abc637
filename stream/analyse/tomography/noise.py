"""Noise of reconstructed voxels from the variances of the rays.

SIRT spreads the noise of a ray over the voxels along it. To first order a voxel's variance is the mean variance
of the measured rays through it (weighted by their path in the voxel) times a gain that depends on geometry and
iterations alone, not on the sample: var(y, x) = K(y, x) · (Aᵀ W v) / (Aᵀ W 1).

K is found by Monte Carlo through SIRT itself on the same rays: noise sinograms of unit variance, reconstructed side by
side as channels, with a fixed seed. K varies slowly over the slice, so the scatter of few samples (18 % from 64) is
smoothed away. Where the image is at zero, the constraint x ≥ 0 makes the true noise smaller than this.

The mean variance of the rays is linear in their patterns, so coefficients are back-projected in place of channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter

from stream.analyse.tomography.lanes import LANES
from stream.analyse.tomography.projector import Floats, Projector
from stream.analyse.tomography.sirt import reconstruct

QUIETEST = 1e-3


def noise_gain(projector: Projector, measured: ArrayLike, iterations: int) -> NDArray[np.float64]:
    """(y, x) variance of a voxel for rays of unit variance, per µm²; NaN outside the field of view.

    One reconstruction of 64 channels: compute it once for a geometry, set of measured rays and iterations.
    """
    noise = np.random.default_rng(0).standard_normal((*projector.rays, LANES), dtype=np.float32)
    level = 100 / abs(projector.step_um) * projector.row_sums.astype(np.float32)
    volume, _ = reconstruct(projector, noise + level[..., None], measured, iterations)
    return smooth_gain(projector, volume)


def smooth_gain(projector: Projector, samples: Floats) -> NDArray[np.float64]:
    """(y, x) variance over the last axis of reconstructed noise (y, x, sample), smoothed within the field of view."""
    support = projector.support
    scatter = np.where(support, samples.var(axis=2, dtype=np.float64, ddof=1), 0.0)
    width = projector.count / 20
    smooth = gaussian_filter(scatter, width) / np.maximum(gaussian_filter(support.astype(np.float64), width), 0.1)
    gain: NDArray[np.float64] = np.where(support, smooth, np.nan)
    return gain


@dataclass(frozen=True, slots=True)
class RayNoise:
    """Mean variance of the rays through each voxel, apart from each bin's own factor: coefficients of its spectrum.

    A ray's variance in a bin is pattern / (norm · monitor), with pattern = coefficients @ synthesis + background.

    Attributes
    ----------
    mean : (y, x, rank + 1) mean over the measured rays of coefficients / monitor, and of 1 / monitor
    factors : (rank + 1, bin) synthesis / norm, and background / norm
    """

    mean: Floats
    factors: Floats

    @classmethod
    def of(cls, projector: Projector, coefficients: Floats, weights: ArrayLike, factors: Floats) -> Self:
        """From coefficients / monitor (angle, position, rank + 1) and the rays' weights."""
        rays = np.asarray(weights, np.float32)
        columns = projector.column_sums(rays)
        back = projector.back(np.nan_to_num(coefficients) * rays[..., None])
        return cls(back / np.where(columns > 0, columns, np.nan).astype(np.float32)[..., None], factors)

    def variances(self, gain: NDArray[np.float64], voxels: NDArray[np.intp]) -> Floats:
        """(n, bin) variance of the patterns of voxels, flat indices of (y, x), per µm²; gain is (y, x).

        No bin is known better than QUIETEST of the voxel's mean: one that caught no count is not known exactly.
        """
        return _floored(self._scaled(gain, voxels) @ self.factors)

    def mean_variance(self, gain: NDArray[np.float64], voxels: NDArray[np.intp]) -> Floats:
        """(bin,) mean of `variances` over the voxels that measured rays cross."""
        scaled = self._scaled(gain, voxels)
        crossed = scaled[np.isfinite(scaled).all(axis=1)]
        mean = crossed.sum(axis=0, keepdims=True) / max(len(crossed), 1)
        return np.asarray(_floored(mean @ self.factors)[0])

    def _scaled(self, gain: NDArray[np.float64], voxels: NDArray[np.intp]) -> Floats:
        flat = self.mean.reshape(-1, self.mean.shape[2])[voxels]
        return np.asarray(flat * gain.ravel()[voxels, None].astype(np.float32))


def _floored(variance: Floats) -> Floats:
    known = np.where(np.isfinite(variance), np.maximum(variance, 0), 0)
    return np.asarray(np.maximum(variance, QUIETEST * known.mean(axis=1, keepdims=True)))
