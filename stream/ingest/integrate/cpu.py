"""Azimuthal integration on the CPU, in pyFAI's sense of ``("no", "csr")``: each pixel counts in one bin."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from pyFAI.units import to_unit

from stream.core.axis import RadialAxis
from stream.core.config import IntegrationConfig
from stream.core.errors import ConfigError, MessageError, Reject
from stream.core.messages import Pattern
from stream.ingest.integrate.geometry import Floats, Geometry, Mask
from stream.ingest.integrate.kernel import LANES, accumulate

DTYPES = (np.dtype(np.uint8), np.dtype(np.uint16), np.dtype(np.uint32))
UPPER = 1 + float(np.finfo(np.float32).eps)
"""pyFAI puts the upper edge this factor above the largest position, so that the bins hold it."""
UNIT_WEIGHT = 2.0**32
"""Weights are integers of this fraction: their sums are exact, and a bin that lost every pixel is at exactly 0."""


@dataclass(frozen=True, slots=True, eq=False)
class CpuIntegrator:
    """Integrates images with one geometry, mask and axis; may be called from many threads at once.

    bins
        bin of each pixel, axis.bins where it has none, shape (pixels,).
    weights
        solid angle × polarisation in units of 2⁻³², 0 where there is no bin, int64 (pixels,).
    norms
        their sum in each bin, int64 (axis.bins + 1,).
    saturation
        the largest count that the detector vouches for, None where it does not tell.
    """

    axis: RadialAxis
    shape: tuple[int, int]
    bins: npt.NDArray[np.unsignedinteger[Any]]
    weights: npt.NDArray[np.int64]
    norms: npt.NDArray[np.int64]
    saturation: int | None = None

    @classmethod
    def create(cls, geometry: Geometry, integration: IntegrationConfig, mask: Mask) -> Self:
        """Lay out the bins.

        Parameters
        ----------
        mask
            pixels never used, shape (rows, columns); where integration.range is null the others make the axis.

        Raises
        ------
        ConfigError
            where no pixel is left.
        """
        if mask.all():
            raise ConfigError("detector.mask leaves no pixel to integrate")
        positions = geometry.positions(integration.unit)
        weights = geometry.weights(integration.solid_angle, integration.polarization)
        scale = to_unit(integration.unit).scale
        low, high = _limits(positions[~mask], integration.range, scale)
        axis = RadialAxis(integration.unit, low * scale, high * scale, integration.bins, geometry.wavelength)
        bins = _bin_numbers(positions, low, high, integration.bins)
        exact = np.where(mask | ~np.isfinite(weights), 0, np.rint(weights * UNIT_WEIGHT)).astype(np.int64)
        if not (exact[bins < integration.bins] > 0).any():
            raise ConfigError(f"integration.range is {integration.range}: no valid pixel of the detector lies in it")
        return cls._assemble(axis, geometry.shape, bins.ravel(), exact.ravel(), None)

    @classmethod
    def _assemble(
        cls,
        axis: RadialAxis,
        shape: tuple[int, int],
        bins: npt.NDArray[Any],
        weights: npt.NDArray[np.int64],
        saturation: int | None,
    ) -> Self:
        nowhere = (weights <= 0) | (bins >= axis.bins)
        narrow = np.uint16 if axis.bins < 2**16 else np.uint32
        bins = np.where(nowhere, axis.bins, bins).astype(narrow)
        weights = np.where(nowhere, 0, weights)
        norms = np.zeros(axis.bins + 1, dtype=np.int64)
        np.add.at(norms, bins, weights)
        return cls(axis, shape, bins, weights, norms, saturation)

    def for_series(self, mask: Mask | None, saturation: int | None) -> Self:
        """The same axis with what a series' header tells: more masked pixels, and the largest valid count."""
        if mask is None:
            return replace(self, saturation=saturation)
        if mask.shape != self.shape:
            raise MessageError(Reject.SHAPE, f"the stream's mask is {mask.shape}, the detector {self.shape}")
        weights = np.where(mask.ravel(), 0, self.weights)
        return self._assemble(self.axis, self.shape, self.bins, weights, saturation)

    def __call__(self, image: npt.NDArray[Any]) -> Pattern:
        """Integrate one (rows, columns) image of uint8, uint16 or uint32.

        A pixel whose count is all ones, all ones minus 1, or above the saturation is left out of this image.
        sums are Σ counts and norms Σ solid angle × polarisation of the others, so that sums / norms is pyFAI's
        intensity; the Poisson variance of Σ counts is Σ counts. (pyFAI's own "poisson" model takes an empty pixel's
        variance as 1, which overstates the error of sparse frames.)

        Raises
        ------
        MessageError
            for another shape or dtype.
        """
        if image.shape != self.shape:
            raise MessageError(Reject.SHAPE, f"an image of {image.shape} pixels from a detector of {self.shape}")
        dtype = image.dtype.newbyteorder("=")
        if dtype not in DTYPES:
            raise MessageError(Reject.DTYPE, f"an image of {image.dtype}: uint8, uint16 or uint32 is needed")
        pixels = np.ascontiguousarray(image, dtype=dtype).reshape(-1)
        lanes = np.zeros((LANES, self.axis.bins + 1), dtype=np.int64)
        excluded = np.zeros(self.axis.bins + 1, dtype=np.int64)
        accumulate(pixels, self.bins, self.weights, self._limit(dtype), lanes, excluded)
        sums = lanes.sum(axis=0)[:-1].astype(np.float32)
        norms = ((self.norms - excluded)[:-1] / UNIT_WEIGHT).astype(np.float32)
        return Pattern(sums=sums, norms=norms, variances=sums)

    def warm_up(self) -> None:
        """Compile for every dtype, so that no frame waits for it."""
        for dtype in DTYPES:
            self(np.zeros(self.shape, dtype=dtype))

    def _limit(self, dtype: np.dtype[Any]) -> Any:
        largest = int(np.iinfo(dtype).max) - 2
        return dtype.type(largest if self.saturation is None else min(largest, self.saturation))


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
