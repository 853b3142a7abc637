"""The rotation axis, found from the sinogram itself.

First guess: the centre of mass of a projection is the projection of the sample's, com(ω) = c + a·cos ω + b·sin ω
whatever the sample looks like, if all of it is inside the scanned range; c is the axis. Then the axis at which the
projections agree best, which uses edges and particles as well, so that noise and air scatter matter little (at 4 %
noise a ray the guess is off by up to 0.6 steps, the minimum by 0.05), and allows for a sample wider than the scan.
Of the two the one with the smaller error is taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import median_filter

from stream.analyse.tomography.consistency import REACH, least_residual
from stream.analyse.tomography.ends import RIM, background, empty_ends

Reals = NDArray[np.float64]

_SPAN_DEG = 120.0  # of the half turn that must be covered before the data are asked
_FILLED = 0.8  # share of a projection's rays needed for its centre of mass
_FEWEST = 8  # projections, for three parameters and a scatter
_FINEST = 100  # positions and
_MOST = 60  # projections compared; finer ones are binned, more are passed over
_MOVES = 5
_WORTH = 0.1  # steps: a smaller change of the axis is not worth a new reconstruction


@dataclass(frozen=True, slots=True, kw_only=True)
class CenterEstimate:
    """Motor position of the rotation axis (µm), where it comes from, and its standard error (NaN for 'grid')."""

    center_um: float
    source: Literal["data", "grid"]
    error: float

    def differs(self, center_um: float, step_um: float) -> bool:
        """Whether it is off `center_um` by more than a tenth of a step and than two of its errors."""
        error = self.error if np.isfinite(self.error) else 0.0
        return abs(self.center_um - center_um) > max(_WORTH * abs(step_um), 2 * error)


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
    rays are.
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
    net = filled - background(filled)
    mass = net.sum(axis=1)
    bright = mass > 0.5 * np.median(mass)
    if np.median(mass) <= 0 or bright.sum() < _FEWEST:
        return grid
    centres = net[bright] @ positions / mass[bright]
    guess, error = _sinusoid_constant(np.deg2rad(angles[usable][bright]), centres)
    cut = _cut_off(net[bright], mass[bright], positions)
    return _most_consistent(net, angles[usable], positions, guess, float(np.hypot(error, cut)))


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


def _sinusoid_constant(omega: Reals, values: Reals) -> tuple[float, float]:
    """Constant of a biweight fit of c + a cos ω + b sin ω, in which projections off it lose their weight; its error."""
    model = np.column_stack([np.ones_like(omega), np.cos(omega), np.sin(omega)])
    weight = np.ones(values.size)
    for _ in range(20):
        root = np.sqrt(weight)
        solution = np.linalg.lstsq(model * root[:, None], values * root, rcond=None)[0]
        residual = values - model @ solution
        scale = 4.685 * 1.4826 * max(float(np.median(np.abs(residual))), 1e-9 * float(np.ptp(values)), 1e-300)
        weight = np.clip(1 - (residual / scale) ** 2, 0, None) ** 2
    freedom = max(weight.sum() - 3, 1.0)
    covariance = np.linalg.inv((model * weight[:, None]).T @ model) * (weight @ residual**2) / freedom
    return float(solution[0]), float(np.sqrt(covariance[0, 0]))


def _cut_off(net: Reals, mass: Reals, positions: Reals) -> float:
    """How far (µm) the centre of mass may be off for what lies beyond the ends of the scan.

    From the triangle between the level at an end and its slope there.
    """
    level = np.stack([net[:, :RIM].mean(axis=1), net[:, -RIM:].mean(axis=1)])
    inner = np.stack([net[:, RIM : 2 * RIM].mean(axis=1), net[:, -2 * RIM : -RIM].mean(axis=1)])
    slope = np.maximum((inner - level) / RIM, level / (positions.size / 4))
    beyond = np.where(level > 0, level**2 / (2 * np.where(level > 0, slope, 1)), 0)
    return float(np.mean(beyond.sum(axis=0) / mass) * np.ptp(positions) / 2)


def _most_consistent(rays: Reals, angles: Reals, positions: Reals, guess: float, error: float) -> CenterEstimate:
    """Least residual around the guess, moving on while it lies at the rim of the search; or the guess, if better."""
    few = np.argsort(angles)[np.linspace(0, angles.size - 1, min(angles.size, _MOST)).round().astype(int)]
    bins = -(-positions.size // _FINEST)
    kept = positions.size // bins * bins
    coarse = rays[few, :kept].reshape(few.size, -1, bins).mean(axis=2)
    places = positions[:kept].reshape(-1, bins).mean(axis=1)
    best = CenterEstimate(center_um=guess, source="data", error=error)
    start = guess
    for _ in range(_MOVES):
        offset, error = least_residual(coarse, angles[few], places, start, empty_ends(coarse))
        start += offset
        if abs(offset) < 0.8 * REACH * abs(places[1] - places[0]):
            found = CenterEstimate(center_um=start, source="data", error=error)
            return min(found, best, key=lambda estimate: estimate.error)
    return best
