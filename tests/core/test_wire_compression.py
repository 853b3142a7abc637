"""Pixels against HDF5's own filters (hdf5plugin), which share no code with the decoder under test."""

from __future__ import annotations

import struct
import tracemalloc
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import lz4.block
import numpy as np
import numpy.typing as npt
import pytest
from helpers.encode import bslz4
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.core.errors import MessageError, Reject
from stream.core.messages import EncodedArray
from stream.core.wire import decompress


def encoded(array: npt.NDArray[Any], algorithm: Any, data: bytes, **changes: Any) -> EncodedArray:
    fields = {
        "shape": array.shape,
        "dtype": array.dtype,
        "algorithm": algorithm,
        "element_size": array.itemsize if algorithm == "bslz4" else 0,
        "data": data,
    }
    return EncodedArray(**fields | changes)


def hdf5_chunk(array: npt.NDArray[Any], compression: Any) -> bytes:
    with h5py.File(BytesIO(), "w") as file:
        data = file.create_dataset("x", data=array, chunks=array.shape, compression=compression)
        return data.id.read_direct_chunk((0,) * array.ndim)[1]


def pixels(dtype: str, size: int, kind: str) -> npt.NDArray[Any]:
    rng = np.random.default_rng(size)
    highest = np.iinfo(dtype).max
    match kind:
        case "zeros":
            return np.zeros((1, size), dtype)
        case "counts":
            return rng.poisson(0.5, (1, size)).astype(dtype)
        case "noise":
            return rng.integers(0, highest, (1, size), dtype=dtype, endpoint=True)
        case _:
            return np.full((1, size), highest, dtype)


@pytest.mark.parametrize("dtype", ["|u1", "<u2", "<u4", "<u8"])
@pytest.mark.parametrize("kind", ["zeros", "counts", "noise", "ones"])
@pytest.mark.parametrize("size", [1, 7, 8, 9, 1023, 1024, 1025, 8191, 8192, 8193, 16391, 20_001])
def test_hdf5_filters(dtype: str, kind: str, size: int) -> None:
    array = pixels(dtype, size, kind)
    for algorithm, filter_ in [("bslz4", hdf5plugin.Bitshuffle(cname="lz4")), ("lz4-hdf5", hdf5plugin.LZ4())]:
        decoded = decompress(encoded(array, algorithm, hdf5_chunk(array, filter_)))
        np.testing.assert_array_equal(decoded, array, strict=True)


@pytest.mark.parametrize("dtype", ["|u1", "<u2", ">u2", "<u4", ">u4", "<i4", "<f4"])
def test_every_algorithm_and_byte_order(dtype: str) -> None:
    array = pixels("uint32", 3001, "counts").astype(dtype)
    blobs = {
        "raw": array.tobytes(),
        "lz4": lz4.block.compress(array.tobytes(), store_size=False),
        "bslz4": bslz4(array),
    }
    for algorithm, blob in blobs.items():
        decoded = decompress(encoded(array, algorithm, blob))
        np.testing.assert_array_equal(decoded, array)
        assert decoded.dtype == np.dtype(dtype).newbyteorder("="), "kernels need native order"


@pytest.mark.parametrize("block", [32, 64, 4096, 8192, 1 << 20])
def test_any_block_size(block: int) -> None:
    array = pixels("<u4", 5003, "counts")
    np.testing.assert_array_equal(decompress(encoded(array, "bslz4", bslz4(array, block))), array)


def test_recorded_eiger_4m_frame(shared_data: Path) -> None:
    with h5py.File(shared_data / "eiger_h5" / "hdf5plugin_bitshuffle.h5") as file:
        data = file["entry/data/data"]
        frame = data[0]
        blob = data.id.read_direct_chunk((0, 0, 0))[1]
    np.testing.assert_array_equal(decompress(encoded(frame, "bslz4", blob)), frame, strict=True)


ARRAY = pixels("<u4", 7001, "counts")
BLOB = bslz4(ARRAY)
LZ4 = hdf5_chunk(ARRAY, hdf5plugin.LZ4(nbytes=8192))
BARE = lz4.block.compress(ARRAY.tobytes(), store_size=False)


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (encoded(ARRAY, "raw", ARRAY.tobytes()[:-1]), Reject.TRUNCATED),
        (encoded(ARRAY, "raw", ARRAY.tobytes() + b"x"), Reject.SIZE),
        (encoded(ARRAY, "lz4", BARE[:-1]), Reject.NOT_DECODABLE),
        (encoded(ARRAY, "lz4", b""), Reject.TRUNCATED),
        (encoded(ARRAY, "lz4", BARE, shape=(1, 7000)), Reject.NOT_DECODABLE),
        (encoded(ARRAY, "lz4", BARE, shape=(1, 7002)), Reject.SIZE),
        (encoded(ARRAY, "lz4-hdf5", LZ4[:-1]), Reject.TRUNCATED),
        (encoded(ARRAY, "lz4-hdf5", LZ4 + b"x"), Reject.SIZE),
        (encoded(ARRAY, "lz4-hdf5", LZ4, shape=(1, 7002)), Reject.SIZE),
        (encoded(ARRAY, "lz4-hdf5", LZ4[:8] + b"\0\0\0\0" + LZ4[12:]), Reject.SIZE),
        (encoded(ARRAY, "bslz4", BLOB[:-1]), Reject.TRUNCATED),
        (encoded(ARRAY, "bslz4", BLOB + b"x"), Reject.SIZE),
        (encoded(ARRAY, "bslz4", BLOB, element_size=0), Reject.SIZE),
        (encoded(ARRAY, "bslz4", BLOB, shape=(0, 7001)), Reject.SIZE),
    ],
)
def test_damage_is_refused(array: EncodedArray, reason: Reject) -> None:
    with pytest.raises(MessageError) as caught:
        decompress(array)
    assert caught.value.reason == reason, caught.value


def test_bound_is_the_callers() -> None:
    array = encoded(ARRAY, "bslz4", BLOB)
    assert decompress(array, max_bytes=ARRAY.nbytes).nbytes == ARRAY.nbytes
    with pytest.raises(MessageError, match=f"array of {ARRAY.nbytes} bytes"):
        decompress(array, max_bytes=ARRAY.nbytes - 1)


def test_a_bomb_allocates_nothing() -> None:
    """128 MiB in 28 bytes, all of whose numbers agree: refused by what LZ4 can hold at most."""
    total = 1 << 27
    blob = struct.pack(">QII", total, 0x7E000000, 12) + b"\xff" * 12
    tracemalloc.start()
    for algorithm in ("bslz4", "lz4-hdf5", "lz4"):
        with pytest.raises(MessageError) as caught:
            decompress(encoded(ARRAY, algorithm, blob, shape=(1 << 13, 1 << 12), element_size=4))
        assert caught.value.reason == Reject.TRUNCATED
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


@given(st.data())
@settings(max_examples=400, deadline=None)
def test_any_damage_decodes_or_is_refused(data: st.DataObject) -> None:
    algorithm, good = data.draw(st.sampled_from([("bslz4", BLOB), ("lz4-hdf5", LZ4), ("lz4", BARE)]))
    blob = bytearray(good)
    for _ in range(data.draw(st.integers(1, 3))):
        blob[data.draw(st.integers(0, len(blob) - 1))] = data.draw(st.integers(0, 255))
    blob = blob[: data.draw(st.sampled_from([len(blob), data.draw(st.integers(0, len(blob)))]))]
    with suppress(MessageError):
        assert decompress(encoded(ARRAY, algorithm, bytes(blob))).shape == ARRAY.shape
