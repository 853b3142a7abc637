"""A message in the recording: its parts joined, how to part them again, and its seal.

An envelope is the number of parts (u32) and their lengths (u64 each), little endian, then the parts joined, without
the `size` bytes at `cut` of them that are kept elsewhere.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from itertools import accumulate

import numpy as np

from stream.core.messages import Parts


def seal(parts: Parts, received: float, stream: int = 0) -> int:
    """CRC-32 over the time of reception (Unix seconds), the lengths of the parts, their bytes, and a stream not 0."""
    crc = zlib.crc32(struct.pack("<d", received) + _pack_lengths([len(part) for part in parts]))
    if stream:
        crc = zlib.crc32(struct.pack("<i", stream), crc)
    for part in parts:
        crc = zlib.crc32(part, crc)
    return crc


def pack(parts: Parts, cut: int, size: int) -> bytes:
    """The envelope of a message; the `size` bytes left out lie in one part."""
    return b"".join([_pack_lengths([len(part) for part in parts]), *_without(parts, cut, size)])


def unpack(envelope: bytes, cut: int, blob: bytes) -> list[bytes]:
    """The parts of a message, with `blob` back at `cut`.

    Raises
    ------
    ValueError
        where the lengths do not add up.
    """
    try:
        (count,) = struct.unpack_from("<I", envelope)
        lengths = struct.unpack_from(f"<{count}Q", envelope, 4)
    except struct.error as error:
        raise ValueError(f"the envelope is cut short: {error}") from error
    rest = envelope[4 + 8 * count :]
    joined = rest[:cut] + blob + rest[cut:] if blob else rest
    if sum(lengths) != len(joined):
        raise ValueError(f"{len(joined)} bytes where the parts have {sum(lengths)}")
    return [joined[end - length : end] for end, length in zip(accumulate(lengths), lengths, strict=True)]


def find_blob(parts: Parts, blob: bytes | memoryview) -> int | None:
    """Where in the joined parts the bytes of `blob` begin; None where they are not there as they are."""
    start = 0
    for part in parts:
        if part is blob:
            return start
        at = _find_in(part, blob)
        if at is not None:
            return start + at
        start += len(part)
    return None


def _find_in(part: bytes | memoryview, blob: bytes | memoryview) -> int | None:
    """Search for the first bytes of the blob, then compare: searching for all of it would be slow."""
    room = len(part) - len(blob)
    if room < 0:
        return None
    begin = bytes(blob[:64])
    head = bytes(part[: room + len(begin)])
    at = head.find(begin)
    while at >= 0:
        if np.array_equal(np.frombuffer(part, np.uint8)[at : at + len(blob)], np.frombuffer(blob, np.uint8)):
            return at
        at = head.find(begin, at + 1)
    return None


def _pack_lengths(lengths: Sequence[int]) -> bytes:
    return struct.pack(f"<I{len(lengths)}Q", len(lengths), *lengths)


def _without(parts: Parts, cut: int, size: int) -> Iterator[bytes | memoryview]:
    start = 0
    for part in parts:
        if size and start <= cut < start + len(part):
            view = memoryview(part)
            yield view[: cut - start]
            yield view[cut - start + size :]
        else:
            yield part
        start += len(part)
