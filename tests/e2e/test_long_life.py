"""SOAK_SECONDS (90) of messages at 200 a second: memory and files of every process stay level, every count is exact.

What a scan has to keep grows with it, so its frames are spread over all of the time; the messages between them repeat
frames that were sent before: they are received, recorded, decoded, integrated and counted like all others. Somebody
looks at the page meanwhile. `make long-life` takes an hour; 86400 is a day, whose recording takes 35 GB.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
import pytest
import zmq
from helpers.chain import Command, Message, Site, simulated, tiny_site, until, write_poni
from prometheus_client.parser import text_string_to_metric_families
from scipy.stats import theilslopes
from websockets.sync.client import ClientConnection, connect

from stream.core.files import read_json
from stream.core.rundir import RunDirectory

SECONDS = float(os.environ.get("SOAK_SECONDS", "90"))
RATE = 200
ANGLES, POSITIONS = 36, 40
PROCESSES = ("supervisor", "ingest", "analyse", "publish", "tiled")
WARM = 0.4  # share of the time, 20 minutes at most, in which memory may reach its level
SLOPE = 1.0  # MB/min, once the level is reached
LEVEL = 20.0  # minutes of it that a slope is told from
FILLING = 30.0  # MB that a process still takes for a scan before: a leak of all frames' pixels is 190 MB/min
MB, FILES = "braggstream_process_resident_memory_bytes", "braggstream_process_open_fds"


@dataclass
class Visitor:
    """Somebody who has the page open, and a Prometheus that asks every second: what it saw of the processes."""

    url: str
    times: list[float] = field(default_factory=list)
    seen: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    ready: int = 0
    heard: int = 0

    def look(self, client: httpx.Client) -> None:
        """Read the metrics, and what the page reads."""
        families = text_string_to_metric_families(client.get("/metrics").raise_for_status().text)
        found = {(s.name, s.labels["process"]): s.value for f in families for s in f.samples if "process" in s.labels}
        if all((MB, name) in found for name in PROCESSES):
            self.times.append(time.monotonic())
            for key in ((what, name) for what in (MB, FILES) for name in PROCESSES):
                self.seen.setdefault(key, []).append(found[key])
        self.ready += client.get("/readyz").status_code == 200
        assert client.get("/api/v1/status").is_success
        if client.get("/api/v1/scans/tiny/maps").json()["revision"]:
            for path in ("maps/global?format=png", "maps/class_index", "voxels/0/20/20", "pattern", "frame?format=png"):
                assert client.get(f"/api/v1/scans/tiny/{path}").is_success, path

    def listen(self, page: ClientConnection, seconds: float) -> None:
        """Take what is pushed to the page."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            with suppress(TimeoutError):
                page.recv(timeout=left)
                self.heard += 1

    def level(self, what: str, process: str) -> tuple[np.ndarray, np.ndarray]:
        """Minutes and values after the warm-up, at most 1000 of them."""
        minutes = (np.array(self.times) - self.times[0]) / 60
        late = minutes > min(WARM * minutes[-1], 20)
        thin = max(1, late.sum() // 1000)
        return minutes[late][::thin], np.array(self.seen[what, process])[late][::thin]


def spread(images: list[Message], total: int) -> Iterator[Message]:
    """As many messages: the images in order, evenly, each time after some that came before."""
    dice = np.random.default_rng(0)
    due = np.linspace(0, total - 1, len(images)).astype(int)
    sent = 0
    for n in range(total):
        if sent < len(images) and n >= due[sent]:
            sent += 1
            yield images[sent - 1]
        else:
            yield images[dice.integers(sent)]


def send(endpoint: str, messages: Iterator[Message], stop: threading.Event) -> None:
    """A detector: RATE messages a second, as far as they are taken."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    with context, context.socket(zmq.PUSH) as socket:
        socket.set(zmq.SNDHWM, 10)
        socket.bind(endpoint)
        due = time.monotonic()
        for message in messages:
            while not stop.is_set():
                if socket.poll(50, zmq.POLLOUT):
                    with suppress(zmq.Again):
                        socket.send_multipart(message, zmq.NOBLOCK)
                        break
            due = max(due + 1 / RATE, time.monotonic() - 0.5)
            stop.wait(due - time.monotonic())
        socket.set(zmq.LINGER, 10_000)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A scan of small frames with everything on."""
    scan = {"angles": {"step": 5.0, "count": ANGLES}, "positions": {"start": -39.0, "count": POSITIONS}}
    site = tiny_site(tmp_path, scan=scan, classification={"model": "mlp"})
    write_poni(tmp_path / "detector.poni", (64, 64), 600e-6)
    return site


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_memory_and_files_stay_level_and_counts_are_exact(site: Site, commands: list[Command]) -> None:
    stream, total, stop = simulated(site), int(SECONDS * RATE), threading.Event()
    visitor, url = Visitor(f"http://127.0.0.1:{site.page}"), f"ws://127.0.0.1:{site.page}/api/v1/live"
    commands.append(command := site.run())
    with httpx.Client(base_url=visitor.url, trust_env=False, timeout=30) as client:
        until(lambda: ready(client), "a processor that is ready", 600)
        messages = iter([stream.start, *spread(stream.images, total), stream.end])
        sender = threading.Thread(target=send, args=(site.endpoint, messages, stop))
        sender.start()
        try:
            until(lambda: client.get("/api/v1/scans/tiny/frame?format=png").is_success, "a frame", 60)
            with connect(url, proxy=None) as page:
                while sender.is_alive():
                    visitor.look(client)
                    assert command.process.poll() is None, command.err
                    visitor.listen(page, 1.0)
        finally:
            stop.set()
            sender.join()
    assert command.wait(300) == 0, command.err
    frames = site.frames()
    print(f"{total} messages in {visitor.times[-1] - visitor.times[0]:.0f} s, load {os.getloadavg()[0]:.1f}:", frames)
    assert (frames["received"], frames["integrated"]) == (total, ANGLES * POSITIONS)
    assert frames["duplicate"] == total - frames["integrated"]
    assert (frames["rejected"], frames["dropped"], frames["in_flight"], frames["missing"]) == ({}, {}, 0, 0)
    told = read_json(RunDirectory(site.folder / "run").vitals / "supervisor.json")
    assert told is not None
    assert {child["restarts"] for child in told["children"].values()} == {0}
    assert visitor.ready >= len(visitor.times)
    assert visitor.heard >= len(visitor.times)
    for process in PROCESSES:
        check(visitor, process)


def ready(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


def check(visitor: Visitor, process: str) -> None:
    """Neither memory nor files grow after the warm-up."""
    minutes, memory = visitor.level(MB, process)
    slope, _, low, high = theilslopes(memory / 1e6, minutes)
    _, files = visitor.level(FILES, process)
    print(
        f"{process}: {np.median(memory) / 1e6:.0f} MB, {slope:+.2f} MB/min ({low:+.2f} to {high:+.2f}) in "
        f"{np.ptp(minutes):.1f} min, {np.median(files):.0f} files"
    )
    assert slope < SLOPE + (0 if np.ptp(minutes) >= LEVEL else FILLING / np.ptp(minutes))
    assert np.median(files[-len(files) // 4 :]) <= np.median(files[: len(files) // 4]) + 1
