"""Frames that are integrated together, block by block, give the bits of each frame alone, decoded by the library."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from helpers.device_frames import LZ4_BLOCKS, block, encoded, make_cpu, pixels
from helpers.encode import bslz4
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.core.axis import RadialAxis
from stream.core.errors import MessageError
from stream.core.messages import EncodedArray, Pattern
from stream.ingest.integrate import CpuIntegrator
from stream.ingest.integrate.batch import batches
from stream.ingest.integrate.outcome import outcome
from stream.ingest.integrate.whole import WholePixels
from stream.simulate.wire import compress

SHAPE = (97, 103)  # full blocks, a short one, and pixels behind it
DTYPES = ["|u1", "<u2", "<u4"]
LAYOUTS: list[dict[str, Any]] = [{"method": "no"}, {"method": "bbox"}, {"method": "full"}]


@pytest.fixture(scope="module", params=LAYOUTS, ids=lambda layout: layout["method"])
def integrate(request: pytest.FixtureRequest) -> CpuIntegrator:
    return make_cpu(SHAPE, 80, **request.param)


def frame(dtype: str, seed: int, bright: float = 0.01) -> npt.NDArray[Any]:
    """Counts, of which some need all bits of the dtype, some are marked, and in some rows all are."""
    random = np.random.default_rng(seed)
    image = random.poisson(random.choice([0.05, 2, 60]), SHAPE).astype(dtype)
    some = random.random(SHAPE) < bright
    image[some] = random.integers(0, np.iinfo(dtype).max, some.sum(), endpoint=True)
    image[random.random(SHAPE) < bright] = np.iinfo(dtype).max
    image[seed % 90] = np.iinfo(dtype).max
    return image


def check_same(found: Pattern | MessageError | None, expected: Pattern) -> None:
    assert isinstance(found, Pattern)
    for field in ("sums", "norms", "variances"):
        np.testing.assert_array_equal(getattr(found, field), getattr(expected, field))


def together(integrate: CpuIntegrator, arrays: list[EncodedArray]) -> list[Pattern | None]:
    """What the kernels make of frames of one dtype."""
    (batch,) = batches(arrays, integrate.shape)
    return list(integrate.layout.patterns(batch.blobs, integrate.largest_valid(batch.dtype)))


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_batch_of_each_size(integrate: CpuIntegrator, dtype: str) -> None:
    images = [frame(dtype, seed, 0.001) for seed in range(17)]
    alone = [integrate(image) for image in images]
    arrays = [encoded(image) for image in images]
    for size in (1, 2, 3, 4, 5, 6, 7, 8, 9, 17):
        for found, expected in zip(integrate.many(arrays[:size]), alone, strict=False):
            check_same(found, expected)
        if 3 <= size <= 8:
            for found, expected in zip(together(integrate, arrays[:size]), alone, strict=False):
                check_same(found, expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("saturation", [None, 1, 59, 255, 256, 40_000])
def test_saturation_and_a_streams_mask(integrate: CpuIntegrator, dtype: str, saturation: int | None) -> None:
    mask = np.random.default_rng(4).random(SHAPE) < 0.3
    mask[:, 40:60] = True
    seen = integrate.for_series(mask, saturation)
    images = [frame(dtype, seed) for seed in range(4)]
    for found, image in zip(seen.many([encoded(image) for image in images]), images, strict=True):
        check_same(found, seen(image))


@pytest.mark.parametrize("layout", LAYOUTS[:2], ids=lambda layout: layout["method"])
def test_a_bright_frame_is_left_and_harms_no_other(layout: dict[str, Any]) -> None:
    """One of which many groups of pixels need all their bits; a thousand of them are no matter."""
    shape = (600, 601)
    integrate = make_cpu(shape, 80, **layout)
    kinds = ["zeros", "noise", "sparse", "marked", "dense"]
    images = [pixels("<u2", shape, kind) for kind in kinds]
    images[2][:10] = 2**16 - 1
    arrays = [encoded(image) for image in images]
    for found, image in zip(integrate.many(arrays), images, strict=True):
        check_same(found, integrate(image))
    assert [found is None for found in together(integrate, arrays)] == [False, True, False, True, False]


def test_a_mixture_of_what_is_sent(integrate: CpuIntegrator) -> None:
    """Each finds its way: other dtypes, block sizes, byte orders and compressions, and an image of another shape."""
    images: list[npt.NDArray[Any]] = [frame(dtype, seed) for seed in range(3) for dtype in [*DTYPES, ">u2"]]
    arrays = [encoded(image) for image in images]
    arrays[4:4] = [
        encoded(images[1], bslz4(images[1], 4096)),
        encoded(images[2], images[2].tobytes(), algorithm="raw", element_size=0),
    ]
    images[4:4] = images[1:3]
    found = integrate.many([*arrays, encoded(images[0][:50])])
    for pattern, image in zip(found[:-1], images, strict=True):
        check_same(pattern, integrate(image))
    assert isinstance(found[-1], MessageError)


def test_pixels_in_many_bins() -> None:
    integrate = make_cpu(SHAPE, 900, method="full")
    images = [frame("<u2", seed) for seed in range(5)]
    for found, image in zip(together(integrate, [encoded(image) for image in images]), images, strict=True):
        check_same(found, integrate(image))


@pytest.mark.parametrize("size", [3, 7, 8, 9, 505, 512, 8191, 8193])
def test_small_frames(size: int) -> None:
    integrate = make_cpu((1, size), 10)
    images = [pixels("|u1", (1, size), kind) for kind in ("sparse", "dense", "marked")]
    for found, image in zip(integrate.many([encoded(image) for image in images]), images, strict=True):
        check_same(found, integrate(image))


def test_sums_beyond_32_bits() -> None:
    """All pixels of a 17 million pixel detector in one bin."""
    shape = (4200, 4100)
    axis = RadialAxis("2th_deg", 0.0, 1.0, 1, 1.0)
    layout = WholePixels._assemble(axis, np.zeros(math.prod(shape), np.int64), np.ones(math.prod(shape), np.int64))
    image = np.full(shape, 250, np.uint8)
    for found in CpuIntegrator(shape, layout).many([encoded(image, compress(image))] * 3):
        assert isinstance(found, Pattern)
        assert found.sums[0] == np.float32(250 * image.size)
        assert 250 * image.size > 2**32


@pytest.mark.parametrize(("size", "lz4_bytes"), [case[1:3] for case in LZ4_BLOCKS], ids=[c[0] for c in LZ4_BLOCKS])
def test_each_rule_of_lz4(size: int, lz4_bytes: bytes) -> None:
    integrate = make_cpu((1, size), 10)
    array = block(size, lz4_bytes)
    found = integrate.many([encoded(np.ones((1, size), np.uint8)), array, array])
    alone = outcome(integrate.encoded, array)
    assert [type(each) for each in found] == [Pattern, type(alone), type(alone)]


IMAGE = frame("<u4", 3, 0.001)
BLOB = bslz4(IMAGE)


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_a_damaged_frame_harms_no_other_and_is_refused_as_alone(integrate: CpuIntegrator, data: st.DataObject) -> None:
    blob = bytearray(BLOB)
    for _ in range(data.draw(st.integers(1, 3))):
        blob[data.draw(st.integers(0, len(blob) - 1))] = data.draw(st.integers(0, 255))
    damaged = encoded(
        IMAGE, bytes(blob[: data.draw(st.sampled_from([len(blob), data.draw(st.integers(0, len(blob)))]))])
    )
    good = encoded(IMAGE)
    first, bad, last, _ = integrate.many([good, damaged, good, good])
    check_same(first, integrate(IMAGE))
    check_same(last, integrate(IMAGE))
    alone = outcome(integrate.encoded, damaged)
    if isinstance(alone, MessageError):
        assert isinstance(bad, MessageError)
        assert (bad.reason, str(bad)) == (alone.reason, str(alone))
    else:
        check_same(bad, alone)
