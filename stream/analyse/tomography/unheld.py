"""What SIRT reaches without x ≥ 0, in a few of its steps.

Held at zero, noise can only add to what is dark. What it adds there the rays take from what is bright beside it, most
of all from the weak flanks of its lines, and these come out narrow. Where a number is read from a line's breadth, the
voxels are those of the same iterations without the hold. These are linear: after n of them from zero

    x = q(M) C Aᵀ R W b,    M = C Aᵀ R W A,    λ q(λ) = 1 − (1 − λ)ⁿ

with the eigenvalues λ of M in 0..1, where the Chebyshev series of q is as good as over after 2 √n terms.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, sqrt

import numpy as np
from numpy.polynomial import Chebyshev
from numpy.typing import ArrayLike, NDArray

from stream.analyse.tomography.projector import Floats, Projector, blocks
from stream.analyse.tomography.steps import RaySet


def reconstruct_unheld(projector: Projector, sinogram: Floats, measured: ArrayLike, iterations: int) -> Floats:
    """(y, x, channel) as `sirt.reconstruct` with x unbounded, to a thousandth of the brightest; same arguments."""
    weight = np.asarray(measured, np.float64)
    volume = np.full((projector.count, projector.count, sinogram.shape[2]), np.nan, np.float32)
    if not weight.any():
        return volume
    rays = RaySet.of(projector, weight, projector.column_sums(weight))
    terms = _series(iterations)
    for block in blocks(sinogram.shape[2]):
        measured_here = np.ascontiguousarray(sinogram[rays.angles, :, block])
        known = np.isfinite(measured_here) & (rays.weight > 0)[..., None]
        scale, voxel_scale = rays.scale[..., None] * known, rays.voxel_scale[..., None]

        def back(values: Floats, scale: Floats = scale, voxel_scale: Floats = voxel_scale) -> Floats:
            found = rays.projector.back(scale * values)
            return np.multiply(found, voxel_scale, out=found)

        def normal(x: Floats, back: Callable[[Floats], Floats] = back) -> Floats:
            return back(rays.projector.forward(x))

        found = _summed(terms, normal, back(np.where(known, measured_here, np.float32(0))))
        volume[..., block] = np.where(projector.support[..., None] & known.any(axis=(0, 1)), found, np.nan)
    return volume


def _series(iterations: int) -> NDArray[np.float32]:
    """Coefficients of q in Chebyshev polynomials of 2λ − 1."""

    def q(eigenvalues: NDArray[np.float64]) -> NDArray[np.float64]:
        with np.errstate(divide="ignore"):
            return np.asarray(-np.expm1(iterations * np.log1p(-eigenvalues)) / eigenvalues)

    return np.asarray(Chebyshev.interpolate(q, ceil(2 * sqrt(iterations)), domain=[0, 1]).coef, np.float32)


def _summed(terms: NDArray[np.float32], normal: Callable[[Floats], Floats], start: Floats) -> Floats:
    """Σ terms[k] T_k(2M − 1) start, M as `normal` applies it; T_k+1 = 2 (2M − 1) T_k − T_k−1; start is overwritten."""
    before, now = start, normal(start)
    now *= 2
    now -= before
    total = terms[0] * before
    total += terms[1] * now
    for term in terms[2:]:
        later = normal(now)
        later *= 2
        later -= now
        later *= 2
        later -= before
        total += np.multiply(later, term, out=before)
        before, now = now, later
    return np.asarray(total)
