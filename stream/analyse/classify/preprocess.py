"""Patterns of any detector and wavelength, brought to the one form that the models know.

Mean intensity in bins of a fixed q grid, set in two ways against the slice: divided by one number for all bins and
compressed, and divided bin by bin by what the brightest voxels have there, so that half a voxel of glass reads as
one half however strongly glass scatters. Beside them, where the measured range begins and ends: told bin by bin, it
would let a model recognise the scans it was made from. The scale is the slice's and not the voxel's, because an empty
voxel is known by its amplitude.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stream.core.axis import RadialAxis, from_two_theta

Floats = npt.NDArray[np.float32]

LEVEL_RANGE = (1.0, 2.8)  # Å⁻¹: glass and the strongest lines; above air and carbon, below what short detectors miss
LEVEL = 0.95  # quantile of the voxels' mean intensity there
BRIGHT = 0.99  # quantile of the voxels' intensity in each bin; few voxels may hold a phase
FLOOR = 0.02  # of the level, added to a bin's brightest: a bin without signal must not magnify its noise
COMPRESSION = 4.0  # intensities far below level / COMPRESSION stay linear, those far above become logarithmic
COVERED = 0.5  # share of a q bin that must be measured


@dataclass(frozen=True, slots=True)
class QGrid:
    """Equal bins of q in Å⁻¹."""

    low: float
    high: float
    bins: int

    @property
    def step(self) -> float:
        """Width of a bin."""
        return (self.high - self.low) / self.bins

    @property
    def edges(self) -> npt.NDArray[np.float64]:
        """Bin edges, shape (bins + 1,)."""
        return np.linspace(self.low, self.high, self.bins + 1)

    @property
    def centers(self) -> npt.NDArray[np.float64]:
        """Bin centres, shape (bins,)."""
        return np.asarray((self.edges[1:] + self.edges[:-1]) / 2)


Q_GRID = QGrid(0.15, 3.45, 110)


@dataclass(frozen=True, slots=True)
class SliceScale:
    """What is bright in a slice: `level`, one intensity for all bins, and `brightest`, one for each bin of the q grid.

    The level is NaN where no voxel is known; `brightest` is NaN in bins that were not measured.
    """

    level: float
    brightest: Floats


def slice_scale(patterns: Floats, axis: RadialAxis, grid: QGrid = Q_GRID) -> SliceScale:
    """The scale of a slice from the patterns (n, axis.bins) of all its voxels."""
    return scale_of(to_q_grid(patterns, axis, grid), grid)


def to_q_grid(patterns: Floats, axis: RadialAxis, grid: QGrid = Q_GRID) -> Floats:
    """Mean intensity in each bin of `grid`, shape (n, grid.bins).

    Parameters
    ----------
    patterns
        (n, axis.bins), mean intensity in each bin. A bin that is NaN in all of them was not measured.

    Returns
    -------
    NaN in the bins that were measured over less than half of their width, and in all bins of a pattern with a
    non-finite value where others have a finite one, or with an infinite value anywhere.
    """
    measured = np.asarray(~np.isnan(patterns).all(axis=0))
    damaged = np.asarray(~np.isfinite(patterns[:, measured]).all(axis=1))
    weights = overlaps(axis, grid) * measured
    covered = np.asarray(weights.sum(axis=1))
    known = np.asarray(covered >= COVERED * grid.step)
    shares = weights[np.ix_(known, measured)] / covered[known, None]
    values = np.full((len(patterns), grid.bins), np.nan, np.float32)
    clean = np.where(damaged[:, None], np.float32(0), patterns[:, measured])
    values[:, known] = clean @ shares.T.astype(np.float32)
    values[damaged] = np.nan
    return values


def overlaps(axis: RadialAxis, grid: QGrid) -> npt.NDArray[np.float64]:
    """Common width (Å⁻¹) of each bin of `grid` and each bin of `axis`, shape (grid.bins, axis.bins)."""
    q = from_two_theta(axis.two_theta_edges, "q_A^-1", axis.wavelength)
    common = np.minimum(grid.edges[1:, None], q[1:]) - np.maximum(grid.edges[:-1, None], q[:-1])
    return np.asarray(np.where(np.isfinite(common), np.clip(common, 0, None), 0.0))


def scale_of(values: Floats, grid: QGrid = Q_GRID) -> SliceScale:
    """The slice's scale from its patterns on the q grid."""
    measured = np.asarray(~np.isnan(values).all(axis=0))
    whole = values[np.isfinite(values[:, measured]).all(axis=1)]
    brightest = np.full(grid.bins, np.nan, np.float32)
    ranged = measured & (grid.centers > LEVEL_RANGE[0]) & (grid.centers < LEVEL_RANGE[1])
    if not len(whole) or not ranged.any():
        return SliceScale(float("nan"), brightest)
    brightest[measured] = np.quantile(whole[:, measured], BRIGHT, axis=0)
    return SliceScale(float(np.quantile(whole[:, ranged].mean(axis=1, dtype=np.float64), LEVEL)), brightest)


def features(values: Floats, scale: SliceScale) -> Floats:
    """What the models are fed, shape (n, 2 · bins + 2).

    Intensities over the level, compressed by arcsinh; intensities over each bin's brightest; the places of the first
    and the last measured bin, 0..1. Gaps between those are bridged by straight lines, bins beyond them are 0.

    Parameters
    ----------
    values
        (n, bins), all with the same bins measured, at least one.
    """
    measured = np.isfinite(values).all(axis=0) & np.isfinite(scale.brightest)
    bright = bridge(scale.brightest[None], measured)
    bridged = bridge(values, measured)
    compressed = np.arcsinh(bridged * (COMPRESSION / scale.level))
    ratio = bridged / (bright + FLOOR * scale.level)
    ends = np.flatnonzero(measured)[[0, -1]] / measured.size
    return np.concatenate([compressed, ratio, np.tile(ends, (len(values), 1))], axis=1, dtype=np.float32)


def bridge(values: Floats, measured: npt.NDArray[np.bool_]) -> Floats:
    """Values (n, bins) with straight lines over the gaps in what was measured, and 0 before and after it."""
    at = np.flatnonzero(measured)
    inner = np.arange(at[0], at[-1] + 1)
    weights = np.array([np.interp(inner, at, row) for row in np.eye(at.size)], np.float32)
    bridged = np.zeros_like(values)
    bridged[:, inner] = values[:, at] @ weights
    return bridged


def feature_count(grid: QGrid) -> int:
    """Columns of `features`."""
    return 2 * grid.bins + 2
