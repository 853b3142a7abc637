"""CBOR from the network, and the arrays in it (RFC 8746 and DECTRIS' compressed byte strings)."""

from __future__ import annotations

import reprlib
from collections.abc import Callable
from functools import partial
from typing import Any

import cbor2
import numpy as np
from cbor2 import CBORTag

from stream.core.errors import MessageError, Reject
from stream.core.messages import Algorithm, EncodedArray
from stream.core.wire.header import checked_shape

SELF_DESCRIBED = 55799
MULTI_DIM = 40
COMPRESSED = 56500
_DEPTH = 32
_ALGORITHMS: dict[str, Algorithm] = {"bslz4": "bslz4", "lz4": "lz4-hdf5"}


def _tagged(tag: int, value: Any, _immutable: bool) -> Any:
    return value if tag == SELF_DESCRIBED else CBORTag(tag, value)


class _EveryTag(dict[int, Callable[[Any, bool], Any]]):
    """Keeps every tag as a CBORTag, so that none of cbor2's own makes a value.

    Those include powers as large as the sender likes, regular expressions and cyclic references.
    """

    def __missing__(self, tag: int) -> Callable[[Any, bool], Any]:
        return partial(_tagged, tag)


def read_cbor(data: bytes | memoryview) -> Any:
    """One CBOR item as dicts with text or byte keys, lists, scalars and CBORTag."""
    try:
        return cbor2.loads(data, semantic_decoders=_EveryTag(), max_depth=_DEPTH, strict_hashable_types=True)
    except cbor2.CBORDecodeEOF as error:
        raise MessageError(Reject.TRUNCATED, "the CBOR item ends before it is complete") from error
    except (cbor2.CBORError, ValueError, OverflowError, MemoryError) as error:
        raise MessageError(Reject.NOT_DECODABLE, f"not CBOR: {error}") from error


def plain(value: Any) -> Any:
    """A CBOR value as JSON has them: a tag becomes what it marks, bytes the number of them."""
    if isinstance(value, CBORTag):
        return plain(value.value)
    if isinstance(value, dict):
        return {key if isinstance(key, str) else repr(key): plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return float(value)
    return value if isinstance(value, str | int | float) else None


def read_array(value: Any, name: str) -> EncodedArray:
    """The two-dimensional array in tag 40, not yet decompressed; `name` is for the error sentences.

    Raises
    ------
    MessageError
        SHAPE for anything but tag 40 over two positive dimensions, DTYPE for elements numpy lacks.
    """
    if not isinstance(value, CBORTag) or value.tag != MULTI_DIM:
        raise MessageError(Reject.SHAPE, f"{name}: not a row-major array (tag {MULTI_DIM})")
    if not isinstance(value.value, list) or len(value.value) != 2:
        raise MessageError(Reject.SHAPE, f"{name}: an array is a pair of dimensions and elements")
    dims, elements = value.value
    shape = checked_shape(dims, name)
    if not isinstance(elements, CBORTag):
        raise MessageError(Reject.DTYPE, f"{name}: the elements have no type tag")
    algorithm, element_size, data = _byte_string(elements.value, name)
    return EncodedArray(
        shape=shape,
        dtype=_element_type(elements.tag, name),
        algorithm=algorithm,
        element_size=element_size,
        data=data,
    )


def _element_type(tag: int, name: str) -> np.dtype[Any]:
    """The numpy type of an RFC 8746 tag: 0b010_f_s_e_ll (float, signed, little endian, log2 of the size)."""
    is_float, signed, little, exponent = tag >> 4 & 1, tag >> 3 & 1, tag >> 2 & 1, tag & 3
    size = 1 << (is_float + exponent)
    if not 64 <= tag <= 87 or tag == 76 or size > 8:
        raise MessageError(Reject.DTYPE, f"{name}: tag {tag} is no element type that can be read")
    kind = "f" if is_float else "i" if signed else "u"
    return np.dtype(f"{'<' if little else '>'}{kind}{size}")


def _byte_string(value: Any, name: str) -> tuple[Algorithm, int, bytes]:
    """Algorithm, element size and bytes of a byte string that may be compressed."""
    if isinstance(value, bytes):
        return "raw", 0, value
    if not isinstance(value, CBORTag) or value.tag != COMPRESSED:
        raise MessageError(Reject.NOT_DECODABLE, f"{name}: the elements are no byte string")
    match value.value:
        case [str(algorithm), int(element_size), bytes(data)] if algorithm in _ALGORITHMS:
            return _ALGORITHMS[algorithm], element_size, data
    raise MessageError(Reject.NOT_DECODABLE, f"{name}: {reprlib.repr(value.value)} is no known compression")
