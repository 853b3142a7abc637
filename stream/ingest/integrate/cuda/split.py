"""Pixels shared out over bins on a card: a warp adds up a bin, by the coefficients of pyFAI's sparse matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from stream.core.messages import Pattern
from stream.ingest.integrate.cuda.card import Card
from stream.ingest.integrate.cuda.launch import THREADS, WARP, WARPS, Batch, decode
from stream.ingest.integrate.split import SplitPixels

TOTALS = 3
"""Of a bin: Σ s·count, Σ s²·count and Σ s·weight of valid pixels."""


class SplitOnCard:
    """The shares by bin, and the weights of the pixels, on the card; frames are decoded there as a whole first.

    Each bin adds in an order of its own, always the same; it is not the CPU's, so that the last bits differ.
    """

    def __init__(self, card: Card, layout: SplitPixels) -> None:
        self.card, self.count = card, layout.axis.bins
        pixels, bins, shares = layout.by_bin()
        ends = np.searchsorted(bins, np.arange(self.count + 1)).astype(np.int64)
        with card.stream():
            self.tables = [card.put(a) for a in (ends, pixels.astype(np.uint32), shares, layout.weights)]

    def reduce(self, batch: Batch, limit: int) -> tuple[list[Pattern], npt.NDArray[np.bool_]]:
        """See `OnCard`."""
        images, damaged = decode(self.card, batch)
        patterns = self._patterns(images, batch.frames, batch.pixels, batch.dtype, limit)
        return patterns, self.card.get(damaged) != 0

    def integrate(self, images: npt.NDArray[Any], limit: int) -> list[Pattern]:
        """See `OnCard`."""
        frames, pixels = images.shape
        return self._patterns(self.card.put(images), frames, pixels, images.dtype, limit)

    def _patterns(self, images: Any, frames: int, pixels: int, dtype: np.dtype[Any], limit: int) -> list[Pattern]:
        totals = self.card.zeros((frames, TOTALS, self.count), np.float64)
        grid = -(-self.count // WARPS), frames
        self.card.launch(
            f"share_{dtype.name}", grid, THREADS, 8 * TOTALS * WARPS * WARP,
            images, np.int64(pixels), *self.tables, np.uint32(self.count), np.uint32(limit), totals,
        )  # fmt: skip
        found = self.card.get(totals)
        found[:, 1:] = np.maximum(found[:, 1:], 0)  # pyFAI's "full" has shares below 0 around the beam's centre
        found = found.astype(np.float32)
        return [Pattern(sums=sums, variances=variances, norms=norms) for sums, variances, norms in found]
