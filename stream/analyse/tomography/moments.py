"""Ray sums in which a voxel's depth along the beam counts: Σ over k of A (z/ζ)ᵏ v_k for k = 0, 1, 2, and its transpose.

The depth of voxel (i, j) is z = (i − m) cos ω − (j − m) sin ω steps downstream of the axis, with m the middle. Weights
are the projector's own.
"""

from __future__ import annotations

import numba
import numpy as np

from stream.analyse.tomography.lanes import LANES, gather, scatter
from stream.analyse.tomography.projector import TILE, Floats, Projector, _weights

DEGREES = 3
_FLAGS = {"contract", "nsz"}


def forward_block(projector: Projector, node: float, moments: Floats, out: Floats, a0: int, a1: int) -> None:
    """Project (degree, y, x, LANES) to the angles a0..a1 of `out`; node is ζ in steps."""
    p = projector
    _forward(moments, p._extent, p._cos, p._sin, p._p0, p._side, node, a0, a1, out)


def back_block(projector: Projector, node: float, rays: Floats, out: Floats, i0: int, i1: int) -> None:
    """Back-project LANES channels to the rows i0..i1 of `out` (degree, y, x, LANES)."""
    p = projector
    _back(rays, p._extent, p._cos, p._sin, p._p0, p._side, node, i0, i1, out)


@numba.njit(nogil=True, fastmath=_FLAGS, cache=True)
def _deeper(weight, y, x0, cos, sin, node, count):  # type: ignore[no-untyped-def]
    """Multiply the weights of a row of voxels by their depth; lengths are in steps."""
    for m in range(count):
        depth = np.float32((y * cos - (x0 + m) * sin) / node)
        for k in range(3):
            weight[k, m] *= depth


@numba.njit(nogil=True, fastmath=_FLAGS, cache=True)
def _forward(moments, extent, cos, sin, p0, step, node, a0, a1, out):  # type: ignore[no-untyped-def]
    count = moments.shape[1]
    positions = out.shape[1]
    ray = np.empty(TILE, np.int32)
    weight = np.empty((3, TILE), np.float32)
    middle = 0.5 * (count - 1)
    out[a0:a1] = 0
    for top in range(0, count, TILE):
        for left in range(0, count, TILE):
            for a in range(a0, a1):
                for i in range(top, min(top + TILE, count)):
                    j0 = max(left, extent[i, 0])
                    j1 = min(left + TILE, extent[i, 1])
                    _weights(j0, j1, -middle, i - middle, cos[a], sin[a], p0, positions, step, ray, weight)
                    for k in range(DEGREES):
                        v = ((k * count + i) * count + j0) * LANES
                        scatter(out, a * positions * LANES, moments, v, ray, weight, j1 - j0)
                        _deeper(weight, i - middle, j0 - middle, cos[a], sin[a], node, j1 - j0)


@numba.njit(nogil=True, fastmath=_FLAGS, cache=True)
def _back(rays, extent, cos, sin, p0, step, node, i0, i1, out):  # type: ignore[no-untyped-def]
    count = out.shape[1]
    angles, positions = rays.shape[:2]
    ray = np.empty(TILE, np.int32)
    weight = np.empty((3, TILE), np.float32)
    middle = 0.5 * (count - 1)
    out[:, i0:i1] = 0
    for left in range(0, count, TILE):
        for a in range(angles):
            for i in range(i0, i1):
                j0 = max(left, extent[i, 0])
                j1 = min(left + TILE, extent[i, 1])
                _weights(j0, j1, -middle, i - middle, cos[a], sin[a], p0, positions, step, ray, weight)
                for k in range(DEGREES):
                    v = ((k * count + i) * count + j0) * LANES
                    gather(rays, a * positions * LANES, out, v, ray, weight, j1 - j0)
                    _deeper(weight, i - middle, j0 - middle, cos[a], sin[a], node, j1 - j0)
