"""Integrated patterns equal pyFAI's on recorded frames: one bin a pixel, and pixels split over bins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401
import numpy as np
import pytest
from helpers.pyfai_reference import UNITS, check, frames_of, make_poni, reference

from stream.core.config import IntegrationConfig
from stream.core.messages import EncodedArray, Image, Pattern
from stream.core.wire import decode, decompress
from stream.ingest.integrate import CpuIntegrator, integrate_still, load_geometry, load_mask, read_image

METHODS = ["no", "bbox", "full"]


CASES: list[tuple[dict[str, float], float | None, bool, tuple[float, float] | None]] = [
    ({}, None, False, None),
    ({"rot1": 0.15, "rot2": -0.1, "rot3": 0.3}, 0.99, True, None),
    ({"rot1": -0.4, "poni1": 0.2, "dist": 0.08}, -0.5, True, None),
    ({"rot2": 0.2}, 0.95, True, (0.2, 0.8)),
]
"""Tilt, polarisation, solid angle, and the share of the axis that the range takes."""


@pytest.mark.parametrize(
    ("method", "unit", "case"),
    [
        *[("no", unit, case) for unit in UNITS for case in CASES],
        *[(method, UNITS[i % 3], case) for method in METHODS[1:] for i, case in enumerate(CASES)],
    ],
)
def test_recorded_eiger_frames(
    recordings: Path,
    tmp_path: Path,
    method: Any,
    unit: Any,
    case: Any,
) -> None:
    tilt, polarization, solid_angle, limits = case
    geometry = load_geometry(make_poni(tmp_path / "eiger.poni", "Eiger1M", **tilt))
    mask = load_mask(None, geometry)
    mask[300:330, 200:600] = True
    plain = IntegrationConfig(unit=unit, bins=800, polarization=polarization, solid_angle=solid_angle, method=method)
    whole = CpuIntegrator.create(geometry, plain, mask).axis
    span = whole.high - whole.low
    cut = None if limits is None else (whole.low + limits[0] * span, whole.low + limits[1] * span)
    config = plain.model_copy(update={"range": cut})
    integrate = CpuIntegrator.create(geometry, config, mask)
    for image in frames_of(recordings / "dectris_v1" / "v1_eiger1_1M_basic.cbors", [0, 5]):
        check(integrate, integrate(image), reference(geometry, image, mask, config))


@pytest.mark.parametrize("method", METHODS)
def test_recorded_eiger2_frame(recordings: Path, tmp_path: Path, method: Any) -> None:
    event = decode([(recordings / "dectris_v2" / "image.cbor").read_bytes()])
    assert isinstance(event, Image)
    image = decompress(next(iter(event.channels.values())))[1500:2700, 1300:2900]  # a corner of it keeps the test short
    detector = {"pixel1": 75e-6, "pixel2": 75e-6, "max_shape": image.shape}
    geometry = load_geometry(make_poni(tmp_path / "eiger.poni", "Detector", detector, rot1=0.05))
    mask = load_mask(None, geometry)
    config = IntegrationConfig(bins=1500, method=method)
    integrate = CpuIntegrator.create(geometry, config, mask)
    check(integrate, integrate(image), reference(geometry, image, mask, config))


@pytest.mark.parametrize("method", ["no", pytest.param("bbox", marks=pytest.mark.slow), "full"])
def test_recorded_eiger_4m_chunk(shared_data: Path, tmp_path: Path, method: Any) -> None:
    """The detector's own compressed bytes, three frames together."""
    with h5py.File(shared_data / "eiger_h5" / "hdf5plugin_bitshuffle.h5") as file:
        data = file["entry/data/data"]
        image, blob = data[0], data.id.read_direct_chunk((0, 0, 0))[1]
    array = EncodedArray(
        shape=image.shape, dtype=image.dtype, algorithm="bslz4", element_size=image.itemsize, data=blob
    )
    geometry = load_geometry(make_poni(tmp_path / "eiger.poni", "Eiger4M", rot1=0.1, rot2=-0.05))
    mask = load_mask(None, geometry)
    mask[900:960, 400:1200] = True
    config = IntegrationConfig(bins=1000, polarization=0.95, method=method)
    integrate = CpuIntegrator.create(geometry, config, mask)
    expected = reference(geometry, image, mask, config)
    for pattern in integrate.many([array] * 3):
        assert isinstance(pattern, Pattern)
        check(integrate, pattern, expected)


@pytest.mark.parametrize(
    ("method", "unit"),
    [*[("no", unit) for unit in UNITS], ("bbox", "q_A^-1"), ("full", "2th_deg"), ("full", "q_nm^-1")],
)
def test_reference_scan(shared_data: Path, method: Any, unit: Any) -> None:
    scan = shared_data / "scan"
    geometry = load_geometry(scan / "detector.poni")
    mask = load_mask(scan / "mask.edf", geometry)
    config = IntegrationConfig(unit=unit, bins=1200, polarization=0.95, method=method)
    integrate = CpuIntegrator.create(geometry, config, mask)
    for image in [*frames_of(scan / "scan_v1.cbors", [0, 500, 959]), read_image(scan / "lab6.edf", "lab6.edf")]:
        expected = reference(geometry, image, mask, config)
        check(integrate, integrate(image), expected)
        check(integrate, integrate_still(image, integrate, "lab6.edf"), expected)


@pytest.mark.parametrize("method", METHODS)
def test_error_is_pyfais_for_the_variance_of_the_counts(shared_data: Path, method: Any) -> None:
    """A frame's variance is its counts; pyFAI takes it so when told (its own model starts at 1)."""
    scan = shared_data / "scan"
    geometry = load_geometry(scan / "detector.poni")
    mask = load_mask(scan / "mask.edf", geometry)
    config = IntegrationConfig(bins=600, polarization=0.95, method=method)
    integrate = CpuIntegrator.create(geometry, config, mask)
    (sparse,) = frames_of(scan / "scan_v1.cbors", [500])
    valid = sparse < np.iinfo(sparse.dtype).max - 1
    assert (sparse[valid] == 0).any()
    cases = [
        (sparse, {"variance": np.where(valid, sparse, 0).astype(np.float32)}),
        (np.where(valid, sparse + 1, sparse).astype(sparse.dtype), {"error_model": "poisson"}),
    ]
    for image, options in cases:
        pattern, expected = integrate(image), reference(geometry, image, mask, config, **options)
        reached = pattern.norms > 0
        sigma = np.sqrt(pattern.variances[reached]) / pattern.norms[reached]
        np.testing.assert_allclose(sigma, expected.sem[reached], rtol=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_random_geometries(tmp_path: Path, method: Any) -> None:
    """Non-square pixels, a beam far off the detector, steep tilts, every width of the bins' numbers."""
    random = np.random.default_rng(20240611)
    for n in range(8):
        shape = tuple(int(size) for size in random.integers(50, 200, 2))
        pixels = {"pixel1": float(random.uniform(5e-5, 2e-4)), "pixel2": float(random.uniform(5e-5, 2e-4))}
        place = {
            "dist": float(random.uniform(0.01, 0.3)),
            "poni1": float(random.uniform(-0.02, 0.04)),
            "poni2": float(random.uniform(-0.02, 0.04)),
            **{rot: float(random.uniform(-0.6, 0.6)) for rot in ("rot1", "rot2", "rot3")},
        }
        poni = make_poni(tmp_path / f"{n}.poni", "Detector", {**pixels, "max_shape": shape}, **place)
        geometry = load_geometry(poni)
        mask = random.random(shape) < 0.1
        config = IntegrationConfig(
            unit=UNITS[n % 3],
            bins=(50, 300, 70_000 if method == "no" else 3000)[n % 3],
            polarization=0.7,
            method=method,
        )
        integrate = CpuIntegrator.create(geometry, config, mask)
        image = random.poisson(3, shape).astype([np.uint8, np.uint16, np.uint32][n % 3])
        image[random.random(shape) < 0.05] = np.iinfo(image.dtype).max
        check(integrate, integrate(image), reference(geometry, image, mask, config))


@pytest.mark.parametrize("place", [0.0064, 0.00645, 0.006437])  # a corner of four pixels, a pixel's middle, neither
@pytest.mark.parametrize("method", METHODS)
def test_the_beam_meets_the_detector(tmp_path: Path, method: Any, place: float) -> None:
    poni = make_poni(
        tmp_path / "beam.poni",
        "Detector",
        {"pixel1": 1e-4, "pixel2": 1e-4, "max_shape": (128, 128)},
        dist=0.16,
        poni1=place,
        poni2=place,
        rot1=0.0,
        rot2=0.0,
        rot3=0.0,
    )
    geometry = load_geometry(poni)
    config = IntegrationConfig(bins=200, polarization=0.95, method=method)
    integrate = CpuIntegrator.create(geometry, config, np.zeros((128, 128), dtype=bool))
    image = np.random.default_rng(3).poisson(5, (128, 128)).astype(np.uint16)
    check(integrate, integrate(image), reference(geometry, image, np.zeros((128, 128), dtype=bool), config))
    assert integrate.axis.low >= 0
    assert integrate.axis.spacings[1] > 30
