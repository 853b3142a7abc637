"""Predicted variances against the scatter of repeated noisy scans of a phantom."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import disc_phantom

from stream.analyse.tomography.noise import noise_gain, voxel_variance
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
    variance = np.where(measured, sinogram / 50, np.nan)
    noise = np.sqrt(sinogram / 50)[..., None] * rng.standard_normal((*sinogram.shape, 128))
    projector = Projector(ANGLES, POSITIONS, 0.0, threads=2)
    scans, _ = reconstruct(projector, (sinogram[..., None] + noise).astype(np.float32), measured, iterations)

    gain = noise_gain(projector, measured, iterations)
    predicted = voxel_variance(projector, variance[..., None].astype(np.float32), measured, gain)[..., 0]

    seen = scans.var(axis=2, ddof=1)
    inside = np.hypot(POSITIONS[:, None], POSITIONS) < 15
    ratio = predicted[inside] / seen[inside]
    assert np.median(ratio) == pytest.approx(1.0, abs=0.1)
    assert ratio.std() < 0.25  # 128 scans alone scatter by 0.125
    assert np.array_equal(np.isnan(predicted), ~projector.support)
