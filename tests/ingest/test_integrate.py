"""What an integration leaves out, keeps apart and refuses."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import fabio
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyFAI.detectors import detector_factory
from pyFAI.integrator.azimuthal import AzimuthalIntegrator

from stream.core.config import Background, IntegrationConfig
from stream.core.errors import ConfigError, MessageError, Reject
from stream.ingest.integrate import CpuIntegrator, Geometry, load_background, load_geometry, load_mask
from stream.ingest.integrate.whole import WholePixels

SHAPE = (120, 101)
CONFIG = IntegrationConfig(bins=60, polarization=0.95)


@pytest.fixture(scope="module")
def poni(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("geometry") / "detector.poni"
    detector = detector_factory("Detector", {"pixel1": 1e-4, "pixel2": 1e-4, "max_shape": SHAPE})
    place = {"dist": 0.05, "poni1": 0.004, "poni2": 0.006, "rot1": 0.1}
    AzimuthalIntegrator(**place, detector=detector, wavelength=1e-10).save(str(path))
    return path


@pytest.fixture(scope="module")
def geometry(poni: Path) -> Geometry:
    return load_geometry(poni)


@pytest.fixture(scope="module")
def integrate(geometry: Geometry) -> CpuIntegrator:
    return CpuIntegrator.create(geometry, CONFIG, load_mask(None, geometry))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", ">u2", ">u4"])
def test_marked_pixels_are_left_out(integrate: CpuIntegrator, dtype: str) -> None:
    """A frame that is flat but for its marked pixels has that level in every bin it reaches."""
    image = np.full(SHAPE, 7, dtype=dtype)
    largest = np.iinfo(image.dtype).max
    image[::3] = largest
    image[1::3] = largest - 1
    marked = integrate(image)
    flat = integrate(np.full(SHAPE, 7, dtype="uint16"))
    assert marked.sums.sum() == 7 * SHAPE[0] // 3 * SHAPE[1]
    assert flat.sums.sum() == 7 * SHAPE[0] * SHAPE[1]
    assert marked.norms.sum() == pytest.approx(flat.norms.sum() / 3, rel=0.01)
    nothing = integrate(np.full(SHAPE, largest, dtype=dtype))
    assert not nothing.sums.any()
    assert not nothing.norms.any()


def test_counts_above_the_saturation_are_left_out(integrate: CpuIntegrator) -> None:
    image = np.full(SHAPE, 100, dtype=np.uint16)
    image[:, ::2] = 101
    limited = integrate.for_series(None, 100)
    assert limited(image).sums.sum() == 100 * SHAPE[0] * (SHAPE[1] // 2)
    assert integrate(image).sums.sum() == image.sum()
    assert integrate.for_series(None, 2**40)(image).sums.sum() == image.sum()


def test_the_streams_mask_keeps_the_axis(integrate: CpuIntegrator) -> None:
    mask = np.zeros(SHAPE, dtype=bool)
    mask[:, 50:] = True
    masked = integrate.for_series(mask, None)
    image = np.ones(SHAPE, dtype=np.uint16)
    hidden = np.where(mask, np.uint16(65535), image)
    assert masked.axis == integrate.axis
    np.testing.assert_array_equal(masked(image).sums, integrate(hidden).sums)
    np.testing.assert_array_equal(masked(image).norms, integrate(hidden).norms)
    with pytest.raises(MessageError, match="mask"):
        integrate.for_series(mask[:10], None)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), share=st.floats(0, 1))
def test_bins_that_lose_every_pixel_are_at_zero(integrate: CpuIntegrator, seed: int, share: float) -> None:
    """Norms are exact: leaving pixels out one way or the other gives the same bits."""
    random = np.random.default_rng(seed)
    image = random.integers(0, 2**32, SHAPE, dtype=np.uint32)
    gone = random.random(SHAPE) < share
    image[gone] = 2**32 - 1
    pattern = integrate(image)
    assert isinstance(integrate.layout, WholePixels)
    counts = np.bincount(integrate.layout.bins, weights=~gone.ravel(), minlength=CONFIG.bins + 1)[:-1]
    np.testing.assert_array_equal(pattern.norms > 0, counts > 0)
    other = integrate.for_series(gone, None)(image)
    np.testing.assert_array_equal(pattern.norms, other.norms)
    np.testing.assert_array_equal(pattern.sums, other.sums)


@pytest.mark.parametrize("method", ["bbox", "full"])
def test_bins_that_lose_every_split_pixel_are_at_zero(geometry: Geometry, method: Any) -> None:
    """Marked in the frame, a bin's pixels leave nothing behind; a stream's mask leaves out the same ones."""
    config = CONFIG.model_copy(update={"method": method})
    integrate = CpuIntegrator.create(geometry, config, load_mask(None, geometry))
    random = np.random.default_rng(8)
    for share in (0.1, 0.9, 0.99, 0.999, 1.0):
        gone = random.random(SHAPE) < share
        image = np.where(gone, np.uint32(2**32 - 1), random.poisson(5, SHAPE).astype(np.uint32))
        marked, masked = integrate(image), integrate.for_series(gone, None)(image)
        np.testing.assert_array_equal(marked.norms > 0, masked.norms > 0)
        np.testing.assert_allclose(marked.norms, masked.norms, rtol=1e-5)
        np.testing.assert_array_equal(marked.sums, masked.sums)
        np.testing.assert_array_equal(marked.variances, masked.variances)


@pytest.mark.parametrize(
    "choice", [{}, {"method": "full"}, {"filter": {"sigma_clip": 4}}, {"filter": {"trimmed": (0, 0.1)}}]
)
def test_threads_do_not_disturb_each_other(geometry: Geometry, choice: dict[str, Any]) -> None:
    config = IntegrationConfig(bins=60, **choice)
    integrate = CpuIntegrator.create(geometry, config, load_mask(None, geometry))
    random = np.random.default_rng(5)
    images = [random.poisson(4, SHAPE).astype(np.uint32) for _ in range(40)]
    alone = [integrate(image).sums for image in images]
    with ThreadPoolExecutor(4) as pool:
        together = [pattern.sums for pattern in pool.map(integrate, images)]
    np.testing.assert_array_equal(alone, together)


def test_other_images_are_rejected_with_a_reason(integrate: CpuIntegrator) -> None:
    with pytest.raises(MessageError) as shape:
        integrate(np.zeros((3, 4), dtype=np.uint16))
    assert shape.value.reason is Reject.SHAPE
    with pytest.raises(MessageError) as dtype:
        integrate(np.zeros(SHAPE, dtype=np.int32))
    assert dtype.value.reason is Reject.DTYPE


def test_geometry_of_each_poni_version_and_json(tmp_path: Path, poni: Path, geometry: Geometry) -> None:
    assert geometry.shape == SHAPE
    assert geometry.wavelength == pytest.approx(1.0)
    assert geometry.pixel_size == pytest.approx((1e-4, 1e-4))
    first = "PixelSize1: 0.0001\nPixelSize2: 0.0001\nDetector: Eiger1M\n"
    place = "Distance: 0.05\nPoni1: 0.004\nPoni2: 0.006\nRot1: 0.1\nRot2: 0\nRot3: 0\nWavelength: 1e-10\n"
    second = "poni_version: 2\nDetector: Eiger1M\nDetector_config: {}\n"
    for head in (first, second):
        path = tmp_path / "other.poni"
        path.write_text(head + place)
        other = load_geometry(path)
        assert other.shape == (1065, 1030)
        assert load_mask(None, other).sum() == (1065 - 2 * 514) * 1030  # the gap between the two modules
    inner = {"dist": 0.05, "poni1": 0.004, "poni2": 0.006, "rot1": 0.1, "rot2": 0, "rot3": 0, "wavelength": 1e-10}
    inner |= {"poni_version": 2, "detector": "Eiger1M", "detector_config": {}}
    written = tmp_path / "integrate.json"
    written.write_text(json.dumps({"application": "pyfai-integrate", "version": 5, "poni": inner, "nbpt_rad": 100}))
    assert load_geometry(written).shape == (1065, 1030)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("hello", "dist"),
        ("Detector: Detector\nDistance: 0.1\nPoni1: 0\nPoni2: 0\n", "wavelength"),
        ("Detector: Detector\nDetector_config: {}\nDistance: 0.1\nPoni1: 0\nPoni2: 0\nWavelength: 1e-10", "pixel"),
        ("Detector: Nonesuch\nDistance: 0.1\nPoni1: 0\nPoni2: 0\nWavelength: 1e-10", "pyFAI"),
        ("{", "dist"),
        ('{"dist": 1, "poni1": 2, "poni2": 3, "wavelength"', "wavelength"),
    ],
)
def test_a_file_without_geometry_is_refused(tmp_path: Path, text: str, word: str) -> None:
    path = tmp_path / "wrong.poni"
    path.write_text(text)
    with pytest.raises(ConfigError, match=rf"^detector\.geometry is .*wrong\.poni.*{word}") as error:
        load_geometry(path)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 500


def test_masks(tmp_path: Path, geometry: Geometry) -> None:
    mask = np.zeros(SHAPE, dtype=np.uint8)
    mask[3, 4] = 2
    fabio.edfimage.EdfImage(data=mask).write(str(tmp_path / "mask.edf"))
    np.save(tmp_path / "mask.npy", mask)
    for name in ("mask.edf", "mask.npy"):
        np.testing.assert_array_equal(load_mask(tmp_path / name, geometry), mask != 0)
    np.save(tmp_path / "small.npy", mask[:5])
    (tmp_path / "text.edf").write_text("no image")
    for name in ("small.npy", "text.edf"):
        with pytest.raises(ConfigError, match=r"detector\.mask is .*" + name):
            load_mask(tmp_path / name, geometry)
    with pytest.raises(ConfigError, match="no pixel"):
        CpuIntegrator.create(geometry, CONFIG, np.ones(SHAPE, dtype=bool))
    beyond = CONFIG.model_copy(update={"range": (100.0, 120.0)})
    with pytest.raises(ConfigError, match=r"integration\.range is .*100"):
        CpuIntegrator.create(geometry, beyond, load_mask(None, geometry))


def test_backgrounds(tmp_path: Path, integrate: CpuIntegrator) -> None:
    image = np.full(SHAPE, 12.5, dtype=np.float32)
    image[0, 0] = np.nan
    fabio.edfimage.EdfImage(data=image).write(str(tmp_path / "empty.edf"))
    flat = integrate(np.full(SHAPE, 1, dtype=np.uint16))
    found = load_background(Background(file=tmp_path / "empty.edf", monitor=5.0), integrate)
    reached = flat.norms > 0
    np.testing.assert_allclose(found[reached], 2.5 * flat.sums[reached] / flat.norms[reached], rtol=1e-4)

    centers = integrate.axis.centers
    line = tmp_path / "pattern.xy"
    np.savetxt(line, np.column_stack([centers[5:-5], 3 * centers[5:-5]]), header="2theta intensity")
    found = load_background(Background(file=line, monitor=2.0), integrate)
    np.testing.assert_allclose(found[5:-5], 1.5 * centers[5:-5])
    assert np.isnan(found[:5]).all()
    assert np.isnan(found[-5:]).all()

    for name, text in {"letters.xy": "a b\n", "empty.txt": "", "one.dat": "1\n2\n", "far.xy": "500 1\n501 1\n"}.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(ConfigError, match=r"integration\.background is .*" + name):
            load_background(Background(file=tmp_path / name), integrate)
