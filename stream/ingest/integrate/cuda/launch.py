"""A batch of frames through the kernels: copies, grids, shared memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from stream.core.messages import EncodedArray
from stream.ingest.integrate.blobs import BLOCK, Places, as_bytes, block_count
from stream.ingest.integrate.cuda.card import Card

WARP = 32
WARPS = 4
THREADS = WARP * WARPS
ROUNDS = 4
"""Blocks that a warp decodes one after another, so that clearing and adding up the bins is little beside it."""
SHARED = 48 * 1024
"""Bytes of shared memory that every device gives a thread block; more bins than fit are added in global memory."""

Sums = tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]


def decode(card: Card, arrays: Sequence[EncodedArray], places: Sequence[Places]) -> tuple[npt.NDArray[Any], Any]:
    """Frames of one shape and dtype, decoded: (frames, pixels); and whether each is damaged, (frames,)."""
    pixels, dtype = math.prod(arrays[0].shape), arrays[0].dtype
    blocks = block_count(pixels, dtype)
    images, damaged = card.zeros((len(arrays), pixels), dtype), card.zeros((len(arrays),), np.uint32)
    staged = _stage(card, arrays, places)
    card.launch(
        f"decode_{dtype.name}", _grid(blocks, len(arrays)), THREADS, WARPS * BLOCK,
        *map(card.put, staged), np.int32(blocks), np.int64(pixels), images, damaged,
    )  # fmt: skip
    return card.get(images), card.get(damaged) != 0


class Tables:
    """Bins and weights of the pixels, on the card."""

    def __init__(self, card: Card, bins: npt.NDArray[Any], weights: npt.NDArray[np.int64], count: int) -> None:
        self.card, self.count = card, count
        with card.stream():
            self.bins, self.weights = card.put(bins.astype(np.uint32)), card.put(weights)

    def reduce(self, arrays: Sequence[EncodedArray], places: Sequence[Places], limit: int) -> tuple[Sums, Any]:
        """Frames of one shape and dtype: sums of counts and excluded weights, (frames, bins); damaged, (frames,)."""
        card, pixels, dtype = self.card, math.prod(arrays[0].shape), arrays[0].dtype
        blocks = block_count(pixels, dtype)
        sums, excluded = self._pattern(len(arrays))
        damaged = card.zeros((len(arrays),), np.uint32)
        gather, shared = self._shared(WARPS * BLOCK)
        staged = _stage(card, arrays, places)
        card.launch(
            f"reduce_{dtype.name}", _grid(blocks, len(arrays)), THREADS, shared,
            *map(card.put, staged), np.int32(blocks), np.int64(pixels), self.bins, self.weights,
            np.uint32(self.count), np.uint32(limit), gather, sums, excluded, damaged,
        )  # fmt: skip
        return (card.get(sums), card.get(excluded)), card.get(damaged) != 0

    def integrate(self, images: npt.NDArray[Any], limit: int) -> Sums:
        """Frames that are not compressed, shape (frames, pixels)."""
        frames, pixels = images.shape
        sums, excluded = self._pattern(frames)
        gather, shared = self._shared(0)
        blocks = -(-images.itemsize * pixels // BLOCK)
        self.card.launch(
            f"integrate_{images.dtype.name}", _grid(blocks, frames), THREADS, shared,
            self.card.put(images), np.int64(pixels), self.bins, self.weights,
            np.uint32(self.count), np.uint32(limit), gather, sums, excluded,
        )  # fmt: skip
        return self.card.get(sums), self.card.get(excluded)

    def _pattern(self, frames: int) -> tuple[Any, Any]:
        shape = (frames, self.count)
        return self.card.zeros(shape, np.uint64), self.card.zeros(shape, np.int64)

    def _shared(self, buffers: int) -> tuple[np.int32, int]:
        """Whether the bins fit into shared memory beside the buffers, and the bytes to ask for."""
        fits = buffers + 8 * self.count <= SHARED
        return np.int32(fits), buffers + 8 * self.count * fits


def _grid(blocks: int, frames: int) -> tuple[int, int]:
    return max(1, -(-blocks // (WARPS * ROUNDS))), frames


def _stage(card: Card, arrays: Sequence[EncodedArray], places: Sequence[Places]) -> tuple[npt.NDArray[Any], Places]:
    """The bytes of all frames, one after another, and the places of their blocks among them."""
    ends = np.cumsum([len(array.data) for array in arrays])
    staging = card.staging(int(ends[-1]))
    absolute = np.empty((len(arrays), places[0].size), dtype=np.int64)
    for n, (array, place, end) in enumerate(zip(arrays, places, ends, strict=True)):
        begin = int(end) - len(array.data)
        staging[begin:end] = as_bytes(array)
        absolute[n] = place + begin
    return staging, absolute
