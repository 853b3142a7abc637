"""A mask of pixels as a few bytes."""

from __future__ import annotations

import zlib

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]


def pack_mask(mask: Mask) -> bytes:
    """A mask, row by row, a bit each, compressed."""
    return zlib.compress(np.packbits(mask).tobytes(), 1)


def unpack_mask(packed: bytes, shape: tuple[int, int]) -> Mask:
    """What `pack_mask` packed, of (rows, columns).

    Raises
    ------
    ValueError
        where it is damaged or of another number of pixels; no more is unpacked than the shape asks for.
    """
    pixels = shape[0] * shape[1]
    size = (pixels + 7) // 8
    try:
        bits = zlib.decompressobj().decompress(packed, size + 1)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    if len(bits) != size:
        raise ValueError(f"it is not a mask of {shape[0]} × {shape[1]} pixels")
    return np.unpackbits(np.frombuffer(bits, np.uint8), count=pixels).reshape(shape).astype(bool)
