"""Each pixel is shared out over the bins it covers, by the coefficients of pyFAI's own sparse matrix."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from pyFAI.units import to_unit
from scipy.sparse import csc_array, csr_array

from stream.core.axis import RadialAxis
from stream.core.config import IntegrationConfig
from stream.core.messages import Pattern
from stream.ingest.integrate.batch import Blobs, Bytes, Space, usable_groups
from stream.ingest.integrate.geometry import Floats, Geometry, Mask
from stream.ingest.integrate.kernel import accumulate_listed, accumulate_shared
from stream.ingest.integrate.lanes import FRAMES
from stream.ingest.integrate.together import add_split

ROUNDING = 1e-6
"""How far from 1 the sum of pyFAI's single-precision shares of a whole pixel may be."""

Shared = tuple[npt.NDArray[Any], Floats]
"""First bin of each pixel, axis.bins where it has none, and its share of the pixel; the rest is the next bin's."""
Listed = tuple[npt.NDArray[np.int32], npt.NDArray[Any], Floats]
"""Pixel, bin and share of what does not fit that."""
Totals = tuple[Floats, Floats, Floats, Floats]
"""What `accumulate_shared` and `accumulate_listed` add to: both's sums, then both's weights of invalid pixels."""


@dataclass(frozen=True, slots=True, eq=False)
class SplitPixels:
    """The layout of ``method: bbox`` and ``full``.

    With bins not much narrower than pixels nearly every pixel lies in one bin or in two neighbours, so that one share
    for each pixel, in the image's order, tells the matrix; the others are listed.

    weights
        solid angle × polarisation, float64 (pixels,).
    norms
        Σ share·weight of each bin, shape (axis.bins,).
    usable
        which pixels have a bin: see `usable_groups`.
    """

    axis: RadialAxis
    shared: Shared
    listed: Listed
    weights: Floats
    norms: Floats
    usable: Bytes

    @classmethod
    def create(cls, geometry: Geometry, integration: IntegrationConfig, mask: Mask) -> Self:
        """Have pyFAI make the matrix; where integration.range is null the pixels that are not masked make the axis."""
        axis, matrix = _pyfai_matrix(geometry, integration, mask)
        weights = geometry.weights(integration.solid_angle, integration.polarization).ravel()
        used = np.isfinite(weights) & (weights > 0)
        layout = cls(axis, *_shares(matrix), np.where(used, weights, 0), np.zeros(axis.bins), usable_groups(used))
        return layout.masked(~used)

    def masked(self, mask: Mask) -> Self:
        """The same bins without the pixels of `mask`, shape (pixels,)."""
        bins, shares = self.shared
        kept = ~mask[self.listed[0]]
        pixels, places, parts = self.listed
        shared = np.where(mask, self.axis.bins, bins).astype(bins.dtype), shares
        listed = pixels[kept], places[kept], parts[kept]
        used = shared[0] < self.axis.bins
        used[listed[0]] = True
        left = replace(self, shared=shared, listed=listed, usable=usable_groups(used))
        _, _, *excluded = left._accumulate(np.full(mask.size, np.nan), np.inf)
        return replace(left, norms=_norms(*excluded))

    def pattern(self, pixels: npt.NDArray[Any], limit: Any) -> Pattern:
        """Σ s·counts and Σ s·weights; the Poisson variance of the sum is Σ s²·counts, as pyFAI propagates it.

        A bin that no valid pixel reaches has a norm of exactly 0, since what is left out is added up in the same order
        as the whole; so has the innermost one of "full" where pyFAI gives the pixel that holds the beam's centre a
        negative share of it.
        """
        return self._pattern(*self._accumulate(pixels, limit))

    def patterns(self, blobs: Blobs, limit: int) -> Sequence[Pattern | None]:
        """The same of frames as they were sent, to the same bits: each adds up in the order of its pixels."""
        totals = [np.zeros((*total.shape, FRAMES)) for total in self._totals()]
        sound = np.ones(len(blobs.addresses), dtype=bool)
        add_split(blobs, self.shared, self.listed, self.weights, self.usable, limit, Space.make(), sound, *totals)
        return [self._pattern(*(total[..., f] for total in totals)) if good else None for f, good in enumerate(sound)]

    def by_bin(self) -> Listed:
        """Every share of a pixel, sorted by bin and then by pixel; of none that has no bin."""
        bins, shares = self.shared
        pixels = np.flatnonzero(bins < self.axis.bins).astype(np.int32)
        first, share = bins[pixels].astype(np.int64), shares[pixels]
        parts = [(pixels, first, share), (pixels, first + 1, 1 - share), self.listed]
        pixel, place, part = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        counts = (part != 0) & (place < self.axis.bins)
        order = np.lexsort((pixel[counts], place[counts]))
        return pixel[counts][order], place[counts][order], part[counts][order]

    def _totals(self) -> Totals:
        rows = self.axis.bins + 1
        return np.zeros((rows, 3)), np.zeros((rows, 2)), np.zeros((rows, 2)), np.zeros(rows)

    def _accumulate(self, pixels: npt.NDArray[Any], limit: Any) -> Totals:
        sums, more, excluded, more_excluded = totals = self._totals()
        accumulate_shared(pixels, *self.shared, self.weights, limit, sums, excluded)
        accumulate_listed(pixels, *self.listed, self.weights, limit, more, more_excluded)
        return totals

    def _pattern(self, sums: Floats, more: Floats, excluded: Floats, more_excluded: Floats) -> Pattern:
        squares = sums[:, :2] - sums[:, 2:]  # s² = s − s(1 − s), and the same of 1 − s
        counts = _fold(sums) + more[:-1, 0]
        variances = np.maximum(_fold(squares), 0) + more[:-1, 1]
        norms = np.maximum(self.norms - _norms(excluded, more_excluded), 0)
        return Pattern(
            sums=counts.astype(np.float32), norms=norms.astype(np.float32), variances=variances.astype(np.float32)
        )


def _norms(excluded: Floats, more_excluded: Floats) -> Floats:
    return _fold(excluded) + more_excluded[:-1]


def _fold(columns: Floats) -> Floats:
    """What went to each bin as a pixel's first, and as the second of the bin before, shape (bins,)."""
    total = columns[:-1, 0].copy()
    total[1:] += columns[:-2, 1]
    return total


def _pyfai_matrix(geometry: Geometry, integration: IntegrationConfig, mask: Mask) -> tuple[RadialAxis, csc_array]:
    """The axis, and the share of each pixel in each bin, shape (bins, pixels)."""
    unit = to_unit(integration.unit)
    masked = np.ascontiguousarray(mask, dtype=np.int8)
    engine = geometry.integrator.setup_sparse_integrator(
        geometry.shape,
        integration.bins,
        mask=masked,
        mask_checksum=zlib.crc32(masked.tobytes()),
        pos0_range=integration.range,
        unit=unit,
        split=integration.method,
        algo="CSR",
    )
    geometry.integrator.reset(collect_garbage=False)  # the corners of every pixel are kept otherwise
    centers = np.asarray(engine.bin_centers) * unit.scale
    half = (centers[-1] - centers[0]) / (integration.bins - 1) / 2
    low = max(0.0, float(centers[0] - half))  # rounding puts it below the beam where a corner lies on that
    axis = RadialAxis(integration.unit, low, float(centers[-1] + half), integration.bins, geometry.wavelength)
    return axis, csr_array(engine.lut, shape=(integration.bins, mask.size)).tocsc()


def _shares(matrix: csc_array) -> tuple[Shared, Listed]:
    """The columns of the matrix, as shares of two neighbouring bins where these are the whole pixel."""
    bins, pixels = matrix.shape
    narrow = np.uint16 if bins < 2**16 else np.uint32
    count, start = np.diff(matrix.indptr), matrix.indptr[:-1]
    data = matrix.data.astype(np.float64)
    padded, places = np.append(data, [0, 0]), np.append(matrix.indices, [-1, -1])
    first, second = padded[start], np.where(count == 2, padded[start + 1], 0)
    neighbours = (count == 1) | ((count == 2) & (places[start + 1] == places[start] + 1))
    fits = neighbours & (np.abs(1 - first - second) <= ROUNDING) & (first >= 0) & (second >= 0)
    share = np.where(first < second, first, 1 - second)  # the smaller of the two is the one known in full
    others = np.repeat(~fits, count)
    pixel = np.repeat(np.arange(pixels, dtype=np.int32), count)
    shared = np.where(fits, places[start], bins).astype(narrow), share
    return shared, (pixel[others], matrix.indices[others].astype(narrow), data[others])
