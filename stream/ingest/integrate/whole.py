"""Each pixel counts in one bin, in pyFAI's sense of ``("no", "csr")``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from pyFAI.units import to_unit

from stream.core.axis import RadialAxis
from stream.core.config import IntegrationConfig
from stream.core.messages import Pattern
from stream.ingest.integrate.batch import Blobs, Bytes, Space, usable_groups
from stream.ingest.integrate.geometry import Floats, Geometry, Mask
from stream.ingest.integrate.kernel import LANES, accumulate
from stream.ingest.integrate.lanes import FRAMES
from stream.ingest.integrate.together import add_whole

UPPER = 1 + float(np.finfo(np.float32).eps)
"""pyFAI puts the upper edge this factor above the largest position, so that the bins hold it."""
UNIT_WEIGHT = 2.0**32
"""Weights are integers of this fraction: their sums are exact, and a bin that lost every pixel is at exactly 0."""


@dataclass(frozen=True, slots=True, eq=False)
class WholePixels:
    """The layout of ``method: no``.

    bins
        bin of each pixel, axis.bins where it has none, shape (pixels,).
    weights
        solid angle × polarisation in units of 2⁻³², 0 where there is no bin, int64 (pixels,).
    norms
        their sum in each bin, int64 (axis.bins + 1,).
    usable
        which pixels have a bin: see `usable_groups`.
    """

    axis: RadialAxis
    bins: npt.NDArray[np.unsignedinteger[Any]]
    weights: npt.NDArray[np.int64]
    norms: npt.NDArray[np.int64]
    usable: Bytes

    @classmethod
    def create(cls, geometry: Geometry, integration: IntegrationConfig, mask: Mask) -> Self:
        """Lay out the bins; where integration.range is null the pixels that are not masked make the axis."""
        positions = geometry.positions(integration.unit)
        weights = geometry.weights(integration.solid_angle, integration.polarization)
        scale = to_unit(integration.unit).scale
        low, high = _limits(positions[~mask], integration.range, scale)
        axis = RadialAxis(integration.unit, low * scale, high * scale, integration.bins, geometry.wavelength)
        bins = _bin_numbers(positions, low, high, integration.bins)
        exact = np.where(mask | ~np.isfinite(weights), 0, np.rint(weights * UNIT_WEIGHT)).astype(np.int64)
        return cls._assemble(axis, bins.ravel(), exact.ravel())

    @classmethod
    def _assemble(cls, axis: RadialAxis, bins: npt.NDArray[Any], weights: npt.NDArray[np.int64]) -> Self:
        nowhere = (weights <= 0) | (bins >= axis.bins)
        narrow = np.uint16 if axis.bins < 2**16 else np.uint32
        bins = np.where(nowhere, axis.bins, bins).astype(narrow)
        weights = np.where(nowhere, 0, weights)
        norms = np.zeros(axis.bins + 1, dtype=np.int64)
        np.add.at(norms, bins, weights)
        return cls(axis, bins, weights, norms, usable_groups(bins < axis.bins))

    def masked(self, mask: Mask) -> Self:
        """The same bins without the pixels of `mask`, shape (pixels,)."""
        return self._assemble(self.axis, self.bins, np.where(mask, 0, self.weights))

    def pattern(self, pixels: npt.NDArray[Any], limit: Any) -> Pattern:
        """Σ counts and Σ weights; the Poisson variance of Σ counts is Σ counts.

        pyFAI's own "poisson" model takes an empty pixel's variance as 1, which overstates the error of sparse frames.
        """
        exact = np.float64 if pixels.dtype.kind == "f" else np.int64
        lanes = np.zeros((LANES, self.axis.bins + 1), dtype=exact)
        excluded = np.zeros(self.axis.bins + 1, dtype=np.int64)
        accumulate(pixels, self.bins, self.weights, limit, lanes, excluded)
        return self._pattern(lanes.sum(axis=0), excluded)

    def patterns(self, blobs: Blobs, limit: int) -> Sequence[Pattern | None]:
        """The same of frames as they were sent, to the same bits: all sums are of integers."""
        sums, excluded = np.zeros((2, self.axis.bins + 1, FRAMES), dtype=np.int64)
        sound = np.ones(len(blobs.addresses), dtype=bool)
        add_whole(blobs, self.bins, self.weights, self.usable, limit, Space.make(), sound, sums, excluded)
        return [self._pattern(sums[:, f], excluded[:, f]) if good else None for f, good in enumerate(sound)]

    def _pattern(self, sums: npt.NDArray[Any], excluded: npt.NDArray[np.int64]) -> Pattern:
        counts = sums[:-1].astype(np.float32)
        norms = ((self.norms - excluded)[:-1] / UNIT_WEIGHT).astype(np.float32)
        return Pattern(sums=counts, norms=norms, variances=counts)


def _limits(positions: Floats, limits: tuple[float, float] | None, scale: float) -> tuple[float, float]:
    """Edges of the axis in pyFAI's inner scale: `limits`, or what the pixels cover."""
    if limits is None:
        low, high = max(0.0, float(positions.min())), float(positions.max())
    else:
        low, high = limits[0] / scale, limits[1] / scale
    return low, high * UPPER if high > 0 else high / UPPER


def _bin_numbers(positions: Floats, low: float, high: float, bins: int) -> npt.NDArray[np.int64]:
    """Bin of each pixel, `bins` where it has none.

    Truncation, not the floor, as in pyFAI: with a range, bin 0 also takes the pixels up to one bin below it.
    """
    numbers = (positions - low) / ((high - low) / bins)
    inside = (numbers > -1) & (numbers < bins)
    return np.where(inside, np.trunc(np.where(inside, numbers, 0)), bins).astype(np.int64)
