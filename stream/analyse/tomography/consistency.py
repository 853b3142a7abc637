"""The axis at which the projections agree: the least residual among sixty-four axes, reconstructed side by side.

Copies of the sinogram, each shifted a little further, are reconstructed as channels, and a parabola through their
residuals has its minimum at the axis. Three things would bias it, and do not:

- Shifting by interpolation smooths most half-way between two rays, and less noise is a smaller residual: copies are
  resampled with a Gaussian one ray wide, which smooths the same wherever it lies.
- A copy shifted out of the scanned range would have fewer rays to agree with: every copy is weighed over the same
  rays of the data, wherever they have been moved to.
- A residual says little of the axis while less than a half turn is covered (0.5 steps wrong, and more, at 120°). But
  where a projection ends in empty rays, those beyond its end are known as well: zero. This holds the centre of mass
  of the sample to its sinusoid, and the axis with it (0.05 steps).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stream.analyse.tomography.lanes import LANES
from stream.analyse.tomography.momentum import left_over
from stream.analyse.tomography.projector import Floats, Projector

Reals = NDArray[np.float64]

REACH = 3  # steps to either side searched at once
_SMOOTH = 1.0  # steps: standard deviation of the resampling Gaussian
_TAPER = 2.0  # steps over which the weight of a copy's last rays falls to zero
_NEAR = 6  # copies to either side of the least that the parabola goes through
_INSIDE, _WIDER = 40, 120  # iterations: with ends known empty, and with a sample that may go on beyond them


def least_residual(
    rays: Reals, angles_deg: Reals, positions_um: Reals, start_um: float, empty: NDArray[np.bool_]
) -> tuple[float, float]:
    """Offset (µm) from `start_um` of the axis with the least residual, within REACH steps, and its standard error.

    Parameters
    ----------
    rays : (angle, position), without background
    positions_um : equidistant
    empty : (angle, 2) whether the projection ends in empty rays at its first and last position

    Notes
    -----
    The error is that of the parabola's minimum, σ² = 2 σ_ray² / S'' with 2√π rays to an independent one after the
    smoothing, and the way the minimum went over the second half of the iterations.
    """
    step = float(positions_um[1] - positions_um[0])
    whole = empty.mean() > 0.9
    pad = REACH + 3 if whole else max(REACH + 3, positions_um.size // 4)
    places = np.arange(-pad, positions_um.size + pad)
    shifts = np.linspace(-REACH, REACH, LANES)
    copies, weights = _copies(rays, places, shifts, empty)
    projector = Projector(angles_deg, positions_um[0] + step * places, start_um)
    iterations = _INSIDE if whole else _WIDER
    rests = left_over(projector, copies, weights, (iterations // 2, iterations))
    half, full = (np.einsum("apc,apc,apc->c", weights, rest, rest, dtype=np.float64) for rest in rests)
    earlier, _ = _minimum(shifts, half)
    offset, curvature = _minimum(shifts, full)
    independent = 2 * np.sqrt(np.pi) * _SMOOTH
    variance = full.min() / weights[..., 0].sum() * independent
    error = np.sqrt(variance / curvature) if curvature > 0 else np.inf
    return offset * step, float(np.hypot(error, offset - earlier) * abs(step))


def _copies(rays: Reals, places: NDArray[np.int_], shifts: Reals, empty: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Sinograms resampled at places + shift, (angle, place, shift), and the weights of their rays."""
    count = rays.shape[1]
    at = places[:, None] + shifts  # in the data's own indices
    apart = (at[..., None] - np.arange(count)) / _SMOOTH
    kernel = np.exp(-0.5 * apart**2) / (_SMOOTH * np.sqrt(2 * np.pi))
    copies = np.tensordot(rays, kernel, axes=(1, 2)).astype(np.float32)
    inside = 3 * _SMOOTH
    first = np.clip((at - inside) / _TAPER, 0, 1)
    last = np.clip((count - 1 - inside - at) / _TAPER, 0, 1)
    weights = np.where(empty[:, 0, None, None], 1, first) * np.where(empty[:, 1, None, None], 1, last)
    return copies, weights.astype(np.float32)


def _minimum(shifts: Reals, misfit: Reals) -> tuple[float, float]:
    """Place of the least misfit by a parabola through those near it, and the parabola's curvature."""
    least = int(np.argmin(misfit))
    near = slice(max(0, least - _NEAR), least + _NEAR + 1)
    curvature, slope, _ = np.polyfit(shifts[near], misfit[near], 2)
    if curvature <= 0:
        return float(shifts[least]), float(curvature)
    return float(np.clip(-slope / (2 * curvature), -REACH, REACH)), float(curvature)
