"""500 idle sockets on the page's port while a detector sends as fast as frames are taken: the rate stays.

Run by itself, it prints the figures: ``pytest -s -m slow tests/security/test_idle_sockets.py``.
"""

from __future__ import annotations

import os
import socket
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from helpers.chain import until
from helpers.ports import free_port

from stream.benchmark.frames import Kind
from stream.benchmark.ingest import Follower, write_run
from stream.benchmark.sender import Sender
from stream.core.config import write_resolved
from stream.core.rundir import RunDirectory
from stream.service.guard import take_lock
from stream.service.keys import store_key
from stream.service.supervisor import Supervisor

IDLE = 250  # of each kind
PAIRS = 8
SECONDS = 3.0
FRAMES = 60_000
KIND = Kind("4M", "uint32", "sparse")
MOST = 0.02
UPGRADE = (
    "GET /api/v1/live HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@contextmanager
def idle_sockets(port: int) -> Iterator[None]:
    """Half of them say nothing, or half a head; half are WebSockets that never say a word again."""
    kept = [socket.create_connection(("127.0.0.1", port)) for _ in range(2 * IDLE)]
    try:
        for i, each in enumerate(kept):
            if i < IDLE:
                each.sendall(UPGRADE.format(port=port).encode())
            elif i % 2:
                each.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        for each in kept[:IDLE]:
            each.settimeout(60)
            assert each.recv(12) == b"HTTP/1.1 101"
        yield
    finally:
        for each in kept:
            each.close()


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class Window:
    """Frames a second, and the share of a core that publish took, while it lasted."""

    rate: float
    share: float

    @classmethod
    def of(cls, follow: Follower, publish: int) -> Window:
        """Count what comes, after a second in which whatever began has settled."""
        taken(follow, 1.0)
        used, begun = cpu_seconds(publish), time.monotonic()
        frames = taken(follow, SECONDS)
        lasted = time.monotonic() - begun
        return cls(frames / lasted, (cpu_seconds(publish) - used) / lasted)


def taken(follow: Follower, seconds: float) -> int:
    """Frames that are journalled within this time."""
    end, before = time.monotonic() + seconds, follow.read
    while time.monotonic() < end:
        if not follow.next_is_there():
            time.sleep(0.002)
    assert follow.read < FRAMES, "the sender has no more frames"
    return follow.read - before


@pytest.mark.slow
def test_idle_sockets_do_not_slow_the_acquisition(tmp_path: Path) -> None:
    port, directory = free_port(), RunDirectory(tmp_path / "run")
    directory.create()
    found: dict[bool, list[Window]] = {False: [], True: []}
    with Sender.started(KIND, FRAMES) as sender:
        config = write_run(directory, KIND, FRAMES, sender.endpoint, False)
        page = config.dashboard.model_copy(update={"port": port})
        write_resolved(config.model_copy(update={"dashboard": page}), directory.config)
        store_key("of-no-use", directory)
        lock = take_lock(directory)
        with Supervisor(directory, ("ingest", "publish"), lock, {}) as supervisor:
            follow = Follower(directory.journal, supervisor)
            until(lambda: answers(port), "the page")
            process = supervisor.children[1].process
            assert process is not None
            sender.send(FRAMES, None)
            follow(100)
            for pair in range(PAIRS):
                for idle in (bool(pair % 2), not pair % 2):
                    with idle_sockets(port) if idle else nullcontext():
                        found[idle].append(Window.of(follow, process.pid))
            follow.close()
        os.close(lock)
    changes = [idle.rate / alone.rate - 1 for alone, idle in zip(found[False], found[True], strict=True)]
    rates, shares = (
        [statistics.median(getattr(window, name) for window in found[idle]) for idle in (False, True)]
        for name in ("rate", "share")
    )
    of_machine = (shares[1] - shares[0]) / (os.cpu_count() or 1)
    print(
        f"{rates[0]:.0f} frames/s without, {rates[1]:.0f} with {2 * IDLE} idle sockets, median change of {PAIRS} pairs "
        f"{100 * statistics.median(changes):+.1f} %; publish took {100 * shares[0]:.2f} and {100 * shares[1]:.2f} % of "
        f"a core: {100 * of_machine:.2f} % of the machine"
    )
    assert of_machine < MOST  # of processor time: other work on the machine moves rates by more than this


def answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False).is_success
    except httpx.TransportError:
        return False
