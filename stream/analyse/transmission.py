"""The beam behind the sample: what each ray lets through, and the density that takes it.

A reading is a constant times the incident intensity times exp(−µt). The constant is the level of rays that meet no
sample: the median over the first and the last position of all lines, since the sample lies within the field. It does
not touch the patterns, which are divided by the reading itself, and so by incident intensity and absorption at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from stream.analyse.tomography.additive import Additive, Adds

Floats = npt.NDArray[np.float64]
OPAQUE = 1e-3  # of the level: less is what a diode reads in the dark
ABOVE = 5.0  # standard deviations of the outermost rays


@dataclass(frozen=True, slots=True)
class Transmission:
    """I/I0 of each ray, (slice, angle, position), NaN where not known; level and spread of rays without sample.

    spread is the robust standard deviation of the outermost rays, relative to their level.
    """

    values: Floats
    level: float
    spread: float

    @classmethod
    def of(cls, readings: Floats, incident: Floats) -> Self:
        """From readings behind and before the sample (1 where there is no monitor); NaN where there is none."""
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = np.where((incident > 0) & (readings > 0), readings / incident, np.nan)
        edge = ratio[..., [0, -1]]
        edge = edge[np.isfinite(edge)]
        level = float(np.median(edge)) if edge.size else np.nan
        spread = 1.4826 * float(np.median(np.abs(edge - level))) / level if edge.size else np.nan
        values = ratio / level
        return cls(np.where(values > OPAQUE, values, np.nan), level, spread)

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """Rays that let something through, (slice, angle, position)."""
        return np.isfinite(self.values)

    @property
    def overfull(self) -> bool:
        """True where many rays pass more than the outermost ones: the sample reaches out of the field."""
        known = self.values[self.known]
        return known.size > 0 and float(np.quantile(known, 0.95)) > 1 + ABOVE * self.spread

    @property
    def depths(self) -> Additive:
        """Optical depth −ln T of the rays, (slice, angle, position): what adds along them."""
        return Additive(-np.log(self.values).astype(np.float32), Adds.DEPTH)
