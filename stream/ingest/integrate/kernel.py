"""The inner loops of azimuthal integration, compiled."""

from __future__ import annotations

import numba
import numpy as np

LANES = 4
"""Accumulators side by side: neighbouring pixels mostly share a bin, and adding to one would wait for the other."""


@numba.njit(nogil=True, cache=True)
def accumulate(image, bins, weights, limit, sums, excluded):  # type: ignore[no-untyped-def]
    """Add one image to its bins; with integers the order of adding does not matter.

    Parameters
    ----------
    image, bins, weights
        counts, bin number and integer weight of each pixel, shape (pixels,).
    limit
        the largest valid count, of image's dtype.
    sums
        (LANES, bins + 1), int64 for an image of integers, else float64, added to: the counts of valid pixels; their
        total is over the lanes.
    excluded
        int64 (bins + 1,), added to: the weights of pixels above the limit, or NaN.
    """
    whole = image.size - image.size % LANES
    for start in range(0, whole, LANES):
        for lane in range(LANES):
            count = image[start + lane]
            if count <= limit:
                sums[lane, bins[start + lane]] += count
            else:
                excluded[bins[start + lane]] += weights[start + lane]
    for pixel in range(whole, image.size):
        if image[pixel] <= limit:
            sums[0, bins[pixel]] += image[pixel]
        else:
            excluded[bins[pixel]] += weights[pixel]


@numba.njit(nogil=True, cache=True)
def accumulate_split(image, bins, pairs, further, weights, limit, sums, excluded):  # type: ignore[no-untyped-def]
    """Add one image whose pixels reach several bins.

    Parameters
    ----------
    image, weights
        counts and weight of each pixel, shape (pixels,).
    bins, pairs
        first bin, and the coefficients for it and the next, of each pixel and then of the pixels of `further`,
        shapes (pixels + further,) and (pixels + further, 2).
    further
        pixels that reach more than two bins, once for each further pair, shape (further,).
    limit
        the largest valid count.
    sums
        float64 (bins + 1, 4), added to: Σ c·count and Σ c²·count of valid pixels, for the pair's first and second bin.
    excluded
        float64 (bins + 1, 2), added to: Σ c·weight of pixels above the limit, likewise.
    """
    for entry in range(bins.size):
        pixel = entry if entry < image.size else further[entry - image.size]
        count, place = image[pixel], bins[entry]
        first, second = np.float64(pairs[entry, 0]), np.float64(pairs[entry, 1])
        if count <= limit:
            to_first, to_second = first * count, second * count
            sums[place, 0] += to_first
            sums[place, 1] += to_second
            sums[place, 2] += first * to_first
            sums[place, 3] += second * to_second
        else:
            excluded[place, 0] += first * weights[pixel]
            excluded[place, 1] += second * weights[pixel]
