"""Noise of reconstructed voxels from the variances of the rays.

SIRT spreads the noise of a ray over the voxels along it. To first order a voxel's variance is the mean variance
of the measured rays through it (weighted by their path in the voxel) times a gain that depends on geometry and
iterations alone, not on the sample: var(y, x) = K(y, x) · (Aᵀ W v) / (Aᵀ W 1).

K is found by Monte Carlo through SIRT itself on the same rays: 64 noise sinograms of unit variance on a level so
high that the constraint x ≥ 0 never acts, reconstructed side by side as channels, with a fixed seed. K varies
slowly over the slice, so its 18 % scatter from 64 samples is smoothed away. Where the image is at zero, the
constraint makes the true noise smaller than this.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter

from stream.analyse.tomography.lanes import LANES
from stream.analyse.tomography.projector import Floats, Projector
from stream.analyse.tomography.sirt import reconstruct


def noise_gain(projector: Projector, measured: ArrayLike, iterations: int) -> NDArray[np.float64]:
    """(y, x) variance of a voxel for rays of unit variance, per µm²; NaN outside the field of view.

    One reconstruction of 64 channels: compute it once for a geometry, set of measured rays and iterations.
    """
    support = projector.support
    noise = np.random.default_rng(0).standard_normal((*projector.rays, LANES), dtype=np.float32)
    level = 100 / abs(projector.step_um) * projector.row_sums.astype(np.float32)
    volume, _ = reconstruct(projector, noise + level[..., None], measured, iterations)
    scatter = np.where(support, volume.var(axis=2, dtype=np.float64, ddof=1), 0.0)
    width = projector.count / 20
    smooth = gaussian_filter(scatter, width) / np.maximum(gaussian_filter(support.astype(np.float64), width), 0.1)
    gain: NDArray[np.float64] = np.where(support, smooth, np.nan)
    return gain


def voxel_variance(
    projector: Projector, ray_variances: Floats, measured: ArrayLike, gain: NDArray[np.float64]
) -> Floats:
    """Variance of each voxel and channel, (y, x, channel), per µm²; NaN outside the field of view.

    Parameters
    ----------
    ray_variances : (angle, position, channel), in the sinogram's unit squared; NaN where not known
    measured : (angle, position) bool or ray weights 0..1
    gain : of `noise_gain`, for the same projector, measured rays and iterations
    """
    weight = np.asarray(measured, np.float32)
    columns = projector.column_sums(weight)
    seen = np.where(columns > 0, columns, np.nan)
    variance = projector.back(np.nan_to_num(ray_variances, nan=0.0) * weight[..., None])
    variance *= (gain / seen).astype(np.float32)[..., None]
    return variance
