"""Small dense solvers for the kernels: Cholesky, and non-negative least squares on normal equations."""

from __future__ import annotations

import math

import numba
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_RIDGE = 1e-11  # of the unit diagonal; unresolved columns share their intensity instead of exploding


@numba.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def cholesky(matrix: Floats, used: Bools, factor: Floats, scale: Floats) -> None:
    """Factor the rows and columns of `matrix` that are `used`, normalised to a unit diagonal.

    Rows not used, or without a positive diagonal, become rows of the identity with scale 0, so that `solve` returns
    0 for them.
    """
    n = matrix.shape[0]
    for i in range(n):
        scale[i] = 1 / math.sqrt(matrix[i, i]) if used[i] and matrix[i, i] > 0 else 0.0
    for i in range(n):
        for j in range(i + 1):
            total = matrix[i, j] * scale[i] * scale[j]
            for k in range(j):
                total -= factor[i, k] * factor[j, k]
            if i == j:
                factor[i, i] = math.sqrt(max(total + _RIDGE, _RIDGE)) if scale[i] > 0 else 1.0
            else:
                factor[i, j] = total / factor[j, j]


@numba.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def solve(factor: Floats, scale: Floats, right: Floats, x: Floats) -> None:
    """Solve with what `cholesky` left."""
    n = right.size
    for i in range(n):
        total = right[i] * scale[i]
        for k in range(i):
            total -= factor[i, k] * x[k]
        x[i] = total / factor[i, i]
    for i in range(n - 1, -1, -1):
        total = x[i]
        for k in range(i + 1, n):
            total -= factor[k, i] * x[k]
        x[i] = total / factor[i, i]
    for i in range(n):
        x[i] *= scale[i]


@numba.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def inverse_diagonal(factor: Floats, scale: Floats) -> Floats:
    """The diagonal of the inverse of what `cholesky` factored; 0 where a row was not used.

    With L the factor it is that of L⁻ᵀL⁻¹: each entry the square of a column of L⁻¹.
    """
    n = scale.size
    diagonal, x = np.zeros(n), np.empty(n)
    for i in range(n):
        if scale[i] == 0:
            continue
        for k in range(i, n):
            total = 1.0 if k == i else 0.0
            for j in range(i, k):
                total -= factor[k, j] * x[j]
            x[k] = total / factor[k, k]
            diagonal[i] += (x[k] * scale[i]) ** 2
    return diagonal


@numba.njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def nonnegative(matrix: Floats, right: Floats, x: Floats, passive: Bools, free: tuple[int, int]) -> None:
    """Minimise x·matrix·x/2 - right·x over x >= 0 by block principal pivoting (Kim and Park, 2011).

    Components free[0] to free[1] - 1 may be negative. `x` and `passive` (those that are not held at 0) are written.
    """
    n = right.size
    factor, scale = np.zeros((n, n)), np.zeros(n)
    passive[:] = True
    fewest, patience = n + 1, 3
    for _ in range(20 * n + 20):
        cholesky(matrix, passive, factor, scale)
        solve(factor, scale, right, x)
        wrong, last = 0, -1
        exchange = np.zeros(n, dtype=np.bool_)
        for i in range(n):
            norm = math.sqrt(matrix[i, i])
            if free[0] <= i < free[1]:
                continue
            if passive[i]:
                exchange[i] = x[i] * norm < 0
            elif norm > 0:
                slope = -right[i]
                for k in range(n):
                    slope += matrix[i, k] * x[k]
                exchange[i] = slope < -1e-12 * abs(right[i])
            if exchange[i]:
                wrong += 1
                last = i
        if wrong == 0:
            break
        if wrong < fewest:
            fewest, patience = wrong, 3
        elif patience > 0:
            patience -= 1
        else:  # one at a time: slower, and certain to end
            exchange[:last] = False
        for i in range(n):
            if exchange[i]:
                passive[i] = not passive[i]
    for i in range(n):
        if not free[0] <= i < free[1]:
            x[i] = max(x[i], 0.0) if passive[i] else 0.0
