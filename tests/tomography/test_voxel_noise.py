"""Predicted variances against the scatter of repeated noisy scans of a phantom."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import disc_phantom

from stream.analyse.tomography.noise import RayNoise, noise_gain
from stream.analyse.tomography.projector import Projector
from stream.analyse.tomography.sirt import reconstruct

COUNT, ANGLES = 40, np.arange(0, 180, 5.0)
POSITIONS = np.arange(COUNT) - (COUNT - 1) / 2
MATRIX = [(0.0, 0.0, 18.0, 1.0)]


@pytest.mark.parametrize("missing", [0.0, 0.2])
@pytest.mark.parametrize("iterations", [20, 80])
def test_variance_in_the_sample_is_that_of_repeated_scans(missing, iterations):
    rng = np.random.default_rng(9)
    discs = [*MATRIX, *disc_phantom.PARTICLES[2:]]
    sinogram = disc_phantom.sinogram(discs, ANGLES, POSITIONS, 1.0) + 2
    measured = rng.random(sinogram.shape) >= missing
    noise = np.sqrt(sinogram / 50)[..., None] * rng.standard_normal((*sinogram.shape, 128))
    projector = Projector(ANGLES, POSITIONS, 0.0, threads=2)
    scans, _ = reconstruct(projector, (sinogram[..., None] + noise).astype(np.float32), measured, iterations)

    pattern = np.where(measured, sinogram - 1, np.nan)  # a background of 1 was taken off; 50 counts to one of these
    coefficients = np.stack([pattern, np.ones_like(pattern)], axis=-1).astype(np.float32)
    factors = np.array([[1.0, np.nan], [1.0, np.nan]], np.float32) / 50
    ray_noise = RayNoise.of(projector, coefficients, measured, factors)
    gain = noise_gain(projector, measured, iterations)
    predicted = ray_noise.variances(gain, np.arange(COUNT**2))

    inside = np.hypot(POSITIONS[:, None], POSITIONS) < 15
    ratio = predicted[:, 0].reshape(COUNT, COUNT)[inside] / scans.var(axis=2, ddof=1)[inside]
    assert np.median(ratio) == pytest.approx(1.0, abs=0.1)
    assert ratio.std() < 0.25  # 128 scans alone scatter by 0.125
    assert np.array_equal(np.isnan(predicted[:, 0]).reshape(COUNT, COUNT), ~projector.support)
    assert np.isnan(predicted[:, 1]).all()
    voxels = np.flatnonzero(projector.support)
    mean = ray_noise.mean_variance(gain, voxels)
    assert mean[0] == pytest.approx(predicted[voxels, 0].mean(), rel=1e-5)
