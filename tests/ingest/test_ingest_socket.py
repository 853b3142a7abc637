"""Ingest at a real socket: a recorded detector stream, and a process that is killed while the sender goes on."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq
from helpers.bench import Bench, patterns, read_frames, scan_messages, v1, v1_end, v1_start, write_config
from helpers.recordings import read_messages
from pyFAI.integrator.azimuthal import AzimuthalIntegrator

from stream.core.config import Config
from stream.core.messages import Image
from stream.core.rundir import RunDirectory
from stream.core.scan import ScanGrid
from stream.core.wire import decode, decompress
from stream.ingest.journal import Journal
from stream.ingest.ledger_reader import LedgerReader
from stream.ingest.process import Replay, run_ingest
from stream.ingest.recorded import read_recording

EIGER = (
    "Detector: Eiger1M\nDistance: 0.1\nPoni1: 0.04\nPoni2: 0.03\nRot1: 0.01\nRot2: 0\nRot3: 0\nWavelength: 0.7e-10\n"
)
COUNTS = [9, 17, 45, 32, 8, 3, 3, 6, 0]
"""Photons in the valid pixels of the recorded frames, from the recording's own list of expectations."""
METHOD = ("no", "csr", "cython")


@contextmanager
def pusher() -> Iterator[tuple[zmq.Socket[bytes], str]]:
    """A bound PUSH socket and its endpoint."""
    socket = zmq.Context.instance().socket(zmq.PUSH)
    socket.setsockopt(zmq.LINGER, 0)
    port = socket.bind_to_random_port("tcp://127.0.0.1")
    try:
        yield socket, f"tcp://127.0.0.1:{port}"
    finally:
        socket.close()


def prepare(path: Path, endpoint: str, **changes: Any) -> tuple[RunDirectory, Config]:
    directory = RunDirectory(path / "run")
    directory.create()
    detector = {"endpoint": endpoint, "geometry": "detector.poni"} | changes.pop("detector", {})
    config = write_config(path, detector=detector, **changes)
    directory.write_config(config)
    return directory, config


@contextmanager
def ingesting(directory: RunDirectory, replay: Replay | None = None) -> Iterator[None]:
    """Ingest in a thread; an error in it is the test's."""
    stop, errors = threading.Event(), []

    def run() -> None:
        try:
            run_ingest(directory, stop, replay)
        except Exception as error:  # noqa: BLE001 - raised again in the test's own thread
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)
        assert not thread.is_alive()
    if errors:
        raise errors[0]


def wait_for(directory: RunDirectory, config: Config, phase: str, seconds: float = 60.0, frames: int = 0) -> None:
    """Wait for the phase and a number of frames."""
    reader, begun = LedgerReader(directory.ledger, ScanGrid.from_config(config.scan)), time.monotonic()
    while time.monotonic() - begun < seconds:
        snapshot = reader.snapshot()
        if snapshot.state["phase"] == phase and snapshot.frames["integrated"] >= frames:
            return
        time.sleep(0.02)
    raise AssertionError(f"not {phase} within {seconds} s: {snapshot.state} {snapshot.frames}")


@pytest.mark.parametrize("end", [True, False])
def test_the_recorded_eiger_stream(recordings: Path, tmp_path: Path, end: bool) -> None:
    """9 images of an announced 100,000, on a grid of 15."""
    messages = read_messages(recordings / "dectris_v1/v1_eiger1_1M_basic.cbors")
    images = [event for event in map(decode, messages) if isinstance(event, Image)]
    (tmp_path / "eiger.poni").write_text(EIGER)
    with pusher() as (socket, endpoint):
        directory, config = prepare(
            tmp_path,
            endpoint,
            detector={"geometry": "eiger.poni", "idle_timeout": 1.5},
            scan={"angles": {"start": 0, "step": 36, "count": 5}, "positions": {"count": 3}},
            integration={"bins": 200, "polarization": 0.95},
        )
        with ingesting(directory):
            for parts in messages if end else messages[:-1]:
                socket.send_multipart(parts)
            wait_for(directory, config, "ended")
    frames = read_frames(directory, config)
    assert (frames["received"], frames["integrated"], frames["missing_ranges"]) == (9, 9, [[9, 14]])
    reader = LedgerReader(directory.ledger, ScanGrid.from_config(config.scan))
    assert {row.series for row in reader.rows(0)} == {"14"}
    assert any("silence" in text or "no message" in text for _, text in reader.events()) is not end
    reference = AzimuthalIntegrator.sload(str(tmp_path / "eiger.poni"))
    journal = Journal.read_only(directory.journal)
    for event in images:
        image = decompress(event.channels[""])
        valid = np.where(image >= 2**32 - 2, np.nan, image)  # NaN is what pyFAI leaves out
        expected = reference.integrate1d_ng(
            valid,
            200,
            unit="2th_deg",
            method=METHOD,
            correctSolidAngle=True,
            polarization_factor=0.95,
            mask=reference.detector.mask,
            dummy=np.nan,
        )
        found = journal.read(event.frame)
        known = found.norms > 0
        np.testing.assert_allclose(
            (found.sums / np.where(known, found.norms, 1))[known], expected.intensity[known], rtol=1e-5, atol=1e-9
        )
        assert found.sums.sum() == COUNTS[event.frame]
    journal.close()


def test_a_replay_of_the_recording_has_the_same_counts_and_patterns(tmp_path: Path) -> None:
    stream = [v1_start(), *map(v1, [0, 1, 2, 2, 3, 5]), [b"noise"], v1(99), v1_end()]
    with pusher() as (socket, endpoint):
        (tmp_path / "live").mkdir()
        live, config = prepare(tmp_path / "live", endpoint)
        with ingesting(live):
            for parts in stream:
                socket.send_multipart(parts)
            wait_for(live, config, "ended")
    counts = read_frames(live, config)
    assert (counts["integrated"], counts["duplicate"]) == (5, 1)
    for n, speed in enumerate([None, 50.0]):
        (tmp_path / f"{n}").mkdir()
        again, config = prepare(tmp_path / f"{n}", "tcp://127.0.0.1:1")
        with ingesting(again, Replay(live.path, speed)):
            wait_for(again, config, "ended")
        assert read_frames(again, config) == counts
        assert patterns(again) == patterns(live)


def test_an_ended_run_takes_late_frames(tmp_path: Path) -> None:
    with pusher() as (socket, endpoint):
        directory, config = prepare(tmp_path, endpoint)
        with ingesting(directory):
            for parts in scan_messages(range(10)):
                socket.send_multipart(parts)
            wait_for(directory, config, "ended", frames=10)
            socket.send_multipart(v1(10))
            wait_for(directory, config, "acquiring", frames=11)
            socket.send_multipart(v1(11))
            wait_for(directory, config, "ended", frames=12)


CHILD = """
import signal, sys, threading
from pathlib import Path
from stream.core.rundir import RunDirectory
from stream.ingest.process import run_ingest

stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
run_ingest(RunDirectory(Path(sys.argv[1])), stop)
"""
FRAMES = 400


def send_for_ever(socket: zmq.Socket[bytes], stream: list[list[bytes]], stop: threading.Event) -> None:
    """A scan after the other, a message a millisecond, whether anybody listens or not."""
    n = 0
    while not stop.is_set():
        if socket.poll(50, zmq.POLLOUT):
            socket.send_multipart(stream[n % len(stream)])
            n += 1
            time.sleep(0.001)


def test_killed_while_the_sender_goes_on(tmp_path: Path) -> None:
    scan = {"angles": {"start": 0, "step": 9, "count": 20}, "positions": {"count": FRAMES // 20}}
    images = [v1(n) for n in range(FRAMES)]
    (tmp_path / "undisturbed").mkdir()
    undisturbed = Bench.open(tmp_path / "undisturbed", scan=scan, recording={"frames": False})
    undisturbed.send(*images).close()
    expected = patterns(undisturbed.directory)
    assert len(expected) == FRAMES

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", CHILD, str(directory.path)], stdout=subprocess.DEVNULL)

    with pusher() as (socket, endpoint):
        directory, config = prepare(tmp_path, endpoint, detector={"queue_bytes": 1 << 20}, scan=scan)
        stop = threading.Event()
        sender = threading.Thread(target=send_for_ever, args=(socket, [v1_start(), *images[: FRAMES // 2]], stop))
        sender.start()
        before: dict[int, bytes] = {}
        received = 0
        for kill in range(2):
            child = start()
            wait_for(directory, config, "acquiring", frames=min(len(before) + 20, FRAMES // 2))  # only half is sent
            time.sleep(random.Random(kill).uniform(0.0, 0.15))
            child.send_signal(signal.SIGKILL)
            child.wait()
            after = patterns(directory)
            assert before.items() <= after.items() <= expected.items()
            counts = read_frames(directory, config)
            assert counts["integrated"] <= len(after)
            recorded = [decode(message.parts) for message in read_recording(directory.path)]
            assert after.keys() <= {event.frame for event in recorded if isinstance(event, Image)}
            assert counts["received"] >= received
            before, received = after, counts["received"] - counts["in_flight"]
        stop.set()
        sender.join()
        child = start()
        for parts in [v1_start(), *images]:
            socket.send_multipart(parts)
        wait_for(directory, config, "ended", frames=FRAMES)
        child.terminate()
        assert child.wait(30) == 0
    assert patterns(directory) == expected
    counts = read_frames(directory, config)
    assert (counts["integrated"], counts["missing"], counts["rejected"], counts["in_flight"]) == (FRAMES, 0, {}, 0)
    rows = LedgerReader(directory.ledger, ScanGrid.from_config(config.scan)).rows(0)
    assert sorted(row.slot for row in rows) == list(range(FRAMES))
    assert all(row.frame == row.slot for row in rows)
