"""The inner loops of azimuthal integration, compiled."""

from __future__ import annotations

import numba

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
def accumulate_shared(image, bins, shares, weights, limit, sums, excluded):  # type: ignore[no-untyped-def]
    """Add one image whose pixels lie in one bin or in two neighbouring ones.

    Parameters
    ----------
    image, bins, shares, weights
        counts, first bin, share s of it (the rest is the next bin's) and weight of each pixel, shape (pixels,).
    limit
        the largest valid count.
    sums
        float64 (bins + 1, 3), added to: Σ s·count, Σ (1 − s)·count and Σ s(1 − s)·count of valid pixels.
    excluded
        float64 (bins + 1, 2), added to: Σ s·weight and Σ (1 − s)·weight of pixels above the limit, or NaN.
    """
    for pixel in range(image.size):
        count, place, share = image[pixel], bins[pixel], shares[pixel]
        if count <= limit:
            first = share * count
            second = count - first
            sums[place, 0] += first
            sums[place, 1] += second
            sums[place, 2] += share * second
        else:
            first = share * weights[pixel]
            excluded[place, 0] += first
            excluded[place, 1] += weights[pixel] - first


@numba.njit(nogil=True, cache=True)
def accumulate_listed(image, pixels, bins, shares, weights, limit, sums, excluded):  # type: ignore[no-untyped-def]
    """Add shares of pixels that lie in more bins, or partly in none: pixel, bin and share of each, shape (shares,).

    Added to are sums, float64 (bins + 1, 2): Σ s·count and Σ s²·count; and excluded, float64 (bins + 1,): Σ s·weight.
    """
    for entry in range(pixels.size):
        count, place, share = image[pixels[entry]], bins[entry], shares[entry]
        if count <= limit:
            part = share * count
            sums[place, 0] += part
            sums[place, 1] += share * part
        else:
            excluded[place] += share * weights[pixels[entry]]
