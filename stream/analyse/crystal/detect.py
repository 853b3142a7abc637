"""What a voxel holds, before anything is refined: scales, and the part each phase plays in its fit."""

from __future__ import annotations

import math

import numba
import numpy as np
import numpy.typing as npt

from stream.analyse.crystal.columns import add_scaled, normal_equations, weighted_dot
from stream.analyse.crystal.model import Model
from stream.analyse.crystal.nnls import cholesky, inverse_diagonal, nonnegative
from stream.analyse.crystal.scatter import expected_squares

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

DETECTED = 5.0  # a phase is there if its scale exceeds so many standard deviations
MAIN_SHARE = 0.7  # of the crystalline volume: intensities of such a phase are free
OWN_SHARE = 0.2  # below, strain and size follow the main phase's

# What the intensities of a phase are in a voxel's fit.
FREE, RESTRAINED, FIXED = 0, 1, 2


@numba.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def detect(
    y: Floats, weight: Floats, m: Model, scale: Floats, significance: Floats, metric: Floats, smooth: Floats
) -> float:
    """Scales of all phases with tied intensities and the start's widths; returns the reduced chi square.

    The cell of the strongest phase is searched isotropically over the templates. `scale`, `significance` (in
    standard deviations), `metric` and `smooth` (coefficients) are written.
    """
    phases, middle = scale.size, m.offsets.size // 2
    n = phases + m.smooth.shape[0]
    columns = np.empty((n, y.size))
    for p in range(phases):
        columns[p] = m.templates[p, middle]
        metric[p] = m.metric[p]
    columns[phases:] = m.smooth
    matrix, right, x = np.empty((n, n)), np.empty(n), np.empty(n)
    passive = np.empty(n, dtype=np.bool_)
    residual = np.empty(y.size)
    for attempt in range(2):
        normal_equations(columns, y, weight, matrix, right)
        nonnegative(matrix, right, x, passive, (phases, n))
        residual[:] = y
        for a in range(n):
            add_scaled(residual, -x[a], columns[a])
        if attempt == 1 or phases == 0:
            break
        strongest = 0
        for p in range(1, phases):
            if x[p] * m.volume[p] ** 2 > x[strongest] * m.volume[strongest] ** 2:
                strongest = p
        add_scaled(residual, x[strongest], columns[strongest])
        best, best_score = middle, -1.0
        for k in range(m.offsets.size):
            template = m.templates[strongest, k]
            overlap = max(weighted_dot(template, residual, weight), 0.0)
            score = overlap**2 / max(weighted_dot(template, template, weight), 1e-300)
            if score > best_score * (1 + 1e-9):
                best, best_score = k, score
        columns[strongest] = m.templates[strongest, best]
        metric[strongest] = m.metric[strongest] / (1 + m.offsets[best]) ** 2
    squares = weighted_dot(residual, residual, weight)
    chi2 = float(squares) / max(expected_squares(y, residual, weight, m.kept) - n, 1.0)
    factor, norm = np.zeros((n, n)), np.zeros(n)
    cholesky(matrix, passive, factor, norm)
    variance = inverse_diagonal(factor, norm) * max(chi2, 1.0)
    for p in range(phases):
        scale[p] = x[p]
        significance[p] = x[p] / math.sqrt(variance[p]) if variance[p] > 0 else 0.0
    smooth[:] = x[phases:]
    return float(chi2)


@numba.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def roles(m: Model, scale: Floats, significance: Floats, mode: Ints, owner: Ints) -> int:
    """Mode of each phase's intensities and whose widths it follows; returns the leading phase."""
    amount = scale * m.volume**2
    share = amount / amount.sum()
    main = int(np.argmax(share))
    for p in range(scale.size):
        there = significance[p] >= DETECTED
        mode[p] = RESTRAINED if there else FIXED
        if p == main and share[p] >= MAIN_SHARE:
            mode[p] = FREE
        owner[p] = p if p == main or (there and share[p] >= OWN_SHARE) else main
    return main
