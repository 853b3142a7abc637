"""Slices and sinograms of the virtual sample, one number a voxel: made by the simulator, not by our projector."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from stream.simulate.forward import path_lengths
from stream.simulate.phantom import Phantom, make_phantom
from stream.simulate.presets import PRESETS

AIR = 0.12  # of a mean ray
BRIGHTNESS = {"glass": 0.6, "carbon": 0.3}  # of a crystal's


@cache
def phantom(count: int, seed: int) -> Phantom:
    """A capillary with particles that fills the field."""
    return make_phantom(PRESETS["ncm622-cycled"], {"layered": 1.0, "spinel": 1.0}, count, 1.0, np.zeros(1), seed)


def _values(sample: Phantom) -> NDArray[np.float64]:
    return np.array([sum(c.volume * BRIGHTNESS.get(c.phase, 1.0) for c in m) for m in sample.materials])


def image(count: int, seed: int) -> NDArray[np.float64]:
    """(y, x) mean brightness of each voxel."""
    sample = phantom(count, seed)
    fine = _values(sample)[sample.labels[0]]
    return fine.reshape(count, sample.oversampling, count, sample.oversampling).mean(axis=(1, 3))


def rays(
    count: int, seed: int, angles: NDArray[np.float64], axis: float | NDArray[np.float64] = 0.0
) -> tuple[NDArray[np.float64], float]:
    """Ray sums (angle, position) with air scatter, axis at `axis` steps from the middle, one for all or each angle.

    And the level of the air.
    """
    sample, positions = phantom(count, seed), np.arange(count) - (count - 1) / 2
    values, shifts = _values(sample), np.broadcast_to(axis, angles.shape)
    paths = [
        path_lengths(sample.labels[0], len(values), sample.step, float(a), positions - s, 1.0)
        for a, s in zip(angles, shifts, strict=True)
    ]
    sums = np.array(paths) @ values
    return sums + AIR * sums.mean(), AIR * float(sums.mean())


def counted(sums: NDArray[np.float64], counts: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """With the noise of `counts` in a mean ray, and the simulator's of the monitor: 0.1 % a reading."""
    scale = counts / sums.mean()
    return rng.poisson(sums * scale) / scale / (1 + 0.001 * rng.standard_normal(sums.shape))
