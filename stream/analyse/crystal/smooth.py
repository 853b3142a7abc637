"""What lies under the lines: amorphous humps and a background, both linear.

Their coefficients may be negative: reconstruction leaves shallow troughs beside what is bright, and a background held
at zero there makes the lines' flanks pay for them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import erf

from stream.core.axis import RadialAxis

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Hump:
    """An amorphous phase: a Gaussian at `position` of full width `width` at half maximum, in the axis' unit."""

    name: str
    position: float
    width: float


def hump_columns(axis: RadialAxis, humps: list[Hump]) -> Floats:
    """(humps, bins): bin means of Gaussians of unit area in the axis' unit."""
    columns = np.empty((len(humps), axis.bins))
    for row, hump in zip(columns, humps, strict=True):
        sigma = hump.width / math.sqrt(8 * math.log(2))
        row[:] = np.diff(0.5 * erf((axis.edges - hump.position) / (math.sqrt(2) * sigma))) / axis.step
    return columns


def bernstein_columns(axis: RadialAxis, degree: int) -> Floats:
    """(degree + 1, bins): Bernstein polynomials over the axis."""
    t = (axis.centers - axis.low) / (axis.high - axis.low)
    return np.stack([math.comb(degree, k) * t**k * (1 - t) ** (degree - k) for k in range(degree + 1)])
