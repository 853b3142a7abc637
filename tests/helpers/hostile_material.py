"""What hostile messages are made of."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from helpers.encode import bslz4

from stream.core.errors import Reject


@dataclass(frozen=True)
class Hostile:
    """One bad message; it is refused when it is decoded or when its pixels are, `reject` is the reason either way."""

    name: str
    parts: list[bytes]
    reject: Reject


PIXELS = np.random.default_rng(622).poisson(2, (71, 95)).astype("<u4")
"""What the good message of each pair would have carried."""

BLOB = bslz4(PIXELS)

ABSURD_NUMBERS = {
    b"1e999": Reject.NOT_DECODABLE,
    b"-1e999": Reject.NOT_DECODABLE,
    b"9" * 4000: Reject.NOT_DECODABLE,
    b"NaN": Reject.NOT_DECODABLE,
    b"Infinity": Reject.NOT_DECODABLE,
    b"0x10": Reject.NOT_DECODABLE,
    b"-3": Reject.SHAPE,
    b"1.5": Reject.SHAPE,
    b"1e5": Reject.SHAPE,
    b"1" + b"0" * 30: Reject.SHAPE,
}
"""As they stand in the JSON. The first ones are none; the reason of the others is that of a length of an axis."""


def bomb(total: int) -> bytes:
    """Zeros in bslz4's framing, 8192 bytes in 48, for elements of 4 bytes; every number in it agrees."""
    return struct.pack(">QI", total, 8192) + bslz4(np.zeros(2048, "<u4"))[12:] * (total // 8192)


def bare_bomb(total: int) -> bytes:
    """Zeros in one bare LZ4 block: a literal, one match that repeats it, and the last five bytes as they are."""
    full, rest = divmod(total - 25, 255)
    return b"\x1f\0\x01\0" + b"\xff" * full + bytes([rest]) + b"\x50" + bytes(5)


GIBIBYTE = (1 << 14, 1 << 14)
"""Shape of an image of 1 GiB in 4-byte pixels."""
BOMB = bomb(1 << 30)
"""6 MB that inflate to it."""
TEBIBYTE = struct.pack(">QI", 1 << 40, 8192) + b"\x00\x00\x00\x04\xff\xff\xff\xff"
"""20 bytes that claim so much."""
