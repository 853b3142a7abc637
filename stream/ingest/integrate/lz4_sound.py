"""Whether LZ4 blocks may be given to a decoder that believes them."""

from __future__ import annotations

import numba
import numpy as np

from stream.core.messages import EncodedArray
from stream.ingest.integrate.blobs import BLOCK, Places, as_bytes

LAST_LITERALS = 5
MATCH_LIMIT = 12


def is_sound(array: EncodedArray, places: Places, longest: int) -> bool:
    """True where each block, of at most `longest` bytes, decodes to exactly its size and reads nothing outside.

    The rules are those of bslz4.h. places is what `find_blocks` found.
    """
    pixels = int(np.prod(array.shape))
    found: bool = _sound(as_bytes(array), places, (pixels - pixels % 8) * array.dtype.itemsize, longest)
    return found


@numba.njit(nogil=True, cache=True)
def _sound(data, places, body, longest):  # type: ignore[no-untyped-def]
    for block in range(places.size - 1):
        begin, end = places[block] + 4, places[block + 1]
        if end - begin > longest or not _block(data, begin, end, min(BLOCK, body - block * BLOCK)):
            return False
    return True


@numba.njit(nogil=True, cache=True)
def _block(data, at, end, size):  # type: ignore[no-untyped-def]
    done = 0
    while at < end:
        literals, match = divmod(int(data[at]), 16)
        at, literals = _extend(data, at + 1, end, literals, size)
        if at < 0:
            return False
        if size - done - literals < MATCH_LIMIT or end - at - literals < 3 + LAST_LITERALS:
            return bool(literals == end - at and literals == size - done)
        at, done = at + literals, done + literals
        offset = int(data[at]) + 256 * int(data[at + 1])
        at, match = _extend(data, at + 2, end, match, size)
        if at < 0 or offset == 0 or offset > done or match + 4 > size - done - LAST_LITERALS:
            return False
        done += match + 4
    return False


@numba.njit(nogil=True, cache=True)
def _extend(data, at, end, length, most):  # type: ignore[no-untyped-def]
    """Place behind a length, and the length; the place is -1 where the bytes end or the length exceeds `most`."""
    if length < 15:
        return at, length
    more = 255
    while more == 255:
        if at == end or length > most:
            return -1, length
        more = int(data[at])
        at, length = at + 1, length + more
    return at, length
