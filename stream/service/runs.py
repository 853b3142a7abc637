"""The run directories of a folder: what they hold, and which of them may be removed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from stream.core.errors import BraggstreamError, RunDirectoryError, StoreError, UsageError
from stream.core.files import read_json
from stream.core.lifecycle import CLOSED, Status
from stream.core.rundir import UNTOLD, RunDirectory
from stream.core.scan import ScanGrid
from stream.ingest.ledger_reader import LedgerReader
from stream.publish.metadata import read_failure, run_status
from stream.service.guard import holds_run, is_published, read_status, take_lock

DAY = 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run directory.

    status is None where it cannot be read, which `problem` then says. started (None before the first frame) and updated
    are Unix seconds; size is what the directory takes on the disk, in bytes. closed says that nothing can come to it
    any more: it is complete or aborted, and Tiled has its final maps.
    """

    path: Path
    sample: str = ""
    status: Status | None = None
    problem: str = ""
    integrated: int = 0
    expected: int = 0
    started: float | None = None
    updated: float
    size: int
    closed: bool = False


def list_runs(folder: Path) -> list[Run]:
    """The runs that lie in `folder`, the one that changed last at the end.

    Raises
    ------
    UsageError
        where there is no such folder.
    """
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}")
    found = [_look(path) for path in folder.iterdir() if not path.is_symlink() and holds_run(RunDirectory(path))]
    return sorted(found, key=lambda run: run.updated)


def removable(runs: Sequence[Run], now: float, older_than: float | None, down_to: float | None) -> list[Run]:
    """Closed runs that may go, oldest first.

    Parameters
    ----------
    older_than
        days since their last change; None: whatever their age.
    down_to
        bytes that all runs may take together: no more go than are needed for it; None: all that are old enough.
    """
    left, chosen = sum(run.size for run in runs), []
    for run in sorted(runs, key=lambda run: run.updated):
        old = older_than is None or now - run.updated > older_than * DAY
        if run.closed and old and (down_to is None or left > down_to):
            chosen.append(run)
            left -= run.size
    return chosen


def remove(run: Run) -> None:
    """Remove the directory of a closed run and all that is in it.

    Raises
    ------
    RunDirectoryError
        where it is in use, or is not closed (any more).
    StoreError
        where the disk does not let it go.
    """
    directory = RunDirectory(run.path)
    descriptor = take_lock(directory, wait=0.0)
    try:
        if not _closed(directory):
            raise RunDirectoryError(f"{run.path} holds a run that is not finished; it stays")
        shutil.rmtree(run.path)
    except OSError as error:
        raise StoreError(f"{run.path} cannot be removed: {error}") from error
    finally:
        os.close(descriptor)


def _look(path: Path) -> Run:
    directory = RunDirectory(path)
    marks = (directory.config, directory.state, directory.published)
    updated = max(mark.stat().st_mtime for mark in marks if mark.is_file())
    size = sum(file.lstat().st_blocks * 512 for file in path.rglob("*"))
    try:
        config = directory.read_config(oldest=UNTOLD)
        reader = LedgerReader(directory.ledger, ScanGrid.from_config(config.scan))
        snapshot = reader.snapshot()
        reader.close()
        told = Status.FAILED if read_failure(directory) else read_status(directory)
        return Run(
            path=path,
            sample=config.scan.sample,
            status=run_status(told, snapshot.state.get("phase", "waiting")),
            integrated=snapshot.frames["integrated"],
            expected=snapshot.frames["expected"],
            started=(read_json(directory.state) or {}).get("started"),
            updated=updated,
            size=size,
            closed=_closed(directory),
        )
    except BraggstreamError as error:
        return Run(path=path, problem=str(error), updated=updated, size=size)


def _closed(directory: RunDirectory) -> bool:
    return read_status(directory) in CLOSED and is_published(directory)
