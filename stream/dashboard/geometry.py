"""Where the pixels of the reduced frame are."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from fastapi import APIRouter, HTTPException
from fastapi.responses import Response

from stream.dashboard.answers import FORMS, array_answer
from stream.dashboard.scans import Form, Scan
from stream.ingest.integrate import Geometry, load_geometry

router = APIRouter(prefix="/api/v1/scans/{scan}", tags=["read"])


@lru_cache(maxsize=4)
def the_geometry(path: Path) -> Geometry:
    """The detector's geometry, read once."""
    return load_geometry(path)


@router.get("/frame/two_theta", responses=FORMS)
def two_theta(run: Scan, form: Form = "json") -> Response:
    """2θ in degrees in the middle of each pixel of the reduced frame; the wavelength in Å goes along."""
    found = run.frame()
    if found is None:
        raise HTTPException(404, f"the scan {run.scan!r} has no detector frame yet")
    path = run.config.detector.geometry
    meta = {"wavelength": the_geometry(path).wavelength, "factor": found["factor"], "unit": "degree"}
    return array_answer(_reduced(path, int(found["factor"])), form, meta)


@lru_cache(maxsize=4)
def _reduced(path: Path, factor: int) -> npt.NDArray[np.float32]:
    """2θ in degrees of the middle of each block of factor × factor pixels."""
    geometry = the_geometry(path)
    rows, columns = (
        np.minimum(np.arange(factor // 2, side + factor // 2, factor), side - 1) for side in geometry.shape
    )
    positions = geometry.positions("2th_deg")  # in radians
    return np.asarray(np.rad2deg(positions[np.ix_(rows, columns)]), dtype=np.float32)
