"""Lattices by their reciprocal metric: 1/d² is linear in it, so a fit moves peaks with one dot product."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

CELL_NAMES = ("a", "b", "c", "alpha", "beta", "gamma")

# Columns: the free parameters; rows: G*11, G*22, G*33, G*23, G*13, G*12.
_METRIC = {
    "cubic": [[1], [1], [1], [0], [0], [0]],
    "tetragonal": [[1, 0], [1, 0], [0, 1], [0, 0], [0, 0], [0, 0]],
    "hexagonal": [[1, 0], [1, 0], [0, 1], [0, 0], [0, 0], [0.5, 0]],
    "rhombohedral": [[1, 0], [1, 0], [1, 0], [0, 1], [0, 1], [0, 1]],
    "orthorhombic": [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0], [0, 0, 0], [0, 0, 0]],
    "monoclinic-a": np.eye(6)[:, [0, 1, 2, 3]],
    "monoclinic-b": np.eye(6)[:, [0, 1, 2, 4]],
    "monoclinic-c": np.eye(6)[:, [0, 1, 2, 5]],
    "triclinic": np.eye(6),
}
_FREE = {
    "cubic": ("a",),
    "tetragonal": ("a", "c"),
    "hexagonal": ("a", "c"),
    "rhombohedral": ("a", "alpha"),
    "orthorhombic": ("a", "b", "c"),
    "monoclinic-a": ("a", "b", "c", "alpha"),
    "monoclinic-b": ("a", "b", "c", "beta"),
    "monoclinic-c": ("a", "b", "c", "gamma"),
    "triclinic": CELL_NAMES,
}


def reciprocal_metric(cell: npt.ArrayLike) -> Floats:
    """G* as (..., 6): 11, 22, 33, 23, 13, 12 in Å⁻², of cells (..., 6) in Å and degrees."""
    a, b, c, alpha, beta, gamma = np.moveaxis(np.asarray(cell, dtype=np.float64), -1, 0)
    ca, cb, cg = (np.cos(np.deg2rad(x)) for x in (alpha, beta, gamma))
    rows = [[a * a, a * b * cg, a * c * cb], [a * b * cg, b * b, b * c * ca], [a * c * cb, b * c * ca, c * c]]
    direct: Floats = np.moveaxis(np.array(rows, dtype=np.float64), (0, 1), (-2, -1))
    return _six(np.asarray(np.linalg.inv(direct), dtype=np.float64))


def cell_of(metric: npt.ArrayLike) -> Floats:
    """Cells (..., 6) in Å and degrees of reciprocal metrics (..., 6)."""
    six = np.asarray(metric, dtype=np.float64)
    full = six[..., [[0, 5, 4], [5, 1, 3], [4, 3, 2]]]
    g11, g22, g33, g23, g13, g12 = np.moveaxis(_six(np.linalg.inv(full)), -1, 0)
    a, b, c = np.sqrt(g11), np.sqrt(g22), np.sqrt(g33)
    angles = [np.rad2deg(np.arccos(x)) for x in (g23 / (b * c), g13 / (a * c), g12 / (a * b))]
    return np.stack([a, b, c, *angles], axis=-1)


def volume_of(cell: npt.ArrayLike) -> Floats:
    """Cell volume in Å³ of cells (..., 6)."""
    a, b, c, alpha, beta, gamma = np.moveaxis(np.asarray(cell, dtype=np.float64), -1, 0)
    ca, cb, cg = (np.cos(np.deg2rad(x)) for x in (alpha, beta, gamma))
    return np.asarray(a * b * c * np.sqrt(1 - ca**2 - cb**2 - cg**2 + 2 * ca * cb * cg))


def _six(matrix: npt.NDArray[np.floating]) -> Floats:
    """The six components of symmetric matrices (..., 3, 3)."""
    return np.asarray(matrix[..., [0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]], dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Lattice:
    """What the symmetry leaves free of a cell: a system of `_METRIC`."""

    system: str

    @property
    def free(self) -> tuple[str, ...]:
        """Names of the free cell parameters, of `CELL_NAMES`."""
        return _FREE[self.system]

    @property
    def basis(self) -> Floats:
        """(6, free): reciprocal metric = basis @ parameters."""
        return np.asarray(_METRIC[self.system], dtype=np.float64)

    def parameters(self, cell: npt.ArrayLike) -> Floats:
        """The free metric parameters (free,) of one cell (6,)."""
        return np.asarray(np.linalg.lstsq(self.basis, reciprocal_metric(cell), rcond=None)[0])

    def cell(self, parameters: npt.ArrayLike) -> Floats:
        """Cells (..., 6) of metric parameters (..., free)."""
        return cell_of(np.asarray(parameters, dtype=np.float64) @ self.basis.T)

    def cell_errors(self, parameters: Floats, covariance: Floats) -> Floats:
        """1σ of cells (n, 6), in Å and degrees, from metric parameters (n, free) and their covariance (n, free, free).

        Derivatives are central differences, over a millionth of the largest parameter.
        """
        step = 1e-6 * np.abs(parameters).max(axis=1, keepdims=True)
        slopes = np.empty((len(parameters), 6, parameters.shape[1]))
        for k, unit in enumerate(np.eye(parameters.shape[1])):
            slopes[..., k] = (self.cell(parameters + step * unit) - self.cell(parameters - step * unit)) / (2 * step)
        return np.asarray(np.sqrt(np.maximum(np.einsum("nci,nij,ncj->nc", slopes, covariance, slopes), 0)))

    def rows(self, hkl: npt.NDArray[np.int64]) -> Floats:
        """(reflections, free): 1/d² = rows @ parameters."""
        h, k, m = np.asarray(hkl, dtype=np.float64).T
        quadratic = np.stack([h * h, k * k, m * m, 2 * k * m, 2 * h * m, 2 * h * k], axis=1)
        return np.asarray(quadratic @ self.basis)
