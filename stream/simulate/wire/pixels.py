"""Pixels on their way into a message: another type, and compressed."""

from __future__ import annotations

import io
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.unsignedinteger[Any]]


def compress(pixels: Pixels) -> bytes:
    """Bitshuffle-LZ4 as in HDF5 filter 32008: the bytes of a chunk that the filter wrote."""
    with h5py.File(io.BytesIO(), "w") as file:
        data = file.create_dataset(
            "x", data=pixels, chunks=pixels.shape, compression=hdf5plugin.Bitshuffle(cname="lz4")
        )
        _, chunk = data.id.read_direct_chunk((0,) * pixels.ndim)
    return bytes(chunk)


def retype(pixels: Pixels, dtype: str) -> Pixels:
    """The same counts as another unsigned type: all ones stay all ones, and a narrow type saturates below them."""
    if pixels.dtype == dtype:
        return pixels
    empty = np.iinfo(dtype).max
    counts = np.minimum(pixels, np.uint32(empty - 2)).astype(
        dtype
    )  # all ones less 1 is kept for overflow by some firmware
    counts[pixels == np.iinfo(pixels.dtype).max] = empty
    return counts
