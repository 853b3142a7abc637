"""From ZeroMQ to the journal: a real ingest process, fed by another one; frames a second, and how long each takes."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from stream.benchmark.frames import Kind, frames, integrator
from stream.benchmark.integrate import BOUND, deviation, intensity
from stream.benchmark.peers import Floats, PyFai
from stream.benchmark.rounds import Figure, Row
from stream.benchmark.sender import Sender
from stream.core.config import Config, parse_config
from stream.core.errors import BraggstreamError, StoreError
from stream.core.rundir import RunDirectory
from stream.ingest.journal import Journal
from stream.ingest.reduction import THREADS
from stream.service.guard import take_lock
from stream.service.supervisor import Supervisor

LOOK = 0.002  # s between looks at the journal
PATIENCE = 60.0  # s without a new frame after which ingest is given up
RAMP = 0.2  # share of the burst that only fills the queues
PART = 250
"""Frames of the burst that have a rate of their own: some commits, of which each brings many frames at once."""


@dataclass(frozen=True, slots=True)
class Load:
    """So many frames as fast as they are taken, then so many at half the rate that was reached."""

    burst: int
    paced: int


def ingest_rows(name: str, kind: Kind, load: Load, *, recorded: bool) -> list[Row]:
    """Frames a second, and milliseconds from a message's sending until its slot of the journal can be read.

    The processor time a frame says what a busy machine hides: the rate cannot exceed cores / time.
    """
    total = load.burst + load.paced
    with TemporaryDirectory(prefix="braggstream-benchmark-") as folder, Sender.started(kind, total) as sender:
        directory = RunDirectory(Path(folder) / "run")
        directory.create()
        config = write_run(directory, kind, total, sender.endpoint, recorded)
        lock = take_lock(directory)
        try:
            with Supervisor(directory, ("ingest",), lock, {}) as supervisor:
                follow = Follower(directory.journal, supervisor)
                sender.send(load.burst, None)
                follow(int(RAMP * load.burst))
                used = follow.cpu_seconds()
                taken = follow(load.burst - int(RAMP * load.burst))
                cpu = 1e3 * (follow.cpu_seconds() - used) / len(taken)
                sender.sent()
                rates = windows(taken)
                pace = rates.median / 2
                settle(directory.recording)
                sender.send(load.paced, pace)
                late = 1e3 * (np.array(follow(load.paced)) - sender.sent())
                follow.close()
        finally:
            os.close(lock)
        apart = check(directory.journal, kind, config)
    note = f"no peer; ingest's own {THREADS} threads"
    late_note = f"no peer; message to journal at {pace:.0f} frames/s"
    p50, p95 = (Figure((float(np.percentile(late, share)),)) for share in (50, 95))
    return [
        Row(name=f"{name}-rate", unit="frames/s", ours=rates, deviation=apart, bound=BOUND, note=note),
        Row(name=f"{name}-cpu", unit="ms/frame", ours=Figure((cpu,)), note="no peer; ingest's processor time"),
        Row(name=f"{name}-p50", unit="ms", ours=p50, note=late_note),
        Row(name=f"{name}-p95", unit="ms", ours=p95, note=late_note),
    ]


def write_run(directory: RunDirectory, kind: Kind, total: int, endpoint: str, recorded: bool) -> Config:
    """The config of a run with a grid point for each frame."""
    integrator(kind.size).save(str(directory.path / "detector.poni"))
    raw = {
        "scan": {"name": "benchmark", "angles": {"values": [0.0]}, "positions": {"count": total}},
        "detector": {"endpoint": endpoint, "geometry": "detector.poni", "format": "dectris-1"},
        "recording": {"frames": recorded},
    }
    config = parse_config(raw, directory.path)
    directory.write_config(config)
    return config


@dataclass(slots=True)
class Follower:
    """Reads the journal as it is written, one frame after the other."""

    path: Path
    supervisor: Supervisor
    read: int = 0
    journal: Journal | None = None

    def __call__(self, count: int) -> list[float]:
        """When each of the next frames could be read, on the monotonic clock; waits for the last one.

        Raises
        ------
        BraggstreamError
            where ingest died, or nothing comes any more.
        """
        times: list[float] = []
        heard = time.monotonic()
        while len(times) < count:
            if self.next_is_there():
                heard = time.monotonic()
                times.append(heard)
                continue
            self.supervisor.tend()
            if self.supervisor.children[0].deaths or time.monotonic() - heard > PATIENCE:
                raise BraggstreamError(f"ingest stopped after frame {self.read} of the benchmark")
            time.sleep(LOOK)
        return times

    def next_is_there(self) -> bool:
        """True when the next slot is whole; it is then done with."""
        with suppress(StoreError):
            self.journal = self.journal or Journal.read_only(self.path)
            self.journal.read(self.read)
            self.read += 1
            return True
        return False

    def cpu_seconds(self) -> float:
        """Processor time that ingest has used so far."""
        (child,) = self.supervisor.children
        if child.process is None:
            raise BraggstreamError("ingest died during the benchmark")
        fields = Path(f"/proc/{child.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")  # user and system

    def close(self) -> None:
        """Close the journal."""
        if self.journal is not None:
            self.journal.close()


def settle(folder: Path) -> None:
    """Wait until what the burst recorded is on disk: the kernel makes writers wait while it is not."""
    for path in folder.iterdir():
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


def windows(times: list[float]) -> Figure:
    """Frames a second in each part of what a burst took after its ramp: the slope of count on time."""
    parts = np.array_split(times, max(1, len(times) // PART))
    return Figure(tuple(float(np.polyfit(part, np.arange(len(part)), 1)[0]) for part in parts))


def check(path: Path, kind: Kind, config: Config) -> float:
    """Deviation of the last patterns in the journal from pyFAI's of the same frames."""
    journal = Journal.read_only(path)
    images = frames(kind).images
    slots = range(journal.slots - len(images), journal.slots)
    mine: list[Floats] = [intensity(journal.read(slot)) for slot in slots]
    journal.close()
    peer = PyFai(integrator(kind.size), config.integration)
    return deviation(mine, [peer(images[slot % len(images)]) for slot in slots])
