"""SIRT without x ≥ 0: the image of plain iterations, and a mean that noise does not move."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import disc_phantom

from stream.analyse.tomography.projector import Projector
from stream.analyse.tomography.sirt import reconstruct
from stream.analyse.tomography.steps import RaySet, iterate
from stream.analyse.tomography.unheld import reconstruct_unheld

COUNT, ANGLES = 48, np.arange(0, 180, 6.0)
POSITIONS = np.arange(COUNT) - (COUNT - 1) / 2
PROJECTOR = Projector(ANGLES, POSITIONS, 0.0, threads=2)


@pytest.mark.parametrize("iterations", [1, 20, 100])
def test_the_image_of_so_many_plain_iterations(iterations: int) -> None:
    rays = np.random.default_rng(0).normal(1, 1, (len(ANGLES), COUNT, 3)).astype(np.float32)
    rays[3, 4, 0], rays[..., 1] = np.nan, np.nan
    weights = np.ones((len(ANGLES), COUNT))
    weights[5], weights[7, 3] = 0, 0.3
    plain = np.full((COUNT, COUNT, 3), np.nan, np.float32)
    plain[PROJECTOR.support] = [0, np.nan, 0]
    steps = [RaySet.of(PROJECTOR, weights, PROJECTOR.column_sums(weights))]
    iterate(steps, rays, plain, iterations, nonnegative=False)
    found = reconstruct_unheld(PROJECTOR, rays, weights, iterations)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(plain))
    np.testing.assert_allclose(found, plain, atol=2e-3 * np.nanmax(np.abs(plain)))
    assert np.isnan(reconstruct_unheld(PROJECTOR, rays, 0 * weights, iterations)).all()


def test_noise_takes_nothing_from_what_is_bright() -> None:
    """A weak flank of a line, 64 times with noise: held at zero it loses to its dark surroundings."""
    level, replicates = 0.2, 64
    clean = level * disc_phantom.sinogram(disc_phantom.PARTICLES, ANGLES, POSITIONS, 1.0)[..., None]
    noise = np.random.default_rng(1).normal(0, 2.0, (*clean.shape[:2], replicates))
    rays, everywhere = (clean + noise).astype(np.float32), np.ones(clean.shape[:2])
    inside = disc_phantom.image(disc_phantom.PARTICLES, COUNT, 1.0) == 1
    truth = reconstruct_unheld(PROJECTOR, clean.astype(np.float32), everywhere, 100)[inside].mean()
    unheld = reconstruct_unheld(PROJECTOR, rays, everywhere, 100)[inside].mean(axis=0)
    held = reconstruct(PROJECTOR, rays, everywhere, 100)[0][inside].mean(axis=0)
    assert unheld.mean() == pytest.approx(truth, abs=3 * unheld.std() / np.sqrt(replicates))
    assert held.mean() < 0.97 * truth
