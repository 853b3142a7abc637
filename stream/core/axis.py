"""The radial axis: bins in the user's unit, and what they are in 2θ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from stream.core.errors import ConfigError

Unit = Literal["2th_deg", "q_A^-1", "q_nm^-1"]
Floats = npt.NDArray[np.float64]
ROUNDED = 1 + 1e-6  # the end of an axis may be a last bit beyond its last pixel


def to_two_theta(x: npt.ArrayLike, unit: Unit, wavelength: float) -> Floats:
    """2θ in radians of values given in `unit`; wavelength in Å.

    q = 4π sin θ / λ. Values beyond backscattering become NaN.
    """
    values = np.asarray(x, dtype=np.float64)
    if unit == "2th_deg":
        return np.asarray(np.deg2rad(values))
    scale = 1.0 if unit == "q_A^-1" else 0.1
    sine = values * scale * wavelength / (4 * np.pi)
    return np.asarray(2 * np.arcsin(np.where(np.abs(sine) <= 1, sine, np.nan)))


def from_two_theta(two_theta: npt.ArrayLike, unit: Unit, wavelength: float) -> Floats:
    """Values in `unit` of 2θ in radians; wavelength in Å."""
    values = np.asarray(two_theta, dtype=np.float64)
    if unit == "2th_deg":
        return np.asarray(np.rad2deg(values))
    scale = 1.0 if unit == "q_A^-1" else 10.0
    return np.asarray(4 * np.pi * np.sin(values / 2) / wavelength * scale)


@dataclass(frozen=True, slots=True)
class RadialAxis:
    """Equal bins from low to high in `unit`; wavelength in Å."""

    unit: Unit
    low: float
    high: float
    bins: int
    wavelength: float

    def __post_init__(self) -> None:
        """Refuse a range that is empty, or that no scattering reaches."""
        if not self.high > self.low or self.bins < 1:
            raise ConfigError(f"integration.range is [{self.low}, {self.high}] with {self.bins} bins: empty")
        most = float(from_two_theta(np.pi, self.unit, self.wavelength))
        if self.high > most * ROUNDED:
            reach = f"[{self.low:g}, {self.high:g}] {self.unit}"
            raise ConfigError(f"integration.range is {reach}: scattering straight back is at {most:g}")

    @property
    def step(self) -> float:
        """Width of a bin, in `unit`."""
        return (self.high - self.low) / self.bins

    @property
    def edges(self) -> Floats:
        """Bin edges, shape (bins + 1,), in `unit`."""
        return np.linspace(self.low, self.high, self.bins + 1)

    @property
    def centers(self) -> Floats:
        """Bin centres, shape (bins,), in `unit`."""
        return np.asarray(self.low + (np.arange(self.bins) + 0.5) * self.step)

    @property
    def two_theta_edges(self) -> Floats:
        """Bin edges as 2θ in radians."""
        return to_two_theta(self.edges, self.unit, self.wavelength)

    @property
    def two_theta(self) -> Floats:
        """Bin centres as 2θ in radians."""
        return to_two_theta(self.centers, self.unit, self.wavelength)

    @property
    def spacings(self) -> tuple[float, float]:
        """The least and the greatest d in Å that the axis holds; infinite where it begins at the beam."""
        low, high = (float(np.sin(angle / 2)) for angle in self.two_theta_edges[[0, -1]])
        return self.wavelength / (2 * high), self.wavelength / (2 * low) if low > 0 else np.inf

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "unit": self.unit,
            "low": self.low,
            "high": self.high,
            "bins": self.bins,
            "wavelength": self.wavelength,
        }
