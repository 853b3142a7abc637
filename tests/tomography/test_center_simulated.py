"""The rotation axis of the virtual sample, a capillary that fills the scan, by its own error."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import simulated_slice

from stream.analyse.tomography.center import CenterEstimate, find_center

COUNT = 64
ANGLES = np.arange(COUNT) * 180 / COUNT
POSITIONS = np.arange(COUNT) - (COUNT - 1) / 2


def estimate(seed, axis, counts, covered=180.0):
    sums, _ = simulated_slice.rays(COUNT, seed, ANGLES, axis)
    noisy = simulated_slice.counted(sums, counts, np.random.default_rng(seed))
    measured = np.repeat((covered > ANGLES)[:, None], COUNT, axis=1)
    return find_center(np.where(measured, noisy, np.nan), measured, ANGLES, POSITIONS)


@pytest.mark.parametrize("axis", [-1.3, 3.3])
def test_displaced_so_far_that_the_scan_cuts_the_capillary_off(axis):
    found = estimate(1, axis, 2000.0)
    assert found.center_um == pytest.approx(axis, abs=0.1)
    assert found.error < 0.15


@pytest.mark.parametrize("covered", [120.0, 180.0])
def test_the_error_covers_the_truth(covered):
    found = [estimate(seed, 0.3, 500.0, covered) for seed in (1, 2, 3, 4, 5)]
    off = np.array([(e.center_um - 0.3) / e.error for e in found])
    assert np.sqrt(np.mean(off**2)) < 1.75  # five normal draws: chi square of 15 at 1 %
    assert max(e.error for e in found) < 0.25


def test_the_axis_is_followed_when_it_is_known_to_have_moved():
    found = CenterEstimate(center_um=1.0, source="data", error=0.3)
    assert not found.differs(1.5, 1.0)
    assert found.differs(1.7, 1.0)
    sure = CenterEstimate(center_um=1.0, source="data", error=0.01)
    assert not sure.differs(1.05, -1.0)
    assert sure.differs(1.15, -1.0)
