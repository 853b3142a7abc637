"""Integration of an image from a file, which may be an average or carry a sign."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from stream.core.errors import ConfigError
from stream.core.messages import Pattern
from stream.ingest.integrate.cpu import CpuIntegrator
from stream.ingest.integrate.geometry import Mask


def integrate_still(image: npt.NDArray[Any], integrate: CpuIntegrator, where: str) -> Pattern:
    """Integrate an image of any real dtype as `integrate` does frames; `where` begins the error.

    Left out: negative and non-finite pixels, and in unsigned images all ones and all ones minus 1. The values are
    taken for counts, and their variance for their value.

    Raises
    ------
    ConfigError
        for another shape than the detector's, or numbers that are not real.
    """
    if image.shape != integrate.shape or image.dtype.kind not in "uif":
        raise ConfigError(f"{where}: {image.dtype} pixels of shape {image.shape}, the detector's is {integrate.shape}")
    counts = np.where(valid_pixels(image), image, np.nan).astype(np.float64)
    return integrate.layout.pattern(counts.ravel(), np.inf)


def valid_pixels(image: npt.NDArray[Any]) -> Mask:
    """Pixels of an image that hold a count, shape (rows, columns)."""
    largest = np.iinfo(image.dtype).max - 2 if image.dtype.kind == "u" else np.inf
    return np.asarray(np.isfinite(image) & (image >= 0) & (image <= largest))
