"""Where lines lie: those of the phases under patterns, those of the standards on frames."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from fastapi import APIRouter
from fastapi.responses import Response

from stream.analyse.crystal.lattice import CELL_NAMES
from stream.analyse.crystal.structure import Reflections, Structure, load_structure
from stream.core.axis import from_two_theta, to_two_theta
from stream.core.config import CrystallinePhase
from stream.core.revision import Revision
from stream.dashboard.answers import Json
from stream.dashboard.geometry import the_geometry
from stream.dashboard.scans import Scan, newest
from stream.dashboard.view import RunView

router = APIRouter(prefix="/api/v1/scans/{scan}", tags=["read"])
STANDARDS = {"LaB6": "lab6", "CeO2": "ceo2", "Si": "si"}
WEAKEST = 0.01
"""Of the intensity of the strongest line: what is weaker is not told."""


@router.get("/reflections")
def reflections(run: Scan) -> Response:
    """Lines of each crystalline phase, with the median of its cells, and of the standards, within the axis.

    Each is `{phase: bool, lines: [{hkl, d, two_theta, x}]}` with d in Å, 2θ in degrees, x in integration.unit.
    """
    revision = newest(run)
    wavelength = the_geometry(run.config.detector.geometry).wavelength
    phases = [phase for phase in run.config.phases if isinstance(phase, CrystallinePhase)]
    found = {
        name: {"phase": False, "lines": _lines(run, revision, cif, None, wavelength)} for name, cif in STANDARDS.items()
    }
    found |= {p.name: {"phase": True, "lines": _lines(run, revision, p.cif, p.name, wavelength)} for p in phases}
    return Json({"revision": revision.number, "wavelength": wavelength, "reflections": found})


def _lines(run: RunView, revision: Revision, cif: str, name: str | None, wavelength: float) -> list[dict[str, Any]]:
    axis, unit = revision.arrays["radial"], run.config.integration.unit
    two_theta = to_two_theta(axis[[0, -1]], unit, wavelength)
    d_max, d_min = wavelength / (2 * np.sin(two_theta / 2))
    structure = load_structure(cif)
    known = _strong(cif, float(np.round(d_min * 0.99, 4)), wavelength)  # a cell may be a little larger than the file's
    cell = structure.cell if name is None else median_cell(structure, name, revision)
    d = 1 / np.sqrt(structure.lattice.rows(known.hkl) @ structure.lattice.parameters(cell))
    angles = 2 * np.arcsin(np.minimum(wavelength / (2 * d), 1))
    x = from_two_theta(angles, unit, wavelength)
    seen = (d >= d_min) & (d <= d_max)
    columns = zip(known.hkl[seen].tolist(), d[seen], np.rad2deg(angles[seen]), x[seen], strict=True)
    return [{"hkl": hkl, "d": float(a), "two_theta": float(b), "x": float(c)} for hkl, a, b, c in columns]


def median_cell(structure: Structure, name: str, revision: Revision) -> npt.NDArray[np.float64]:
    """The cell (6,) whose free parameters are the medians of the maps; the structure's where there are none."""
    cell = dict(zip(CELL_NAMES, structure.cell, strict=True))
    free = structure.lattice.free
    for parameter in free:
        plane = revision.maps.get(f"{parameter}_{name}")
        if plane is not None and np.isfinite(plane).any():
            cell[parameter] = float(np.nanmedian(plane))
    cell |= {length: cell["a"] for length in ("b", "c") if length not in free}
    if structure.lattice.system == "rhombohedral":
        cell |= {"beta": cell["alpha"], "gamma": cell["alpha"]}
    return np.array([cell[parameter] for parameter in CELL_NAMES])


@cache
def _strong(cif: str, d_min: float, wavelength: float) -> Reflections:
    every = load_structure(cif).reflections(d_min)
    intensity = every.intensity(wavelength)
    keep = intensity >= WEAKEST * intensity.max(initial=0.0)
    columns = {key: getattr(every, key)[keep] for key in ("hkl", "multiplicity", "d", "f_squared")}
    return Reflections(**columns)
