"""Whole pixels into bins on a card, to the same bits as on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from stream.core.messages import Pattern
from stream.ingest.integrate.blobs import BLOCK
from stream.ingest.integrate.cuda.card import Card
from stream.ingest.integrate.cuda.launch import THREADS, WARPS, Batch, grid_of
from stream.ingest.integrate.whole import UNIT_WEIGHT, WholePixels

SHARED = 48 * 1024
"""Bytes of shared memory that every device gives a thread block; more bins than fit are added in global memory."""


class WholeOnCard:
    """Bins and weights of the pixels, on the card; blobs are decoded and added up block by block."""

    def __init__(self, card: Card, layout: WholePixels) -> None:
        self.card, self.count, self.norms = card, layout.axis.bins, layout.norms[:-1]
        with card.stream():
            self.bins, self.weights = card.put(layout.bins.astype(np.uint32)), card.put(layout.weights)

    def reduce(self, batch: Batch, limit: int) -> tuple[list[Pattern], npt.NDArray[np.bool_]]:
        """See `OnCard`."""
        card = self.card
        sums, excluded = self._totals(batch.frames)
        damaged = card.zeros((batch.frames,), np.uint32)
        gather, shared = self._shared(WARPS * BLOCK)
        card.launch(
            f"reduce_{batch.dtype.name}", batch.grid, THREADS, shared,
            *batch.sent(card), self.bins, self.weights,
            np.uint32(self.count), np.uint32(limit), gather, sums, excluded, damaged,
        )  # fmt: skip
        return self._patterns(sums, excluded), card.get(damaged) != 0

    def integrate(self, images: npt.NDArray[Any], limit: int) -> list[Pattern]:
        """See `OnCard`."""
        frames, pixels = images.shape
        sums, excluded = self._totals(frames)
        gather, shared = self._shared(0)
        blocks = -(-images.itemsize * pixels // BLOCK)
        self.card.launch(
            f"integrate_{images.dtype.name}", grid_of(blocks, frames), THREADS, shared,
            self.card.put(images), np.int64(pixels), self.bins, self.weights,
            np.uint32(self.count), np.uint32(limit), gather, sums, excluded,
        )  # fmt: skip
        return self._patterns(sums, excluded)

    def _totals(self, frames: int) -> tuple[Any, Any]:
        """Sums of counts and excluded weights, (frames, bins)."""
        shape = (frames, self.count)
        return self.card.zeros(shape, np.uint64), self.card.zeros(shape, np.int64)

    def _shared(self, buffers: int) -> tuple[np.int32, int]:
        """Whether the bins fit into shared memory beside the buffers, and the bytes to ask for."""
        fits = buffers + 8 * self.count <= SHARED
        return np.int32(fits), buffers + 8 * self.count * fits

    def _patterns(self, sums: Any, excluded: Any) -> list[Pattern]:
        counts = self.card.get(sums).astype(np.float32)
        norms = ((self.norms - self.card.get(excluded)) / UNIT_WEIGHT).astype(np.float32)
        return [Pattern(sums=count, norms=norm, variances=count) for count, norm in zip(counts, norms, strict=True)]
