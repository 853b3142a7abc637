"""Rays, projections and positions that disagree with the rest of the sinogram; they weigh less and are not changed.

Each projection is compared with what the others predict for it:

- rays: a detector's or monitor's glitch. The distance from the range that the prediction spans one step and one
  projection around the ray: an edge, however sharp, is no outlier.
- projections: a monitor off by a factor for a whole line. The median ratio to the prediction, against that of the
  other projections.
- positions: the stripe that becomes a ring. The median residual over all angles, against that of its neighbours and
  against what the median curvature of the predictions explains: an edge that is a circle about the axis, such as a
  capillary's wall, leaves a residual at constant position too, and is told from a stripe by it.

Distances are in scales that the data give: median absolute deviations, for rays what nine of ten of like steepness
keep to (their residuals are of edges more than of noise, and have longer tails). Up to 4.5 of them nothing happens; at
z > 4.5 a ray weighs (4.5/z)², and nothing below a hundredth: so a glitch has no say, and a stripe of a few per cent a
third, for it still tells more than no rays at all (measured: the error against truth is least at weights of 0.2 to
0.5 for 5 %).
Two rounds: what was suspect in the first takes no part in the prediction of the second, which decides.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import maximum_filter, minimum_filter

from stream.analyse.tomography.prediction import predict

Reals = NDArray[np.float64]

_OUTLYING = 4.5  # scales
_NOTHING = 0.01  # a smaller weight is none
_FEWEST = 16  # projections, and positions, that tell what is usual
_GROUPS = 16  # of rays, by steepness
_MOST, _MOST_OF_NORMAL = 0.9, 1.645  # share of rays, and the standard deviations that hold as many if normal
_AROUND = 5  # positions whose curvature may explain a residual


@dataclass(frozen=True, slots=True, kw_only=True)
class Outliers:
    """Weights (angle, position) of the rays, 0..1, zero where not measured, and what was weighted down.

    `rays` counts single ones, `projections` and `positions` are indices; `predicted` (angle, position) are the ray
    sums that the other projections predict.
    """

    weights: Reals
    rays: int
    projections: list[int]
    positions: list[int]
    predicted: Reals


def find_outliers(
    sinogram: ArrayLike, measured: ArrayLike, angles_deg: ArrayLike, positions_um: ArrayLike, center_um: float
) -> Outliers | None:
    """Weigh every ray by its agreement with the others; None with too few rays to tell.

    Parameters
    ----------
    sinogram : (angle, position) an intensity that adds along a ray
    measured : (angle, position) bool
    """
    known = np.asarray(measured) > 0
    rays = np.where(known, np.asarray(sinogram, np.float64), np.nan)
    full = known.any(axis=1)
    if full.sum() < _FEWEST or known.any(axis=0).sum() < _FEWEST or not np.nanmax(np.abs(rays)) > 0:
        return None
    trusted, angles = known, np.asarray(angles_deg, np.float64)
    for _ in range(2):
        predicted = predict(rays, trusted, angles, positions_um, center_um)
        single, projection, position = _weigh(rays, predicted, angles)
        weights = np.where(known, single * projection[:, None] * position, 0.0)
        if np.array_equal(weights == 1, trusted):
            break  # nothing is suspect: the second round would be the first again
        trusted = weights == 1
    apart = (single < 1) & (projection[:, None] == 1) & (position == 1) & known
    return Outliers(
        weights=weights,
        rays=int(apart.sum()),
        projections=np.flatnonzero(projection < 1).tolist(),
        positions=np.flatnonzero(position < 1).tolist(),
        predicted=predicted,
    )


def _weigh(rays: Reals, predicted: Reals, angles: Reals) -> tuple[Reals, Reals, Reals]:
    """Weights of rays (angle, position), projections (angle,) and positions (position,), 1 where usual."""
    factors = _factors(rays, predicted)
    scaled = predicted * factors[:, None]
    stripes = np.nan_to_num(_median(rays - scaled, axis=0))
    excess = _from_neighbours(stripes)
    usual = _usual(rays - stripes - scaled, predicted)
    return (
        _weight(_beyond(rays - stripes, scaled, angles), usual),
        _weight(factors - 1, _scale(factors[np.isfinite(rays).any(axis=1)])),  # others are 1, and tell nothing
        _weight(excess, _scale_of_stripes(excess, predicted)),
    )


def _factors(rays: Reals, predicted: Reals) -> Reals:
    """Median ratio (angle,) of a projection to its prediction where it is bright, less what is common to all."""
    bright = predicted > 0.5 * predicted.max(axis=1, keepdims=True)
    ratios = _median(np.where(bright, rays / np.where(bright, predicted, 1), np.nan), axis=1)
    factors = ratios / np.nanmedian(ratios)
    return np.where(np.isfinite(factors), factors, 1.0)


def _scale_of_stripes(excess: Reals, predicted: Reals) -> Reals:
    """Usual excess (position,) over the neighbours, and what edges that stay where they are explain of it."""
    edges = maximum_filter(np.abs(np.median(_from_neighbours(predicted), axis=0)), _AROUND)
    sharpest = np.argsort(edges)[-(edges.size // 4) :]
    share = 1.4826 * np.median(np.abs(excess[sharpest]) / np.maximum(edges[sharpest], 1e-300))
    return np.hypot(_scale(excess), share * edges)


def _from_neighbours(values: Reals) -> Reals:
    around = np.pad(values, [(0, 0)] * (values.ndim - 1) + [(1, 1)], mode="edge")
    return np.asarray(values - (around[..., 2:] + around[..., :-2]) / 2)


def _beyond(rays: Reals, predicted: Reals, angles: Reals) -> Reals:
    """Distance of each ray from the range of the prediction one step and one projection around it."""
    order = np.argsort(angles, kind="stable")
    low = minimum_filter(predicted[order], 3, mode="nearest")
    high = maximum_filter(predicted[order], 3, mode="nearest")
    distance = np.empty_like(rays)
    distance[order] = np.maximum(rays[order] - high, 0) + np.minimum(rays[order] - low, 0)
    return np.nan_to_num(distance)


def _usual(residual: Reals, predicted: Reals) -> Reals:
    """Scale (angle, position) of the residual among rays where the prediction is as steep, or among all."""
    slope = np.gradient(predicted, axis=1)
    steepness = np.abs(slope) + np.abs(np.gradient(slope, axis=1))
    scale = np.empty(residual.size)
    for group in np.array_split(np.argsort(steepness, axis=None, kind="stable"), _GROUPS):
        scale[group] = np.quantile(_finite(np.abs(residual.ravel()[group])), _MOST) / _MOST_OF_NORMAL
    return np.maximum(scale, np.median(scale)).reshape(residual.shape)


def _finite(values: Reals) -> Reals:
    known = values[np.isfinite(values)]
    return known if known.size else np.zeros(1)


def _median(values: Reals, axis: int) -> Reals:
    """Median along an axis, NaN where nothing is known."""
    known = np.isfinite(values).any(axis=axis, keepdims=True)
    middle = np.nanmedian(np.where(known, values, 0), axis=axis)
    return np.where(np.isfinite(values).any(axis=axis), middle, np.nan)


def _scale(values: Reals) -> float:
    return float(1.4826 * np.median(np.abs(values - np.median(values))))


def _weight(distance: Reals, scale: Reals | float) -> Reals:
    """1 within the usual, falling beyond it; where there is no scale to speak of, 1."""
    size, usual = np.abs(distance), _OUTLYING * np.asarray(scale)
    outlying = (size > usual) & (usual > 0)
    weight = np.where(outlying, usual / np.where(outlying, size, 1), 1.0) ** 2
    return np.where(weight < _NOTHING, 0.0, weight)
