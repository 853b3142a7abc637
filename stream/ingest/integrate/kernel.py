"""The inner loop of azimuthal integration, compiled."""

from __future__ import annotations

import numba
import numpy as np

LANES = 4
"""Accumulators side by side: neighbouring pixels mostly share a bin, and adding to one would wait for the other."""


@numba.njit(nogil=True, cache=True)
def accumulate(image, bins, weights, limit, sums, excluded):  # type: ignore[no-untyped-def]
    """Add one image to its bins; integers throughout, so the order of adding does not matter.

    Parameters
    ----------
    image, bins, weights
        counts, bin number and integer weight of each pixel, shape (pixels,).
    limit
        the largest valid count, of image's dtype.
    sums
        int64 (LANES, bins + 1), added to: the counts of valid pixels; their total is over the lanes.
    excluded
        int64 (bins + 1,), added to: the weights of pixels above the limit.
    """
    whole = image.size - image.size % LANES
    for start in range(0, whole, LANES):
        for lane in range(LANES):
            count = image[start + lane]
            if count <= limit:
                sums[lane, bins[start + lane]] += np.int64(count)
            else:
                excluded[bins[start + lane]] += weights[start + lane]
    for pixel in range(whole, image.size):
        if image[pixel] <= limit:
            sums[0, bins[pixel]] += np.int64(image[pixel])
        else:
            excluded[bins[pixel]] += weights[pixel]
