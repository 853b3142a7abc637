"""Arrays in CBOR: RFC 8746 and DECTRIS' compressed byte strings."""

from __future__ import annotations

from typing import Any

import numpy as np
from cbor2 import CBORTag

from stream.core.errors import MessageError, Reject
from stream.core.messages import Algorithm, EncodedArray
from stream.core.wire.compression import decompress
from stream.core.wire.header import checked_shape, shortened

ROW_MAJOR = 40
COLUMN_MAJOR = 1040
COMPRESSED = 56500
_ALGORITHMS: dict[str, Algorithm] = {"bslz4": "bslz4", "lz4": "lz4-hdf5"}


def is_array(value: Any) -> bool:
    """True where the tag says so; some senders leave a stub where an array was."""
    return isinstance(value, CBORTag) and value.tag in (ROW_MAJOR, COLUMN_MAJOR)


def read_array(value: Any, name: str) -> EncodedArray:
    """The two-dimensional array in tag 40 or 1040, not yet decompressed; `name` is for the error sentences.

    Raises
    ------
    MessageError
        SHAPE for anything but such a tag over two positive dimensions, DTYPE for elements numpy lacks.
    """
    if not is_array(value):
        raise MessageError(Reject.SHAPE, f"{name}: not an array (tag {ROW_MAJOR} or {COLUMN_MAJOR})")
    if not isinstance(value.value, list) or len(value.value) != 2:
        raise MessageError(Reject.SHAPE, f"{name}: an array is a pair of dimensions and elements")
    dims, elements = value.value
    shape = checked_shape(dims, name)
    if not isinstance(elements, CBORTag):
        raise MessageError(Reject.DTYPE, f"{name}: the elements have no type tag")
    algorithm, element_size, data = _byte_string(elements.value, name)
    array = EncodedArray(
        shape=shape if value.tag == ROW_MAJOR else shape[::-1],
        dtype=_element_type(elements.tag, name),
        algorithm=algorithm,
        element_size=element_size,
        data=data,
    )
    return array if value.tag == ROW_MAJOR else _turned(array)


def _turned(array: EncodedArray) -> EncodedArray:
    """A transposed array, decompressed: no detector is known to send columns first, so it may cost what it costs."""
    pixels = np.ascontiguousarray(decompress(array).T)
    return EncodedArray(
        shape=pixels.shape, dtype=pixels.dtype, algorithm="raw", element_size=0, data=pixels.reshape(-1).view("u1").data
    )


def _element_type(tag: int, name: str) -> np.dtype[Any]:
    """The numpy type of an RFC 8746 tag: 0b010_f_s_e_ll (float, signed, little endian, log2 of the size)."""
    is_float, signed, little, exponent = tag >> 4 & 1, tag >> 3 & 1, tag >> 2 & 1, tag & 3
    size = 1 << (is_float + exponent)
    if not 64 <= tag <= 87 or tag == 76 or size > 8:
        raise MessageError(Reject.DTYPE, f"{name}: tag {tag} is no element type that can be read")
    kind = "f" if is_float else "i" if signed else "u"
    return np.dtype(f"{'<' if little else '>'}{kind}{size}")


def _byte_string(value: Any, name: str) -> tuple[Algorithm, int, memoryview]:
    """Algorithm, element size and bytes of a byte string that may be compressed."""
    if isinstance(value, memoryview):
        return "raw", 0, value
    if not isinstance(value, CBORTag) or value.tag != COMPRESSED:
        raise MessageError(Reject.NOT_DECODABLE, f"{name}: the elements are no byte string")
    match value.value:
        case [str(algorithm), int(element_size), memoryview() as data] if algorithm in _ALGORITHMS:
            return _ALGORITHMS[algorithm], element_size, data
    raise MessageError(Reject.NOT_DECODABLE, f"{name}: {shortened(value.value)} is no known compression")
