"""What a silicon drift detector makes of a line: a Gaussian whose width grows with energy, and an escape peak.

σ² = noise² + F·ε·E, with the Fano factor F and the energy ε of an electron-hole pair in silicon. A photon's own
fluorescence in the silicon may leave it: the share at E - 1.74 keV is that of Reed and Ware (1972, J. Phys. E 5, 582)
for a thick detector and a beam that falls in straight.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xraydb
from scipy.special import erf

from stream.analyse.fluorescence.lines import ElementLines

Floats = npt.NDArray[np.float64]
FANO = 0.115
PAIR = 3.66e-3  # keV
NOISE = 0.045  # keV, σ: 130 eV full width at Mn Kα, until the spectra tell


@dataclass(frozen=True, slots=True)
class Response:
    """Energy of a channel's middle is offset + step · channel, keV; noise is the σ of a line at 0 keV."""

    offset: float
    step: float
    noise: float = NOISE

    def energies(self, channels: Floats) -> Floats:
        """Energies (keV) of channels."""
        return self.offset + self.step * channels

    def width(self, energy: npt.ArrayLike) -> Floats:
        """σ (keV) of a line."""
        return np.sqrt(self.noise**2 + FANO * PAIR * np.maximum(energy, 0))

    def columns(self, channels: Floats, elements: Sequence[ElementLines]) -> Floats:
        """(channel, element) counts in each channel for one count in the lines of the element and their escape."""
        edges = self.energies(np.append(channels - 0.5, channels[-1] + 0.5))
        return np.column_stack([self._peaks(edges, lines) for lines in elements])

    def _peaks(self, edges: Floats, lines: ElementLines) -> Floats:
        lost = escape_shares(lines.energies)
        places = np.concatenate([lines.energies, lines.energies - silicon_line()])
        shares = np.concatenate([lines.shares * (1 - lost), lines.shares * lost])
        scaled = (edges[:, None] - places) / (np.sqrt(2) * self.width(places))
        return np.asarray(np.diff(erf(scaled), axis=0) @ shares / 2)


def silicon_line() -> float:
    """Energy of silicon's Kα, keV."""
    return float(xraydb.xray_line("Si", "Ka").energy) / 1000


def escape_shares(energies: Floats) -> Floats:
    """Share of the photons of these energies (keV) whose silicon photon escapes; 0 below silicon's edge."""
    edge = xraydb.xray_edge("Si", "K")
    own = xraydb.mu_elam("Si", 1000 * silicon_line())
    ratio = own / xraydb.mu_elam("Si", 1000 * energies)
    share = 0.5 * edge.fyield * (1 - 1 / edge.jump_ratio) * (1 - ratio * np.log1p(1 / ratio))
    return np.where(1000 * energies > edge.energy, share, 0.0)
