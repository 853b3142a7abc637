"""What is known of one voxel, and the patterns along a line."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Protocol

import numpy as np
import numpy.typing as npt
from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import Response

from stream.core.errors import FitError
from stream.core.revision import Revision
from stream.dashboard.answers import Json
from stream.dashboard.catalogue import PROBABILITY, catalogue, why_masked
from stream.dashboard.scans import Scan, SliceIndex, newest
from stream.dashboard.view import RunView

router = APIRouter(prefix="/api/v1/scans/{scan}", tags=["read"])
MAX_POINTS = 4096
Place = tuple[int, int, int]


class FitVoxel(Protocol):
    """The seam to the fit: a voxel's pattern in, the curve and what was found out."""

    def __call__(self, revision: Revision, index: int, pattern: npt.NDArray[Any]) -> Mapping[str, Any]:
        """Fit the pattern (bins,) of a voxel of slice `index`.

        Returns JSON values: `curve` (bins), and what else the fit tells, as `williamson_hall` points.

        Raises
        ------
        FitError
            where the pattern cannot carry the fit.
        """
        ...


@router.get("/voxels/{index}/{y}/{x}")
def voxel(request: Request, run: Scan, index: int, y: int, x: int) -> Response:
    """Pattern, fit, values with errors and class probabilities of voxel (slice, y, x)."""
    place = _inside_the_grid(run, (index, y, x))
    revision = newest(run)
    axis = revision.arrays["radial"]
    found = run.voxel_pattern(place, len(axis))
    return Json(
        {
            "revision": revision.number,
            "slice": index,
            "y": y,
            "x": x,
            "position_um": dict(zip(("y", "x"), position(run, y, x), strict=True)),
            "inside": inside(run, y, x),
            "unit": run.config.integration.unit,
            "axis": axis,
            "pattern": found,
            "values": _values(run, revision, place),
            "classes": _classes(revision, place),
            "fluorescence": _fluorescence(run, revision, place),
            **_fit(request.app.state.fit_voxel if run is request.app.state.view else None, revision, index, found),
        }
    )


@router.get("/profile")
def profile(
    run: Scan,
    start: Annotated[str, Query(alias="from", description="y,x of the first voxel")],
    end: Annotated[str, Query(alias="to", description="y,x of the last voxel")],
    index: SliceIndex = 0,
) -> Response:
    """Patterns of the voxels along a line, one for each step of its longer side."""
    first, last = _pair("from", start), _pair("to", end)
    for y, x in (first, last):
        _inside_the_grid(run, (index, y, x))
    revision = newest(run)
    axis = revision.arrays["radial"]
    steps = max(abs(last[0] - first[0]), abs(last[1] - first[1])) + 1
    if steps > MAX_POINTS:
        raise HTTPException(422, f"the line from {start} to {end} has {steps} voxels, more than {MAX_POINTS}")
    ys = np.rint(np.linspace(first[0], last[0], steps)).astype(int)
    xs = np.rint(np.linspace(first[1], last[1], steps)).astype(int)
    start_um, *rest = [position(run, y, x) for y, x in zip(ys, xs, strict=True)]
    distance = [0.0, *(math.dist(start_um, there) for there in rest)]
    return Json(
        {
            "revision": revision.number,
            "unit": run.config.integration.unit,
            "axis": axis,
            "points": [
                {"y": int(y), "x": int(x), "distance_um": float(d)} for y, x, d in zip(ys, xs, distance, strict=True)
            ],
            "patterns": [run.voxel_pattern((index, int(y), int(x)), len(axis)) for y, x in zip(ys, xs, strict=True)],
        }
    )


def position(run: RunView, y: int, x: int) -> tuple[float, float]:
    """(y, x) in µm of a voxel's centre, from the rotation axis or as the motors of a raster say."""
    _, rows, columns = run.grid.map_axes
    return float(rows[y]), float(columns[x])


def inside(run: RunView, y: int, x: int) -> bool:
    """True within the field of view."""
    return bool(run.grid.field_of_view[y, x])


def _inside_the_grid(run: RunView, place: Place) -> Place:
    shape = run.grid.map_shape
    if not all(0 <= i < n for i, n in zip(place, shape, strict=True)):
        raise HTTPException(404, f"there is no voxel {place}: the grid (slice, y, x) is {shape}, counted from 0")
    return place


def _pair(name: str, text: str) -> tuple[int, int]:
    try:
        y, x = (int(part) for part in text.split(","))
    except ValueError:
        raise HTTPException(422, f"{name} is {text!r}: it must be y,x, two whole numbers") from None
    return y, x


def _values(run: RunView, revision: Revision, place: Place) -> list[dict[str, Any]]:
    """Each map's value here, with its standard error where there is a map of it, or why there is none."""
    maps = revision.maps
    return [
        {
            "name": entry.name,
            "group": entry.group,
            "title": entry.title,
            "unit": entry.unit,
            "value": maps[entry.name][place].item(),
            "error": maps[entry.error][place].item() if entry.error else None,
            "masked": None if np.isfinite(maps[entry.name][place]) else why_masked(entry, revision, place),
        }
        for entry in catalogue(revision, run.config)
        if entry.plane is None
    ]


def _classes(revision: Revision, place: Place) -> dict[str, Any] | None:
    """The class with its probabilities by label; None without a classifier, index -1 = unknown or outside."""
    if "class_index" not in revision.maps:
        return None
    labels = list(revision.metadata.get("classes", []))
    index = int(revision.maps["class_index"][place])
    planes = revision.arrays.get(f"maps/{PROBABILITY}")
    here: Iterable[Any] = [] if planes is None else planes[place[0], :, place[1], place[2]]
    return {
        "index": index,
        "label": labels[index] if 0 <= index < len(labels) else None,
        "probabilities": dict(zip(labels, here, strict=False)),
    }


def _fluorescence(run: RunView, revision: Revision, place: Place) -> dict[str, Any] | None:
    """The voxel's spectrum as it was measured, counts per µm and monitor unit in channels about `energy` keV.

    None without that stream, and until its spectra were looked at.
    """
    energy = revision.arrays.get("fluorescence/voxel_energy")
    if energy is None:
        return None
    return {"energy": energy, "spectrum": run.voxel_fluorescence(place, len(energy))}


def _fit(
    fit: FitVoxel | None, revision: Revision, index: int, found: npt.NDArray[np.float32] | None
) -> dict[str, Mapping[str, Any] | str | None]:
    if fit is None or found is None or not np.isfinite(found).any():
        return {"fit": None, "fit_refused": None}
    try:
        return {"fit": fit(revision, index, found), "fit_refused": None}
    except FitError as error:
        return {"fit": None, "fit_refused": str(error)}
