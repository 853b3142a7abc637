"""Robust integration: in each ring, spots of coarse crystals are told from the powder and left out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from stream.core.axis import RadialAxis
from stream.core.config.models import Filter
from stream.core.messages import Pattern
from stream.ingest.integrate.filters import clip_sigma, trim
from stream.ingest.integrate.geometry import Floats, Mask
from stream.ingest.integrate.whole import UNIT_WEIGHT, WholePixels


@dataclass(frozen=True, slots=True, eq=False)
class Rings:
    """The layout of ``integration.filter``: whole pixels, sorted by bin, then by weight.

    pixels, weights
        number of each pixel in the image, and its solid angle × polarisation, shape (used pixels,).
    starts
        where each bin's begin in them, and the end, int64 (axis.bins + 1,).
    """

    axis: RadialAxis
    filter: Filter
    pixels: npt.NDArray[np.int32]
    weights: Floats
    starts: npt.NDArray[np.int64]

    @classmethod
    def create(cls, whole: WholePixels, filter: Filter) -> Self:
        """Sort the pixels of `whole`."""
        order = np.lexsort((whole.weights, whole.bins)).astype(np.int32)
        starts = np.searchsorted(whole.bins[order], np.arange(whole.axis.bins + 1))
        order = order[: starts[-1]]
        return cls(whole.axis, filter, order, whole.weights[order] / UNIT_WEIGHT, starts)

    def masked(self, mask: Mask) -> Self:
        """The same bins without the pixels of `mask`, shape (pixels,)."""
        left = ~mask[self.pixels]
        starts = np.concatenate([[0], np.cumsum(left)])[self.starts]
        return replace(self, pixels=self.pixels[left], weights=self.weights[left], starts=starts)

    def pattern(self, pixels: npt.NDArray[Any], limit: Any) -> Pattern:
        """Σ counts and Σ weights of the pixels that the filter leaves; the variance is Σ counts, as without one."""
        sums, norms = np.zeros(self.axis.bins), np.zeros(self.axis.bins)
        rings = (pixels, self.pixels, self.weights, self.starts, limit)
        if self.filter.sigma_clip is not None:
            clip_sigma(*rings, self.filter.sigma_clip, sums, norms)
        elif self.filter.trimmed is not None:
            trim(*rings, *self.filter.trimmed, sums, norms)
        counts = sums.astype(np.float32)
        return Pattern(sums=counts, norms=norms.astype(np.float32), variances=counts)
