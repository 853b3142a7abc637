"""Azimuthal integration on the CPU, equal to pyFAI's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from stream.core.axis import RadialAxis
from stream.core.config import IntegrationConfig
from stream.core.errors import ConfigError, MessageError, Reject
from stream.core.messages import EncodedArray, Pattern
from stream.core.wire import decompress
from stream.ingest.integrate.batch import NOTHING, batches
from stream.ingest.integrate.geometry import Geometry, Mask
from stream.ingest.integrate.layout import Layout
from stream.ingest.integrate.outcome import outcome
from stream.ingest.integrate.rings import Rings
from stream.ingest.integrate.split import SplitPixels
from stream.ingest.integrate.whole import WholePixels

DTYPES = (np.dtype(np.uint8), np.dtype(np.uint16), np.dtype(np.uint32))


@dataclass(frozen=True, slots=True, eq=False)
class CpuIntegrator:
    """Integrates images with one geometry, mask and axis; may be called from many threads at once.

    layout
        how the pixels go into the bins: integration.method and integration.filter.
    saturation
        the largest count that the detector vouches for, None where it does not tell.
    """

    shape: tuple[int, int]
    layout: Layout
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
        layout: Layout
        if integration.method != "no":
            layout = SplitPixels.create(geometry, integration, mask)
        else:
            layout = WholePixels.create(geometry, integration, mask)
            if integration.filter is not None:
                layout = Rings.create(layout, integration.filter)
        integrator = cls(geometry.shape, layout)
        if not integrator(np.zeros(geometry.shape, dtype=np.uint8)).norms.any():
            raise ConfigError(f"integration.range is {integration.range}: no valid pixel of the detector lies in it")
        return integrator

    @property
    def axis(self) -> RadialAxis:
        """The bins."""
        return self.layout.axis

    def for_series(self, mask: Mask | None, saturation: int | None) -> Self:
        """The same axis with what a series' header tells: more masked pixels, and the largest valid count."""
        if mask is None:
            return replace(self, saturation=saturation)
        if mask.shape != self.shape:
            raise MessageError(Reject.SHAPE, f"the stream's mask is {mask.shape}, the detector {self.shape}")
        return replace(self, saturation=saturation, layout=self.layout.masked(mask.ravel()))

    def __call__(self, image: npt.NDArray[Any]) -> Pattern:
        """Integrate one (rows, columns) image of uint8, uint16 or uint32.

        A pixel whose count is all ones, all ones minus 1, or above the saturation is left out of this image.
        sums are Σ counts and norms Σ solid angle × polarisation of the others, so that sums / norms is pyFAI's
        intensity; variances are those of the sums.

        Raises
        ------
        MessageError
            for another shape or dtype.
        """
        pixels = self.flat(image)
        return self.layout.pattern(pixels, pixels.dtype.type(self.largest_valid(pixels.dtype)))

    def encoded(self, array: EncodedArray) -> Pattern:
        """Integrate one image as it was sent.

        Raises
        ------
        MessageError
            as `decompress`, and for another shape or dtype.
        """
        return self(decompress(array))

    def many(self, arrays: Sequence[EncodedArray]) -> list[Pattern | MessageError]:
        """See `Integrate`. What cannot be integrated block by block is decoded as a whole, to the same bits.

        So is a damaged blob: `decompress` names the reason.
        """
        found: dict[int, Pattern | None] = {}
        for batch in batches(arrays, self.shape):
            patterns = self.layout.patterns(batch.blobs, self.largest_valid(batch.dtype))
            found |= dict(zip(batch.numbers, patterns, strict=True))
        return [found.get(n) or outcome(self.encoded, array) for n, array in enumerate(arrays)]

    def warm_up(self) -> None:
        """Compile for every dtype, so that no frame waits for it."""
        for dtype in DTYPES:
            self(np.zeros(self.shape, dtype=dtype))
        self.layout.patterns(NOTHING, 0)

    def flat(self, image: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The pixels of a (rows, columns) image in native byte order, shape (pixels,).

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
        return np.ascontiguousarray(image, dtype=dtype).reshape(-1)

    def largest_valid(self, dtype: np.dtype[Any]) -> int:
        """The largest valid count: all ones and all ones less 1 are none, nor is what exceeds the saturation."""
        largest = int(np.iinfo(dtype).max) - 2
        return largest if self.saturation is None else min(largest, self.saturation)
