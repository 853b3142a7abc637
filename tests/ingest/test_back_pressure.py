"""Ingest at half the source's rate: PUSH waits and loses nothing, SUB loses what the ledger then names; memory is flat.

BACKPRESSURE_SECONDS (8) of it; `make soak` takes 600.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq
from helpers.bench import Message, patterns, read_frames, v1_end, v1_start, write_config
from helpers.chain import Sender, write_poni
from helpers.encode import v1_image
from helpers.ports import free_port
from helpers.warm_ingest import start_ingest

from stream.core.rundir import RunDirectory
from stream.core.scan import ScanGrid
from stream.ingest.ledger_reader import LedgerReader
from stream.ingest.reduction import THREADS

SECONDS = float(os.environ.get("BACKPRESSURE_SECONDS", "8"))
RATE = 200  # frames/s of the source; ingest takes half of them
ANGLES = 20
SIZE = 192
MIB = 1 << 20
QUEUE = 4 * MIB
WARM = 0.4  # share of the time in which memory may reach its level
NOISE = np.random.default_rng(11).integers(0, 1 << 14, (8, SIZE, SIZE)).astype("<u2")


@dataclass(frozen=True)
class Course:
    """What an ingest did of a stream: its counts, memory in bytes over time in seconds, and the sender's end."""

    counts: dict[str, Any]
    slots: set[int]
    times: np.ndarray
    memory: np.ndarray
    sending: float

    @property
    def creep(self) -> float:
        """Bytes by which memory grew after the warm-up, from a straight line."""
        late = self.times > WARM * self.times[-1]
        slope = np.polyfit(self.times[late], self.memory[late], 1)[0]
        return float(slope * np.ptp(self.times[late]))

    def __str__(self) -> str:
        rise = (self.memory.max() - self.memory[0]) / MIB
        return (
            f"{self.counts['integrated']} of {self.counts['expected']} frames in {self.times[-1]:.0f} s, sent in "
            f"{self.sending:.0f} s: {self.counts['missing']} missing in {len(self.counts['missing_ranges'])} ranges, "
            f"memory {self.memory[-1] / MIB:.0f} MiB, {rise:.1f} more than before the first frame, "
            f"creep {self.creep / MIB:+.2f} MiB"
        )


@pytest.fixture
def slow(tmp_path: Path) -> Callable[[int, str], Course]:
    """Sends a series of so many frames over such a socket to an ingest that takes half of them."""

    def take(frames: int, socket: str) -> Course:
        directory, endpoint = RunDirectory(tmp_path / "run"), f"tcp://127.0.0.1:{free_port()}"
        directory.create()
        detector = {"geometry": "detector.poni", "queue_bytes": QUEUE, "socket": socket, "idle_timeout": 3.0}
        scan = {"angles": {"start": 0, "step": 9, "count": ANGLES}, "positions": {"count": frames // ANGLES}}
        config = write_config(tmp_path, detector=detector | {"endpoint": endpoint}, scan=scan)
        write_poni(tmp_path / "detector.poni", (SIZE, SIZE), 300e-6)
        directory.write_config(config)
        reader = LedgerReader(directory.ledger, ScanGrid.from_config(config.scan))
        process, sending, told = start_ingest(directory, 2 * THREADS / RATE), 0.0, []
        while reader.snapshot().state.get("updated") is None:
            time.sleep(0.02)
        with Sender(endpoint, RATE, {"pull": zmq.PUSH, "sub": zmq.XPUB}[socket]) as sender:
            sender.send([v1_start(), *map(message, range(frames)), v1_end()])
            begun = time.monotonic()
            while reader.snapshot().state["phase"] != "ended":
                told.append((time.monotonic() - begun, anonymous(process.pid)))
                sending = sending or (sender.sent == frames + 2) * told[-1][0]
                time.sleep(0.1)
                assert process.is_alive()
                assert told[-1][0] < 5 * SECONDS + 30
        process.terminate()
        process.join()
        shutil.rmtree(directory.recording)
        times, memory = np.array(told).T
        return Course(read_frames(directory, config), set(patterns(directory)), times, memory, sending)

    return take


def message(frame: int) -> Message:
    return v1_image(NOISE[frame % len(NOISE)], frame)


def anonymous(pid: int | None) -> int:
    """Bytes of a process that are backed by no file."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))


def check_memory(course: Course) -> None:
    """What waits is bounded by queue_bytes; besides, ingest remembers which grid points are taken, and HDF5 its chunks.

    The latter until another file begins; alone they were measured as 240 bytes a frame in files of 60,000.
    """
    remembered = 400 * course.counts["integrated"]
    assert np.ptp(course.memory) < QUEUE + remembered
    assert course.creep < MIB + remembered


def test_push_waits_and_loses_nothing(slow: Callable[[int, str], Course]) -> None:
    frames = int(SECONDS * RATE / 2) // ANGLES * ANGLES
    course = slow(frames, "pull")
    print("PUSH:", course)
    counts = course.counts
    assert (counts["received"], counts["integrated"], counts["missing_ranges"]) == (frames, frames, [])
    assert course.sending > 1.3 * frames / RATE  # it was kept waiting
    check_memory(course)


def test_sub_loses_what_the_ledger_names(slow: Callable[[int, str], Course]) -> None:
    frames = int(SECONDS * RATE) // ANGLES * ANGLES
    course = slow(frames, "sub")
    print("SUB:", course)
    counts = course.counts
    assert course.sending < 1.1 * frames / RATE + 5  # it waits for nobody
    assert 0 < counts["integrated"] == counts["received"] == len(course.slots) < frames
    named = {n for first, last in counts["missing_ranges"] for n in range(first, last + 1)}
    assert named == set(range(frames)) - course.slots
    check_memory(course)
