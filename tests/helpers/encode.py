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


def stins_image(array: npt.NDArray[Any], blob: bytes | None = None, **changes: Any) -> list[bytes]:
    """A STINS image of number 0, raw unless a blob and its compression are given; None removes a key."""
    head = {"htype": "image", "frame": 0, "shape": array.shape, "type": array.dtype.name, "compression": "none"}
    values = {key: value for key, value in (head | changes).items() if value is not None}
    return [orjson.dumps(values), array.tobytes() if blob is None else blob]


def array1_image(array: npt.NDArray[Any], frame: int = 0) -> list[bytes]:
    """An array-1.0 message in the array's own byte order."""
    endianness = "big" if array.dtype.str[0] == ">" else "little"
    head = {"htype": "array-1.0", "frame": frame, "shape": array.shape, "type": array.dtype.name}
    return [orjson.dumps(head | {"endianness": endianness}), array.tobytes()]


def monitor(kind: Any, message: int = 1, **values: Any) -> list[bytes]:
    """A message of a MAX IV monitor."""
    return [orjson.dumps({"message_id": message, "message_type": kind, "version": 1} | values)]


def panda_capture(rows: npt.NDArray[np.uint32]) -> bytes:
    """A scaled capture of uint32 columns C0, C1, …, all its rows in one frame."""
    names = [f'<field name="C{n}" type="uint32" capture="Value" scale="1" offset="0" units="" />'
             for n in range(rows.shape[1])]  # fmt: skip
    data = f'<data missed="0" process="Scaled" format="Framed" sample_bytes="{4 * rows.shape[1]}" />'
    header = "\n".join(["<header>", data, "<fields>", *names, "</fields>", "</header>", "\n"])
    frame = b"BIN " + struct.pack("<I", rows.nbytes + 8) + rows.astype("<u4").tobytes()
    return header.encode() + frame + f"END {len(rows)} Disarmed\n".encode()
