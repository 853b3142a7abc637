"""The fit of one voxel: detect, refine, and say what may be believed."""

from __future__ import annotations

import math

import numba
import numpy as np
import numpy.typing as npt

from stream.analyse.crystal.columns import add_scaled, weighted_dot
from stream.analyse.crystal.detect import DETECTED, FIXED, FREE, detect, roles
from stream.analyse.crystal.model import Model
from stream.analyse.crystal.nnls import cholesky, inverse_diagonal, solve
from stream.analyse.crystal.reasons import Reason
from stream.analyse.crystal.refine import TEXTURE, Layout, Trial, lay_out, refine
from stream.analyse.crystal.scatter import expected_squares

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# the kernels know numbers
OK, NO_SIGNAL, TIED, TOO_FEW = int(Reason.OK), int(Reason.NO_SIGNAL), int(Reason.TIED), int(Reason.TOO_FEW)
AT_BOUND, NOT_FINITE, NOT_CONVERGED = int(Reason.AT_BOUND), int(Reason.NOT_FINITE), int(Reason.NOT_CONVERGED)
POOR_FIT = int(Reason.POOR_FIT)

POOR = 0.25  # of the lines' power: what is left of the pattern beyond noise is half as strong as what was found in it
USABLE = 3.0  # a reflection is usable if its intensity exceeds so many standard deviations
LEAST_REFLECTIONS = 3
LEAST_BINS = 0.5  # of the axis; with fewer a voxel's pattern is no pattern

# Columns of the per-phase table that `fit_voxel` fills, after the six of the metric.
SCALE, STRAIN, STRAIN_ERROR, BREADTH, CELL_FREE, REASON = 6, 7, 8, 9, 10, 11
COVARIANCE, WIDTH = 12, 12 + 36  # 6 × 6, of the metric


@numba.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def fit_voxels(
    patterns: Floats,
    variances: Floats,
    m: Model,
    tables: Floats,
    smooth: Floats,
    curves: Floats,
    lines: Floats,
    quality: Floats,
) -> None:
    """`fit_voxel` for each of the patterns (n, bins), rows of the other arrays; not finite: not used."""
    y, weight = np.empty(patterns.shape[1]), np.empty(patterns.shape[1])
    for k in range(len(patterns)):
        for i in range(y.size):
            value, variance = patterns[k, i], variances[k, i]
            usable = math.isfinite(value) and math.isfinite(variance) and variance > 0
            y[i], weight[i] = (value, 1 / variance) if usable else (0.0, 0.0)
        quality[k] = fit_voxel(y, weight, m, tables[k], smooth[k], curves[k], lines[k])


@numba.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def fit_voxel(
    y: Floats, weight: Floats, m: Model, table: Floats, smooth: Floats, curve: Floats, lines: Floats
) -> float:
    """Fit one pattern; returns its reduced chi square, NaN where there is none.

    Parameters
    ----------
    y, weight : (bins,) pattern and 1/variance, both 0 in a bin that is not used.
    table : (phases, WIDTH), written: metric and the columns named above.
    smooth : (humps + background terms,), written: coefficients.
    curve : (bins,) or empty, written: the fitted pattern.
    lines : (reflections,) or empty, written: the area of each where its phase's intensities are free.
    """
    phases = m.volume.size
    table[:] = np.nan
    smooth[:] = np.nan
    table[:, REASON] = NOT_FINITE
    curve[:] = np.nan
    lines[:] = np.nan
    if np.sum(weight > 0) < LEAST_BINS * weight.size:
        return np.nan
    scale, significance = np.zeros(phases), np.zeros(phases)
    metric = np.zeros((phases, 6))
    chi2 = float(detect(y, weight, m, scale, significance, metric, smooth))
    table[:, SCALE] = scale
    table[:, REASON] = NO_SIGNAL
    if phases == 0 or significance.max() < DETECTED:
        if curve.size:
            curve[:] = _flat_curve(m, scale, smooth)
        return chi2
    mode, owner = np.zeros(phases, np.int64), np.zeros(phases, np.int64)
    main = roles(m, scale, significance, mode, owner)
    moving = significance >= DETECTED
    layout = lay_out(m, mode, owner, moving, main, scale)
    best, joint, converged = refine(y, weight, m, layout, metric)
    count = int(np.sum(best.passive[: best.columns.shape[0]])) + best.theta.size
    squares = weighted_dot(best.residual, best.residual, weight)
    noise = expected_squares(y, best.residual, weight, m.kept)
    chi2 = float(squares) / max(noise - count, 1.0)
    first = best.columns.shape[0] - smooth.size
    smooth[:] = best.x[first : first + smooth.size]
    if curve.size:
        curve[:] = y - best.residual
    if lines.size:
        _free_lines(m, layout, best, lines)
    poor = squares - noise > POOR * _line_power(weight, layout, best)
    _report(weight, m, layout, best, joint, chi2, moving, converged, poor, table)
    return float(chi2)


@numba.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _free_lines(m: Model, layout: Layout, t: Trial, lines: Floats) -> None:
    """The areas of the lines of the phase whose intensities are free; where they are tied they say nothing new."""
    for p in range(layout.mode.size):
        if layout.mode[p] == FREE:
            for r in range(m.first[p], m.first[p + 1]):
                lines[r] = m.intensity[r] * t.x[layout.column[r]]


@numba.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _flat_curve(m: Model, scale: Floats, smooth: Floats) -> Floats:
    """The pattern that `detect` found."""
    curve = np.zeros(m.edges.size - 1)
    for p in range(scale.size):
        add_scaled(curve, scale[p], m.templates[p, m.offsets.size // 2])
    for a in range(smooth.size):
        add_scaled(curve, smooth[a], m.smooth[a])
    return curve


@numba.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _report(
    weight: Floats,
    m: Model,
    layout: Layout,
    t: Trial,
    joint: Floats,
    chi2: float,
    moving: npt.NDArray[np.bool_],
    converged: bool,
    poor: bool,
    table: Floats,
) -> None:
    """Fill the table: scales, strain with its error (all else marginalised), and reasons."""
    linear = t.x.size
    used = np.ones(joint.shape[0], np.bool_)
    used[:linear] = t.passive
    factor, norm = np.zeros(joint.shape), np.zeros(used.size)
    cholesky(joint, used, factor, norm)
    variance = inverse_diagonal(factor, norm) * max(chi2, 1.0)
    for p in range(layout.mode.size):
        place = layout.place[p]
        table[p, :6] = t.metric[p]
        table[p, SCALE] = _scale(layout, t, variance, max(chi2, 1.0), p)
        at_bound = False
        for k in range(m.free[p]):
            at_bound |= moving[p] and _on(t, layout, place[k])
            if moving[p]:
                _metric_covariance(m, place, p, k, factor, norm, max(chi2, 1.0), linear, table[p])
        table[p, CELL_FREE] = 1.0 if moving[p] and not at_bound else 0.0
        if layout.owner[p] != p:
            table[p, REASON] = TIED if moving[p] else NO_SIGNAL
            continue
        strain, breadth = place[6], place[7]
        table[p, STRAIN], table[p, BREADTH] = t.theta[strain], t.theta[breadth]
        table[p, STRAIN_ERROR] = math.sqrt(max(variance[linear + strain], 0.0))
        stuck = t.theta[strain] >= layout.high[strain] or t.theta[breadth] >= layout.high[breadth]
        if not converged:
            table[p, REASON] = NOT_CONVERGED
        elif poor:
            table[p, REASON] = POOR_FIT
        elif _usable(weight, m, layout, t, chi2, p) < LEAST_REFLECTIONS:
            table[p, REASON] = TOO_FEW
        elif at_bound or stuck or not table[p, STRAIN_ERROR] > 0:
            table[p, REASON] = AT_BOUND
        else:
            table[p, REASON] = OK


@numba.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _metric_covariance(
    m: Model, place: Ints, p: int, k: int, factor: Floats, norm: Floats, noise: float, linear: int, row: Floats
) -> None:
    """Row k of the covariance of phase p's metric, all else marginalised, from the joint Hessian's factor."""
    unit, column = np.zeros(norm.size), np.empty(norm.size)
    unit[linear + place[k]] = noise
    solve(factor, norm, unit, column)
    for j in range(m.free[p]):
        row[COVARIANCE + 6 * k + j] = column[linear + place[j]] * m.unit[p, k] * m.unit[p, j]


@numba.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _line_power(weight: Floats, layout: Layout, t: Trial) -> float:
    """Power (weighted sum of squares) of the fitted lines."""
    lines = np.zeros(weight.size)
    for c in range(layout.span[layout.mode.size - 1, 1]):
        add_scaled(lines, t.x[c], t.columns[c])
    return float(weighted_dot(lines, lines, weight))


@numba.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _on(t: Trial, layout: Layout, k: int) -> bool:
    """Whether parameter k rests on a bound."""
    return bool(t.theta[k] <= layout.low[k]) or bool(t.theta[k] >= layout.high[k])


@numba.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _scale(layout: Layout, t: Trial, variance: Floats, noise: float, p: int) -> float:
    """s_p = Σ w I_free I_calc / Σ w I_calc², with columns of unit intensity the mean of their coefficients.

    w is one over the variance of each, the counting one plus the texture's: else the strongest line, however
    textured, would decide alone.
    """
    if layout.mode[p] == FIXED:
        return float(t.x[layout.span[p, 0]])
    if layout.mode[p] != FREE:
        return float(t.x[t.columns.shape[0] + p])
    scale = 0.0
    for _ in range(3):
        top, bottom = 0.0, 1e-300
        for c in range(layout.span[p, 0], layout.span[p, 1]):
            counting = variance[c] if variance[c] > 0 else noise / max(t.matrix[c, c], 1e-300)
            w = 1 / (counting + (TEXTURE * scale) ** 2)
            top += w * t.x[c]
            bottom += w
        scale = top / bottom
    return scale


@numba.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _usable(weight: Floats, m: Model, layout: Layout, t: Trial, chi2: float, p: int) -> int:
    """How many resolved reflections (groups) of phase p stand above the noise."""
    count = 0
    pattern = np.zeros(weight.size)
    last = m.first[p + 1]
    for g in range(m.first_group[p], m.first_group[p + 1]):
        pattern[:] = 0.0
        for r in range(m.first[p], last):
            if m.group[r] == g:
                add_scaled(pattern, m.intensity[r] * t.x[layout.column[r]], t.profiles[0, r])
        if math.sqrt(weighted_dot(pattern, pattern, weight)) > USABLE * math.sqrt(max(chi2, 1.0)):
            count += 1
    return count
