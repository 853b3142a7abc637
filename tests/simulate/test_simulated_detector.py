"""The simulated detector: where lines fall, how broad, how many counts, and what noise."""

import fabio
import numpy as np
import pytest
from pyFAI.detectors import Detector as PixelDetector
from pyFAI.integrator.azimuthal import AzimuthalIntegrator

from stream.core.config.scan import ScanConfig
from stream.core.errors import UsageError
from stream.core.scan import ScanGrid
from stream.simulate.beam import draw_monitor
from stream.simulate.calibrant import calibrant_image, write_image
from stream.simulate.detector import Detector
from stream.simulate.footprint import pixel_means
from stream.simulate.powder import crystal_pattern, load_lines
from stream.simulate.presets import PRESETS, Crystal
from stream.simulate.scan import AIR_SHARE, VirtualScan

ALL_ONES = 65535


def integrator(size=128, tilt=0.02):
    """A 0.3 mm pixel, so that 128 of them reach the angles of a real detector."""
    pixels = PixelDetector(pixel1=3e-4, pixel2=3e-4, max_shape=(size, size))
    return AzimuthalIntegrator(
        dist=0.1, poni1=0.001, poni2=0.0012, rot1=tilt, rot2=-0.01, detector=pixels, wavelength=0.6738e-10
    )


@pytest.fixture(scope="module")
def detector():
    return Detector(integrator(), 0.99, 1)


@pytest.fixture(scope="module")
def scan():
    config = ScanConfig.model_validate(
        {
            "name": "t",
            "angles": {"start": 0.0, "step": 22.5, "count": 8},
            "positions": {"start": -7.5, "step": 1.0, "count": 16},
        }
    )
    return VirtualScan(ScanGrid.from_config(config), integrator(), PRESETS["ncm622-cycled"], seed=7)


def test_a_flat_pattern_shows_solid_angle_and_polarisation(detector):
    image = detector.images(np.ones((1, detector.grid.size))).reshape(detector.shape)
    shape = detector.shape
    expected = detector.integrator.solidAngleArray(shape) * detector.integrator.polarization(shape, 0.99)
    np.testing.assert_allclose(image[detector.valid], expected[detector.valid], rtol=1e-5)
    assert np.all(image[~detector.valid] == 0)


def test_a_pattern_linear_in_angle_is_pyfai_s_angle_of_each_pixel(detector):
    """The footprint is symmetric, so its mean is the angle at the middle; tilt included."""
    image = detector.images(detector.grid.centers[None]).reshape(detector.shape)
    flat = detector.images(np.ones((1, detector.grid.size))).reshape(detector.shape)
    angle = detector.integrator.center_array(detector.shape, unit="2th_rad")
    far = detector.valid & (angle > 0.05)
    np.testing.assert_allclose((image[far] / flat[far]), angle[far], atol=2e-6)


def test_a_line_spreads_as_a_pixel_and_a_gaussian():
    """Means of (2θ - middle)² are the variance of the footprint, whatever way the pixel is turned."""
    step, width, turned = np.deg2rad(0.001), np.deg2rad(0.04), np.linspace(0, np.pi / 2, 9)
    middle = np.deg2rad(np.linspace(9, 11, 9))
    patterns = ((np.arange(20000) + 0.5) * step - middle[:, None]) ** 2
    means = pixel_means(patterns, step, middle, width * np.cos(turned), width * np.sin(turned), 0.25)
    np.testing.assert_allclose(np.diag(means) / width**2, 1 / 12 + 0.25**2, rtol=0.01)


def test_lines_integrated_by_pyfai_lie_at_bragg_angles_and_keep_their_areas(detector):
    lines = load_lines("lab6", detector.grid.d_min)
    crystal = Crystal(structure="lab6", size=100.0)
    pattern = crystal_pattern(lines, crystal, 0.0, 1.0, np.ones(lines.d.size), detector.grid)
    image = detector.images(pattern[None]).reshape(detector.shape)
    result = detector.integrator.integrate1d_ng(
        image,
        600,
        unit="2th_rad",
        mask=~detector.valid,
        correctSolidAngle=True,
        polarization_factor=0.99,
        method=("no", "csr", "cython"),
    )
    for d in lines.d[:4]:
        bragg = 2 * np.arcsin(0.6738 / (2 * d))
        near = np.abs(result.radial - bragg) < 0.012
        weight = np.clip(result.intensity[near] - result.intensity[near].min(), 0, None)
        assert np.average(result.radial[near], weights=weight) == pytest.approx(bragg, abs=2e-4)
        there = np.abs(detector.grid.centers - bragg) < 0.012
        area = pattern[there].sum() * detector.grid.step
        step = result.radial[1] - result.radial[0]
        assert result.intensity[near].sum() * step == pytest.approx(area, rel=0.03)


@pytest.mark.parametrize("mean", [0.02, 0.6, 5.0, 40.0, 900.0])
def test_counts_are_poisson(detector, mean):
    images = np.full((1, detector.valid.size), mean, dtype=np.float32)
    counts = detector.expose(images, np.array([1.0]), 99)[detector.valid].astype(np.float64)
    n = counts.size
    assert counts.mean() == pytest.approx(mean, abs=5 * np.sqrt(mean / n))
    spread = np.sqrt((mean + 2 * mean**2) / n)  # standard deviation of the variance of n Poisson counts
    assert counts.var() == pytest.approx(mean, abs=5 * spread)
    if mean < 1:
        assert (counts == 0).mean() == pytest.approx(np.exp(-mean), abs=5 * np.sqrt(np.exp(-mean) / n))


def test_neighbouring_pixels_and_frames_are_independent(detector):
    images = np.full((1, detector.valid.size), 0.6, dtype=np.float32)
    frames = [detector.expose(images, np.array([1.0]), key).astype(float) for key in (1, 2)]
    valid = detector.valid[:, 1:] & detector.valid[:, :-1]
    limit = 5 / np.sqrt(valid.sum())
    assert abs(np.corrcoef(frames[0][:, 1:][valid], frames[0][:, :-1][valid])[0, 1]) < limit
    assert abs(np.corrcoef(frames[0][detector.valid], frames[1][detector.valid])[0, 1]) < limit


def test_gaps_dead_and_noisy_pixels_are_all_ones(detector):
    assert set(np.unique(detector.pixel_mask)) == {0, 1, 2, 16}
    frame = detector.expose(np.ones((1, detector.valid.size), dtype=np.float32), np.array([1.0]), 5)
    np.testing.assert_array_equal(frame == ALL_ONES, ~detector.valid)
    assert (detector.pixel_mask[63:65] == 1).all()  # the gap in the middle


def test_gaps_are_those_of_a_known_detector():
    known = AzimuthalIntegrator(dist=0.1, detector="Pilatus 300k", wavelength=0.7e-10)
    made = Detector(known, 0.99, 1)
    assert known.detector.mask.any()
    np.testing.assert_array_equal(made.pixel_mask == 1, known.detector.mask != 0)


def test_the_scan_has_its_dose_and_the_air_its_share(scan):
    frames = [scan.frame(n)[0] for n in range(scan.grid.size)]
    counts = np.mean([frame[scan.detector.valid].mean() for frame in frames])
    assert counts == pytest.approx(0.6, rel=0.02)
    air = scan._images[-1][scan.detector.valid.ravel()].mean()
    assert air == pytest.approx(0.6 * AIR_SHARE, rel=1e-3)


def test_a_frame_has_the_counts_its_ray_makes_one_expect(scan):
    frame, appendix = scan.frame(20)
    amounts = scan.amounts(0, 1)[4]
    images = scan._images.reshape(len(amounts) + 1, *scan.detector.shape)[:, scan.detector.valid]
    expected = appendix["i0"] * (np.append(amounts, 1.0) @ images).sum()
    total = frame[scan.detector.valid].sum()
    assert total == pytest.approx(expected, abs=5 * np.sqrt(expected) + 0.005 * expected)
    assert (appendix["slice"], appendix["angle"], appendix["position"]) == (0.0, 22.5, -3.5)


def test_the_same_seed_gives_the_same_frames_and_another_one_others(scan):
    again = VirtualScan(scan.grid, integrator(), PRESETS["ncm622-cycled"], seed=7)
    other = VirtualScan(scan.grid, integrator(), PRESETS["ncm622-cycled"], seed=8)
    for n in (90, 3):  # in any order
        assert np.array_equal(scan.frame(n)[0], again.frame(n)[0])
        assert scan.frame(n)[1] == again.frame(n)[1]
    assert not np.array_equal(scan.frame(3)[0], other.frame(3)[0])


def test_a_frame_beyond_the_grid_is_refused(scan):
    with pytest.raises(IndexError, match="frame 128 is beyond the 128 grid points"):
        scan.frame(128)


def test_the_monitor_drifts_and_a_dump_has_no_beam():
    intensity, reading = draw_monitor(1000, 3, 0.1)
    dark = intensity == 0
    assert dark.sum() == 100
    assert np.ptp(np.flatnonzero(dark)) == 99
    assert np.all(reading[dark] == 0)
    assert intensity[~dark].mean() == pytest.approx(1.0, abs=0.02)
    assert np.ptp(intensity[~dark]) > 0.04
    np.testing.assert_allclose(reading[~dark], intensity[~dark], rtol=0.005)


@pytest.mark.parametrize(("name", "suffix"), [("LaB6", ".edf"), ("CeO2", ".tif"), ("si", ".tiff")])
def test_a_line_standard_is_written_and_read_back(detector, tmp_path, name, suffix):
    image = calibrant_image(detector, name, 4)
    write_image(image, tmp_path / f"standard{suffix}")
    with fabio.open(str(tmp_path / f"standard{suffix}")) as file:
        read = file.data
    np.testing.assert_array_equal(read, image)
    assert np.all(read[~detector.valid] == 2**32 - 1)
    assert read[detector.valid].mean() == pytest.approx(20.0, rel=0.02)
    result = detector.integrator.integrate1d_ng(
        np.where(detector.valid, image, 0), 600, unit="2th_rad", mask=~detector.valid
    )
    first = 2 * np.arcsin(0.6738 / (2 * load_lines(name.lower(), 1.0).d[0]))
    near = np.abs(result.radial - first) < 0.015
    assert result.radial[near][result.intensity[near].argmax()] == pytest.approx(first, abs=0.003)


def test_an_unknown_standard_and_file_type_are_named(detector, tmp_path):
    with pytest.raises(UsageError, match="'NaCl' is not known; there are LaB6, CeO2, Si"):
        calibrant_image(detector, "NaCl", 1)
    with pytest.raises(UsageError, match=r"frame\.png: the suffix must be one of \.edf"):
        write_image(np.zeros((2, 2), dtype=np.uint32), tmp_path / "frame.png")
