"""What changes a run: each request becomes a numbered command file that analyse applies in order."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from stream.analyse.classify.labels import check_names, read_names
from stream.core.commands import Kind, post_command
from stream.core.config import Region
from stream.core.documents import checked, keep_document, line_of
from stream.core.errors import LifecycleError, MessageError, UsageError
from stream.core.lifecycle import Happening, Status, advance
from stream.dashboard.answers import Json, Refusal
from stream.dashboard.catalogue import kinds
from stream.dashboard.scans import Run, ThisScan, newest
from stream.dashboard.view import RunView

router = APIRouter(prefix="/api/v1", tags=["control"])
scan_router = APIRouter(prefix="/scans/{scan}", tags=["control"])


TOO_LATE: dict[int | str, dict[str, Any]] = {409: {"model": Refusal, "description": "the run is over"}}


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
    """Names for the unsupervised clusters, all at once."""

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
    """Name clusters of the newest revision as classes: a classifier is learnt from them, in the place of earlier names.

    The command holds the clusters as they are now, so that it means the same in the final result and in a replay.
    """
    revision = newest(run)
    index, partition = revision.arrays.get("maps/cluster_index"), revision.metadata.get("cluster_partition")
    try:
        named = read_names([label.model_dump() for label in body.labels])
        if index is None or partition is None:
            raise UsageError(f"labels name clusters, and revision {revision.number} has none")
        check_names(named, index)
    except UsageError as error:
        raise HTTPException(422, str(error)) from None
    return _post(run, "labels", {**body.model_dump(mode="json"), "partition": partition})


@scan_router.post("/finish", status_code=202, responses=TOO_LATE)
def finish(run: ThisScan) -> Response:
    """End the scan now and compute the final result of what was measured."""
    return _post(run, "finish", {}, Happening.ENDED)


@scan_router.post("/abort", status_code=202, responses=TOO_LATE)
def abort(run: ThisScan) -> Response:
    """End the run without a final result."""
    return _post(run, "abort", {}, Happening.ABORT)


@scan_router.post("/recompute", status_code=202)
def recompute(run: ThisScan) -> Response:
    """Reconstruct again from nothing."""
    return _post(run, "recompute", {})


class Documents(Body):
    """Bluesky documents in their order, each [name, document]."""

    documents: Annotated[list[tuple[str, dict[str, Any]]], Field(min_length=1, max_length=10_000)]


@router.post("/documents", status_code=202)
def documents(run: Run, body: Documents) -> Response:
    """Take what a plan tells: where frames lie, that it rests, that it is over."""
    try:
        found = [checked(name, content) for name, content in body.documents]
        for document in found:
            line_of(document)  # so that a batch is taken whole or not at all
    except MessageError as error:
        raise HTTPException(422, str(error)) from None
    for document in found:
        keep_document(run.directory.documents, document)
    return Json({"documents": len(found)}, status_code=202)


def _post(run: RunView, kind: Kind, arguments: dict[str, Any], happening: Happening | None = None) -> Response:
    if happening is not None:
        try:
            advance(Status(run.status()["status"]), happening)
        except LifecycleError as error:
            raise HTTPException(409, str(error)) from None
    command = post_command(run.directory.commands, kind, arguments)
    return Json({"command": command.number, "kind": command.kind}, status_code=202)


router.include_router(scan_router)
