"""The lines of an element and how its intensity divides among them, from the tables of xraydb."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import xraydb

from stream.core.errors import ConfigError

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ElementLines:
    """Energies in keV of the lines of one element, and their shares of the element's intensity, which add up to 1."""

    element: str
    energies: Floats
    shares: Floats


def element_lines(element: str, beam_kev: float) -> ElementLines:
    """K lines where the beam can excite them, else L lines.

    L lines are weighted with vacancies from the jump ratios, and yields; Coster-Kronig transitions are left out.

    Raises
    ------
    ConfigError
        for what is no element, or one that the beam does not excite.
    """
    try:
        edges, lines = xraydb.xray_edges(element), xraydb.xray_lines(element)
    except ValueError:
        raise ConfigError(f"fluorescence.elements: {element!r} is no element") from None
    for levels in (("K",), ("L1", "L2", "L3")):
        weights = {}
        left = 1.0
        for level in levels:
            if level in edges and edges[level].energy < 1000 * beam_kev:
                edge = edges[level]
                weights[level] = left * (1 - 1 / edge.jump_ratio) * edge.fyield
                left /= edge.jump_ratio
        found = [(line.energy / 1000, weights[line.initial_level] * line.intensity)
                 for line in lines.values() if line.initial_level in weights]  # fmt: skip
        if found:
            energies, shares = np.array(sorted(found)).T
            return ElementLines(element, energies, shares / shares.sum())
    raise ConfigError(f"fluorescence.elements: a beam of {beam_kev:.3g} keV excites no K or L line of {element}")
