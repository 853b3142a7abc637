"""The peers of integration: pyFAI's csr, and a bare product with its sparse matrix by scipy."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from dectris.compression import decompress
from pyFAI.integrator.azimuthal import AzimuthalIntegrator
from scipy.sparse import csr_array

from stream.core.config import IntegrationConfig
from stream.core.messages import EncodedArray

Floats = npt.NDArray[np.float64]


class PyFai:
    """`integrate1d_ng` with (method, "csr", "cython"), in the way that costs it least.

    The mask is the detector's, so that none is hashed for a frame; it checks no input (``safe``) and keeps no errors.
    """

    def __init__(self, integrator: AzimuthalIntegrator, config: IntegrationConfig) -> None:
        self.config = config
        self.integrator = integrator
        self.integrator.empty = np.nan

    def __call__(self, image: npt.NDArray[Any]) -> Floats:
        """Intensity of each bin, NaN where no pixel is."""
        config = self.config
        result = self.integrator.integrate1d_ng(
            image,
            config.bins,
            unit=config.unit,
            correctSolidAngle=config.solid_angle,
            polarization_factor=config.polarization,
            method=(config.method, "csr", "cython"),
            safe=False,
        )
        return np.asarray(result.intensity, dtype=np.float64)

    def reduce(self, array: EncodedArray) -> Floats:
        """The same from the compressed frame, decoded by dectris-compression."""
        pixels = np.frombuffer(decompress(array.data, "bslz4", elem_size=array.element_size), dtype=array.dtype)
        return self(pixels.reshape(array.shape))

    def matrix(self) -> csr_array:
        """Its sparse matrix, (bins, pixels) float32; there once an image was integrated."""
        (engine,) = self.integrator.engines.values()
        lut = engine.engine
        return csr_array((lut.data, lut.indices, lut.indptr), shape=(self.config.bins, lut.size))


class ScipyCsr:
    """Sums by the product of pyFAI's matrix with the frame, norms once and for all."""

    def __init__(self, matrix: csr_array, weights: Floats) -> None:
        self.matrix = matrix
        norms = matrix.astype(np.float64) @ weights.ravel()
        self.norms = np.where(norms > 0, norms, np.nan)

    def __call__(self, image: npt.NDArray[Any]) -> Floats:
        """Intensity of each bin, NaN where no pixel is; summed in float32, as the matrix is."""
        return np.asarray(self.matrix @ image.ravel().astype(np.float32) / self.norms)
