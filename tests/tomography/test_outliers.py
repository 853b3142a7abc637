"""Planted glitches, monitor lines and stripes are weighted down; a clean sample, with all its edges, is not."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import disc_phantom, simulated_slice

from stream.analyse.tomography.outliers import find_outliers
from stream.analyse.tomography.projector import Projector
from stream.analyse.tomography.sirt import reconstruct
from stream.core.scan import angle_sequence

COUNT, SEED, AXIS = 64, 3, 0.3
ANGLES = np.arange(COUNT) * 180 / COUNT
POSITIONS = np.arange(COUNT) - (COUNT - 1) / 2
ALL = np.ones((COUNT, COUNT))


def error(sums, weights, seed=SEED):
    """Root mean square error of the reconstruction within the field of view, relative to the truth."""
    projector = Projector(ANGLES, POSITIONS, AXIS)
    _, air = simulated_slice.rays(COUNT, seed, ANGLES, AXIS)
    ours = reconstruct(projector, (sums - air)[..., None].astype(np.float32), weights, 60)[0][..., 0]
    truth, inside = simulated_slice.image(COUNT, seed), projector.support
    return float(np.linalg.norm((ours - truth)[inside]) / np.linalg.norm(truth[inside]))


def clean(seed=SEED, counts=2000.0, axis=AXIS):
    sums, _ = simulated_slice.rays(COUNT, seed, ANGLES, axis)
    return simulated_slice.counted(sums, counts, np.random.default_rng(seed)) if counts else sums


@pytest.mark.parametrize(("seed", "counts"), [(1, 2000.0), (3, 0.0)], ids=["noise", "exact"])
def test_clean_rays_keep_their_weight(seed, counts):
    sums = clean(seed, counts)
    found = find_outliers(sums, ALL, ANGLES, POSITIONS, AXIS)
    assert (found.weights < 1).mean() < 1e-3
    assert not found.projections
    assert not found.positions
    assert error(sums, found.weights, seed) < 1.002 * error(sums, ALL, seed)


@pytest.mark.parametrize("measured", [COUNT // 2, COUNT * 3 // 4])
def test_of_a_scan_that_was_ended_early_no_projection_is_an_outlier(measured):
    """Those that were not measured tell nothing of what is usual."""
    known = np.zeros((COUNT, COUNT))
    known[angle_sequence(COUNT, "golden")[:measured]] = 1
    found = find_outliers(clean(2), known, ANGLES, POSITIONS, AXIS)
    assert not found.projections
    assert (found.weights[known > 0] < 1).mean() < 5e-3


def test_a_capillary_that_the_scan_cuts_off_is_no_outlier():
    found = find_outliers(clean(counts=1e5, axis=3.3), ALL, ANGLES, POSITIONS, 3.3)
    assert (found.weights < 1).mean() < 1e-3


def test_the_walls_of_a_capillary_about_the_axis_are_no_stripes():
    """However sharp they are against all the edges that move with the angle."""
    walls = [(0.0, 0.0, 0.45, 0.3), (0.0, 0.0, 0.40, -0.2), (0.15, 0.1, 0.12, 1.0), (-0.18, 0.15, 0.08, 0.7)]
    count, angles = 96, np.arange(0, 180, 2.0)
    discs = [(count * x, count * y, count * radius, value) for x, y, radius, value in walls]
    sums = disc_phantom.sinogram(discs, angles, np.arange(count) - (count - 1) / 2, 1.0) + 3.0
    sums = simulated_slice.counted(sums, 1e5, np.random.default_rng(0))
    found = find_outliers(sums, np.ones(sums.shape), angles, np.arange(count) - (count - 1) / 2, 0.0)
    assert not found.positions
    assert not found.projections


def test_what_is_planted_is_found_and_the_error_falls():
    rng = np.random.default_rng(5)
    sums = clean(counts=1e5)
    spikes, lines, stripes = rng.random(sums.shape) < 0.005, [7, 30, 52], [30, 39]
    planted = np.where(spikes, 5, 1) * sums
    planted[lines] *= np.array([1.2, 0.8, 1.2])[:, None]
    planted[:, stripes] *= 1.05
    found = find_outliers(planted, ALL, ANGLES, POSITIONS, AXIS)
    assert found.projections == lines
    assert set(stripes) <= set(found.positions)
    assert set(found.positions) <= {s + d for s in stripes for d in (-1, 0, 1)}
    assert (found.weights[spikes] < 0.7).all()
    others = ~spikes
    others[lines] = others[:, found.positions] = False
    assert (found.weights[others] < 1).mean() < 1e-3
    assert found.rays <= spikes.sum() + 2
    by_hand = np.where(spikes, 0.0, 1.0)
    by_hand[lines] = by_hand[:, stripes] = 0
    assert error(planted, found.weights) < 1.02 * error(planted, by_hand) < 0.3 * error(planted, ALL)


def test_stripes_alone_and_the_same_answer_twice():
    sums = clean(counts=1e5)
    sums[:, [24, 45]] *= 1.1
    found = find_outliers(sums, ALL, ANGLES, POSITIONS, AXIS)
    assert {24, 45} <= set(found.positions)
    assert not found.projections
    assert error(sums, found.weights) < 0.99 * error(sums, ALL)  # two of 64 positions
    again = find_outliers(sums, ALL, ANGLES, POSITIONS, AXIS)
    assert np.array_equal(found.weights, again.weights)


def test_missing_rays_weigh_nothing_and_order_does_not_matter():
    rng = np.random.default_rng(2)
    measured = rng.random(ALL.shape) > 0.1
    measured[20:24] = False
    sums = np.where(measured, clean(), np.nan)
    found = find_outliers(sums, measured, ANGLES, POSITIONS, AXIS)
    assert (found.weights[~measured] == 0).all()
    assert (found.weights[measured] < 1).mean() < 2e-3
    order = rng.permutation(COUNT)
    shuffled = find_outliers(sums[order], measured[order], ANGLES[order], POSITIONS, AXIS)
    np.testing.assert_allclose(shuffled.weights, found.weights[order], atol=1e-2)


def test_too_few_projections_tell_nothing():
    assert find_outliers(clean()[:8], ALL[:8], ANGLES[:8], POSITIONS, AXIS) is None
    assert find_outliers(0 * ALL, ALL, ANGLES, POSITIONS, AXIS) is None


def test_a_sharp_disc_off_the_axis():
    discs = [(10.0, 5.0, 12.0, 1.0)]
    sums = disc_phantom.sinogram(discs, ANGLES, POSITIONS, 1.0) + 3.0
    assert (find_outliers(sums, ALL, ANGLES, POSITIONS, 0.0).weights < 1).mean() < 1e-3
