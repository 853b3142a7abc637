"""From parameters to the columns of the model, and to their derivatives."""

from __future__ import annotations

import math

import numba
import numpy as np
import numpy.typing as npt

from stream.analyse.crystal.model import Model
from stream.analyse.crystal.profile import voigt_bins

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@numba.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def add_scaled(target: Floats, factor: float, source: Floats) -> None:
    """target += factor·source."""
    for i in range(target.size):
        target[i] += factor * source[i]


@numba.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def fill_profiles(
    m: Model, p: int, metric: Floats, strain: float, breadth: float, geometry: Floats, profiles: Floats
) -> None:
    """Profiles of phase p's reflections at these parameters.

    Parameters
    ----------
    metric : (6,) reciprocal parameters; strain : ε; breadth : Kλ/D, radians.
    geometry : (reflections, 3), written: tanθ, 1/cosθ, d(2θ)/d(1/d²).
    profiles : (3, reflections, bins), written: the profile and its slopes by position and by integral breadth.
    """
    for r in range(m.first[p], m.first[p + 1]):
        q = 0.0
        for k in range(m.free[p]):
            q += m.rows[r, k] * metric[k]
        sine = m.wavelength / 2 * math.sqrt(max(q, 1e-12))
        theta = math.asin(min(sine, 0.999))
        tangent, secant = math.tan(theta), 1 / math.cos(theta)
        geometry[r, 0], geometry[r, 1], geometry[r, 2] = tangent, secant, tangent / q
        beta = breadth * secant + 4 * strain * tangent
        by_shape, gamma = m.shape[p, 0] * beta, m.gamma[r] + m.shape[p, 1] * beta
        sigma = math.sqrt(m.sigma[r] ** 2 + by_shape**2)
        along = m.shape[p, 0] * by_shape / sigma, m.shape[p, 1]
        voigt_bins(m.edges, m.shift, m.excess, m.box[r], 2 * theta, sigma, gamma, along,
                   profiles[0, r], profiles[1, r], profiles[2, r])  # fmt: skip


@numba.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def fill_columns(m: Model, column: Ints, profiles: Floats, columns: Floats) -> None:
    """Linear columns (n, bins): Σ I·profile of the reflections that share a column; the smooth ones come last.

    `column` (reflections,) says which one each reflection belongs to.
    """
    smooth = m.smooth.shape[0]
    lines = columns.shape[0] - smooth
    columns[:lines] = 0.0
    columns[lines:] = m.smooth
    for r in range(column.size):
        add_scaled(columns[column[r]], m.intensity[r], profiles[0, r])


@numba.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def fill_slopes(
    m: Model, column: Ints, x: Floats, place: Ints, owner: Ints, geometry: Floats, profiles: Floats, slopes: Floats
) -> None:
    """Slopes (parameters, bins) of the model by metric, strain and breadth.

    `x` are the columns' coefficients; `place` (phases, 8) says where each of a phase's six metric parameters, its
    strain and its breadth stand in `slopes`, -1 for held ones; `owner` (phases,) whose strain and breadth it follows.
    """
    slopes[:] = 0.0
    for p in range(place.shape[0]):
        o = owner[p]
        for r in range(m.first[p], m.first[p + 1]):
            strength = m.intensity[r] * x[column[r]]
            if strength == 0.0:
                continue
            by_center, by_beta = profiles[1, r], profiles[2, r]
            for k in range(m.free[p]):
                if place[p, k] >= 0:
                    factor = strength * geometry[r, 2] * m.rows[r, k] * m.unit[p, k]
                    add_scaled(slopes[place[p, k]], factor, by_center)
            add_scaled(slopes[place[o, 6]], strength * 4 * geometry[r, 0], by_beta)
            add_scaled(slopes[place[o, 7]], strength * geometry[r, 1], by_beta)


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})  # type: ignore[untyped-decorator]
def weighted_dot(a: Floats, b: Floats, weight: Floats) -> float:
    """Σ a·b·weight."""
    total = 0.0
    for i in range(a.size):
        total += a[i] * b[i] * weight[i]
    return total


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})  # type: ignore[untyped-decorator]
def dot(a: Floats, b: Floats) -> float:
    """Σ a·b."""
    total = 0.0
    for i in range(a.size):
        total += a[i] * b[i]
    return total


@numba.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def normal_equations(columns: Floats, y: Floats, weight: Floats, matrix: Floats, right: Floats) -> None:
    """matrix = A W Aᵀ and right = A W y of the columns A (n, bins)."""
    n = columns.shape[0]
    scaled = np.empty(weight.size)
    for a in range(n):
        for i in range(weight.size):
            scaled[i] = columns[a, i] * weight[i]
        right[a] = dot(scaled, y)
        for b in range(a + 1):
            matrix[a, b] = matrix[b, a] = dot(scaled, columns[b])
