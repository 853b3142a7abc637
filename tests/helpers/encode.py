"""Reference encoders, written from the formats' descriptions with numpy, for a few pixels at a time."""

from __future__ import annotations

import struct
from typing import Any

import cbor2
import lz4.block
import numpy as np
import numpy.typing as npt
import orjson

RFC8746 = {"<u2": 69, "<u4": 70, ">u2": 65, ">u4": 66, "|u1": 64, "<f4": 85}


def bitshuffle(array: npt.NDArray[Any]) -> bytes:
    """The bit planes of elements (their number a multiple of 8), least significant bit first."""
    planes = np.unpackbits(array.view(np.uint8).reshape(array.size, -1), axis=1, bitorder="little").T
    return np.packbits(planes, axis=1, bitorder="little").tobytes()


def bslz4(array: npt.NDArray[Any], block: int = 8192) -> bytes:
    """Bitshuffle-LZ4 in the framing of HDF5 filter 32008."""
    flat = array.ravel()
    body = flat.size // 8 * 8
    step = block // flat.itemsize
    out = [struct.pack(">QI", flat.nbytes, block)]
    for at in range(0, body, step):
        packed = lz4.block.compress(bitshuffle(flat[at : min(at + step, body)]), store_size=False)
        out.append(struct.pack(">I", len(packed)) + packed)
    return b"".join([*out, flat[body:].tobytes()])


def v1_image(
    array: npt.NDArray[Any], frame: int = 0, series: int = 1, encoding: str = "<", blob: bytes | None = None
) -> list[bytes]:
    """A V1 image message; the blob is the array's bytes unless another one is given."""
    data = array.tobytes() if blob is None else blob
    return [
        orjson.dumps({"frame": frame, "hash": "0" * 32, "htype": "dimage-1.0", "series": series}),
        orjson.dumps(
            {
                "encoding": encoding,
                "htype": "dimage_d-1.0",
                "shape": array.shape[::-1],
                "size": len(data),
                "type": array.dtype.name,
            }
        ),
        data,
        orjson.dumps({"htype": "dconfig-1.0", "real_time": 2_000_000, "start_time": 5, "stop_time": 2_000_005}),
    ]


def multi_dim(array: npt.NDArray[Any], elements: Any = None) -> cbor2.CBORTag:
    """Tag 40 with the array's bytes, or with another byte string."""
    data = array.tobytes() if elements is None else elements
    return cbor2.CBORTag(40, [list(array.shape), cbor2.CBORTag(RFC8746[array.dtype.str], data)])


def v2_message(kind: str, **values: Any) -> list[bytes]:
    """A V2 message of the series "A"."""
    head = {"type": kind, "series_id": 1, "series_unique_id": "A"}
    return [cbor2.dumps(cbor2.CBORTag(55799, head | values))]


def v2_image(array: npt.NDArray[Any], frame: int = 0, elements: Any = None) -> list[bytes]:
    """A V2 image message with one channel."""
    data = {"threshold_1": multi_dim(array, elements)}
    return v2_message("image", image_id=frame, real_time=[100, 50_000_000], data=data)
