"""What changes a run: each request becomes a numbered command file that analyse applies in order."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from stream.core.commands import Kind, post_command
from stream.core.config import Region
from stream.core.errors import LifecycleError
from stream.core.lifecycle import Happening, Status, advance
from stream.dashboard.answers import Json
from stream.dashboard.catalogue import kinds
from stream.dashboard.scans import ThisScan
from stream.dashboard.view import RunView

router = APIRouter(prefix="/api/v1", tags=["control"])
scan_router = APIRouter(prefix="/scans/{scan}", tags=["control"])


class Body(BaseModel):
    """A body; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Regions(Body):
    """Windows of the pattern, in integration.unit; a name that is taken by another region is redefined."""

    regions: Annotated[list[Region], Field(min_length=1, max_length=32)]


class Label(Body):
    """A cluster of cluster_index, and the class it is."""

    cluster: Annotated[int, Field(ge=0, le=127)]
    label: Annotated[str, Field(min_length=1, max_length=64)]


class Labels(Body):
    """Names for the unsupervised clusters."""

    labels: Annotated[list[Label], Field(min_length=1, max_length=128)]


@scan_router.post("/regions", status_code=202)
def regions(run: ThisScan, body: Regions) -> Response:
    """Add regions; their sinograms and maps come with one of the next revisions."""
    taken = set(kinds(run.config)) - {region.name for region in run.config.regions}
    for region in body.regions:
        if region.name in taken:
            raise HTTPException(422, f"regions: the name {region.name!r} is taken by a map")
    return _post(run, "regions", body.model_dump(mode="json"))


@scan_router.post("/labels", status_code=202)
def labels(run: ThisScan, body: Labels) -> Response:
    """Name clusters as classes."""
    known = list((run.status().get("classes")) or [])
    for label in body.labels:
        if known and label.label not in known:
            raise HTTPException(422, f"labels: {label.label!r} is not one of the classes {', '.join(known)}")
    return _post(run, "labels", body.model_dump(mode="json"))


@scan_router.post("/finish", status_code=202)
def finish(run: ThisScan) -> Response:
    """End the scan now and compute the final result of what was measured."""
    return _post(run, "finish", {}, Happening.ENDED)


@scan_router.post("/abort", status_code=202)
def abort(run: ThisScan) -> Response:
    """End the run without a final result."""
    return _post(run, "abort", {}, Happening.ABORT)


@scan_router.post("/recompute", status_code=202)
def recompute(run: ThisScan) -> Response:
    """Reconstruct again from nothing."""
    return _post(run, "recompute", {})


@router.post("/documents", status_code=501)
def documents() -> Response:
    """Bluesky documents."""
    raise HTTPException(501, "Bluesky documents are not available in this version")


def _post(run: RunView, kind: Kind, arguments: dict[str, Any], happening: Happening | None = None) -> Response:
    if happening is not None:
        try:
            advance(Status(run.status()["status"]), happening)
        except LifecycleError as error:
            raise HTTPException(409, str(error)) from None
    command = post_command(run.directory.commands, kind, arguments)
    return Json({"command": command.number, "kind": command.kind}, status_code=202)


router.include_router(scan_router)
