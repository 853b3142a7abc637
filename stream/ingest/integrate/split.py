"""Each pixel is shared out over the bins it covers, by the coefficients of pyFAI's own sparse matrix."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from pyFAI.units import to_unit
from scipy.sparse import csc_array, csr_array

from stream.core.axis import RadialAxis
from stream.core.config import IntegrationConfig
from stream.core.messages import Pattern
from stream.ingest.integrate.geometry import Floats, Geometry, Mask
from stream.ingest.integrate.kernel import accumulate_split


@dataclass(frozen=True, slots=True, eq=False)
class SplitPixels:
    """The layout of ``method: bbox`` and ``full``.

    A pixel's bins are neighbours, mostly two: its coefficients are kept as pairs for two neighbouring bins, one for
    each pixel in the image's order, then `further` ones for pixels that cover more.

    bins, pairs, further
        as `accumulate_split` takes them.
    weights
        solid angle × polarisation, float64 (pixels,).
    norms
        Σ c·weight of each bin, shape (axis.bins,).
    """

    axis: RadialAxis
    bins: npt.NDArray[np.unsignedinteger[Any]]
    pairs: npt.NDArray[np.float32]
    further: npt.NDArray[np.int64]
    weights: Floats
    norms: Floats

    @classmethod
    def create(cls, geometry: Geometry, integration: IntegrationConfig, mask: Mask) -> Self:
        """Have pyFAI make the matrix; where integration.range is null the pixels that are not masked make the axis."""
        axis, matrix = _pyfai_matrix(geometry, integration, mask)
        bins, pairs, further = _pairs(matrix)
        weights = geometry.weights(integration.solid_angle, integration.polarization).ravel()
        used = np.isfinite(weights) & (weights > 0)
        whole = cls(axis, bins, pairs, further, np.where(used, weights, 0), np.zeros(axis.bins))
        return whole.masked(~used)

    def masked(self, mask: Mask) -> Self:
        """The same bins without the pixels of `mask`, shape (pixels,)."""
        pairs = np.where(np.concatenate([mask, mask[self.further]])[:, None], np.float32(0), self.pairs)
        every_one, sums, norms = np.full(mask.size, np.nan), *self._empty()
        accumulate_split(every_one, self.bins, pairs, self.further, self.weights, np.inf, sums, norms)
        return replace(self, pairs=pairs, norms=_fold(norms))

    def pattern(self, pixels: npt.NDArray[Any], limit: Any) -> Pattern:
        """Σ c·counts and Σ c·weights; the Poisson variance of the sum is Σ c²·counts, as pyFAI propagates it.

        A bin that no valid pixel reaches has a norm of exactly 0, since what is left out is added up in the same order
        as the whole; so has the innermost one of "full" where pyFAI gives the pixel that holds the beam's centre a
        negative share of it.
        """
        sums, excluded = self._empty()
        accumulate_split(pixels, self.bins, self.pairs, self.further, self.weights, limit, sums, excluded)
        norms = np.maximum(self.norms - _fold(excluded), 0)
        return Pattern(
            sums=_fold(sums[:, :2]).astype(np.float32),
            norms=norms.astype(np.float32),
            variances=_fold(sums[:, 2:]).astype(np.float32),
        )

    def _empty(self) -> tuple[Floats, Floats]:
        return np.zeros((self.axis.bins + 1, 4)), np.zeros((self.axis.bins + 1, 2))


def _fold(pairs: Floats) -> Floats:
    """What went to each bin as a pair's first and as the second of the bin before, shape (bins,)."""
    total = pairs[:-1, 0].copy()
    total[1:] += pairs[:-2, 1]
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
    axis = RadialAxis(
        integration.unit, float(centers[0] - half), float(centers[-1] + half), integration.bins, geometry.wavelength
    )
    return axis, csr_array(engine.lut, shape=(integration.bins, mask.size)).tocsc()


def _pairs(matrix: csc_array) -> tuple[npt.NDArray[Any], npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Coefficients of each pixel in pairs of neighbouring bins: first bins, pairs, and the pixels of further pairs."""
    bins, pixels = matrix.shape
    pixel = np.repeat(np.arange(pixels), np.diff(matrix.indptr))
    first = np.full(pixels, bins)
    reached = np.diff(matrix.indptr) > 0
    first[reached] = matrix.indices[matrix.indptr[:-1][reached]]
    which, second = np.divmod(matrix.indices - first[pixel], 2)
    beyond = which > 0
    keys, entry = np.unique(pixel[beyond] * bins + which[beyond], return_inverse=True)
    further, number = np.divmod(keys, bins)
    entries = pixel.copy()
    entries[beyond] = pixels + entry
    pairs = np.zeros((pixels + further.size, 2), dtype=np.float32)
    pairs[entries, second] = matrix.data
    narrow = np.uint16 if bins < 2**16 else np.uint32
    return np.concatenate([first, first[further] + 2 * number]).astype(narrow), pairs, further
