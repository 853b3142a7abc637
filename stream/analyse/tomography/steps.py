"""One step of SIRT for a set of rays, and iterations of such steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numba
import numpy as np
from numpy.typing import NDArray

from stream.analyse.tomography.lanes import lanes
from stream.analyse.tomography.projector import Floats, Projector, blocks

_FLAGS = {"contract", "nsz"}
_GRAZING = 1e-3  # of a step: a ray with less path than this in the field of view is numerical noise


@numba.njit(nogil=True, fastmath=_FLAGS, cache=True)
def _residual(rays, measured, weight, scale, a0, a1, misfit, signal):  # type: ignore[no-untyped-def]
    """Turn A x in `rays` into R W (b - A x); add up W (b - A x)² and W b² by angle and channel."""
    channels = measured.shape[2]
    misfit[a0:a1] = 0
    signal[a0:a1] = 0
    for a in range(a0, a1):
        for p in range(measured.shape[1]):
            w = weight[a, p]
            r = scale[a, p]
            for c in range(channels):
                b = measured[a, p, c]
                d = b - rays[a, p, c]
                known = (abs(d) < np.inf) and w > 0
                d = d if known else np.float32(0)
                b = b if known else np.float32(0)
                misfit[a, c] += np.float64(w) * d * d
                signal[a, c] += np.float64(w) * b * b
                rays[a, p, c] = r * d


@numba.njit(nogil=True, fastmath=_FLAGS, cache=True)
def _step(volume, gradient, scale, lowest, i0, i1):  # type: ignore[no-untyped-def]
    channels = volume.shape[2]
    for i in range(i0, i1):
        for j in range(volume.shape[1]):
            for c in range(channels):
                x = volume[i, j, c] + scale[i, j] * gradient[i, j, c]
                volume[i, j, c] = lowest if x < lowest else x  # NaN stays NaN


@numba.njit(nogil=True, fastmath=_FLAGS, cache=True)
def _diffuse(volume, inside, share, i0, i1, out):  # type: ignore[no-untyped-def]
    """Exchange a share of what a voxel and its four neighbours differ by; nothing leaves the field of view."""
    count = inside.shape[0]
    flow = np.float32(share / 4)
    for i in range(i0, i1):
        for j in range(count):
            out[i, j] = volume[i, j]
            if not inside[i, j]:
                continue
            for ni, nj in ((i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)):
                if 0 <= ni < count and 0 <= nj < count and inside[ni, nj]:
                    for c in range(volume.shape[2]):
                        out[i, j, c] += flow * (volume[ni, nj, c] - volume[i, j, c])


@dataclass(frozen=True, slots=True)
class RaySet:
    """The rays of one step: projections of a projector (by index), their weights, and R and C that belong to them."""

    projector: Projector
    angles: NDArray[np.intp]
    weight: Floats
    scale: Floats
    voxel_scale: Floats

    @classmethod
    def of(cls, projector: Projector, weight: NDArray[np.float64], columns: NDArray[np.float64]) -> Self:
        """All the rays that weigh something; columns (y, x) are their column sums."""
        angles = np.flatnonzero(weight.any(axis=1))
        if angles.size < len(weight):
            projector, weight = projector.part(angles), weight[angles]
        crossing = projector.row_sums > _GRAZING * abs(projector.step_um)
        ray_weight = np.where(crossing, weight, 0).astype(np.float32)
        ray_scale = (ray_weight / np.where(crossing, projector.row_sums, 1)).astype(np.float32)
        seen = columns > 0
        return cls(projector, angles, ray_weight, ray_scale, (seen / np.where(seen, columns, 1)).astype(np.float32))


def iterate(
    steps: Sequence[RaySet],
    sinogram: Floats,
    volume: Floats,
    iterations: int,
    *,
    nonnegative: bool,
    aside: int = 0,
    diffusion: float = 0.0,
) -> NDArray[np.float64]:
    """Iterate `volume` in place, one block of channels after another.

    Returns (2, iterations) Σ W (b - A x)² before each iteration, and Σ W b², over all channels but `aside`; see
    `relative`. An iteration is one step with each of the sets of rays, after voxels have exchanged a share of
    `diffusion` with their neighbours.
    """
    lowest = np.float32(0 if nonnegative else -np.inf)
    x, gradient = (lanes(*volume.shape[:2], channels=volume.shape[2]) for _ in range(2))
    squares = np.zeros((2, iterations, volume.shape[2]))
    for block in blocks(volume.shape[2]):
        width = block.stop - block.start
        x[..., :width] = volume[..., block]
        moves = [_Step(rays, sinogram, block, x, gradient, lowest) for rays in steps]
        for n in range(iterations):
            if diffusion and steps:
                _diffused(steps[0].projector, x, gradient, diffusion)
            for move in moves:
                squares[:, n, block] += move.take()[:, :width]
        volume[..., block] = x[..., :width]
    total: NDArray[np.float64] = squares[..., : volume.shape[2] - aside].sum(axis=2)
    return total


def relative(squares: NDArray[np.float64]) -> NDArray[np.float64]:
    """(iterations,) the residual |b - A x| / |b|, from what `iterate` returns; NaN where b is nothing."""
    misfits, signals = squares
    trace: NDArray[np.float64] = np.sqrt(misfits / np.where(signals > 0, signals, np.nan))
    return trace


def _diffused(projector: Projector, x: Floats, spare: Floats, share: float) -> None:
    """Diffuse x (y, x, channel) in place; the sum over its voxels stays."""
    inside = projector.support
    projector.over_rows(lambda i0, i1: _diffuse(x, inside, share, i0, i1, spare))
    np.copyto(x, spare)


class _Step:
    """x ← max(lowest, x + C Aᵀ R W (b - A x)) for the channels of a block and a set of rays."""

    def __init__(
        self, rays: RaySet, sinogram: Floats, block: slice, x: Floats, gradient: Floats, lowest: np.float32
    ) -> None:
        self._rays, self._x, self._gradient, self._lowest = rays, x, gradient, lowest
        self._b, self._sums = (rays.projector.sinogram_block(x.shape[2]) for _ in range(2))
        self._b[..., : block.stop - block.start] = sinogram[rays.angles, :, block]
        self._misfit, self._signal = np.empty((2, len(self._b), x.shape[2]))

    def take(self) -> NDArray[np.float64]:
        """Step once; (2, channel) Σ W (b - A x)² before it, and Σ W b²."""
        self._rays.projector.over_angles(self._descend)
        self._rays.projector.over_rows(self._update)
        return np.stack([self._misfit.sum(axis=0), self._signal.sum(axis=0)])

    def _descend(self, a0: int, a1: int) -> None:
        rays = self._rays
        rays.projector.forward_block(self._x, self._sums, a0, a1)
        _residual(self._sums, self._b, rays.weight, rays.scale, a0, a1, self._misfit, self._signal)

    def _update(self, i0: int, i1: int) -> None:
        self._rays.projector.back_block(self._sums, self._gradient, i0, i1)
        _step(self._x, self._gradient, self._rays.voxel_scale, self._lowest, i0, i1)
