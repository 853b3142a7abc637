"""Messages made unusable."""

from __future__ import annotations

import numpy as np

from stream.core.messages import Image
from stream.core.wire import decode

FLIPS = 8  # bits


def cut_short(parts: list[bytes]) -> list[bytes]:
    """The message with the second half of its largest part missing."""
    largest = max(range(len(parts)), key=lambda i: len(parts[i]))
    return [part[: len(part) // 2] if i == largest else part for i, part in enumerate(parts)]


def flip_bits(parts: list[bytes], random: np.random.Generator) -> list[bytes]:
    """The image message with some bits of its compressed pixels flipped.

    The format has no checksum: a flip may leave a blob that decodes, to other counts.
    """
    image = decode(parts)
    assert isinstance(image, Image)
    (array,) = image.channels.values()
    blob = bytes(array.data)
    bits = np.unpackbits(np.frombuffer(blob, np.uint8))
    bits[random.choice(bits.size, min(FLIPS, bits.size), replace=False)] ^= 1
    return [part.replace(blob, np.packbits(bits).tobytes(), 1) for part in parts]
