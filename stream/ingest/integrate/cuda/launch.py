"""A batch of frames goes to the card, and is decoded there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from stream.core.messages import EncodedArray
from stream.ingest.integrate.blobs import BLOCK, Bytes, Places, as_bytes, block_count
from stream.ingest.integrate.cuda.card import Card

WARP = 32
WARPS = 4
THREADS = WARP * WARPS
ROUNDS = 4
"""Blocks that a warp decodes one after another, so that clearing and adding up the bins is little beside it."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Frames of one shape and dtype as they were sent, in memory that the card copies from: it must live until then.

    blobs
        the bytes of all frames, one after another; places of their blocks among them, (frames, blocks + 1).
    """

    frames: int
    pixels: int
    dtype: np.dtype[Any]
    blobs: Bytes
    places: Places

    @classmethod
    def of(cls, card: Card, arrays: Sequence[EncodedArray], places: Sequence[Places]) -> Self:
        """Lay the frames side by side."""
        ends = np.cumsum([len(array.data) for array in arrays])
        blobs = card.staging(int(ends[-1]))
        absolute = np.empty((len(arrays), places[0].size), dtype=np.int64)
        for n, (array, place, end) in enumerate(zip(arrays, places, ends, strict=True)):
            begin = int(end) - len(array.data)
            blobs[begin:end] = as_bytes(array)
            absolute[n] = place + begin
        return cls(len(arrays), math.prod(arrays[0].shape), arrays[0].dtype, blobs, absolute)

    @property
    def grid(self) -> tuple[int, int]:
        """Thread blocks: a few blocks of a frame for each of their warps."""
        return grid_of(self.blocks, self.frames)

    @property
    def blocks(self) -> int:
        """Of a frame."""
        return block_count(self.pixels, self.dtype)

    def sent(self, card: Card) -> tuple[Any, Any, np.int32, np.int64]:
        """What the kernels read of a batch."""
        return card.put(self.blobs), card.put(self.places), np.int32(self.blocks), np.int64(self.pixels)


def grid_of(blocks: int, frames: int) -> tuple[int, int]:
    """Thread blocks for so many blocks of 8 KiB in each of so many frames."""
    return max(1, -(-blocks // (WARPS * ROUNDS))), frames


def decode(card: Card, batch: Batch) -> tuple[Any, Any]:
    """Pixels, (frames, pixels), and whether each frame is damaged (not 0), (frames,), both on the card."""
    images, damaged = card.zeros((batch.frames, batch.pixels), batch.dtype), card.zeros((batch.frames,), np.uint32)
    card.launch(f"decode_{batch.dtype.name}", batch.grid, THREADS, WARPS * BLOCK, *batch.sent(card), images, damaged)
    return images, damaged
