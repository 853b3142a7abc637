"""SIRT on whole patterns: x ← max(0, x + C Aᵀ R W (b - A x)), over the rays measured so far.

A is the projector (micrometres of path), W the weight of each ray (0 not measured, 1 measured), R = 1/row sums
and C = 1/weighted column sums. A ray that was not measured weighs nothing in both: it is not a zero.

A bin that is NaN in one ray counts as no residual there. C is shared by all channels, so in a channel with such
holes it is smaller than it could be: that channel converges more slowly, to the same image. A bin that is NaN in
every measured ray is NaN in the volume. Voxels outside the field of view are NaN and take no part. Channels that may
be negative, such as coefficients in a basis, are iterated without the constraint.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stream.analyse.tomography.projector import Floats, Projector, blocks
from stream.analyse.tomography.steps import RaySet, iterate, relative
from stream.core.errors import UsageError


def reconstruct(
    projector: Projector, sinogram: Floats, measured: ArrayLike, iterations: int
) -> tuple[Floats, NDArray[np.float64]]:
    """Reconstruct from x = 0 with a fixed number of iterations.

    The result depends on the arguments alone: not on threads, nor on which channels are together. Besides
    `sinogram` and the volume it needs memory for 64 channels of two volumes and two sinograms.

    Parameters
    ----------
    sinogram : (angle, position, channel), intensity; NaN where not known
    measured : (angle, position), bool or ray weights 0..1

    Returns
    -------
    volume : (y, x, channel), intensity per micrometre, NaN outside the field of view
    residual : (iterations,) |b - A x| / |b| over the weighted rays, before each iteration

    Raises
    ------
    UsageError
        a sinogram, or weights, of another shape than the projector's rays
    """
    volume, squares = solve(projector, sinogram, measured, iterations)
    return volume, relative(squares)


def solve(
    projector: Projector,
    sinogram: Floats,
    measured: ArrayLike,
    iterations: int,
    iterate: Callable[..., NDArray[np.float64]] = iterate,
) -> tuple[Floats, NDArray[np.float64]]:
    """As `reconstruct`, but the residual as sums, to which those of other channels can be added: see `relative`.

    iterate : what takes the steps, on the CPU by default
    """
    weight = np.asarray(measured, np.float64)
    if not weight.shape == sinogram.shape[:2] == projector.rays:
        raise UsageError(
            f"The scan has {projector.rays} rays (angle, position), "
            f"the sinogram {sinogram.shape[:2]} and its weights {weight.shape}."
        )
    volume = np.full((projector.count, projector.count, sinogram.shape[2]), np.nan, np.float32)
    for block in blocks(sinogram.shape[2]):
        known = np.isfinite(sinogram[..., block][weight > 0]).any(axis=0)
        start_channels(projector, volume, block.start + np.flatnonzero(known))
    steps = [RaySet.of(projector, weight, projector.column_sums(weight))] if weight.any() else []
    return volume, iterate(steps, sinogram, volume, iterations, nonnegative=True)


def start_channels(projector: Projector, volume: Floats, channels: NDArray[np.intp]) -> None:
    """Zero in the field of view for channels that begin to hold data."""
    if channels.size:
        inside = np.where(projector.support, np.float32(0), np.float32(np.nan))
        volume[..., channels] = inside[..., None]
