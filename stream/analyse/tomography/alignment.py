"""How far each projection is displaced: drift and jitter of sample or beam between projections.

Two measurements, one after the other. The centre of mass of a projection, where all of the sample is in it, shows
slow drift as well as jitter, but also the noise of every ray. The projection beside the one that the others predict
shows what is left, from the sample's edges. A drift over many projections alone would escape the second: each is
predicted by neighbours that have drifted along.

What cannot be seen, nor harms: a displacement c + a·cos ω + b·sin ω is another axis and another place of the sample.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import ArrayLike, NDArray

from stream.analyse.tomography.ends import background, empty_ends
from stream.analyse.tomography.prediction import predict

Reals = NDArray[np.float64]

_FEWEST = 16  # projections
_FILLED = 0.5  # share of a projection's rays that must weigh something
_DAMPED = 0.8  # of a registered shift is taken: neighbours that lie the other way exaggerate it
_SLOW = 3  # degree of the drift's polynomial in time


@dataclass(frozen=True, slots=True, kw_only=True)
class Alignment:
    """Displacement of each projection (µm, (angle,); NaN where not known) and its standard error, and what they say.

    drift_um is the range of the slow part, jitter_um the standard deviation of the rest beyond its error.
    """

    shift_um: Reals
    error_um: float
    drift_um: float
    jitter_um: float
    worst: int


def find_alignment(
    sinogram: ArrayLike,
    weights: ArrayLike,
    predicted: ArrayLike,
    angles_deg: ArrayLike,
    positions_um: ArrayLike,
    center_um: float,
    visit: ArrayLike,
) -> Alignment | None:
    """Displacement of every projection against the others; None with too few of them.

    Parameters
    ----------
    sinogram : (angle, position)
    weights : (angle, position) ray weights 0..1
    predicted : (angle, position) as `predict` gives it; takes the place of rays that do not weigh
    visit : (angle,) rank in time
    """
    weighed: Reals = np.asarray(weights, np.float64)
    angles = np.asarray(angles_deg, np.float64)
    positions = np.asarray(positions_um, np.float64)
    step = float(positions[1] - positions[0])
    usable = (weighed > 0).mean(axis=1) >= _FILLED
    if usable.sum() < _FEWEST:
        return None
    known = np.where(weighed > 0, np.asarray(sinogram, np.float64), 0.0)
    weighed = weighed / np.maximum(
        weighed.max(axis=1, keepdims=True), 1e-300
    )  # displaced, it may weigh less as a whole
    rays: Reals = (weighed * known + (1 - weighed) * np.asarray(predicted))[usable]
    weighed, angles, time = weighed[usable], angles[usable], np.asarray(visit, np.float64)[usable]
    shift: Reals = np.zeros(angles.size)
    net = rays - background(rays)
    whole = empty_ends(net).mean() > 0.9 and bool((net.sum(axis=1) > 0).all())
    if whole:
        shift = _visible(net @ positions / net.sum(axis=1), angles)
    rising = np.argsort(positions)
    for _ in range(1 if whole else 3):
        moved = _moved_back(rays[:, rising], positions[rising], shift)[:, np.argsort(rising)]
        left, error = _register(moved, predict(moved, weighed, angles, positions, center_um), weighed, step)
        shift = _visible(shift + _DAMPED * left, angles)
    slow = _slow_part(shift, angles, time)
    beyond = float(np.mean((shift - slow) ** 2)) - float(np.mean(error**2))
    shifts = np.full(usable.size, np.nan)
    shifts[usable] = shift
    return Alignment(
        shift_um=shifts,
        error_um=float(np.median(error)),
        drift_um=float(np.ptp(slow)),
        jitter_um=max(beyond, 0.0) ** 0.5,
        worst=int(np.flatnonzero(usable)[np.abs(shift).argmax()]),
    )


def _moved_back(rays: Reals, positions: Reals, shift: Reals) -> Reals:
    at = zip(rays, positions + shift[:, None], strict=True)
    return np.array([np.interp(place, positions, row) for row, place in at])


def _register(rays: Reals, predicted: Reals, weights: Reals, step: float) -> tuple[Reals, Reals]:
    """Shift of each projection to its prediction by least squares, towards later positions, and its error, µm."""
    slope = np.gradient(predicted, step, axis=1)
    steepness = np.maximum((weights * slope**2).sum(axis=1), 1e-300)
    shift = -(weights * slope * (rays - predicted)).sum(axis=1) / steepness
    rest = rays - predicted + shift[:, None] * slope
    variance = (weights * rest**2).sum(axis=1) / np.maximum(weights.sum(axis=1) - 1, 1)
    return shift, np.sqrt(variance / steepness)


def _turning(angles: Reals) -> Reals:
    omega = np.deg2rad(angles)
    return np.column_stack([np.ones_like(omega), np.cos(omega), np.sin(omega)])


def _visible(shift: Reals, angles: Reals) -> Reals:
    """What is left of displacements when axis and place of the sample are free."""
    turning = _turning(angles)
    return np.asarray(shift - turning @ np.linalg.lstsq(turning, shift, rcond=None)[0])


def _slow_part(shift: Reals, angles: Reals, time: Reals) -> Reals:
    """The visible part of a polynomial in time through the displacements."""
    span = max(float(np.ptp(time)), 1.0)
    slow = legendre.legvander(2 * (time - time.min()) / span - 1, _SLOW)[:, 1:]
    model = np.column_stack([_turning(angles), slow])
    return _visible(slow @ np.linalg.lstsq(model, shift, rcond=None)[0][3:], angles)
