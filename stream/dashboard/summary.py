"""What a run comes to in a few numbers and curves, for laying two of them side by side."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from fastapi import APIRouter
from fastapi.responses import Response

from stream.analyse.statistics import FEWEST, gaussian
from stream.core.revision import Revision
from stream.dashboard.answers import Json
from stream.dashboard.catalogue import catalogue
from stream.dashboard.geometry import the_geometry
from stream.dashboard.scans import Scan, SliceIndex, newest, one_slice
from stream.dashboard.view import RunView

router = APIRouter(prefix="/api/v1/scans/{scan}", tags=["read"])
TOLD = ("Weight fractions", "Cell", "Layering", "Strain and size")


@router.get("/summary")
def summary(run: Scan, index: SliceIndex = 0) -> Response:
    """Mean patterns of the classes in one slice, and each quantity's mean, σ and n over the voxels of all slices.

    Means are those of the Gaussian of the values' core, which outliers do not move.
    """
    revision = newest(run)
    return Json(
        {
            "revision": revision.number,
            "scan": run.scan,
            "sample": run.config.scan.sample,
            "grid": run.coordinates(),
            "unit": run.config.integration.unit,
            "wavelength": the_geometry(run.config.detector.geometry).wavelength,
            "axis": revision.arrays["radial"],
            "patterns": run.once((revision.number, "patterns", index), lambda: _mean_patterns(run, revision, index)),
            "quantities": run.once((revision.number, "quantities"), lambda: _quantities(run, revision)),
        }
    )


def _mean_patterns(run: RunView, revision: Revision, index: int) -> dict[str, dict[str, Any]]:
    volume = run.volume(len(revision.arrays["radial"]))
    classes = revision.maps.get("class_index")
    if volume is None or classes is None:
        return {}
    plane, patterns = one_slice(classes, index), one_slice(volume, index)
    chosen = {label: plane == n for n, label in enumerate(revision.metadata.get("classes", []))}
    return {
        label: {"voxels": int(where.sum()), "pattern": patterns[where].mean(axis=0, dtype=np.float64)}
        for label, where in chosen.items()
        if where.any()
    }


def _quantities(run: RunView, revision: Revision) -> list[dict[str, Any]]:
    found = []
    for entry in catalogue(revision, run.config):
        if entry.group not in TOLD or entry.name.startswith("strain_error_"):
            continue
        values: npt.NDArray[np.float64] = revision.maps[entry.name].astype(np.float64)
        values = values[np.isfinite(values)]
        if len(values) < FEWEST:
            continue
        core = gaussian(values)
        told = {key: core[key] for key in ("mean", "sigma", "n")}
        found.append({"name": entry.name, "title": entry.title, "unit": entry.unit, **told})
    return found
