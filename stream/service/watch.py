"""One run after another, for a night without hands: a new one for each start document, or for each detector series."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from stream.core.bluesky_scan import scan_section
from stream.core.config import BlueskyConfig, Config, load_config
from stream.core.config.load import override, read_yaml, sentence
from stream.core.documents import Document
from stream.core.errors import ConfigError, ScanIncomplete
from stream.core.lifecycle import Status
from stream.core.rundir import RunDirectory
from stream.core.scan import AXES
from stream.ingest.series import Series
from stream.service.documents import Receiver
from stream.service.gate import Gate
from stream.service.guard import first_free, holds_run, read_status
from stream.service.run import Job, stop_on_signals

STAND_IN: dict[str, Any] = {"angles": {"values": [0.0]}, "positions": {"count": 3}}
"""A grid in the place of one that a plan will tell."""
LATE = 1.0  # seconds that a plan's stop may come behind the header of the next series
OPEN = frozenset({Status.WAITING, Status.ACQUIRING, Status.FINISHING})

Perform = Callable[[Job, threading.Event, Receiver | None], None]
"""Runs one job, with its report on the terminal."""


def watch(path: Path, runs: Path, perform: Perform, say: Callable[[str], None]) -> None:
    """Run until a signal comes; a run that was cut short is taken up first.

    Raises
    ------
    BraggstreamError
        of a run that cannot go on; one that ends incomplete is said, and the next one awaited.
    """
    stop = stop_on_signals()
    planned = load_config(path, scan=STAND_IN if awaits_plan(path) else None)
    with receiver_of(path, single=True) as receiver, Gate(planned.detector) as gate:
        while not stop.is_set():
            job = next_job(path, runs, receiver, stop)
            if job is None:
                return
            endpoint = gate.open(job.config, partial(had_its_series, RunDirectory(job.output), receiver))
            try:
                perform(replace(job, gate=endpoint), stop, receiver)
            except ScanIncomplete as error:
                say(str(error))
            if receiver is not None:
                receiver.release()


def had_its_series(directory: RunDirectory, receiver: Receiver | None, series: Series) -> bool:
    """Whether the next series is not this run's: the run is over, or its last series is.

    Of a plan a series must have ended, and then the plan: its documents may come a little later than its frames, or
    long before them.
    """
    if read_status(directory) not in {Status.WAITING, Status.ACQUIRING}:
        return True
    if receiver is None:
        return series.finished
    return series.ended and receiver.over(LATE)


def next_job(path: Path, runs: Path, receiver: Receiver | None, stop: threading.Event) -> Job | None:
    """The run that was cut short, else the one of the next start document; None once `stop` is set."""
    cut_short = unfinished(runs, str(_scan(path).get("name")))
    if cut_short is not None:
        return Job(config=RunDirectory(cut_short).read_config(), output=cut_short, once=True)
    start = None if receiver is None else receiver.start(stop)
    if receiver is not None and start is None:
        return None
    config = config_for(path, start)
    output = first_free(runs, config.scan.name)
    scan = config.scan.model_copy(update={"name": output.name})
    return Job(config=config.model_copy(update={"scan": scan}), output=output, once=True)


def planned_job(
    path: Path, runs: Path, output: Path | None, receiver: Receiver | None, stop: threading.Event, *, once: bool
) -> Job | None:
    """What `run` is asked for; a grid that the config leaves out is that of the directory, else of the next plan.

    None where `stop` was set before a plan began.
    """
    folder = output or runs / str(_scan(path).get("name"))
    if not awaits_plan(path) or receiver is None:
        config = load_config(path)
    elif holds_run(RunDirectory(folder)):
        config = load_config(path, scan=RunDirectory(folder).read_config().scan.model_dump(mode="json"))
    else:
        start = receiver.start(stop)
        if start is None:
            return None
        config = config_for(path, start)
    return Job(config=config, output=folder, once=once)


def config_for(path: Path, start: Document | None) -> Config:
    """The config, with what a start document tells of the scan where it says nothing itself."""
    if start is None:
        return load_config(path)
    return load_config(path, scan=scan_section(start.content, _scan(path).get("order") or AXES))


def receiver_of(path: Path, *, single: bool = False) -> AbstractContextManager[Receiver | None]:
    """What receives documents at bluesky.endpoint; None where the config names none."""
    try:
        section = BlueskyConfig.model_validate(_raw(path).get("bluesky") or {}, context=path.resolve().parent)
    except ValidationError as error:
        raise ConfigError(f"bluesky.{sentence(error)}") from None
    return nullcontext() if section.endpoint is None else Receiver(section.endpoint, single=single, curve=section.curve)


def awaits_plan(path: Path) -> bool:
    """True for a config that names bluesky.endpoint and leaves the grid to the start document that comes there."""
    scan = _scan(path)
    told = ({"positions"} if scan.get("mode") == "raster" else {"angles", "positions"}) <= scan.keys()
    return not told and _endpoint(path) is not None


def unfinished(runs: Path, name: str) -> Path | None:
    """The first of name-1, name-2, … whose final maps are still to come."""
    numbered = {
        int(p.name[len(name) + 1 :]): p for p in runs.glob(f"{name}-*") if re.fullmatch(r"\d+", p.name[len(name) + 1 :])
    }
    for _, path in sorted(numbered.items()):
        if holds_run(RunDirectory(path)) and read_status(RunDirectory(path)) in OPEN:
            return path
    return None


def _endpoint(path: Path) -> str | None:
    section = _raw(path).get("bluesky")
    endpoint = section.get("endpoint") if isinstance(section, dict) else None
    return None if endpoint is None else str(endpoint)


def _scan(path: Path) -> dict[str, Any]:
    scan = _raw(path).get("scan")
    return scan if isinstance(scan, dict) else {}


def _raw(path: Path) -> dict[str, Any]:
    raw = read_yaml(path)
    override(raw, os.environ)
    return raw
