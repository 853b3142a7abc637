"""Robust integration leaves out what pyFAI's does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.pyfai_reference import check, frames_of, intensity, make_poni, reference

from stream.core.config import IntegrationConfig
from stream.ingest.integrate import CpuIntegrator, Geometry, integrate_still, load_geometry, load_mask

SHAPE = (200, 161)
FILTERS: list[dict[str, Any]] = [{"sigma_clip": 3}, {"sigma_clip": 5}, {"trimmed": (0.1, 0.2)}, {"trimmed": (0.25, 0)}]


@pytest.fixture(scope="module")
def geometry(tmp_path_factory: pytest.TempPathFactory) -> Geometry:
    detector = {"pixel1": 1e-4, "pixel2": 1e-4, "max_shape": SHAPE}
    path = tmp_path_factory.mktemp("geometry") / "detector.poni"
    return load_geometry(make_poni(path, "Detector", detector, dist=0.05, poni1=0.008, poni2=0.01, rot1=0.2))


def filtered(geometry: Geometry, image: Any, mask: Any, config: IntegrationConfig) -> Any:
    """What pyFAI's function for the filter makes of the image."""
    assert config.filter is not None
    if config.filter.trimmed is None:
        clip = {"thres": config.filter.sigma_clip, "max_iter": 5, "error_model": "poisson"}
        return reference(geometry, image, mask, config, "sigma_clip", **clip)
    low, high = config.filter.trimmed
    cut = {"percentile": (100 * low, 100 * (1 - high)), "error_model": "poisson"}
    # its python engine keeps the pixels across the cut; the cython one empties small rings and sorts NaN anyhow
    with np.errstate(invalid="ignore"):
        return reference(geometry, image, mask, config, "medfilt1d_ng", "python", **cut)


@pytest.mark.parametrize("robust", FILTERS, ids=str)
@pytest.mark.parametrize("dose", [0.02, 0.5, 10, 3000])
def test_spotty_frames(geometry: Geometry, robust: dict[str, Any], dose: float) -> None:
    random = np.random.default_rng(11)
    image = random.poisson(dose, SHAPE).astype(np.uint32)
    spots = random.random(SHAPE) < 0.01
    image[spots] += random.poisson(40 * dose + 30, spots.sum()).astype(np.uint32)
    image[random.random(SHAPE) < 0.02] = 2**32 - 1
    mask = random.random(SHAPE) < 0.05
    config = IntegrationConfig(bins=80, polarization=0.95, filter=robust)
    integrate = CpuIntegrator.create(geometry, config, mask)
    check(integrate, integrate(image), filtered(geometry, image, mask, config))


@pytest.mark.parametrize("robust", FILTERS, ids=str)
def test_reference_scan(shared_data: Path, robust: dict[str, Any]) -> None:
    scan = shared_data / "scan"
    geometry = load_geometry(scan / "detector.poni")
    mask = load_mask(scan / "mask.edf", geometry)
    config = IntegrationConfig(bins=600, unit="q_A^-1", filter=robust)
    integrate = CpuIntegrator.create(geometry, config, mask)
    for image in frames_of(scan / "scan_v1.cbors", [0, 500]):
        check(integrate, integrate(image), filtered(geometry, image, mask, config))


@pytest.mark.parametrize("robust", FILTERS[1:3], ids=str)
def test_spots_are_gone_and_the_powder_stays(geometry: Geometry, robust: dict[str, Any]) -> None:
    """A few bright spots do not move a flat frame's rings, where without a filter they do."""
    random = np.random.default_rng(3)
    clean = random.poisson(100, SHAPE).astype(np.uint16)
    spotty = np.where(random.random(SHAPE) < 0.002, np.uint16(2000), clean)
    flat: dict[str, Any] = {"bins": 40, "polarization": None, "solid_angle": False, "range": (2.0, 12.0)}
    nothing = np.zeros(SHAPE, dtype=bool)
    integrate = CpuIntegrator.create(geometry, IntegrationConfig(**flat, filter=robust), nothing)
    whole = CpuIntegrator.create(geometry, IntegrationConfig(**flat), nothing)
    assert np.abs(intensity(integrate(spotty)) - intensity(integrate(clean))).max() < 2
    assert np.abs(intensity(whole(spotty)) - intensity(whole(clean))).max() > 10


@pytest.mark.parametrize("robust", FILTERS, ids=str)
def test_pixels_left_out_before_the_filter(geometry: Geometry, robust: dict[str, Any]) -> None:
    """A stream's mask, a saturation and marked pixels take pixels away in the same way."""
    random = np.random.default_rng(7)
    image = random.poisson(5, SHAPE).astype(np.uint16)
    gone = random.random(SHAPE) < 0.3
    integrate = CpuIntegrator.create(geometry, IntegrationConfig(bins=60, filter=robust), np.zeros(SHAPE, dtype=bool))
    masked = integrate.for_series(gone, None)(image)
    bright = integrate.for_series(None, 1000)(np.where(gone, np.uint16(1001), image))
    still = integrate_still(np.where(gone, np.nan, image), integrate, "a still")
    for other in (bright, integrate(np.where(gone, np.uint16(65535), image)), still):
        np.testing.assert_array_equal(other.sums, masked.sums)
        np.testing.assert_array_equal(other.norms, masked.norms)
        np.testing.assert_array_equal(other.variances, masked.sums)
