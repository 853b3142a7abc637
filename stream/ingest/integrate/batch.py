"""Compressed frames that are integrated together, as the kernels take them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from stream.core.messages import EncodedArray
from stream.core.wire.compression import LZ4_DECODER
from stream.ingest.integrate.blobs import BLOCK, Places, as_bytes, find_blocks
from stream.ingest.integrate.lanes import FRAMES, WIDTH

RUN = 8 * WIDTH
"""Pixels that are taken apart at a time."""
FEWEST = 3
"""Frames that are faster together: the kernels take as long to add one as to add FRAMES."""

Bytes = npt.NDArray[np.uint8]


class Blobs(NamedTuple):
    """Frames of one dtype as they were sent.

    addresses
        where the bytes of each begin, (frames,).
    places
        where in them each block begins, and the last ends, (frames, blocks + 1); the LZ4 bytes are 4 further on.
    tails
        the pixels behind the last block, (frames, less than 8).
    element
        bytes of a pixel.
    decoder
        address of LZ4's own decoder.
    """

    addresses: npt.NDArray[np.int64]
    places: npt.NDArray[np.int64]
    tails: npt.NDArray[np.int64]
    element: int
    decoder: int


NOTHING = Blobs(np.zeros(0, np.int64), np.zeros((0, 1), np.int64), np.zeros((0, 0), np.int64), 1, LZ4_DECODER)
"""No frames: enough to compile a kernel with."""


class Space(NamedTuple):
    """Scratch memory of a thread.

    planes
        a block of each frame, decoded, (FRAMES, bytes).
    run
        the bytes of a run of pixels, (4, FRAMES, RUN); those of pixel i of group j are at 64 i + j.
    counts
        the lowest of them, frame beside frame, (RUN · FRAMES,).
    """

    planes: Bytes
    run: Bytes
    counts: Bytes

    @classmethod
    def make(cls) -> Self:
        """Some for a batch, aligned; WIDTH bytes read from within a block may end behind it."""
        sizes = [FRAMES * (BLOCK + WIDTH), FRAMES * 4 * RUN, FRAMES * RUN]
        memory = np.zeros(sum(sizes) + WIDTH, np.uint8)
        planes, run, counts, _ = np.split(memory[-memory.ctypes.data % WIDTH :], np.cumsum(sizes))
        return cls(planes.reshape(FRAMES, -1), run.reshape(4, FRAMES, -1), counts)


@dataclass(frozen=True, slots=True)
class Batch:
    """At most FRAMES frames of one dtype; numbers are their places among those asked for, data what blobs points to."""

    dtype: np.dtype[Any]
    numbers: Sequence[int]
    data: Sequence[Bytes]
    blobs: Blobs

    @classmethod
    def create(cls, dtype: np.dtype[Any], frames: Sequence[tuple[int, EncodedArray, Places]]) -> Self:
        """Of number, array and places of each."""
        data = [as_bytes(array) for _, array, _ in frames]
        ends = [sent[at[-1] :].view(dtype) for sent, (_, _, at) in zip(data, frames, strict=True)]
        blobs = Blobs(
            addresses=np.array([sent.ctypes.data for sent in data]),
            places=np.stack([at for _, _, at in frames]),
            tails=np.stack(ends).astype(np.int64),
            element=dtype.itemsize,
            decoder=LZ4_DECODER,
        )
        return cls(dtype, [number for number, _, _ in frames], data, blobs)


def batches(arrays: Sequence[EncodedArray], shape: tuple[int, int]) -> Iterator[Batch]:
    """The frames of `shape` among `arrays` that the kernels know (see `find_blocks`), unless they are too few."""
    found = [(n, array, find_blocks(array)) for n, array in enumerate(arrays) if tuple(array.shape) == shape]
    known = [(n, array, places) for n, array, places in found if places is not None]
    for dtype in dict.fromkeys(array.dtype for _, array, _ in known):
        same = [frame for frame in known if frame[1].dtype == dtype]
        for first in range(0, len(same) - FEWEST + 1, FRAMES):
            yield Batch.create(dtype, same[first : first + FRAMES])


def usable_groups(used: npt.NDArray[np.bool_]) -> Bytes:
    """A bit for each pixel that is in a bin, eight in a byte, the first lowest; WIDTH bytes more than it takes."""
    return np.append(np.packbits(used, bitorder="little"), np.zeros(WIDTH, np.uint8))
