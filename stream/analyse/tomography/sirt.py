"""SIRT on whole patterns: x ← max(0, x + C Aᵀ R W (b - A x)), over the rays measured so far.

A is the projector (micrometres of path), W the weight of each ray (0 not measured, 1 measured), R = 1/row sums
and C = 1/weighted column sums. A ray that was not measured weighs nothing in both: it is not a zero.

A bin that is NaN in one ray counts as no residual there. C is shared by all channels, so in a channel with such
holes it is smaller than it could be: that channel converges more slowly, to the same image. A bin that is NaN in
every measured ray is NaN in the volume. Voxels outside the field of view are NaN and take no part. Channels that may
be negative, such as coefficients in a basis, are iterated without the constraint.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray

from stream.analyse.tomography.projector import Floats, Projector, blocks
from stream.core.errors import UsageError

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


def reconstruct(
    projector: Projector, sinogram: Floats, measured: ArrayLike, iterations: int, out: Floats | None = None
) -> tuple[Floats, NDArray[np.float64]]:
    """Reconstruct from x = 0 with a fixed number of iterations.

    The result depends on the arguments alone: not on threads, nor on which channels are together. Besides
    `sinogram` and the volume it needs memory for 64 channels of two volumes and two sinograms.

    Parameters
    ----------
    sinogram : (angle, position, channel), intensity; NaN where not known
    measured : (angle, position), bool or ray weights 0..1
    out : where the volume goes, such as a file; a new array by default

    Returns
    -------
    volume : (y, x, channel), intensity per micrometre, NaN outside the field of view
    residual : (iterations,) |b - A x| / |b| over the weighted rays, before each iteration

    Raises
    ------
    UsageError
        a sinogram, or weights, of another shape than the projector's rays
    """
    weight = np.asarray(measured, np.float64)
    if not weight.shape == sinogram.shape[:2] == projector.rays:
        raise UsageError(
            f"The scan has {projector.rays} rays (angle, position), "
            f"the sinogram {sinogram.shape[:2]} and its weights {weight.shape}."
        )
    shape = (projector.count, projector.count, sinogram.shape[2])
    volume = np.empty(shape, np.float32) if out is None else out
    volume[:] = np.nan
    for block in blocks(sinogram.shape[2]):
        known = np.isfinite(sinogram[..., block][weight > 0]).any(axis=0)
        _start(projector, volume, block.start + np.flatnonzero(known))
    columns = projector.column_sums(weight)
    residual = _iterate(projector, sinogram, volume, weight, columns, iterations, nonnegative=True)
    return volume, residual


class ProgressiveSirt:
    """A reconstruction that stays warm while rays arrive.

    Parameters
    ----------
    nonnegative : whether every channel is held at x ≥ 0
    aside : so many of the last channels do not count in the residual

    Attributes
    ----------
    sinogram : (angle, position, channel), NaN where not measured
    volume : (y, x, channel), intensity per micrometre; NaN outside the field of view and in unknown channels
    weight : (angle, position) of each ray, 0 where not measured
    residual : |b - A x| / |b| before the latest iteration; NaN before the first
    """

    def __init__(self, projector: Projector, channels: int, *, nonnegative: bool = True, aside: int = 0) -> None:
        count = projector.count
        self.projector, self.nonnegative, self.aside = projector, nonnegative, aside
        self.sinogram: Floats = np.full((*projector.rays, channels), np.nan, np.float32)
        self.volume: Floats = np.full((count, count, channels), np.nan, np.float32)
        self.residual = float("nan")
        self.weight = np.zeros(projector.rays)
        self._summed = np.zeros(projector.rays)  # the weights that the column sums hold so far
        self._column_sums = np.zeros((count, count))
        self._known = np.zeros(channels, np.bool_)
        self._seconds = 0.0

    def add(self, angle: int, position: int, pattern: ArrayLike, weight: float = 1.0) -> None:
        """Set the pattern (channel,) of one ray; angle and position are indices. Weight 0 takes it out."""
        self.add_many([angle], [position], np.asarray(pattern)[None], [weight])

    def add_many(
        self,
        angle: NDArray[np.intp] | Sequence[int],
        position: NDArray[np.intp] | Sequence[int],
        patterns: ArrayLike,
        weights: ArrayLike = 1.0,
    ) -> None:
        """Set many rays: indices (ray,), patterns (ray, channel), weights 0..1."""
        patterns = np.asarray(patterns)
        weights = np.broadcast_to(np.asarray(weights, np.float64), np.shape(angle))
        self.sinogram[angle, position] = patterns
        self.weight[angle, position] = weights
        new = np.isfinite(patterns[weights > 0]).any(axis=0) & ~self._known
        _start(self.projector, self.volume, np.flatnonzero(new))
        self._known |= new

    def coverage(self) -> NDArray[np.float64]:
        """(y, x) measured share of the planned ray weight, 0..1; NaN outside the field of view."""
        self._refresh()
        planned = self.projector.column_sums(np.ones(self.projector.rays))
        share = self._column_sums / np.where(self.projector.support, planned, np.nan)
        return np.clip(share, 0, 1)

    def column_sums(self) -> NDArray[np.float64]:
        """(y, x) sum over the measured rays of weight times path, micrometres."""
        self._refresh()
        return self._column_sums

    def restart(self, projector: Projector) -> None:
        """Begin again from zero with all the rays, in another geometry."""
        self.projector = projector
        self._summed[:], self._column_sums[:] = 0, 0
        _start(projector, self.volume, np.flatnonzero(self._known))

    def transform(self, matrix: Floats) -> None:
        """Turn the channels into others, matrix (new, old); the volume stays warm."""
        with np.errstate(invalid="ignore"):
            self.sinogram, self.volume = self.sinogram @ matrix.T, self.volume @ matrix.T
        self._known = np.full(len(matrix), self._known.any())

    def iterate(self, iterations: int) -> NDArray[np.float64]:
        """Run iterations on all measured rays; the residual before each, (iterations,)."""
        started = time.perf_counter()
        self._refresh()
        trace = _iterate(
            self.projector, self.sinogram, self.volume, self.weight, self._column_sums, iterations,
            nonnegative=self.nonnegative, aside=self.aside,
        )  # fmt: skip
        self._seconds = (time.perf_counter() - started) / iterations
        self.residual = float(trace[-1])
        return trace

    def affordable(self, seconds: float) -> int:
        """Iterations that fit into so many seconds, as judged by the latest ones; 1 before any."""
        return max(int(seconds / self._seconds), 0) if self._seconds else 1

    def _refresh(self) -> None:
        """Bring the column sums up to the present weights, projecting only the angles that changed."""
        change = self.weight - self._summed
        touched = np.flatnonzero(change.any(axis=1))
        if touched.size:
            self._column_sums += self.projector.part(touched).column_sums(change[touched])
            self._summed = self.weight.copy()


def _start(projector: Projector, volume: Floats, channels: NDArray[np.intp]) -> None:
    """Zero in the field of view for channels that begin to hold data."""
    if channels.size:
        inside = np.where(projector.support, np.float32(0), np.float32(np.nan))
        volume[..., channels] = inside[..., None]


def _iterate(
    projector: Projector,
    sinogram: Floats,
    volume: Floats,
    weight: NDArray[np.float64],
    column_sums: NDArray[np.float64],
    iterations: int,
    *,
    nonnegative: bool,
    aside: int = 0,
) -> NDArray[np.float64]:
    """Iterate `volume` in place, LANES channels after each other; returns the residual before each step."""
    angles = np.flatnonzero(weight.any(axis=1))
    if not angles.size:
        return np.full(iterations, np.nan)
    some = angles.size < len(weight)
    if some:
        projector, weight = projector.part(angles), weight[angles]
    row_sums = projector.row_sums
    crossing = row_sums > _GRAZING * abs(projector.step_um)
    ray_weight = np.where(crossing, weight, 0).astype(np.float32)
    ray_scale = (ray_weight / np.where(crossing, row_sums, 1)).astype(np.float32)
    seen = column_sums > 0
    voxel_scale = (seen / np.where(seen, column_sums, 1)).astype(np.float32)
    lowest = np.float32(0 if nonnegative else -np.inf)

    x, gradient = projector.volume_block(), projector.volume_block()
    b, rays = projector.sinogram_block(), projector.sinogram_block()
    misfit = np.empty((len(b), b.shape[2]))
    signal = np.empty_like(misfit)
    squares = np.empty((2, iterations, volume.shape[2]))

    def descend(a0: int, a1: int) -> None:
        projector.forward_block(x, rays, a0, a1)
        _residual(rays, b, ray_weight, ray_scale, a0, a1, misfit, signal)

    def update(i0: int, i1: int) -> None:
        projector.back_block(rays, gradient, i0, i1)
        _step(x, gradient, voxel_scale, lowest, i0, i1)

    for block in blocks(volume.shape[2]):
        width = block.stop - block.start
        x[..., :width] = volume[..., block]
        b[..., :width] = sinogram[angles, :, block] if some else sinogram[..., block]
        for n in range(iterations):
            projector.over_angles(descend)
            projector.over_rows(update)
            squares[:, n, block] = misfit.sum(axis=0)[:width], signal.sum(axis=0)[:width]
        volume[..., block] = x[..., :width]
    misfits, signals = squares[..., : volume.shape[2] - aside].sum(axis=2)
    known = np.where(signals > 0, signals, np.nan)
    trace: NDArray[np.float64] = np.sqrt(misfits / known)
    return trace
