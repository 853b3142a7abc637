"""The life of one run: directory, children, the wait for its end, the exit code."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from stream.core.commands import read_commands
from stream.core.config import Config
from stream.core.errors import BraggstreamError, ConfigError, ScanIncomplete
from stream.core.lifecycle import CLOSED, Status
from stream.core.rundir import RunDirectory
from stream.core.scan import ScanGrid
from stream.ingest.ledger_reader import LedgerReader, put_at_rest
from stream.scale.start import Environment
from stream.service.addresses import Addresses, addresses, wait_for_ports
from stream.service.child import GATE, REPLAY
from stream.service.documents import Receiver
from stream.service.guard import is_published, prepare, read_status
from stream.service.keys import dashboard_key, store_key
from stream.service.marks import fail, last_revision, revive, sweep
from stream.service.supervisor import Supervisor

PUBLISH_WAIT = 60.0  # how long --once waits for a Tiled that is away
TICK = 0.1
NOTHING = {REPLAY: "|max"}
"""The source of a run that gets no more messages."""
FAREWELL = 3.0  # seconds in which page and Tiled still tell that the run failed, and why


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to run; recording takes the place of the socket, speed is its pace (None: as fast as it goes).

    workers: environment by which processes find a cluster (`stream.scale.start`), empty where there is none.
    gate: where ingest gets the detector's messages, None for the detector's own endpoint.
    """

    config: Config
    output: Path
    once: bool = False
    recording: Path | None = None
    speed: float | None = None
    workers: Environment = field(default_factory=dict)
    gate: str | None = None


def run(
    job: Job,
    announce: Callable[[Addresses], None],
    tick: Callable[[], None],
    stop: threading.Event | None = None,
    receiver: Receiver | None = None,
) -> Status:
    """Run until the final maps are stored (`once`) or a signal comes; returns the status reached.

    announce gets the addresses once; tick is called ten times a second; receiver is where a plan's documents arrive.

    Raises
    ------
    BraggstreamError
        the tree's own errors, with their exit codes; ScanIncomplete when frames are missing at the end.
    """
    stop = stop or stop_on_signals()
    directory = RunDirectory(job.output.resolve())
    key = dashboard_key(job.config, directory)
    check_backend(job)
    lock = prepare(directory, job.config)
    try:
        wait_for_ports(job.config)
        directory.write_config(job.config)  # before all else: it makes the directory a run's
        directory.create()
        store_key(key, directory)
        sweep(directory)
        if job.recording is not None:
            copy_commands(job.recording, directory)
            copy_documents(job.recording, directory)
        elif receiver is not None:
            receiver.into(directory.documents)
        announce(addresses(job.config, key))
        perform(job, directory, lock, source_of(job), tick, stop)
    finally:
        os.close(lock)
    return outcome(directory, job.config)


def check_backend(job: Job) -> None:
    """Refuse a device for what a cluster is to do: its workers compute on their CPUs."""
    backend = job.config.integration.backend
    if job.workers and backend not in {"auto", "cpu"}:
        raise ConfigError(f"integration.backend is {backend!r}: a cluster computes on CPUs, auto or cpu is needed")


def source_of(job: Job) -> dict[str, str]:
    """What tells processes where messages come from, and who helps, as environment: nothing for sockets, and none."""
    if job.recording is None:
        return job.workers | ({} if job.gate is None else {GATE: job.gate})
    return job.workers | {REPLAY: f"{job.recording.resolve()}|{job.speed or 'max'}"}


def perform(
    job: Job,
    directory: RunDirectory,
    lock: int,
    source: dict[str, str],
    tick: Callable[[], None],
    stop: threading.Event,
) -> None:
    """Tend the children until the run is over."""
    spectra = job.config.fluorescence is not None
    tiled = job.config.publish.tiled == "embedded"
    names = ("ingest", *["fluorescence"] * spectra, "analyse", "publish", *["tiled"] * tiled)
    # maps that were final before are so no more, unless nothing can be added: of a recording, to a full grid
    over = job.recording is not None or read_status(directory) in CLOSED
    before = -1 if over else last_revision(directory)
    stored_at: float | None = None
    revive(directory)
    try:
        with Supervisor(directory, names, lock, source) as supervisor:
            try:
                while not stop.wait(TICK):
                    supervisor.tend()
                    tick()
                    if job.once and read_status(directory).final and last_revision(directory) > before:
                        stored_at = stored_at or time.monotonic()
                        if is_published(directory) or time.monotonic() - stored_at > PUBLISH_WAIT:
                            break
            except BraggstreamError as error:
                say_farewell(supervisor, str(error), stop)
                raise
    finally:
        put_at_rest(directory.ledger)
        put_at_rest(directory.fluorescence.ledger)


def outcome(directory: RunDirectory, config: Config) -> Status:
    """The status that the run has reached.

    Raises
    ------
    ScanIncomplete
        saying how many frames are missing, and who may have them.
    """
    status = read_status(directory)
    if status is Status.COMPLETE:
        return status
    told = LedgerReader(directory.ledger, ScanGrid.from_config(config.scan)).snapshot()
    missing, expected, stolen = told.frames["missing"], told.frames["expected"], told.state.get("stolen")
    sentence = f"the scan in {directory.path} is not complete: {missing} of {expected} frames are missing"
    raise ScanIncomplete(sentence + (f"; {stolen}" if stolen and missing else ""))


def say_farewell(supervisor: Supervisor, failure: str, stop: threading.Event) -> None:
    """Mark the run as failed while publish, if it lives, can still tell."""
    processes = {child.name: child.process for child in supervisor.children}
    if (analyse := processes["analyse"]) is not None:
        analyse.kill()  # it holds nothing that is not on disk, and nobody else may write the state
        analyse.wait()
    fail(supervisor.directory, failure)
    if processes["publish"] is not None:
        stop.wait(FAREWELL)


def stop_on_signals() -> threading.Event:
    """An event that SIGTERM and Ctrl-C set."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def copy_commands(recording: Path, directory: RunDirectory) -> None:
    """Commands are part of a recorded run, but for those that ended it."""
    for command in read_commands(recording / "commands") if recording.is_dir() else []:
        if command.kind not in {"finish", "abort"}:
            name = f"{command.number:06d}.json"
            shutil.copyfile(recording / "commands" / name, directory.commands / name)


def copy_documents(recording: Path, directory: RunDirectory) -> None:
    """So are a plan's documents."""
    if (kept := RunDirectory(recording).documents).is_file():
        shutil.copyfile(kept, directory.documents)
