"""Whether the run does what it is there for: `/healthz`, `/readyz`, and what they are answered from."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from prometheus_client import ProcessCollector
from prometheus_client.core import Metric

from stream.core.files import read_json
from stream.core.vitals import read_vitals
from stream.dashboard.answers import Json
from stream.dashboard.view import RunView
from stream.publish.metadata import FROM_INGEST, read_failure

router = APIRouter(tags=["operation"])
SILENT = 5.0
"""Seconds without a word of ingest, which tells something every second."""
STARTING = {
    "ingest": "ingest compiles its kernels and takes up what is there; it is not connected yet",
    "fluorescence": "the ingest of fluorescence takes up what is there; it is not connected yet",
    "analyse": "analyse does not follow the journal yet",
}
"""Processes without which a frame does not come on the maps, and what is said before they have begun."""
SUSPENDED, AWAY = "recording_suspended", "tiled_away"
REASONS = {
    SUSPENDED: "the recording is suspended: the disk is nearly full",
    "back_pressure": "frames come faster than they are processed",
    "stolen": "another receiver takes a share of the frames",
    AWAY: "Tiled is away: it gets the newest maps when it is back",
}
"""What is said of a warning to anybody; the run's own sentences may hold paths and addresses."""


@dataclass(slots=True)
class Health:
    """One look at a run's processes and at its disk.

    children: by name, their `pid` (None: dead) and `restarts`, as the supervisor told; told: what each process did.
    warnings: names of those there are. problems: sentences; none where a frame sent now would be taken, recorded and
    come on the maps. free and size of the disk are in bytes.
    """

    children: dict[str, dict[str, Any]]
    told: dict[str, dict[str, Any]]
    free: int
    size: int
    published: dict[str, Any]
    warnings: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def pids(self) -> dict[str, int | None]:
        """Process ids by name, the supervisor's among them."""
        supervisor = {"supervisor": self.told["supervisor"]["pid"]} if "supervisor" in self.told else {}
        return supervisor | {name: child["pid"] for name, child in self.children.items()}


def examine(view: RunView) -> Health:
    """Look at everything now."""
    directory = view.directory
    told, disk = read_vitals(directory.vitals), shutil.disk_usage(directory.path)
    published = read_json(directory.published) or {}
    health = Health(told.get("supervisor", {}).get("children", {}), told, disk.free, disk.total, published)
    states = [snapshot.state for snapshot in view.snapshots().values()]
    warned = {FROM_INGEST[key] for state in states for key in FROM_INGEST if state.get(key)}
    health.warnings = sorted(warned | ({AWAY} if published.get("error") else set()))
    health.problems = list(_problems(health))
    if SUSPENDED in warned:
        health.problems.append(REASONS[SUSPENDED])
    if read_failure(directory):
        health.problems.append("the run has failed")
    return health


def _problems(health: Health) -> Iterator[str]:
    if not health.children:
        yield "no supervisor tends this run"
    for name in STARTING.keys() & health.children.keys():
        told = health.told.get(name)
        if not is_alive(health.children[name]["pid"]):
            yield f"{name} is not running"
        elif told is None:
            yield STARTING[name]
        elif name != "analyse" and (silence := time.time() - told["time"]) > SILENT:
            yield f"{name} has told nothing for {silence:.0f} s"


def is_alive(pid: int | None) -> bool:
    """Whether there is such a process."""
    if pid is None:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def usage(pid: int) -> list[Metric]:
    """Memory, processor time and open files of a process, as Prometheus names them; none where there is no /proc."""
    return list(ProcessCollector("braggstream", pid=lambda: pid, registry=None).collect())


@router.get("/healthz")
def healthz() -> dict[str, str]:
    """This process answers."""
    return {"status": "ok"}


@router.get("/readyz")
def readyz(request: Request) -> Response:
    """Whether a frame sent now would be taken, recorded and come on the maps; 503 and the reasons where not."""
    health = examine(request.app.state.view)
    warnings = [REASONS[name] for name in health.warnings]
    ready = not health.problems
    told = {"status": "ready" if ready else "not ready", "problems": health.problems, "warnings": warnings}
    return Json(told, status_code=200 if ready else 503)
