"""Reads of a scan: its maps, sinograms, pattern and detector frame."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from fastapi import APIRouter, Depends, HTTPException, Query, Request
from fastapi.responses import Response

from stream.core.revision import Revision
from stream.dashboard.answers import FORMS, Format, Json, array_answer
from stream.dashboard.catalogue import PROBABILITY, catalogue
from stream.dashboard.view import RunView

router = APIRouter(prefix="/api/v1", tags=["read"])

PARTICLES: dict[str, Any] = {"particles": [], "particle_correlation": {}}
"""What the metadata tell of particles, and what they mean by saying nothing."""
SliceIndex = Annotated[int, Query(alias="slice", description="index of the slice, from 0")]
Form = Annotated[Format, Query(alias="format")]
BOUND = 1e38  # beyond it float32 overflows
Low = Annotated[float | None, Query(ge=-BOUND, le=BOUND, description="lower end of the colours of a PNG")]
High = Annotated[float | None, Query(ge=-BOUND, le=BOUND, description="upper end of the colours of a PNG")]


def the_run(request: Request) -> RunView:
    """The run this app serves."""
    view: RunView = request.app.state.view
    return view


Run = Annotated[RunView, Depends(the_run)]


def this_scan(scan: str, run: Run) -> RunView:
    """The run, when `scan` is its name; 404 otherwise."""
    if scan != run.scan:
        raise HTTPException(404, f"there is no scan {scan!r} here: this page serves {run.scan!r}")
    return run


def any_scan(scan: str, run: Run, request: Request) -> RunView:
    """The run, or one beside it as `GET /beside` names it."""
    found: RunView | None = request.app.state.beside.view(scan)
    return found or this_scan(scan, run)


ThisScan = Annotated[RunView, Depends(this_scan)]
Scan = Annotated[RunView, Depends(any_scan)]


def newest(run: RunView) -> Revision:
    """The newest revision; 404 before the first."""
    revision = run.revision()
    if revision is None:
        raise HTTPException(404, f"the scan {run.scan!r} has no maps yet")
    return revision


def one_slice(array: npt.NDArray[Any], index: int) -> npt.NDArray[Any]:
    """Slice `index` of an array whose first axis is the slice; 404 beyond it."""
    if not 0 <= index < len(array):
        raise HTTPException(404, f"there is no slice {index}: this scan has {len(array)}, counted from 0")
    return np.asarray(array[index])


@router.get("/status")
def status(run: Run) -> Response:
    """The run's metadata with rates, latency, remaining time; `notes` are the newest events, newest first."""
    return Json(run.status())


@router.get("/scans")
def scans(run: Run) -> Response:
    """The scans that this server knows."""
    found = run.status()
    return Json([{"name": run.scan, **{key: found.get(key) for key in ("sample", "status", "revision")}}])


@router.get("/beside")
def beside(request: Request) -> Response:
    """Names of the runs whose directories lie beside this one's, the newest first; reads take them as a scan."""
    return Json(request.app.state.beside.names())


@router.get("/scans/{scan}/maps")
def maps(run: Scan) -> Response:
    """Every map of the newest revision: name, group, title, unit, colours; empty before the first."""
    revision = run.revision()
    entries = [entry.as_dict() for entry in catalogue(revision, run.config)]
    return Json({"revision": revision.number if revision else 0, "maps": entries})


@router.get("/scans/{scan}/maps/{name}", responses=FORMS)
def one_map(
    run: Scan,
    name: str,
    index: SliceIndex = 0,
    form: Form = "json",
    label: Annotated[str | None, Query(alias="class", description="the class, for class_probability")] = None,
    low: Low = None,
    high: High = None,
) -> Response:
    """One map of one slice, (y, x); class_probability without `class` is (class, y, x)."""
    revision = newest(run)
    array = revision.arrays.get(f"maps/{name}")
    if array is None:
        raise HTTPException(404, f"there is no map {name!r} in revision {revision.number} of {run.scan!r}")
    plane = one_slice(array, index)
    if name == PROBABILITY and label is not None:
        plane = plane[_class_number(revision, label)]
    entry = next(entry for entry in catalogue(revision, run.config) if entry.name == name)
    meta = {"revision": revision.number, "map": name, "class": label, "slice": index, "unit": entry.unit}
    return array_answer(plane, form, meta, entry.palette, _limits(low, high))


@router.get("/scans/{scan}/sinograms")
def sinograms(run: Scan) -> Response:
    """Names of the sinograms."""
    revision = run.revision()
    names = [] if revision is None else [n.partition("/")[2] for n in revision.arrays if n.startswith("sinograms/")]
    return Json({"revision": revision.number if revision else 0, "sinograms": names})


@router.get("/scans/{scan}/sinograms/{name}", responses=FORMS)
def sinogram(
    run: Scan, name: str, index: SliceIndex = 0, form: Form = "json", low: Low = None, high: High = None
) -> Response:
    """One sinogram of one slice, (angle, position), NaN where not measured."""
    revision = newest(run)
    array = revision.arrays.get(f"sinograms/{name}")
    if array is None:
        raise HTTPException(404, f"there is no sinogram {name!r} in revision {revision.number} of {run.scan!r}")
    meta = {"revision": revision.number, "sinogram": name, "slice": index}
    return array_answer(one_slice(array, index), form, meta, "viridis", _limits(low, high))


@router.get("/scans/{scan}/pattern")
def pattern(run: Scan) -> Response:
    """The sum pattern, its axis and the regions."""
    revision = newest(run)
    return Json(
        {
            "revision": revision.number,
            "unit": run.config.integration.unit,
            "axis": revision.arrays["radial"],
            "sum_pattern": revision.arrays["sum_pattern"],
            "regions": [region.model_dump() for region in run.regions()],
            "frames_used": revision.metadata.get("frames_used"),
        }
    )


@router.get("/scans/{scan}/particles")
def particles(run: Scan) -> Response:
    """The particles, the largest first, and how their strain goes with size and contact (Spearman's rho, p, n)."""
    revision = newest(run)
    found = {name: revision.metadata.get(name) or empty for name, empty in PARTICLES.items()}
    return Json({"revision": revision.number, **found})


@router.get("/scans/{scan}/frame", responses=FORMS)
def frame(run: Scan, form: Form = "json", low: Low = None, high: High = None) -> Response:
    """The latest detector frame, reduced; NaN where masked."""
    found = run.frame()
    if found is None:
        raise HTTPException(404, f"the scan {run.scan!r} has no detector frame yet")
    image = found.pop("image")
    return array_answer(image, form, found, "magma", _limits(low, high))


def _class_number(revision: Revision, label: str) -> int:
    labels = list(revision.metadata.get("classes", []))
    if label not in labels:
        raise HTTPException(404, f"there is no class {label!r}: the classes are {', '.join(labels)}")
    return labels.index(label)


def _limits(low: float | None, high: float | None) -> tuple[float, float] | None:
    if low is None and high is None:
        return None
    if low is None or high is None or not high > low:
        raise HTTPException(422, f"low and high are {low} and {high}: both are needed, low below high")
    return low, high
