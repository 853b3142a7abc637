"""What a pixel counts of a pattern: its mean over the pixel's area, blurred by the charge that pixels share.

A pixel is a parallelogram on 2θ: two boxes convolved. A pattern's mean over both is a second difference of its second
antiderivative, which is exact, however narrow the lines are; a few points in each pixel make combs of them.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Images = npt.NDArray[np.float32]

NARROWEST = 0.05  # of a pixel's longer edge on 2θ: the shorter one is not taken for less
REACH = 5.0  # standard deviations of the blur


def pixel_means(patterns: Floats, step: float, center: Floats, first: Floats, second: Floats, spread: float) -> Images:
    """Means of patterns (K, cells), cells of width `step` from 2θ = 0, over each pixel: float32 (K, pixels).

    Parameters
    ----------
    center
        (pixels,) 2θ of each pixel's middle, radians.
    first, second
        (pixels,) change of 2θ along its edges.
    spread
        standard deviation of the blur in pixels.
    """
    some = np.argsort(center)[np.linspace(0, center.size - 1, 4096).astype(int)]
    width = np.polynomial.Polynomial.fit(center[some], np.hypot(first, second)[some], 3)  # it falls as cos²2θ does
    cells = np.clip((np.arange(patterns.shape[1]) + 0.5) * step, center.min(), center.max())
    blurred = np.empty(patterns.shape[::-1])
    _blur(np.ascontiguousarray(patterns.T, dtype=np.float64), spread * width(cells) / step, blurred)
    nothing = np.zeros((1, len(patterns)))
    once = np.concatenate([nothing, np.cumsum(blurred, axis=0) * step])
    twice = np.concatenate([nothing, np.cumsum((once[1:] + once[:-1]) / 2, axis=0) * step])
    out = np.empty((len(patterns), center.size), dtype=np.float32)
    _means(blurred, once, twice, step, center, np.abs(first), np.abs(second), out)
    return out


@numba.njit(nogil=True, cache=True)
def _blur(table, sigma, out):  # type: ignore[no-untyped-def]
    """Gaussians of `sigma` cells, other ones at each cell; the pattern is even about 2θ = 0."""
    cells = table.shape[0]
    for i in range(cells):
        reach = int(np.ceil(REACH * sigma[i]))
        out[i] = 0.0
        total = 0.0
        for j in range(i - reach, i + reach + 1):
            weight = np.exp(-0.5 * ((j - i) / sigma[i]) ** 2)
            out[i] += weight * table[min(abs(j), cells - 1)]
            total += weight
        out[i] /= total


@numba.njit(nogil=True, cache=True)
def _means(table, once, twice, step, center, first, second, out):  # type: ignore[no-untyped-def]
    cells, components = table.shape
    total = np.empty(components)
    for i in range(center.size):
        long, short = max(first[i], second[i]), min(first[i], second[i])
        short = max(short, NARROWEST * long)
        total[:] = 0.0
        for sign, offset in ((1.0, long + short), (-1.0, long - short), (-1.0, short - long), (1.0, -long - short)):
            x = abs(center[i] + offset / 2)
            cell = min(int(x / step), cells - 1)
            u = x - cell * step
            for k in range(components):
                total[k] += sign * (twice[cell, k] + u * (once[cell, k] + 0.5 * u * table[cell, k]))
        for k in range(components):
            out[k, i] = total[k] / (long * short)
