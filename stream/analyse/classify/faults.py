"""What a detector's fault did to a pattern: a stretch without any change, where patterns like it are not the same.

A module that reads nothing, or its ceiling, leaves bins next to each other exactly equal. So may a few counts, and what
reconstruction holds at zero: a fault is told from these by what the patterns of the slice that are nearest to it in its
other bins have there. It must be hardly possible that they are as still by chance, and most of them must have more, or
less, by a part of the level.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from stream.analyse.classify.preprocess import COMPRESSION, SliceScale

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
EQUAL = 1e-4  # of the level: less is no change
SHORTEST = 6  # steps without a change that are looked at: a twentieth of the q grid
NEAREST = 12  # patterns of the slice
CHANCE = 1e-6  # of a stretch as still, if a step of it is as often as in FEW of the nearest
MISSED = 0.05  # of the level
FEW = 0.25  # of the nearest may have no more than MISSED above it there, or below it: some may have the same fault


def faulty(patterns: Floats, scale: SliceScale) -> Mask:
    """Which patterns (n, bins), known in all measured bins, have a detector's fault in them."""
    measured = np.isfinite(scale.brightest)
    found = np.zeros(len(patterns), np.bool_)
    values, typical = (part[:, measured] / np.float32(scale.level) for part in (patterns, scale.typical))
    if len(typical) <= NEAREST or values.shape[1] <= SHORTEST:
        return found
    stretch = longest(still(values))
    looked = np.flatnonzero(stretch.sum(axis=1) >= SHORTEST)
    if looked.size:
        found[looked] = differs(values[looked], typical, stretch[looked])
    return found


def differs(values: Floats, typical: Floats, stretch: Mask) -> Mask:
    """Whether the stretches of steps (n, bins - 1) are others than those of the typical patterns nearest elsewhere."""
    bins = np.zeros(values.shape, np.bool_)
    bins[:, 1:] |= stretch
    bins[:, :-1] |= stretch
    near = nearest(values, typical, ~bins)
    steps = stretch.sum(axis=1)
    shares = np.take_along_axis(stretch.astype(np.float32) @ still(typical).T.astype(np.float32), near, axis=1)
    calm = np.quantile((shares + 1) / (steps + 1)[:, None], 1 - FEW, axis=1)
    weights = bins / bins.sum(axis=1, keepdims=True)
    others = np.take_along_axis(weights.astype(np.float32) @ typical.T, near, axis=1)
    more = others - (weights * values).sum(axis=1, keepdims=True)
    low, high = np.quantile(more, (FEW, 1 - FEW), axis=1)
    return np.asarray((calm**steps < CHANCE) & ((low > MISSED) | (high < -MISSED)))


def nearest(values: Floats, typical: Floats, by: Mask) -> npt.NDArray[np.intp]:
    """The NEAREST of the typical patterns (m, bins) to each of the values (n, bins), by these bins, compressed."""
    weights = by.astype(np.float32)
    own, others = (np.arcsinh(part * np.float32(COMPRESSION)) for part in (values, typical))
    distance = weights @ (others**2).T - 2 * (weights * own) @ others.T
    return np.asarray(np.argpartition(distance, NEAREST, axis=1)[:, :NEAREST])


def still(values: Floats) -> Mask:
    """Steps (n, bins - 1) from bin to bin in which nothing changes."""
    return np.asarray(np.abs(np.diff(values, axis=1)) <= EQUAL)


def longest(steps: Mask) -> Mask:
    """The longest stretch of each row, the last of equal ones; the others are left out."""
    length = np.zeros(steps.shape, np.int16)
    for i in range(steps.shape[1]):
        length[:, i] = np.where(steps[:, i], length[:, i - 1] + 1 if i else 1, 0)
    last = steps.shape[1] - 1 - length[:, ::-1].argmax(axis=1)
    first = last - length.max(axis=1)
    at = np.arange(steps.shape[1])
    return np.asarray((at > first[:, None]) & (at <= last[:, None]) & steps)
