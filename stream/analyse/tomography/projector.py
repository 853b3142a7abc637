"""Ray sums of a pattern-valued slice, and their exact transpose.

A ray (p, ω) is a beam strip one step wide; its weight for a voxel is the area of the voxel's square inside the
strip divided by the strip's width: the mean path length in micrometres. The footprint of a square under
parallel rays is a trapezoid, so the area is a difference of two values of its integral. Weights are computed
where they are used and never stored; forward and back share the one function that makes them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from functools import cache, cached_property

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray

from stream.analyse.tomography.lanes import LANES, gather, gather_few, lanes, scatter, scatter_few
from stream.core.errors import UsageError

Floats = NDArray[np.float32]

TILE = 32  # voxels a side: tile and the rays that cross it stay in a core's cache (measured: 8..64)
ANGLES = 10  # projections a task; the voxels of a tile are read once for all of them
_FLAGS = {"contract", "nsz"}  # fused multiply-add, nothing that reorders sums


@numba.njit(inline="always")
def _area(t, outer, inner, height, curvature):  # type: ignore[no-untyped-def]
    """Integral from 0 to t of the footprint of a unit square."""
    u = min(abs(t), outer)
    ramp = max(u - inner, np.float32(0))
    return math.copysign(height * (u - ramp * ramp * curvature), t)


@numba.njit(nogil=True, fastmath=_FLAGS, cache=True)
def _weights(j0, j1, x0, y, cos, sin, p0, positions, step, ray, weight):  # type: ignore[no-untyped-def]
    """First ray and the weights of three consecutive ones for voxels j0..j1 of a row.

    All lengths but the weights are in steps; `step` (micrometres) gives the weights their unit.

    Three strips always hold a footprint: it is at most sqrt(2) wide. The first ray is kept inside the
    sinogram; rays that miss the voxel get weight 0 by the formula itself.
    """
    outer = 0.5 * (abs(cos) + abs(sin))
    inner = 0.5 * abs(abs(cos) - abs(sin))
    slope = min(abs(cos), abs(sin))
    curvature = np.float32(0.5 / slope if slope > 1e-6 else 0.0)
    height = np.float32(step / max(abs(cos), abs(sin)))
    a = np.float32(outer)
    b = np.float32(inner)
    start = y * sin - p0 + x0 * cos
    for j in range(j0, j1):
        u = start + j * cos
        first = min(max(math.floor(u - outer - 0.5) + 1.0, 0.0), positions - 3.0)
        t = np.float32(first - 0.5 - u)
        g0 = _area(t, a, b, height, curvature)
        g1 = _area(t + np.float32(1), a, b, height, curvature)
        g2 = _area(t + np.float32(2), a, b, height, curvature)
        g3 = _area(t + np.float32(3), a, b, height, curvature)
        ray[j - j0] = np.int32(first)
        weight[0, j - j0] = g1 - g0
        weight[1, j - j0] = g2 - g1
        weight[2, j - j0] = g3 - g2


@numba.njit(nogil=True, fastmath=_FLAGS, cache=True)
def _forward(volume, extent, cos, sin, p0, step, a0, a1, out):  # type: ignore[no-untyped-def]
    count = volume.shape[0]
    positions, width = out.shape[1:]
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
                    o, v = a * positions * width, (i * count + j0) * width
                    if width == LANES:
                        scatter(out, o, volume, v, ray, weight, j1 - j0)
                    else:
                        scatter_few(out, o, volume, v, ray, weight, j1 - j0)


@numba.njit(nogil=True, fastmath=_FLAGS, cache=True)
def _back(sinogram, extent, cos, sin, p0, step, i0, i1, out):  # type: ignore[no-untyped-def]
    count = out.shape[0]
    angles, positions, width = sinogram.shape
    ray = np.empty(TILE, np.int32)
    weight = np.empty((3, TILE), np.float32)
    middle = 0.5 * (count - 1)
    out[i0:i1] = 0
    for left in range(0, count, TILE):
        for a in range(angles):
            for i in range(i0, i1):
                j0 = max(left, extent[i, 0])
                j1 = min(left + TILE, extent[i, 1])
                _weights(j0, j1, -middle, i - middle, cos[a], sin[a], p0, positions, step, ray, weight)
                s, v = a * positions * width, (i * count + j0) * width
                if width == LANES:
                    gather(sinogram, s, out, v, ray, weight, j1 - j0)
                else:
                    gather_few(sinogram, s, out, v, ray, weight, j1 - j0)


class Projector:
    """Ray sums over the field of view of one slice.

    Voxel (row i, column j) is a square of one step around x = (j - (count - 1)/2)·step,
    y = (i - (count - 1)/2)·step; a ray at p = position - centre and angle ω sums the voxels with
    x·cos ω + y·sin ω = p. Arrays are volume[y, x, channel] and sinogram[angle, position, channel].

    Parameters
    ----------
    angles_deg : (angle,) in degrees, any order
    positions_um : (position,) motor positions in micrometres, equidistant, rising or falling
    center_um : motor position of the rotation axis
    threads : threads to use; numba's own number (NUMBA_NUM_THREADS) by default. Results do not depend on it,
        because every output is summed by one thread in one order.

    Raises
    ------
    UsageError
        fewer than three positions, positions that are not equidistant, or no angle
    """

    def __init__(
        self, angles_deg: ArrayLike, positions_um: ArrayLike, center_um: float, threads: int | None = None
    ) -> None:
        self.angles_deg = np.asarray(angles_deg, np.float64)
        self.positions_um = np.asarray(positions_um, np.float64)
        self.center_um = float(center_um)
        self.threads = threads or int(numba.config.NUMBA_NUM_THREADS)
        self.count = self.positions_um.size
        self.step_um = _common_step(self.positions_um)
        if self.angles_deg.size == 0:
            raise UsageError("Tomography needs at least one angle, got none.")
        # In steps the sign of the step drops out: x, y and p change sign together.
        self._side = abs(self.step_um)
        self._p0 = (self.positions_um[0] - self.center_um) / self.step_um
        omega = np.deg2rad(self.angles_deg)
        self._cos, self._sin = np.cos(omega), np.sin(omega)
        inside = self.support
        first = inside.argmax(axis=1)
        self._extent = np.column_stack([first, first + inside.sum(axis=1)]).astype(np.int64)

    @cached_property
    def support(self) -> NDArray[np.bool_]:
        """(y, x) True for voxels in the field of view, x² + y² ≤ (count·step/2)².

        Voxels outside it are held at zero. Measured on eight particles in a capillary (64 x 64 voxels, 90
        angles, 100 iterations): the error inside the sample is 6-9 % smaller than with the full square, the
        same with air scatter of half the signal added to every ray, and an iteration takes a fifth less time.
        """
        axis = np.arange(self.count) - (self.count - 1) / 2
        inside: NDArray[np.bool_] = np.hypot(axis[:, None], axis) <= self.count / 2
        return inside

    @cached_property
    def row_sums(self) -> NDArray[np.float64]:
        """(angle, position) path of each ray through the field of view, micrometres."""
        ones = np.ones((self.count, self.count, 1), np.float32)
        return self.forward(ones)[..., 0].astype(np.float64)

    def column_sums(self, ray_weights: ArrayLike) -> NDArray[np.float64]:
        """(y, x) sum over rays of weight times path, micrometres; ray_weights is (angle, position)."""
        rays = np.asarray(ray_weights, np.float32)
        return self.back(rays[..., None])[..., 0].astype(np.float64)

    def forward(self, volume: Floats, out: Floats | None = None) -> Floats:
        """Project volume (y, x, channel), per micrometre, to ray sums (angle, position, channel).

        Voxels outside the field of view do not count, whatever they hold.
        """
        channels = volume.shape[2]
        out = np.empty((*self.rays, channels), np.float32) if out is None else out
        x, b = self.volume_block(channels), self.sinogram_block(channels)
        for block in blocks(channels):
            width = block.stop - block.start
            x[..., :width] = volume[..., block]
            self.over_angles(lambda a0, a1: self.forward_block(x, b, a0, a1))
            out[..., block] = b[..., :width]
        return out

    def back(self, sinogram: Floats, out: Floats | None = None) -> Floats:
        """Transpose of `forward`: (angle, position, channel) to (y, x, channel), 0 outside the field of view."""
        channels = sinogram.shape[2]
        out = np.empty((self.count, self.count, channels), np.float32) if out is None else out
        x, b = self.volume_block(channels), self.sinogram_block(channels)
        for block in blocks(channels):
            width = block.stop - block.start
            b[..., :width] = sinogram[..., block]
            self.over_rows(lambda i0, i1: self.back_block(b, x, i0, i1))
            out[..., block] = x[..., :width]
        return out

    def on(self, threads: int | None) -> Projector:
        """The same projector in so many threads; None leaves them."""
        other = copy(self)
        other.threads = threads or self.threads
        return other

    def part(self, angles: NDArray[np.intp]) -> Projector:
        """The same projector with some of its angles, by index."""
        part = Projector(self.angles_deg[angles], self.positions_um, self.center_um, self.threads)
        part.row_sums = self.row_sums[angles]
        return part

    @property
    def rays(self) -> tuple[int, int]:
        """Numbers of angles and positions."""
        return self.angles_deg.size, self.count

    def volume_block(self, channels: int = LANES) -> Floats:
        """Zeroed volume of a width at which the kernels work: LANES, or FEW for no more channels than these."""
        return lanes(self.count, self.count, channels=channels)

    def sinogram_block(self, channels: int = LANES) -> Floats:
        """Zeroed sinogram of such a width."""
        return lanes(*self.rays, channels=channels)

    def forward_block(self, volume: Floats, out: Floats, a0: int, a1: int) -> None:
        """Project the channels of a block to the angles a0..a1 of `out`."""
        _forward(volume, self._extent, self._cos, self._sin, self._p0, self._side, a0, a1, out)

    def back_block(self, sinogram: Floats, out: Floats, i0: int, i1: int) -> None:
        """Back-project the channels of a block to the rows i0..i1 of `out`."""
        _back(sinogram, self._extent, self._cos, self._sin, self._p0, self._side, i0, i1, out)

    def over_angles(self, task: Callable[[int, int], None]) -> None:
        """Run task(a0, a1) for groups of angles, in threads."""
        self._run(task, self.rays[0], ANGLES)

    def over_rows(self, task: Callable[[int, int], None]) -> None:
        """Run task(i0, i1) for bands of rows, in threads."""
        self._run(task, self.count, TILE)

    def _run(self, task: Callable[[int, int], None], total: int, largest: int) -> None:
        rounds = -(-total // (largest * self.threads))
        size = -(-total // (rounds * self.threads))
        starts = range(0, total, size)
        stops = [min(start + size, total) for start in starts]
        run = _pool(self.threads).map if self.threads > 1 else map
        for _ in run(task, starts, stops):
            pass


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="tomography")


def blocks(channels: int) -> Iterator[slice]:
    """Slices of at most LANES channels."""
    return (slice(c, min(c + LANES, channels)) for c in range(0, channels, LANES))


def _common_step(positions: NDArray[np.float64]) -> float:
    if positions.size < 3:
        raise UsageError(f"Tomography needs at least three positions, got {positions.size}.")
    steps = np.diff(positions)
    step = float(steps.mean())
    if step == 0 or np.abs(steps - step).max() > 1e-3 * abs(step):
        raise UsageError(f"Positions must be equidistant, their steps lie in {steps.min()} .. {steps.max()} µm.")
    return step
