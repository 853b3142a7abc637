"""Levenberg-Marquardt on cells, strain and size, the linear parameters solved inside every step.

Intensities, which are non-negative, humps and background are linear: at every trial they are the exact optimum, so
only few parameters are searched for, and a step uses the Hessian with the linear ones marginalised.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from stream.analyse.crystal.columns import (
    add_scaled,
    dot,
    fill_columns,
    fill_profiles,
    fill_slopes,
    normal_equations,
    weighted_dot,
)
from stream.analyse.crystal.detect import FIXED, RESTRAINED
from stream.analyse.crystal.model import STRAIN_RANGE, Model
from stream.analyse.crystal.nnls import cholesky, nonnegative, solve

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

TEXTURE = 0.15  # how far intensities may stray from the structure, relative, in a phase that is not the main one
STEPS = 40
FREELY = 1e-3  # damping up to which a step is as good as the undamped one
LEAST_GAIN = 1e-3  # of the noise's variance: such a step moves nothing by more than a thirtieth of its error


class Layout(NamedTuple):
    """Which parameters a voxel's fit has."""

    mode: Ints  # (phases,) FREE, RESTRAINED or FIXED
    owner: Ints  # (phases,) whose strain and size the phase has
    span: Ints  # (phases, 2) its columns
    column: Ints  # (reflections,) the column of each
    place: Ints  # (phases, 8) of metric, strain and breadth among the non-linear parameters, -1: held
    prior: Floats  # (phases,) weight of the restraint on its intensities
    low: Floats  # (parameters,)
    high: Floats


class Trial(NamedTuple):
    """The model at one set of non-linear parameters, and the linear optimum there."""

    theta: Floats  # (parameters,)
    metric: Floats  # (phases, 6)
    geometry: Floats  # (reflections, 3)
    profiles: Floats  # (3, reflections, bins)
    columns: Floats  # (columns, bins)
    matrix: Floats  # (columns + phases,) squared; the last rows are the scales of restrained phases
    x: Floats  # (columns + phases,)
    passive: Bools
    residual: Floats  # (bins,)


@numba.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def lay_out(m: Model, mode: Ints, owner: Ints, moving: Bools, main: int, scale: Floats) -> Layout:
    """The layout of a voxel's fit; `moving` phases have a free cell, `main` the wide bounds."""
    phases, parameters, lines = mode.size, 0, 0
    span, place = np.zeros((phases, 2), np.int64), np.full((phases, 8), -1, np.int64)
    column, prior = np.zeros(m.group.size, np.int64), np.zeros(phases)
    low, high = np.zeros(8 * phases), np.zeros(8 * phases)
    for p in range(phases):
        groups = m.first_group[p + 1] - m.first_group[p]
        span[p, 0], span[p, 1] = lines, lines + (1 if mode[p] == FIXED else groups)
        for r in range(m.first[p], m.first[p + 1]):
            column[r] = lines + (0 if mode[p] == FIXED else m.group[r] - m.first_group[p])
        lines = span[p, 1]
        if mode[p] == RESTRAINED:
            prior[p] = 1 / (TEXTURE * scale[p]) ** 2
        if moving[p]:
            for k in range(m.free[p]):
                below, above = (m.main_low, m.main_high) if p == main else (m.minor_low, m.minor_high)
                low[parameters], high[parameters] = below[p, k] / m.unit[p, k], above[p, k] / m.unit[p, k]
                place[p, k] = parameters
                parameters += 1
        if owner[p] == p:
            low[parameters], high[parameters] = STRAIN_RANGE
            low[parameters + 1], high[parameters + 1] = m.breadth_range[0], m.breadth_range[1]
            place[p, 6], place[p, 7] = parameters, parameters + 1
            parameters += 2
    return Layout(mode, owner, span, column, place, prior, low[:parameters], high[:parameters])


@numba.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def new_trial(m: Model, layout: Layout, metric: Floats) -> Trial:
    """A trial at the start: the slice's strain and size, the cell `metric`."""
    phases, bins = layout.mode.size, m.edges.size - 1
    columns = layout.span[phases - 1, 1] + m.smooth.shape[0]
    theta = np.zeros(layout.low.size)
    for p in range(phases):
        for k in range(m.free[p]):
            if layout.place[p, k] >= 0:
                theta[layout.place[p, k]] = metric[p, k] / m.unit[p, k]
        if layout.owner[p] == p:
            theta[layout.place[p, 6]], theta[layout.place[p, 7]] = m.strain[p], m.breadth[p]
    return Trial(
        np.minimum(np.maximum(theta, layout.low), layout.high),
        metric.copy(),
        np.zeros((m.group.size, 3)),
        np.empty((3, m.group.size, bins)),
        np.empty((columns, bins)),
        np.empty((columns + phases, columns + phases)),
        np.zeros(columns + phases),
        np.zeros(columns + phases, np.bool_),
        np.empty(bins),
    )


@numba.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def evaluate(y: Floats, weight: Floats, m: Model, layout: Layout, t: Trial) -> float:
    """Solve the linear part at t.theta and fill the trial; returns χ² plus the restraint's cost."""
    n = t.columns.shape[0]
    for p in range(layout.mode.size):
        o = layout.owner[p]
        for k in range(m.free[p]):
            if layout.place[p, k] >= 0:
                t.metric[p, k] = t.theta[layout.place[p, k]] * m.unit[p, k]
        strain, breadth = t.theta[layout.place[o, 6]], t.theta[layout.place[o, 7]]
        fill_profiles(m, p, t.metric[p], strain, breadth, t.geometry, t.profiles)
    fill_columns(m, layout.column, t.profiles, t.columns)
    right = np.zeros(t.x.size)
    t.matrix[:] = 0.0
    normal_equations(t.columns, y, weight, t.matrix[:n, :n], right[:n])
    for p in range(layout.mode.size):
        for c in range(layout.span[p, 0], layout.span[p, 1]):
            t.matrix[c, c] += layout.prior[p]
            t.matrix[c, n + p] -= layout.prior[p]
            t.matrix[n + p, c] -= layout.prior[p]
            t.matrix[n + p, n + p] += layout.prior[p]
    nonnegative(t.matrix, right, t.x, t.passive, (n - m.smooth.shape[0], n))
    t.residual[:] = y
    for a in range(n):
        if t.x[a] != 0:
            add_scaled(t.residual, -t.x[a], t.columns[a])
    cost = float(weighted_dot(t.residual, t.residual, weight))
    for p in range(layout.mode.size):
        for c in range(layout.span[p, 0], layout.span[p, 1]):
            cost += layout.prior[p] * (t.x[c] - t.x[n + p]) ** 2
    return cost


@numba.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def hessian(y: Floats, weight: Floats, m: Model, layout: Layout, t: Trial) -> tuple[Floats, Floats]:
    """Joint Hessian of linear (first) and non-linear parameters, and the downhill gradient."""
    linear, columns, count = t.x.size, t.columns.shape[0], t.theta.size
    slopes = np.zeros((count, y.size))
    fill_slopes(m, layout.column, t.x, layout.place, layout.owner, t.geometry, t.profiles, slopes)
    joint, gradient = np.zeros((linear + count, linear + count)), np.zeros(linear + count)
    joint[:linear, :linear] = t.matrix
    normal_equations(slopes, t.residual, weight, joint[linear:, linear:], gradient[linear:])
    slopes *= weight
    for a in range(columns):
        if t.passive[a]:
            for k in range(count):
                joint[a, linear + k] = joint[linear + k, a] = dot(t.columns[a], slopes[k])
    return joint, gradient


@numba.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def refine(y: Floats, weight: Floats, m: Model, layout: Layout, metric: Floats) -> tuple[Trial, Floats, bool]:
    """The best trial, the joint Hessian there, and whether the search converged."""
    here, there = new_trial(m, layout, metric), new_trial(m, layout, metric)
    cost = evaluate(y, weight, m, layout, here)
    linear, count = here.x.size, here.theta.size
    used = np.ones(linear + count, np.bool_)
    factor, norm, step = np.zeros((used.size, used.size)), np.zeros(used.size), np.zeros(used.size)
    degrees = max(np.sum(weight > 0) - linear - count, 1)
    damping = FREELY
    for _ in range(STEPS):
        joint, gradient = hessian(y, weight, m, layout, here)
        used[:linear] = here.passive
        for k in range(count):  # a parameter that only a bound stops rests there
            t, g = here.theta[k], gradient[linear + k]
            used[linear + k] = not ((t <= layout.low[k] and g <= 0) or (t >= layout.high[k] and g >= 0))
        gained = -1.0
        while damping < 1e9:
            damped = joint.copy()
            for k in range(linear, used.size):
                damped[k, k] *= 1 + damping
            cholesky(damped, used, factor, norm)
            solve(factor, norm, gradient, step)
            if damping <= FREELY and np.dot(gradient, step) <= LEAST_GAIN * cost / degrees:
                return here, joint, True
            there.theta[:] = np.minimum(np.maximum(here.theta + step[linear:], layout.low), layout.high)
            new = evaluate(y, weight, m, layout, there)
            if new <= cost:
                gained, cost = cost - new, new
                here, there = there, here
                damping = max(damping / 10, 1e-9)
                break
            damping *= 10
        if gained < 0:  # no step, however short, leads further down
            return here, joint, True
    return here, joint, False
