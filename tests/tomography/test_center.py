"""The rotation axis of analytic sinograms, to 0.1 step."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import disc_phantom

from stream.analyse.tomography.center import find_center

POSITIONS = 40.0 + np.arange(50) - 24.5
OFF_CENTRE = [(7.0, 4.0, 8.0, 0.4), (9.0, 6.0, 3.0, 1.0), (3.0, 2.0, 2.0, 1.2)]
WIDER_THAN_THE_SCAN = [
    (0.0, 0.0, 36.0, 0.3),
    (0.0, 0.0, 33.0, -0.3),
    *disc_phantom.PARTICLES[2:],
    (22.0, 15.0, 4.0, 1.0),
]
TURNS = {
    "0-180": np.arange(0, 181, 4.0),
    "0-174": np.arange(0, 180, 6.0),
    "0-360": np.arange(0, 360, 8.0),
    "unsorted": np.random.default_rng(0).permutation(np.arange(0, 180, 4.0)),
}


def rays(discs, angles, axis, step=1.0):
    return disc_phantom.sinogram(discs, angles, (POSITIONS - axis) * step, step)


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize(
    "discs", [disc_phantom.PARTICLES, OFF_CENTRE, WIDER_THAN_THE_SCAN], ids=["ring", "off", "wide"]
)
def test_complete_data_with_air_scatter_to_a_tenth_of_a_step(turn, discs):
    sinogram = rays(discs, TURNS[turn], 41.3) + 25.0
    found = find_center(sinogram, np.ones(sinogram.shape, bool), TURNS[turn], POSITIONS)
    assert found.source == "data"
    assert found.center_um == pytest.approx(41.3, abs=0.1)


def test_noise_missing_rays_and_monitor_glitches():
    rng = np.random.default_rng(1)
    angles = np.arange(0, 180, 3.0)
    sinogram = rng.poisson(100 * (rays(disc_phantom.PARTICLES, angles, 38.6) + 10.0)) / 100
    sinogram *= np.where(rng.random(sinogram.shape) < 0.005, 3.0, 1.0)
    measured = rng.random(sinogram.shape) > 0.05
    found = find_center(np.where(measured, sinogram, np.nan), measured, angles, POSITIONS)
    assert found.center_um == pytest.approx(38.6, abs=0.1)
    assert 0.005 < found.error < 0.1


@pytest.mark.parametrize("discs", [disc_phantom.PARTICLES, OFF_CENTRE], ids=["ring", "off"])
def test_partial_data_once_120_degrees_are_in(discs):
    angles = np.arange(0, 180, 4.0)
    sinogram = rays(discs, angles, 43.3)  # 3.3 steps from the grid's middle
    measured = np.ones(sinogram.shape, bool)
    measured[angles >= 120] = False
    found = find_center(np.where(measured, sinogram, np.nan), measured, angles, POSITIONS)
    assert found.source == "data"
    assert found.center_um == pytest.approx(43.3, abs=0.1)
    measured[angles >= 112] = False
    found = find_center(sinogram, measured, angles, POSITIONS)
    assert (found.source, found.center_um) == ("grid", 40.0)
    assert np.isnan(found.error)


@pytest.mark.parametrize("step", [-1.0, 0.5])
def test_falling_and_fine_positions(step):
    angles = np.arange(0, 180, 4.0)
    p = (np.arange(50) - 24.5 - 1.7) * step
    discs = [(x * abs(step), y * abs(step), r * abs(step), v) for x, y, r, v in disc_phantom.PARTICLES]
    sinogram = disc_phantom.sinogram(discs, angles, p, step)
    found = find_center(sinogram, np.ones(sinogram.shape), angles, p - 3.0)
    assert found.center_um == pytest.approx(-3.0, abs=0.1 * abs(step))


def test_no_sample_no_axis():
    angles = np.arange(0, 180, 4.0)
    flat = np.full((45, 50), 7.0)
    assert find_center(flat, flat, angles, POSITIONS).source == "grid"
