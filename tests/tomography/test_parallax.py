"""Parallax: its bounds against the geometry, its correction against frames of detectors that stand elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pytest
from pyFAI.detectors import Detector as PixelDetector
from pyFAI.integrator.azimuthal import AzimuthalIntegrator

from stream.analyse.tomography.displaced import DisplacedProjector, Resampling, facing, solve_displaced
from stream.analyse.tomography.parallax import parallax_bounds
from stream.analyse.tomography.projector import Projector, blocks
from stream.analyse.tomography.sirt import reconstruct
from stream.analyse.tomography.steps import relative
from stream.core.axis import RadialAxis
from stream.simulate.detector import Detector
from stream.simulate.forward import zone_lengths
from stream.simulate.powder import crystal_pattern, load_lines
from stream.simulate.presets import Crystal

Floats = npt.NDArray[np.float64]
DISTANCE = 118e3  # µm
RADIUS = 50.0


def test_bounds_are_those_of_a_capillary_of_100_um_at_118_mm() -> None:
    """Over a half turn the mean of z is at most 2 r / π; where it is, its standard deviation is r √(1/2 − 4/π²)."""
    y = np.linspace(-RADIUS, RADIUS, 101)
    angles = np.arange(0, 180, 0.25)
    found = parallax_bounds(y, y, angles, np.ones(angles.size), DISTANCE)
    rim = (50, 0)  # y = 0: always on one side of the axis
    assert found.cell[rim] == pytest.approx(2 / np.pi * RADIUS / DISTANCE, rel=5e-3) == pytest.approx(2.7e-4, rel=5e-3)
    assert found.strain[rim] == pytest.approx(1.6e-4, abs=0.05e-4)
    assert found.cell[50, 50] == found.strain[50, 50] == 0
    # across the beam's mean direction the mean vanishes, and the spread is that of a sine
    assert found.cell[0, 50] < 3e-6
    assert found.strain[0, 50] == pytest.approx(np.sqrt(np.pi) / 2 * RADIUS / DISTANCE, rel=1e-2)
    whole = parallax_bounds(y, y, np.arange(0, 360, 2.0), np.ones(180), DISTANCE)
    assert np.nanmax(whole.cell) < 1e-12


def test_bounds_are_of_what_is_measured() -> None:
    y = np.linspace(-RADIUS, RADIUS, 11)
    one = parallax_bounds(y, y, [0.0, 90.0], [1.0, 0.0], DISTANCE)
    np.testing.assert_allclose(one.cell, np.abs(y)[:, None] / DISTANCE * np.ones(11), atol=1e-12)
    np.testing.assert_allclose(one.strain, 0, atol=1e-11)
    assert np.isnan(parallax_bounds(y, y, [0.0], [0.0], DISTANCE).cell).all()


@pytest.mark.parametrize("unit", ["2th_deg", "q_A^-1", "q_nm^-1"])
def test_a_pattern_is_resampled_where_the_detector_sees_it(unit: str) -> None:
    low, high = {"2th_deg": (2, 20), "q_A^-1": (0.3, 3.2), "q_nm^-1": (3, 32)}[unit]
    axis = RadialAxis(unit, low, high, 400, 0.6738)  # type: ignore[arg-type]
    two_theta, depth = axis.two_theta, 400.0

    def smooth(angle: Floats) -> Floats:
        return np.exp(-0.5 * ((angle - np.deg2rad(11)) / np.deg2rad(0.08)) ** 2)

    by = Resampling.seen_from(depth, DISTANCE, axis)
    pattern = smooth(two_theta)
    found = np.array([by.weights[c] @ pattern[by.first[c] : by.first[c] + 16] for c in range(axis.bins)])
    expected = smooth(np.arctan(np.tan(two_theta) * DISTANCE / (DISTANCE - depth)))
    np.testing.assert_allclose(found, expected * (DISTANCE / (DISTANCE - depth)) ** 2, atol=3e-3)


def test_the_adjoint_is_exact() -> None:
    projector = Projector(np.arange(0, 180, 12.0), np.arange(-9.5, 10) * 2.5, 1.0)
    axis = RadialAxis("2th_deg", 1.0, 20.0, 90, 0.6738)
    displaced = DisplacedProjector(projector, axis, 5e3)  # far more than any real one
    rng = np.random.default_rng(1)
    x = rng.standard_normal((20, 20, 90), dtype=np.float32)
    x[~projector.support] = 0
    y = rng.standard_normal((*projector.rays, 90), dtype=np.float32)
    forward = np.concatenate([displaced.forward(x, block).copy() for block in blocks(90)], axis=2)
    back = np.zeros_like(x)
    for block in blocks(90):
        displaced.add_back(y[..., block], block, back)
    one, other = (np.vdot(a.astype(float), b) for a, b in ((forward, y), (back, x)))
    assert one == pytest.approx(other, abs=1e-6 * float(np.linalg.norm(forward) * np.linalg.norm(y)))


def test_at_infinity_it_is_the_projector() -> None:
    projector = Projector(np.arange(0, 180, 20.0), np.arange(-5.5, 6), 0.0)
    displaced = DisplacedProjector(projector, RadialAxis("2th_deg", 1.0, 20.0, 70, 0.6738), 1e12)
    x = np.random.default_rng(2).random((12, 12, 70), dtype=np.float32)
    np.testing.assert_allclose(
        displaced.forward(x, slice(64, 70)), projector.forward(x[..., 64:]), rtol=1e-4, atol=1e-4
    )


COUNT, STEP, ANGLES, ZONES, BINS = 22, 100 / 22, 24, 10, 600


@dataclass(frozen=True)
class Grains:
    """Silicon grains near the rim, on a detector that stands as far from each of them as it does."""

    centers: tuple[tuple[float, float], ...] = ((0, 42), (30, 30), (42, 0), (0, -42), (-42, 0), (-30, 30), (0, 0))

    @cached_property
    def axis(self) -> RadialAxis:
        return RadialAxis("2th_deg", 6.0, 19.0, BINS, 0.6738)

    @cached_property
    def detector(self) -> Detector:
        pixels = PixelDetector(pixel1=75e-6, pixel2=75e-6, max_shape=(400, 420), orientation=3)
        geometry = {"dist": DISTANCE * 1e-6, "poni1": 0.002, "poni2": -0.009}
        return Detector(AzimuthalIntegrator(**geometry, wavelength=0.6738e-10, detector=pixels), 0.99, 1)

    def seen(self, detector: Detector, scale: float = 1.0) -> Floats:
        """The pattern of silicon whose axis is `scale` times as long, as integrated from `detector` (bin,)."""
        lines = load_lines("si", self.detector.grid.d_min)
        pattern = crystal_pattern(lines, Crystal(structure="si"), 1e-3, scale, np.ones(lines.d.size), detector.grid)
        image = detector.images(pattern[None])[0].astype(float)
        angle = np.asarray(self.detector.integrator.array_from_unit(self.detector.shape, "center", "2th_deg")).ravel()
        valid = self.detector.valid.ravel() & (angle > self.axis.low) & (angle < self.axis.high)
        index = ((angle[valid] - self.axis.low) / self.axis.step).astype(int)
        response = np.bincount(index, self.detector._response.ravel()[valid], BINS)
        return np.asarray(np.bincount(index, image[valid], BINS) / response)

    @cached_property
    def projector(self) -> Projector:
        return Projector(np.arange(ANGLES) * 180 / ANGLES, (np.arange(COUNT) - (COUNT - 1) / 2) * STEP, 0.0)

    @cached_property
    def sinogram(self) -> npt.NDArray[np.float32]:
        fine = 2 * COUNT
        y, x = (np.indices((fine, fine)) - (fine - 1) / 2) * STEP / 2
        labels = np.zeros((fine, fine), dtype=np.uint8)
        for cy, cx in self.centers:
            labels[np.hypot(y - cy, x - cx) < 7] = 1
        half = 0.5 * STEP / 2 * np.hypot(fine, fine)
        zones = [self.seen(self.detector.seen_from(z)) for z in ((np.arange(ZONES) + 0.5) / ZONES * 2 - 1) * half]
        p = self.projector
        lengths = [zone_lengths(labels, 2, STEP / 2, w, p.positions_um, STEP, ZONES)[..., 1] for w in p.angles_deg]
        return np.asarray(np.array(lengths) @ np.array(zones), dtype=np.float32)

    @cached_property
    def response(self) -> Floats:
        """Columns: the pattern, and its first and second derivative by Δa/a."""
        at, up, down = (self.seen(self.detector, 1 + change) for change in (0.0, 3e-5, -3e-5))
        return np.stack([at, (up - down) / 6e-5, (up + down - 2 * at) / 9e-10], axis=1)

    def shifts(self, volume: npt.NDArray[np.float32]) -> tuple[Floats, Floats]:
        """Δa/a and its variance in each grain."""
        p = self.projector.positions_um
        found = []
        for cy, cx in self.centers:
            grain = np.hypot(p[:, None] - cy, p - cx) < 5
            first, change, curve = np.linalg.lstsq(self.response, volume[grain].mean(axis=0), rcond=None)[0]
            found.append((change / first, 2 * curve / first - (change / first) ** 2))
        shift, variance = np.array(found).T
        return shift, variance


@pytest.fixture(scope="module")
def grains() -> Grains:
    return Grains()


def test_the_correction_takes_away_what_detectors_elsewhere_feign(grains: Grains) -> None:
    everything = np.ones((ANGLES, COUNT))
    plain, _ = reconstruct(grains.projector, grains.sinogram, everything, 30)
    displaced = DisplacedProjector(grains.projector, grains.axis, DISTANCE)
    right, squares = solve_displaced(displaced, grains.sinogram, everything, 30)
    mirrored = DisplacedProjector(grains.projector, grains.axis, -DISTANCE)
    wrong, worse = solve_displaced(mirrored, grains.sinogram, everything, 10)

    (before, spread), (after, rest), (doubled, _) = map(grains.shifts, (plain, right, wrong))
    expected = np.array([-2 / np.pi * cx for _, cx in grains.centers]) / DISTANCE
    np.testing.assert_allclose(before, expected, atol=0.35 * np.abs(expected).max())
    assert np.abs(before).max() > 1.5e-4
    assert np.abs(after).max() < np.abs(before).max() / 5
    assert np.abs(doubled).max() > 1.5 * np.abs(before).max()  # the sign is that of the geometry
    assert relative(squares)[9] < relative(worse)[9]
    assert rest[:-1].std() < spread[:-1].std() / 2  # each has the same bias, of a fit to second order
    assert np.isnan(right[~grains.projector.support]).all()


@pytest.mark.slow
def test_noisy_data_tell_the_sense_of_the_rotation(grains: Grains) -> None:
    rng = np.random.default_rng(3)
    noisy = (rng.poisson(np.clip(grains.sinogram, 0, None) * (scale := 20 / grains.sinogram.mean())) / scale).astype(
        "f4"
    )
    for turned, sense in ((noisy, 1), (noisy[:, ::-1], -1)):
        found = facing(grains.projector, np.ascontiguousarray(turned), np.ones((ANGLES, COUNT)), grains.axis, DISTANCE)
        assert np.sign(found.distance_um) == sense
