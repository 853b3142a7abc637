"""The filters of robust integration, compiled; each works on one ring after another.

What the arguments have in common
---------------------------------
image
    counts, shape (pixels,); those above `limit`, and NaN, are left out.
pixels, weights, starts
    pixel numbers and weights ring after ring, ascending in weight, and where each ring begins and the last ends.
sums, norms
    float64 (rings,), written: Σ counts and Σ weights of the pixels that are left.
"""

from __future__ import annotations

import math

import numba
import numpy as np

CYCLES = 5
"""Rounds of clipping at most; pyFAI's `max_iter`."""


@numba.njit(nogil=True, cache=True)
def clip_sigma(image, pixels, weights, starts, limit, threshold, sums, norms):  # type: ignore[no-untyped-def]
    """Clip pixels further than threshold·σ from the ring's mean until none is, as pyFAI's ``sigma_clip_ng``.

    σ² = Σ max(1, count) / Σ weight² is the Poisson variance of one pixel's intensity, never below that of one count:
    the scatter of the ring itself would have it cut every count out of a ring with a hundredth of a count a pixel.
    The threshold is at least Chauvenet's, √(2 ln(n / √2π)) for n pixels.
    """
    longest = np.diff(starts).max()
    counts, norm = np.empty(longest), np.empty(longest)
    for ring in range(starts.size - 1):
        left = _gather(image, pixels, weights, starts[ring], starts[ring + 1], limit, counts, norm)
        mean, reach = 0.0, math.inf
        for cycle in range(CYCLES + 1):
            before, left = left, 0
            total, variance, total_norm, squares = 0.0, 0.0, 0.0, 0.0
            for i in range(before):
                count, weight = counts[i], norm[i]
                if cycle == 0 or abs(count - mean * weight) <= reach * weight:
                    counts[left], norm[left] = count, weight
                    left += 1
                    total += count
                    variance += max(1.0, count)
                    total_norm += weight
                    squares += weight * weight
            if left == 0 or (left == before and cycle > 0):
                break
            mean = total / total_norm
            chauvenet = math.sqrt(2 * math.log(max(3, left) / math.sqrt(2 * math.pi)))
            reach = max(threshold, chauvenet) * math.sqrt(variance / squares)
        sums[ring], norms[ring] = total, total_norm


@numba.njit(nogil=True, cache=True)
def trim(image, pixels, weights, starts, limit, low, high, sums, norms):  # type: ignore[no-untyped-def]
    """Leave out the faintest and the brightest pixels of each ring, as pyFAI's ``medfilt1d_ng`` between percentiles.

    `low` and `high` are the shares of the ring's weight cut off at each end; a pixel that lies across the cut stays.
    Pixels are ranked by count / weight, equal ones by weight.
    """
    longest = np.diff(starts).max()
    counts, norm = np.empty(longest), np.empty(longest)
    for ring in range(starts.size - 1):
        left = _gather(image, pixels, weights, starts[ring], starts[ring + 1], limit, counts, norm)
        order = np.argsort((counts[:left] / norm[:left]).astype(np.float32), kind="mergesort")
        whole = norm[:left].sum()
        total, total_norm, below = 0.0, 0.0, 0.0
        for i in order:
            above = below + norm[i]
            if above >= low * whole and below <= (1 - high) * whole:
                total += counts[i]
                total_norm += norm[i]
            below = above
        sums[ring], norms[ring] = total, total_norm


@numba.njit(nogil=True, cache=True)
def _gather(image, pixels, weights, start, stop, limit, counts, norm):  # type: ignore[no-untyped-def]
    """Copy the valid pixels of a ring into counts and norm; returns how many."""
    found = 0
    for i in range(start, stop):
        count = image[pixels[i]]
        if count <= limit:
            counts[found], norm[found] = count, weights[i]
            found += 1
    return found
