"""The rotation axis, found from the sinogram itself.

First guess: the centre of mass of a projection is the projection of the sample's, com(ω) = c + a·cos ω + b·sin ω
whatever the sample looks like, if all of it is inside the scanned range; c is the axis.

Then the axis at which the projections agree best: sixty-four copies of the sinogram, each shifted a little
further, are reconstructed side by side as channels, and a parabola through the residuals has its minimum at the
axis. This uses edges and particles, so noise and air scatter matter little (at 4 % noise a ray the guess is off
by up to 0.6 steps, the minimum by 0.05), and a sample wider than the scan is allowed for by a wider grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter1d, median_filter, shift

from stream.analyse.tomography.lanes import LANES
from stream.analyse.tomography.projector import Projector
from stream.analyse.tomography.sirt import reconstruct

Reals = NDArray[np.float64]

_SPAN_DEG = 120.0  # of the half turn that must be covered before the data are asked
_FILLED = 0.8  # share of a projection's rays needed for its centre of mass
_FEWEST = 8  # projections, for three parameters and a scatter
_REACH = 3  # steps to either side searched at once
_MOVES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class CenterEstimate:
    """Motor position of the rotation axis (µm), where it comes from, and its standard error (NaN for 'grid')."""

    center_um: float
    source: Literal["data", "grid"]
    error: float


def find_center(
    sinogram: ArrayLike, measured: ArrayLike, angles_deg: ArrayLike, positions_um: ArrayLike
) -> CenterEstimate:
    """Rotation axis from a sinogram, or the grid's middle while less than 120° of the half turn are covered.

    Parameters
    ----------
    sinogram : (angle, position), an intensity that adds along a ray, such as the sum of the whole pattern; air
        scatter, the same in every ray, is taken off
    measured : (angle, position) bool or weights, zero where there is no ray
    angles_deg, positions_um : in degrees and micrometres, any order of angles

    Notes
    -----
    Single rays far from their neighbours (a monitor's glitch) are left out and interpolated over, as missing
    rays are. The error is that of the parabola's minimum, σ² = 2 σ_ray² / S'', with 2√π rays to an independent one.
    """
    angles, positions = np.asarray(angles_deg, np.float64), np.asarray(positions_um, np.float64)
    grid = CenterEstimate(center_um=float(positions[[0, -1]].mean()), source="grid", error=float("nan"))
    rays = np.where(np.asarray(measured) > 0, np.asarray(sinogram, np.float64), np.nan)
    rays = _without_outliers(rays)
    usable = np.isfinite(rays).mean(axis=1) >= _FILLED
    covered = _covered(angles[usable], angles) if usable.any() else 0.0
    if usable.sum() < _FEWEST or covered < _SPAN_DEG:
        return grid
    filled = np.array([_interpolate(row) for row in rays[usable]])
    net = filled - _background(filled)
    mass = net.sum(axis=1)
    bright = mass > 0.5 * np.median(mass)
    if np.median(mass) <= 0 or bright.sum() < _FEWEST:
        return grid
    centres = net[bright] @ positions / mass[bright]
    guess = _sinusoid_constant(np.deg2rad(angles[usable][bright]), centres)
    return _most_consistent(net, angles[usable], positions, guess, partial=covered < 180)


def _without_outliers(rays: Reals) -> Reals:
    """NaN for rays that stand out from the median of five neighbours by far more than rays usually do."""
    known = np.isfinite(rays)
    guess = np.array([_interpolate(row) if k.any() else row for row, k in zip(rays, known, strict=True)])
    excess = np.abs(guess - median_filter(guess, size=(1, 5), mode="nearest"))
    usual = np.nanpercentile(excess[known], 90) if known.any() else np.nan
    return np.where(excess > 8 * usual, np.nan, rays)


def _interpolate(row: Reals) -> Reals:
    index, known = np.arange(row.size), np.isfinite(row)
    filled: Reals = np.interp(index, index[known], row[known])
    return filled


def _covered(angles: Reals, planned: Reals) -> float:
    """Degrees of the half turn covered: 180 less the widest gap beyond one planned step."""
    lines = np.unique(np.round(np.mod(angles, 180), 6))
    gaps = np.diff(np.append(lines, lines[0] + 180))
    spacings = np.diff(np.unique(np.round(planned, 6)))
    step = float(np.median(spacings)) if spacings.size else 0.0
    return 180.0 - max(0.0, float(gaps.max()) - step)


def _background(rays: Reals) -> float:
    """Level of the emptiest positions: those beside the sample at most angles."""
    profile = np.sort(np.median(rays, axis=0))
    return float(profile[: max(2, profile.size // 20)].mean())


def _sinusoid_constant(omega: Reals, values: Reals) -> float:
    """Constant of a biweight fit of c + a cos ω + b sin ω; projections off the sinusoid lose their weight."""
    model = np.column_stack([np.ones_like(omega), np.cos(omega), np.sin(omega)])
    weight = np.ones(values.size)
    for _ in range(20):
        root = np.sqrt(weight)
        solution = np.linalg.lstsq(model * root[:, None], values * root, rcond=None)[0]
        residual = values - model @ solution
        scale = 4.685 * 1.4826 * max(float(np.median(np.abs(residual))), 1e-9 * float(np.ptp(values)), 1e-300)
        weight = np.clip(1 - (residual / scale) ** 2, 0, None) ** 2
    return float(solution[0])


def _most_consistent(rays: Reals, angles: Reals, positions: Reals, guess: float, *, partial: bool) -> CenterEstimate:
    """Least residual over shifts around the guess, moving on while it lies at the rim of the search.

    At most 60 projections and 256 positions are used (128 while partial, when the residual needs more
    iterations to tell the axis): positions beyond that are binned.
    """
    few = np.argsort(angles)[np.linspace(0, angles.size - 1, min(angles.size, 60)).round().astype(int)]
    bins = -(-positions.size // (128 if partial else 256))
    kept = positions.size // bins * bins
    coarse = rays[few, :kept].reshape(few.size, -1, bins).mean(axis=2)
    places = positions[:kept].reshape(-1, bins).mean(axis=1)
    step = abs(places[1] - places[0])
    best, error = guess, float("nan")
    for _ in range(_MOVES):
        start = best
        offset, error = _least_residual(coarse, angles[few], places, start, 100 if partial else 50)
        best = start + offset
        if abs(offset) < 0.8 * _REACH * step:
            break
    return CenterEstimate(center_um=best, source="data", error=error)


def _least_residual(rays: Reals, angles: Reals, positions: Reals, start: float, iterations: int) -> tuple[float, float]:
    """Offset of the axis from `start` with the least residual of SIRT, and its standard error."""
    step = positions[1] - positions[0]
    shifts = np.linspace(-_REACH, _REACH, LANES)
    smooth = gaussian_filter1d(rays, 1.0, axis=1, mode="nearest")  # else interpolation alone lowers the residual
    copies = np.stack([shift(smooth, (0, -by), mode="nearest") for by in shifts], axis=-1).astype(np.float32)
    weight = np.zeros(rays.shape)
    weight[:, _REACH:-_REACH] = 1  # what no shift has moved in from outside
    pad = positions.size // 4
    wide = positions[0] + step * np.arange(-pad, positions.size + pad)
    copies = np.pad(copies, ((0, 0), (pad, pad), (0, 0)))
    weight = np.pad(weight, ((0, 0), (pad, pad)))
    projector = Projector(angles, wide, start)
    volume, _ = reconstruct(projector, copies, weight, iterations)
    misfit = np.einsum("ap,apc->c", weight, np.square(copies - projector.forward(volume), dtype=np.float64))
    least = int(np.argmin(misfit))
    near = slice(max(0, least - 6), least + 7)
    curvature, slope, _ = np.polyfit(shifts[near], misfit[near], 2)
    lowest = float(np.clip(-slope / (2 * curvature), -_REACH, _REACH)) if curvature > 0 else shifts[least]
    variance = misfit[least] / weight.sum() * 2 * np.sqrt(np.pi)  # neighbours correlate after the smoothing
    error = np.sqrt(variance / curvature) if curvature > 0 else np.inf
    return float(lowest * step), float(error * abs(step))
