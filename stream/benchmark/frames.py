"""The frames that are measured: Poisson counts with rings, on DECTRIS' own detector shapes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
from pyFAI.detectors import detector_factory
from pyFAI.integrator.azimuthal import AzimuthalIntegrator

from stream.core.messages import EncodedArray
from stream.ingest.integrate import Geometry
from stream.simulate.wire import compress

DETECTORS = {"1M": "Eiger2 1M", "4M": "Eiger2 4M"}
DENSITIES = {"sparse": 0.5, "dense": 10.0}
"""Mean counts a pixel."""
DISTINCT = 8  # frames: none is still in a cache when its turn comes again, and those integrated together differ
RINGS = (0.15, 0.2, 0.32, 0.41, 0.55, 0.7, 0.83)  # radii as shares of the largest
WIDTH = 0.004
HEIGHT = 6.0  # above the background
WAVELENGTH = 0.7  # Å

Pixels = npt.NDArray[np.unsignedinteger[Any]]


@dataclass(frozen=True, slots=True)
class Kind:
    """What frames are of: detector size, dtype, density."""

    size: str
    dtype: str
    density: str

    def __str__(self) -> str:
        """As rows are named."""
        return f"{self.size}-{self.dtype}-{self.density}"


KINDS = tuple(Kind(*parts) for parts in product(("4M", "1M"), ("uint32", "uint16"), DENSITIES))


@dataclass(frozen=True, slots=True)
class Frames:
    """Images of (rows, columns), and the same as they travel."""

    images: list[Pixels]
    encoded: list[EncodedArray]

    def cycled(self, count: int) -> Frames:
        """So many frames, each as often as it takes."""
        turns = range(count)
        images, encoded = self.images, self.encoded
        return Frames([images[n % len(images)] for n in turns], [encoded[n % len(encoded)] for n in turns])


def integrator(size: str) -> AzimuthalIntegrator:
    """The detector at 0.2 m, tilted a little, the beam near its middle; gaps are masked as pyFAI knows them."""
    detector = detector_factory(DETECTORS[size])
    rows, columns = detector.shape
    return AzimuthalIntegrator(
        dist=0.2,
        poni1=0.52 * rows * detector.pixel1,
        poni2=0.48 * columns * detector.pixel2,
        rot1=0.01,
        rot2=-0.008,
        wavelength=WAVELENGTH * 1e-10,
        detector=detector,
    )


@cache
def geometry(size: str) -> Geometry:
    """The same for our own integration."""
    placed = integrator(size)
    detector = placed.detector
    return Geometry(placed, detector.shape, WAVELENGTH, (detector.pixel1, detector.pixel2))


@cache
def frames(kind: Kind) -> Frames:
    """Poisson counts of that mean over pixels that count, rings on a flat background; all ones in the gaps."""
    place = geometry(kind.size)
    gaps = place.detector_mask()
    radius = place.positions("2th_deg")
    radius = radius / radius.max()
    expected = 1.0 + sum(HEIGHT * np.exp(-0.5 * ((radius - ring) / WIDTH) ** 2) for ring in RINGS)
    expected *= DENSITIES[kind.density] / expected[~gaps].mean()
    images = [np.random.default_rng(n).poisson(expected).astype(kind.dtype) for n in range(DISTINCT)]
    for image in images:
        image[gaps] = np.iinfo(kind.dtype).max
    return Frames(images, [encode(image) for image in images])


def encode(image: Pixels) -> EncodedArray:
    """As DECTRIS sends it: bitshuffle and LZ4."""
    return EncodedArray(
        shape=image.shape, dtype=image.dtype, algorithm="bslz4", element_size=image.itemsize, data=compress(image)
    )
