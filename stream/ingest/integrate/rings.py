"""Robust integration: in each ring, spots of coarse crystals are told from the powder and left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from stream.core.axis import RadialAxis
from stream.core.config import Filter
from stream.core.messages import Pattern
from stream.ingest.integrate.batch import Blobs
from stream.ingest.integrate.filters import clip_sigma, sort_by_ring, trim
from stream.ingest.integrate.geometry import Floats, Mask
from stream.ingest.integrate.whole import UNIT_WEIGHT, WholePixels


@dataclass(frozen=True, slots=True, eq=False)
class Rings:
    """The layout of ``integration.filter``: whole pixels, ring after ring, in each by weight.

    starts
        where each ring begins, that of the pixels without a bin last, and the end, int64 (axis.bins + 2,).
    order
        numbers of each ring's pixels, counted in the image's order, shape (pixels,).
    weights
        their solid angle × polarisation, shape (pixels,).
    """

    whole: WholePixels
    filter: Filter
    starts: npt.NDArray[np.int64]
    order: npt.NDArray[np.int32]
    weights: Floats

    @classmethod
    def create(cls, whole: WholePixels, filter: Filter) -> Self:
        """Sort the pixels of `whole`."""
        by_ring = np.argsort(whole.bins, kind="stable")
        starts = np.searchsorted(whole.bins[by_ring], np.arange(whole.axis.bins + 2))
        numbers = np.empty(by_ring.size, dtype=np.int64)
        numbers[by_ring] = np.arange(by_ring.size)
        by_weight = np.lexsort((whole.weights, whole.bins))
        order = (numbers[by_weight] - starts[whole.bins[by_weight]]).astype(np.int32)
        return cls(whole, filter, starts, order, whole.weights[by_weight] / UNIT_WEIGHT)

    @property
    def axis(self) -> RadialAxis:
        """The bins."""
        return self.whole.axis

    def masked(self, mask: Mask) -> Self:
        """The same bins without the pixels of `mask`, shape (pixels,)."""
        return self.create(self.whole.masked(mask), self.filter)

    def pattern(self, pixels: npt.NDArray[Any], limit: Any) -> Pattern:
        """Σ counts and Σ weights of the pixels that the filter leaves; the variance is Σ counts, as without one."""
        sums, norms = np.zeros(self.axis.bins), np.zeros(self.axis.bins)
        counts = sort_by_ring(pixels, self.whole.bins, self.starts)
        rings = (counts, self.starts, self.order, self.weights, limit)
        if self.filter.sigma_clip is not None:
            clip_sigma(*rings, self.filter.sigma_clip, sums, norms)
        elif self.filter.trimmed is not None:
            trim(*rings, *self.filter.trimmed, sums, norms)
        total = sums.astype(np.float32)
        return Pattern(sums=total, norms=norms.astype(np.float32), variances=total)

    def patterns(self, blobs: Blobs, limit: int) -> Sequence[Pattern | None]:
        """A filter needs the whole ring."""
        return [None] * len(blobs.addresses)
