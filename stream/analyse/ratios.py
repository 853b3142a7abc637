"""What battery users read off a layered phase: I003/I104, c/a, how far 018 and 110 lie apart, the superlattice."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from stream.analyse.crystal.maps import PhaseMaps
from stream.analyse.crystal.model import Crystal
from stream.core.axis import RadialAxis

Floats = npt.NDArray[np.float64]
Hkl = tuple[int, int, int]

AREAS: dict[str, tuple[str, Hkl, Hkl]] = {
    "ratio_003_104": ("hexagonal", (0, 0, 3), (1, 0, 4)),
    "superlattice_020": ("monoclinic-b", (0, 2, 0), (0, 0, 1)),
}
"""Area of one line in that of another, for cells of a lattice: cation mixing, and the order of Li among the metals."""
DOUBLET: tuple[Hkl, Hkl] = ((0, 1, 8), (1, 1, 0))


def ratio_units(crystal: Crystal, axis: RadialAxis) -> dict[str, str]:
    """The maps that `ratio_maps` makes of a phase, with their units.

    c/a of every hexagonal or trigonal cell; the others where the structure reflects both lines within the axis.
    """
    units = {}
    system = crystal.structure.lattice.system
    if system == "hexagonal":
        units[f"c_over_a_{crystal.name}"] = "1"
        if _on_axis(crystal, axis, DOUBLET):
            units[f"splitting_018_110_{crystal.name}"] = "degree"
    for name, (lattice, *pair) in AREAS.items():
        if system == lattice and _on_axis(crystal, axis, pair):
            units[f"{name}_{crystal.name}"] = "1"
    return units


def ratio_maps(crystal: Crystal, axis: RadialAxis, phase: PhaseMaps) -> dict[str, npt.NDArray[Any]]:
    """Arrays (n,) under the names of the maps, NaN where the phase's cell is not known.

    Ratios of areas are those in the pattern, whose Lorentz factor 1/(sin²θ cosθ) differs from that of a laboratory
    powder diffractometer; they need free intensities, which only a main phase has. The splitting is
    2θ(110) - 2θ(018) in degrees of the fitted cell at the scan's wavelength: negative where they have crossed.
    """
    known = np.isfinite(phase.cell_volume)
    found = {}
    for map_name in ratio_units(crystal, axis):
        quantity = map_name.removesuffix(f"_{crystal.name}")
        if quantity in AREAS:
            over, under = (_area(crystal, phase, hkl) for hkl in AREAS[quantity][1:])
            values = np.divide(over, under, out=np.full(over.shape, np.nan), where=under > 0)
        elif quantity == "c_over_a":
            values = phase.cell["c"] / phase.cell["a"]
        else:
            inner, outer = (_two_theta(axis, phase, hkl) for hkl in DOUBLET)
            values = outer - inner
        found[map_name] = np.where(known, values, np.nan)
    return found


def _on_axis(crystal: Crystal, axis: RadialAxis, lines: Iterable[Hkl]) -> bool:
    """Whether the structure reflects these lines, and at angles that the axis holds."""
    structure = crystal.structure
    rows = structure.lattice.rows(structure.reflections(*axis.spacings).hkl)
    return all(bool(_same_line(rows, crystal, hkl).any()) for hkl in lines)


def _same_line(rows: Floats, crystal: Crystal, hkl: Hkl) -> npt.NDArray[np.bool_]:
    """Which of `rows` lie at the d of hkl whatever the cell is."""
    wanted = crystal.structure.lattice.rows(np.array([hkl], dtype=np.int64))
    return np.asarray(np.isclose(rows, wanted).all(axis=1))


def _area(crystal: Crystal, phase: PhaseMaps, hkl: Hkl) -> Floats:
    return np.asarray(phase.lines[:, _same_line(phase.rows, crystal, hkl)].sum(axis=1))


def _two_theta(axis: RadialAxis, phase: PhaseMaps, hkl: Hkl) -> Floats:
    """2θ (n,) of a line in degrees; a hexagonal cell has 1/d² = 4/3 (h² + hk + k²)/a² + l²/c²."""
    h, k, m = hkl
    inverse = 4 / 3 * (h * h + h * k + k * k) / phase.cell["a"] ** 2 + m * m / phase.cell["c"] ** 2
    return np.asarray(np.rad2deg(2 * np.arcsin(axis.wavelength / 2 * np.sqrt(inverse))))
