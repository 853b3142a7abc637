"""What the bins see of 2θ, against the pixels themselves."""

from pathlib import Path

import numpy as np
import pytest
from helpers.chain import write_poni

from stream.analyse.crystal.response import Response
from stream.core.config import IntegrationConfig, Method
from stream.ingest.integrate import CpuIntegrator, Geometry, load_geometry

BINS, PIXEL, DISTANCE = 150, 300e-6, 0.1


@pytest.fixture(scope="module")
def geometry(tmp_path_factory: pytest.TempPathFactory) -> Geometry:
    path: Path = tmp_path_factory.mktemp("response") / "detector.poni"
    write_poni(path, (128, 128), PIXEL, DISTANCE, rot1=0.0, rot2=0.0)
    return load_geometry(path)


@pytest.mark.parametrize("unit", ["2th_deg", "q_A^-1"])
def test_mean_and_variance_of_each_bin(geometry: Geometry, unit: str) -> None:
    plain = IntegrationConfig(bins=BINS, unit=unit, solid_angle=False, polarization=None)  # type: ignore[arg-type]
    mask = np.zeros(geometry.shape, dtype=bool)
    found = Response.of(geometry, plain, mask)
    axis = CpuIntegrator.create(geometry, plain, mask).axis
    two_theta = geometry.positions("2th_deg").ravel()
    edges = axis.two_theta_edges
    bins = np.clip(np.searchsorted(edges, two_theta, side="right") - 1, 0, BINS - 1)
    count = np.bincount(bins, minlength=BINS)
    full = count > 20
    mean = np.bincount(bins, two_theta, BINS) / np.maximum(count, 1)
    variance = np.bincount(bins, (two_theta - mean[bins]) ** 2, BINS) / np.maximum(count, 1)
    flat = np.cos(axis.two_theta) ** 2
    step = np.diff(edges)
    assert np.abs(found.shift - (mean - axis.two_theta))[full].max() < 0.01 * step.mean()
    # a pixel's own variance does not depend on where it lies on a ring
    pixel = (PIXEL / DISTANCE * flat) ** 2 / 12
    seen, box = found.seen(axis.two_theta)
    usual = step**2 / 12 + box**2 / 12 + np.deg2rad(np.deg2rad(found.rest)) * seen**2
    expected = variance + (mean - axis.two_theta) ** 2 + pixel - usual
    assert np.abs(found.excess - expected)[full].max() < 0.02 * usual.mean()


def test_a_pixel_is_a_box_and_a_gaussian_of_its_variance(geometry: Geometry) -> None:
    found = Response.of(geometry, IntegrationConfig(bins=BINS), np.zeros(geometry.shape, dtype=bool))
    pixel = np.rad2deg(PIXEL / DISTANCE)
    assert found.pixel**2 / 12 + found.rest == pytest.approx(pixel**2 / 12, rel=0.01)
    assert 0.84 < found.pixel / pixel < 0.94  # a quarter ring to its corner: 45° alone is 0.84, all azimuths 0.93


def test_each_ring_of_a_tilted_detector_has_its_own_pixel(tmp_path: Path) -> None:
    """Of the pixels whose middle is near a ring: what their edges cover of 2θ, by differences of 2θ itself."""
    write_poni(tmp_path / "detector.poni", (256, 256), 150e-6, DISTANCE, rot1=-0.04, rot2=0.03)
    geometry = load_geometry(tmp_path / "detector.poni")
    plain = IntegrationConfig(bins=1200, solid_angle=False, polarization=None)
    found = Response.of(geometry, plain, np.zeros(geometry.shape, dtype=bool))
    two_theta = geometry.positions("2th_deg")
    edges = np.stack(np.gradient(two_theta)).reshape(2, -1)
    lengths = []
    for ring in np.deg2rad([6.0, 12.0, 18.0, 23.0]):
        near = np.abs(two_theta.ravel() - ring) < np.deg2rad(0.2)
        seen, box = found.seen(ring)
        lengths.append(float(np.sqrt(np.mean(np.sum(edges[:, near] ** 2, axis=0))) / seen))
        assert box == pytest.approx(np.mean(np.sum(edges[:, near] ** 4, axis=0)) ** 0.25, rel=0.01)
    np.testing.assert_allclose(lengths, lengths[0], rtol=3e-3)  # cos²2θ alone is 3 % off
    untilted = np.cos(np.deg2rad([6.0, 23.0])) ** 2
    assert np.ptp(found.seen(np.deg2rad([6.0, 23.0]))[0] / untilted) > 0.02


@pytest.mark.parametrize("method", ["no", "bbox", "full"])
def test_every_range_has_the_boxes_of_all_of_the_detector(tmp_path: Path, method: Method) -> None:
    """A tilted one, whose outer rings see other widths than the inner ones: one instrument serves both."""
    write_poni(tmp_path / "detector.poni", (256, 256), 150e-6, DISTANCE, rot1=-0.1, rot2=0.06)
    geometry = load_geometry(tmp_path / "detector.poni")
    none = np.zeros(geometry.shape, dtype=bool)
    plain = IntegrationConfig(bins=900, method=method)
    whole = Response.of(geometry, plain, none)
    for limits in ((3.0, 8.0), (14.0, 20.0)):
        part = Response.of(geometry, plain.model_copy(update={"range": limits, "bins": 300}), none)
        assert part.pixel == pytest.approx(whole.pixel, rel=1e-3)
        assert part.rest == pytest.approx(whole.rest, rel=0.01)
        inside = np.deg2rad(np.linspace(*limits, 50))
        np.testing.assert_allclose(part.seen(inside), whole.seen(inside), rtol=5e-3)
        assert part.shift.shape == part.excess.shape == (300,)


def test_split_pixels_are_wider(geometry: Geometry) -> None:
    mask = np.zeros(geometry.shape, dtype=bool)
    found = {m: Response.of(geometry, IntegrationConfig(bins=BINS, method=m), mask) for m in ("no", "bbox", "full")}  # type: ignore[arg-type]
    assert found["full"].pixel == pytest.approx(2**0.25 * found["no"].pixel, rel=1e-3)
    assert found["bbox"].pixel > found["full"].pixel
    whole = found["full"].pixel ** 2 / 12 + found["full"].rest
    inner = slice(10, BINS - 30)
    assert np.abs(np.median(found["full"].excess[inner])) < 0.05 * np.deg2rad(np.deg2rad(whole))
