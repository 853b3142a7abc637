"""Patterns of any detector and wavelength, brought to the one form that the models know.

Mean intensity in bins of a fixed q grid, set in two ways against the slice: divided by one number for all bins and
compressed, and divided bin by bin by what the brightest voxels have there, so that half a voxel of glass reads as
one half however strongly glass scatters. Then what the pattern holds of each kind of matter (carbon's hump, glass's
hump, lines, continuum), over the same one number and over what full voxels of the slice hold. Last, where the measured
range begins and ends: told bin by bin, it would let a model recognise the scans it was made from. The scale is the
slice's and not the voxel's, because an empty voxel is known by its amplitude.
"""

from __future__ import annotations

from collections.abc import Callable
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
HUMPS = {"carbon": (0.25, 0.5), "glass": (1.4, 1.75)}  # Å⁻¹: where their amounts are read
SEEN = 0.5  # of a hump's bins: who measures fewer of them can hardly tell its matter
FULL = 0.75  # of the level of full voxels: what has more belongs to them
FEWEST = np.array([0.3, 0.3, 2.0])  # carbon, glass, lines of full voxels over the level, were they not in the slice
TYPICAL = 256  # voxels at most, of those that a slice is known by
SPAN = 30.0  # amounts beyond are cut: a detector's fault must not reach further
AMOUNTS = 9
EXTRA = AMOUNTS + 3 + 2 + 1  # amounts, amounts over full voxels', the ends, known
SHARES = slice(-6, -3)  # of the features: amounts over full voxels'


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


Q_GRID = QGrid(0.15, 3.75, 120)


@dataclass(frozen=True, slots=True)
class SliceScale:
    """What is bright in a slice.

    Attributes
    ----------
    level
        one intensity for all bins; NaN where no voxel is known.
    brightest
        (bins,), NaN in bins that were not measured.
    full
        (3,), what full voxels hold of carbon, glass and lines, over the level.
    typical
        (n, bins), some voxels' patterns, evenly drawn.
    """

    level: float
    brightest: Floats
    full: npt.NDArray[np.float64]
    typical: Floats


def slice_scale(patterns: Floats, axis: RadialAxis, grid: QGrid = Q_GRID) -> SliceScale:
    """The scale of a slice from the patterns (..., axis.bins) of all its voxels."""
    return scale_of(to_q_grid(patterns, axis, grid), grid)


def to_q_grid(patterns: Floats, axis: RadialAxis, grid: QGrid = Q_GRID) -> Floats:
    """Mean intensity in each bin of `grid`, shape (..., grid.bins).

    Parameters
    ----------
    patterns
        (..., axis.bins), mean intensity in each bin. A bin that is NaN in all of them was not measured.

    Returns
    -------
    NaN in the bins that were measured over less than half of their width, and in all bins of a pattern with a
    non-finite value where others have a finite one, or with an infinite value anywhere.
    """
    shape, patterns = patterns.shape, patterns.reshape(-1, axis.bins)
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
    return values.reshape(*shape[:-1], grid.bins)


def overlaps(axis: RadialAxis, grid: QGrid) -> npt.NDArray[np.float64]:
    """Common width (Å⁻¹) of each bin of `grid` and each bin of `axis`, shape (grid.bins, axis.bins)."""
    q = from_two_theta(axis.two_theta_edges, "q_A^-1", axis.wavelength)
    common = np.minimum(grid.edges[1:, None], q[1:]) - np.maximum(grid.edges[:-1, None], q[:-1])
    return np.asarray(np.where(np.isfinite(common), np.clip(common, 0, None), 0.0))


def hardly_measured(axis: RadialAxis, grid: QGrid = Q_GRID) -> list[str]:
    """Which of carbon and glass the axis leaves out, or all but: what they fill cannot be told from what is empty."""
    known = overlaps(axis, grid).sum(axis=1) >= COVERED * grid.step
    inside = {name: (grid.centers > low) & (grid.centers < high) for name, (low, high) in HUMPS.items()}
    return [name for name, bins in inside.items() if known[bins].mean() < SEEN]


def scale_of(values: Floats, grid: QGrid = Q_GRID) -> SliceScale:
    """The slice's scale from its patterns on the q grid, (..., bins)."""
    values = values.reshape(-1, grid.bins)
    measured = np.asarray(np.nan_to_num(values).any(axis=0))  # what reads nothing in any voxel is dead, or was not seen
    whole = values[np.isfinite(values[:, measured]).all(axis=1)]
    brightest = np.full(grid.bins, np.nan, np.float32)
    ranged = measured & (grid.centers > LEVEL_RANGE[0]) & (grid.centers < LEVEL_RANGE[1])
    if not len(whole) or not ranged.any():
        return SliceScale(float("nan"), brightest, FEWEST, whole[:0])
    brightest[measured] = np.quantile(whole[:, measured], BRIGHT, axis=0)
    level = float(np.quantile(whole[:, ranged].mean(axis=1, dtype=np.float64), LEVEL))
    held = amounts(whole, measured, grid)[:, :3] / level if level > 0 else np.zeros((1, 3))
    full = np.maximum([full_level(column) for column in held.T], FEWEST)
    return SliceScale(level, brightest, full, whole[:: -(-len(whole) // TYPICAL)])


def full_level(held: npt.NDArray[np.floating]) -> float:
    """What full voxels hold: the median of all that have more than FULL of it, found from the 98th percentile on."""
    level = float(np.quantile(held, 0.98))
    for _ in range(6):
        above = held[held > FULL * level]
        level = float(np.median(above)) if above.size else level
    return level


def amounts(values: Floats, measured: npt.NDArray[np.bool_], grid: QGrid) -> Floats:
    """What patterns (n, bins) hold of each kind of matter, as intensities, (n, AMOUNTS).

    Carbon's hump, glass's hump, lines (of 003 or 111 near 1.32 Å⁻¹, and of 2.3-3.2 Å⁻¹); continuum; then what tells
    lines of another crystal: the first, the middle (2.45-2.85) and the upper (2.9-3.25) group by itself, the highest
    line where layered oxides, spinel and rock salt have none (0.6-1.2 and 1.75-2.35 Å⁻¹). Medians look through lines.
    """

    def window(low: float, high: float, of: Callable[..., Floats]) -> Floats:
        inside = (grid.centers > low) & (grid.centers < high) & measured
        return of(values[:, inside], axis=1) if inside.any() else np.zeros(len(values), np.float32)

    continuum = window(0.7, 1.0, np.mean)
    between = window(1.9, 2.3, np.median)
    first = window(1.2, 1.45, np.max) - window(1.2, 1.6, np.median)
    columns = (
        window(*HUMPS["carbon"], np.mean) - continuum,
        window(*HUMPS["glass"], np.median) - continuum,
        first + 2 * (window(2.3, 3.2, np.mean) - between),
        continuum,
        first,
        window(2.45, 2.85, np.mean) - between,
        window(2.9, 3.25, np.mean) - between,
        window(0.6, 1.2, np.max) - window(0.6, 1.2, np.median),
        window(1.75, 2.35, np.max) - between,
    )
    return np.stack(columns, axis=1)


def features(values: Floats, scale: SliceScale, grid: QGrid = Q_GRID) -> Floats:
    """What the models are fed, shape (..., feature_count).

    Intensities over the level, compressed by arcsinh; intensities over each bin's brightest; `amounts` over the level,
    and over full voxels'; the places of the first and the last measured bin, 0..1; 1. Gaps between those are bridged by
    straight lines, bins beyond them are 0. All are 0 in a voxel that is not known: outside, or damaged.

    Parameters
    ----------
    values
        (..., bins), all known ones with the same bins measured, at least one.
    """
    flat = values.reshape(-1, grid.bins)
    measured = np.isfinite(scale.brightest)
    known = np.isfinite(flat[:, measured]).all(axis=1)
    patterns = flat[known]
    bridged, bright = bridge(patterns, measured), bridge(scale.brightest[None], measured)
    held = amounts(patterns, measured, grid) / scale.level
    found = np.zeros((len(flat), feature_count(grid)), np.float32)
    ends = np.flatnonzero(measured)[[0, -1]] / measured.size
    columns = (
        np.arcsinh(bridged * (COMPRESSION / scale.level)),
        bridged / (bright + FLOOR * scale.level),
        np.clip(held, -SPAN, SPAN),
        np.clip(held[:, :3] / scale.full, -SPAN, SPAN),
        np.tile(ends, (len(patterns), 1)),
        np.ones((len(patterns), 1)),
    )
    found[known] = np.concatenate(columns, axis=1, dtype=np.float32)
    return found.reshape(*values.shape[:-1], -1)


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
    return 2 * grid.bins + EXTRA
