"""What the supervisor writes of a run while none of its processes does: failed, going on, swept."""

from __future__ import annotations

import time

from stream.core.files import read_json, write_json
from stream.core.lifecycle import CLOSED, Happening, Status, advance
from stream.core.rundir import RunDirectory


def fail(directory: RunDirectory, failure: str) -> None:
    """Mark a run whose processes cannot go on, and why; its writer is gone."""
    state = read_json(directory.state) or {
        "status": Status.WAITING,
        "revision": 0,
        "frames_used": 0,
        "started": time.time(),
    }
    if Status(state["status"]) not in CLOSED:
        status = advance(Status(state["status"]), Happening.FAILURE)
        write_json(directory.state, {**state, "status": status, "failure": failure})


def revive(directory: RunDirectory) -> None:
    """A failed run goes on: until analyse is there it waits."""
    state = read_json(directory.state)
    if state and state.pop("failure", None):
        write_json(directory.state, {**state, "status": Status.WAITING})


def sweep(directory: RunDirectory) -> None:
    """Remove what a killed process had not moved into place, and what it told of itself; nobody else writes now."""
    for path in (
        *directory.path.glob("*.partial"),
        *directory.vitals.glob("*"),
        *directory.recording.glob("*.partial"),
        *directory.fluorescence.recording.glob("*.partial"),
    ):
        path.unlink()


def last_revision(directory: RunDirectory) -> int:
    """Number of the newest revision, 0 before the first."""
    return int((read_json(directory.state) or {"revision": 0})["revision"])
