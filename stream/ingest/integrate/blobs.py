"""Compressed frames as kernels take them: where their blocks lie, found before anything else is done."""

from __future__ import annotations

import math
import struct
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from stream.core.messages import EncodedArray

BLOCK = 8192
"""Bytes of a block: the kernels have room for no more, and nothing seen uses another size."""
DTYPES = (np.dtype("|u1"), np.dtype("<u2"), np.dtype("<u4"))
_HEADER = struct.Struct(">QI")
Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]


def block_count(pixels: int, dtype: np.dtype[Any]) -> int:
    """Blocks of a frame; its last ``pixels % 8`` pixels are in none."""
    return -(-(pixels - pixels % 8) * dtype.itemsize // BLOCK)


def find_blocks(array: EncodedArray) -> Places | None:
    """Places of a frame's blocks in its bytes, shape (blocks + 1,); None for what the kernels do not take.

    They take bitshuffle-LZ4 of little-endian uint8, uint16 or uint32 in blocks of 8 KiB whose lengths add up to the
    bytes that were sent. Block k is 4 bytes of length and its LZ4 bytes, up to the next place.
    """
    dtype, pixels = array.dtype, math.prod(array.shape)
    if array.algorithm != "bslz4" or dtype not in DTYPES or array.element_size != dtype.itemsize:
        return None
    if len(array.data) < _HEADER.size or _HEADER.unpack_from(array.data) != (pixels * dtype.itemsize, BLOCK):
        return None
    places = np.empty(block_count(pixels, dtype) + 1, dtype=np.int64)
    sound: bool = _follow(as_bytes(array), pixels % 8 * dtype.itemsize, places)
    return places if sound else None


def as_bytes(array: EncodedArray) -> Bytes:
    """The bytes that were sent, without a copy."""
    data = np.frombuffer(array.data, dtype=np.uint8)
    data.flags.writeable = False  # one compiled kernel for bytes and memoryviews
    return data


@numba.njit(nogil=True, cache=True)
def _follow(data, tail, places):  # type: ignore[no-untyped-def]
    """Fill in `places` by following the lengths; true where they and the tail end with the data."""
    at = 12
    for block in range(places.size - 1):
        if at + 4 > data.size:
            return False
        places[block] = at
        length = 0
        for byte in data[at : at + 4]:
            length = length * 256 + int(byte)
        at += 4 + length
    places[-1] = at
    return at + tail == data.size
