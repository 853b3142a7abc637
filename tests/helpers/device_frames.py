"""Frames as they are sent, and what integrates them, for the tests of devices."""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np
import numpy.typing as npt
from helpers.encode import bslz4
from pyFAI.detectors import detector_factory
from pyFAI.integrator.azimuthal import AzimuthalIntegrator

from stream.core.config import IntegrationConfig
from stream.core.messages import EncodedArray, Image
from stream.core.wire import decode
from stream.ingest.integrate import CpuIntegrator, Geometry

DTYPES = ["|u1", "<u2", "<u4"]
LZ4_BLOCKS = [
    ("literals", 8, b"\x80abcdefgh", True),
    ("a match up to the last five", 24, b"\x1ea\x01\x00\x50bcdef", True),
    ("a match beyond the last five", 24, b"\x1fa\x01\x00\x00\x40bcde", False),
    ("a match of two bytes", 24, b"\x2dab\x02\x00\x50bcdef", True),
    ("a match begins 12 before the end", 16, b"\x40abcd\x01\x00\x80abcdefgh", True),
    ("a match begins 11 before the end", 16, b"\x51abcde\x01\x00\x60abcdef", False),
    ("offset 0", 24, b"\x1ea\x00\x00\x50bcdef", False),
    ("offset before the start", 24, b"\x1ea\x02\x00\x50bcdef", False),
    ("more than the block", 16, b"\xf0\x02" + b"a" * 17, False),
    ("less than the block", 16, b"\xf0\x00" + b"a" * 15, False),
    ("empty", 8, b"", False),
    ("a token and no more", 8, b"\x80", False),
    ("a length that goes on for ever", 8, b"\xf0" + b"\xff" * 90, False),
    ("ends with a match", 24, b"\x1fa\x01\x00\x04", False),
    ("ends in an offset", 24, b"\x1ea\x01", False),
]
"""Name, size, LZ4 bytes and whether they are that block."""


def encoded(array: npt.NDArray[Any], blob: bytes | None = None, **changes: Any) -> EncodedArray:
    """The array in bitshuffle-LZ4, or as `blob` and `changes` have it."""
    data = bslz4(array) if blob is None else blob
    fields = {"shape": array.shape, "dtype": array.dtype, "algorithm": "bslz4", "element_size": array.itemsize}
    return EncodedArray(**fields | {"data": data} | changes)


def pixels(dtype: str, shape: tuple[int, int], kind: str) -> npt.NDArray[Any]:
    """Counts of a kind of frame."""
    random = np.random.default_rng(math.prod(shape))
    highest = np.iinfo(dtype).max
    match kind:
        case "zeros":
            return np.zeros(shape, dtype)
        case "sparse":
            return random.poisson(0.05, shape).astype(dtype)
        case "dense":
            return random.poisson(10, shape).astype(dtype)
        case "noise":
            return random.integers(0, highest, shape, dtype=dtype, endpoint=True)
        case _:
            frame = random.poisson(3, shape).astype(dtype)
            frame[random.random(shape) < 0.2] = highest
            frame[random.random(shape) < 0.1] = highest - 1
            return frame


def block(size: int, lz4_bytes: bytes) -> EncodedArray:
    """A frame of `size` bytes in one block, its LZ4 given."""
    blob = struct.pack(">QII", size, 8192, len(lz4_bytes)) + lz4_bytes
    return encoded(np.zeros((1, size), "|u1"), blob)


def make_cpu(shape: tuple[int, int], bins: int, **integration: Any) -> CpuIntegrator:
    """A tilted detector of which a tenth is masked."""
    detector = detector_factory("Detector", {"pixel1": 1e-4, "pixel2": 1e-4, "max_shape": shape})
    place = {"dist": 0.1, "poni1": 0.002, "poni2": 0.004, "rot1": 0.2, "rot2": -0.1, "rot3": 0.0}
    geometry = Geometry(AzimuthalIntegrator(**place, detector=detector, wavelength=7e-11), shape, 0.7, (1e-4, 1e-4))
    mask = np.random.default_rng(3).random(shape) < 0.1
    return CpuIntegrator.create(geometry, IntegrationConfig(bins=bins, **integration), mask)


def take(parts: list[bytes], integrate: Any) -> None:
    """Decode a message and integrate its images as they were sent."""
    event = decode(parts)
    assert isinstance(event, Image)
    for array in event.channels.values():
        integrate.encoded(array)
