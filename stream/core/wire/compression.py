"""Compressed pixels into arrays. Nothing a blob says about itself is believed before it is checked.

Framing of ``bslz4`` and ``lz4-hdf5`` (HDF5 filters 32008 and 32004), all numbers big endian: 8 bytes total
size, 4 bytes block size, then for each block 4 bytes compressed length and an LZ4 block. bslz4 ends with
the last ``total % (8 * element_size)`` bytes as they are. ``lz4`` is one bare LZ4 block.
"""

from __future__ import annotations

import ctypes
import math
import struct
from typing import Any

import lz4.block  # type: ignore[import-untyped]
import numpy as np
import numpy.typing as npt
from dectris.compression import decompress as dectris_decompress

from stream.core.errors import MessageError, Reject
from stream.core.messages import EncodedArray

LARGEST_FRAME = 1 << 28
"""Bytes that one array may have: the largest detectors send 16M pixels of at most 8 bytes."""
LZ4_DECODER: int = ctypes.cast(ctypes.CDLL(lz4.block._block.__file__).LZ4_decompress_safe, ctypes.c_void_p).value or 0
"""Address of LZ4's own decoder, for kernels: (source, target, size of either) → bytes made, negative when damaged."""
_HEADER = struct.Struct(">QI")
_LENGTH = struct.Struct(">I")
_LZ4_RATIO = 255  # one byte of a match length stands for at most 255 bytes


def decompress(array: EncodedArray, max_bytes: int = LARGEST_FRAME) -> npt.NDArray[Any]:
    """The elements of `array`, in its shape and in native byte order.

    The result may be read-only, and a view of the message where nothing was compressed. The work is done
    without the interpreter lock.

    Raises
    ------
    MessageError
        SIZE for numbers that disagree or an array above `max_bytes`, both before anything is allocated;
        TRUNCATED for fewer bytes than the array needs; NOT_DECODABLE for a damaged blob.
    """
    total = math.prod(array.shape) * array.dtype.itemsize
    if not 0 < total <= max_bytes:
        raise MessageError(Reject.SIZE, f"an array of {total} bytes {array.shape} is outside 1 to {max_bytes}")
    elements = np.frombuffer(_DECODERS[array.algorithm](array, total), dtype=array.dtype)
    native = array.dtype.newbyteorder("=")
    return elements.astype(native, copy=False).reshape(array.shape)


def _raw(array: EncodedArray, total: int) -> bytes | memoryview:
    sent = len(array.data)
    if sent != total:
        reason = Reject.TRUNCATED if sent < total else Reject.SIZE
        raise MessageError(reason, f"{sent} bytes were sent for an array of {total} {array.shape}")
    return array.data


def _bare(array: EncodedArray, total: int) -> bytes:
    _check_ratio(array, total)
    try:
        decoded: bytes = lz4.block.decompress(array.data, uncompressed_size=total)
    except (lz4.block.LZ4BlockError, ValueError, OverflowError, MemoryError) as error:
        raise MessageError(Reject.NOT_DECODABLE, f"LZ4 block for {total} bytes: {error}") from error
    if len(decoded) != total:
        raise MessageError(Reject.SIZE, f"LZ4 block holds {len(decoded)} bytes where {total} are expected")
    return decoded


def _framed(array: EncodedArray, total: int) -> bytes:
    _check_ratio(array, total)
    block = _check_header(array, total)
    shuffled = array.algorithm == "bslz4"
    if not shuffled:
        _walk(array, total, block)  # the library ignores what follows the last block of this framing
    try:
        decoded: bytes = dectris_decompress(
            array.data, "bslz4" if shuffled else "lz4", elem_size=array.element_size or 1
        )
    except (RuntimeError, ValueError, OverflowError, MemoryError) as error:
        _walk(array, total, block)
        raise MessageError(Reject.NOT_DECODABLE, f"{array.algorithm} blob is damaged: {error}") from error
    return decoded


_DECODERS = {"raw": _raw, "lz4": _bare, "lz4-hdf5": _framed, "bslz4": _framed}


def _check_ratio(array: EncodedArray, total: int) -> None:
    sent = len(array.data)
    if sent * _LZ4_RATIO < total:
        raise MessageError(Reject.TRUNCATED, f"{sent} bytes of {array.algorithm} cannot hold {total}")


def _check_header(array: EncodedArray, total: int) -> int:
    """The block size, once it and the total size are found sound."""
    if len(array.data) < _HEADER.size:
        raise MessageError(Reject.TRUNCATED, f"{array.algorithm} blob of {len(array.data)} bytes: no header")
    declared, block = _HEADER.unpack_from(array.data)
    if declared != total:
        raise MessageError(
            Reject.SIZE, f"{array.algorithm} blob declares {declared} bytes, {array.shape} needs {total}"
        )
    element = array.element_size
    if array.algorithm == "bslz4" and element not in (1, 2, 4, 8):
        raise MessageError(Reject.SIZE, f"bslz4 element size is {element}, not 1, 2, 4 or 8")
    unit = 8 * element if array.algorithm == "bslz4" else 1
    if block == 0 or block % unit:
        raise MessageError(Reject.SIZE, f"{array.algorithm} block size {block} is no multiple of {unit}")
    return int(block)


def _walk(array: EncodedArray, total: int, block: int) -> None:
    """Follow the block lengths; they must end where the blob does."""
    sent = len(array.data)
    tail = total % (8 * array.element_size) if array.algorithm == "bslz4" else 0
    at, left = _HEADER.size, total - tail
    while left > 0 and at + _LENGTH.size <= sent:
        at += _LENGTH.size + _LENGTH.unpack_from(array.data, at)[0]
        left -= block
    end = at + tail
    if left > 0 or end > sent:
        raise MessageError(Reject.TRUNCATED, f"{array.algorithm} blob of {sent} bytes ends inside its blocks")
    if end < sent:
        raise MessageError(Reject.SIZE, f"{array.algorithm} blob: {sent - end} bytes after its last block")
