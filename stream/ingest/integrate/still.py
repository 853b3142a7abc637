"""Integration of an image from a file, which may be an average or carry a sign."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from stream.core.errors import ConfigError
from stream.core.messages import Pattern
from stream.ingest.integrate.cpu import UNIT_WEIGHT, CpuIntegrator


def integrate_still(image: npt.NDArray[Any], integrate: CpuIntegrator, where: str) -> Pattern:
    """Integrate an image of any real dtype as `integrate` does frames; `where` begins the error.

    Left out: negative and non-finite pixels, and in unsigned images all ones and all ones minus 1. The values are
    taken for counts: their variance is their sum.

    Raises
    ------
    ConfigError
        for another shape than the detector's, or numbers that are not real.
    """
    if image.shape != integrate.shape or image.dtype.kind not in "uif":
        raise ConfigError(f"{where}: {image.dtype} pixels of shape {image.shape}, the detector's is {integrate.shape}")
    largest = np.iinfo(image.dtype).max - 2 if image.dtype.kind == "u" else np.inf
    valid = (np.isfinite(image) & (image >= 0) & (image <= largest)).ravel()
    counts = np.where(valid, image.ravel(), 0).astype(np.float64)
    weights = np.where(valid, integrate.weights, 0)
    bins = integrate.axis.bins
    sums = np.bincount(integrate.bins, weights=counts, minlength=bins + 1)[:bins].astype(np.float32)
    norms = np.bincount(integrate.bins, weights=weights / UNIT_WEIGHT, minlength=bins + 1)[:bins].astype(np.float32)
    return Pattern(sums=sums, norms=norms, variances=sums)
