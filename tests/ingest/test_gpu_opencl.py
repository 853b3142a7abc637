"""The OpenCL backend beside the CPU's, on whatever device there is: PoCL's CPU will do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers.device_frames import DTYPES, LZ4_BLOCKS, block, encoded, make_cpu, pixels, take
from helpers.encode import bslz4
from helpers.hostile import CASES, PIXELS
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.core.errors import ConfigError, MessageError, UnavailableError
from stream.core.messages import Pattern
from stream.core.wire import decompress
from stream.ingest.integrate.blobs import find_blocks
from stream.ingest.integrate.cpu import CpuIntegrator
from stream.ingest.integrate.lz4_sound import is_sound
from stream.ingest.integrate.opencl import OpenclIntegrator
from stream.ingest.integrate.opencl_engine import LONGEST


def opened(cpu: CpuIntegrator) -> OpenclIntegrator:
    try:
        return OpenclIntegrator.create(cpu)
    except UnavailableError as error:
        pytest.skip(f"OpenCL is NOT exercised: {error} (pip install pyopencl; Debian: apt install pocl-opencl-icd)")


def assert_close(found: Pattern, expected: Pattern) -> None:
    np.testing.assert_array_equal(found.norms > 0, expected.norms > 0)
    for name in ("sums", "norms", "variances"):
        values = getattr(expected, name)
        np.testing.assert_allclose(getattr(found, name), values, rtol=0, atol=1e-5 * values.max(), err_msg=name)


@pytest.mark.parametrize("method", ["no", "bbox", "full"])
def test_patterns_are_the_cpus(method: str) -> None:
    shape = (163, 131)  # five pixels more than whole groups
    cpu = make_cpu(shape, 300, method=method)
    device = opened(cpu)
    for dtype in DTYPES:
        for kind in ("sparse", "dense", "gaps"):
            image = pixels(dtype, shape, kind)
            array = encoded(image)
            assert device._taken(array)
            assert_close(device(image), cpu(image))
            assert_close(device.encoded(array), cpu(image))
    mask = np.random.default_rng(4).random(shape) < 0.3
    for series in ({"mask": mask, "saturation": 9}, {"mask": None, "saturation": 5}):
        assert_close(device.for_series(**series).encoded(array), cpu.for_series(**series)(image))


def test_hostile_messages_are_refused_for_the_same_reason() -> None:
    device = opened(make_cpu(PIXELS.shape, 100))
    for case in CASES:
        with pytest.raises(MessageError) as caught:
            take(case.parts, device)
        assert caught.value.reason == case.reject, case.name


def test_a_filter_is_refused() -> None:
    cpu = make_cpu((71, 95), 50, filter={"sigma_clip": 5})
    opened(make_cpu((71, 95), 50))
    with pytest.raises(ConfigError, match=r"integration\.filter"):
        OpenclIntegrator.create(cpu)


@pytest.mark.parametrize(("name", "size", "lz4_bytes", "sound"), LZ4_BLOCKS)
def test_blocks_are_looked_through_first(name: str, size: int, lz4_bytes: bytes, sound: bool) -> None:
    array = block(size, lz4_bytes)
    places = find_blocks(array)
    assert places is not None
    assert is_sound(array, places, LONGEST) == sound, name


@pytest.mark.parametrize("kind", ["zeros", "sparse", "dense", "noise", "gaps"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_good_frames_are_sound(dtype: str, kind: str) -> None:
    for size in (1, 8, 2049, 8199, 32_773):
        array = encoded(pixels(dtype, (1, size), kind))
        places = find_blocks(array)
        assert places is not None
        assert is_sound(array, places, LONGEST)
        assert size < 2049 or not is_sound(array, places, 8), "longer than there is room"


GOOD = pixels("<u2", (61, 83), "gaps")
BLOB = bslz4(GOOD)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_what_is_sound_the_library_decodes(data: Any) -> None:
    blob = bytearray(BLOB)
    for _ in range(data.draw(st.integers(1, 3))):
        blob[data.draw(st.integers(12, len(blob) - 1))] = data.draw(st.integers(0, 255))
    array = encoded(GOOD, bytes(blob))
    places = find_blocks(array)
    if places is not None and is_sound(array, places, LONGEST):
        assert decompress(array).shape == GOOD.shape
