"""Weak peaks: structure in a few neighbouring bins, found there where all directions together hold too much noise.

An eigenvector of p bins and n rays points so far astray (p/n against its excess) that a peak of one standard deviation
of a ray's noise loses half of its contrast; within its own few bins, hardly any (diagonal thresholding, Johnstone and
Lu 2009). Matrices and vectors are in units of noise, with 1 on the diagonal where there is nothing else.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.float64]

SURE = 4.5  # standard deviations: beyond them the mean square of a window of bins is not noise
WIDTHS = (1, 2, 4, 8)  # bins of a window


def aligned(values: Reals, bins: int, rays: float) -> Reals:
    """cos² of the angle between each eigenvector and the truth, from its eigenvalue (Johnstone and Paul 2018)."""
    ratio = bins / rays
    found = values - 1 - ratio
    excess = (found + np.sqrt(np.maximum(found**2 - 4 * ratio, 0))) / 2
    return np.asarray((1 - ratio / excess**2) / (1 + ratio / excess))


def peaks(matrix: Reals, vectors: Reals, excess: Reals, counts: Reals, rays: float) -> Reals:
    """Vectors (bin, k) of what stands above noise in few bins, besides (bin, r) vectors of such excess.

    counts : (bin,) of a ray, rays: how many; they tell how much the mean square of noise scatters.
    """
    bins = np.flatnonzero(_beyond_noise(_bands(matrix, vectors, excess), counts, rays))
    held = vectors[bins]
    values, narrow = np.linalg.eigh(matrix[np.ix_(bins, bins)] - held * excess @ held.T)
    sure = values > (1 + np.sqrt(bins.size / rays)) ** 2
    found = np.zeros((len(matrix), np.count_nonzero(sure)))
    found[bins] = narrow[:, sure]
    return found


def _bands(matrix: Reals, vectors: Reals, excess: Reals) -> list[Reals]:
    """Main diagonal and those beside it of what noise and vectors leave, 0 where nothing is counted."""
    used = np.diag(matrix) > 0
    bands = []
    for k in range(min(WIDTHS[-1], len(matrix))):
        first, second = slice(len(matrix) - k), slice(k, None)
        rest = np.diag(matrix, k) - np.einsum("bk,bk->b", vectors[first] * excess, vectors[second]) - (k == 0)
        bands.append(np.where(used[first] & used[second], rest, 0))
    return bands


def _beyond_noise(bands: list[Reals], counts: Reals, rays: float) -> NDArray[np.bool_]:
    """(bin,) whether it is in a window of more than noise, whose mean square scatters by (2 + 1/counts)/rays."""
    found = np.zeros(len(counts), np.bool_)
    for width in WIDTHS[: np.searchsorted(WIDTHS, len(bands), "right")]:
        sums = [
            np.convolve(band, np.ones(width - k), "valid") * (2 if k else 1) for k, band in enumerate(bands[:width])
        ]
        fewer = np.convolve(1 / np.maximum(counts, 1e-3), np.ones(width), "valid") / width**2
        for start in np.flatnonzero(np.sum(sums, axis=0) / width > SURE * np.sqrt((2 + fewer) / rays)):
            found[start : start + width] = True
    return found
