"""Planted drift and jitter of the axis, in sinograms made by the simulator."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import simulated_slice

from stream.analyse.tomography.alignment import find_alignment
from stream.analyse.tomography.prediction import predict

COUNT = 48
ANGLES = np.arange(COUNT) * 180 / COUNT
POSITIONS = np.arange(COUNT) - (COUNT - 1) / 2
TIME = np.linspace(-1, 1, COUNT)
JITTER = 0.3 * np.random.default_rng(11).standard_normal(COUNT)


def seen(shift):
    """What of displacements is neither another axis nor another place of the sample."""
    omega = np.deg2rad(ANGLES)
    free = np.column_stack([np.ones(COUNT), np.cos(omega), np.sin(omega)])
    return shift - free @ np.linalg.lstsq(free, shift, rcond=None)[0]


def measured(shift, step=1.0, counts=1e4, weights=None):
    sums, _ = simulated_slice.rays(COUNT, 2, ANGLES, shift)
    sums = simulated_slice.counted(sums, counts, np.random.default_rng(0))
    positions = POSITIONS * abs(step)
    if step < 0:
        sums, positions = sums[:, ::-1], positions[::-1]
    weights = np.ones(sums.shape) if weights is None else weights
    sums = np.where(weights > 0, sums, 1e6)
    predicted = predict(sums, weights, ANGLES, positions, 0.0)
    return find_alignment(sums, weights, predicted, ANGLES, positions, 0.0, np.arange(COUNT))


@pytest.mark.parametrize("step", [1.0, -0.5])
def test_jitter(step):
    found = measured(JITTER, step)
    planted = seen(JITTER) * abs(step)
    assert np.std(found.shift_um - planted) < 0.05 * abs(step)
    assert found.error_um < 0.05 * abs(step)
    assert found.jitter_um == pytest.approx(0.3 * abs(step), rel=0.25)  # 48 draws, less three of freedom
    assert found.worst == np.abs(planted).argmax()


def test_drift_and_its_jitter():
    found = measured(0.6 * TIME**3 + 0.3 * JITTER)
    assert found.drift_um == pytest.approx(np.ptp(seen(0.6 * TIME**3)), abs=0.15)
    assert found.jitter_um == pytest.approx(0.09, rel=0.35)


def test_nothing_is_found_where_nothing_is():
    found = measured(np.zeros(COUNT))
    assert found.drift_um < 0.1
    assert found.jitter_um < 0.03
    assert np.abs(found.shift_um).max() < 4 * found.error_um


def test_another_axis_is_no_drift():
    found = measured(np.full(COUNT, 0.2) + 0.1 * np.cos(np.deg2rad(ANGLES)))
    assert found.drift_um < 0.1
    assert found.jitter_um < 0.03


def test_lost_projections_are_not_known_and_glitches_do_not_matter():
    weights = (np.random.default_rng(3).random((COUNT, COUNT)) > 0.05).astype(float)
    weights[10:13] = 0
    found = measured(JITTER, weights=weights)
    assert np.isnan(found.shift_um[10:13]).all()
    left = np.isfinite(found.shift_um)
    assert np.std((found.shift_um - seen(JITTER))[left]) < 0.12


def test_too_few_projections_tell_nothing():
    few = np.ones((8, COUNT))
    assert find_alignment(few, few, few, ANGLES[:8], POSITIONS, 0.0, np.arange(8)) is None
