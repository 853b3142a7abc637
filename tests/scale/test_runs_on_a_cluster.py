"""Whole runs with real workers: 12 slices replayed while workers are killed, a live run, the command's own workers."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from distributed import Client, LocalCluster
from helpers.chain import Command, Sender, Site, assert_identical, results, simulated, tiny_site, until
from helpers.ports import free_port

from stream.core.files import read_json
from stream.core.rundir import RunDirectory

SLICES = {"scan": {"slices": {"start": 0.0, "step": 1.0, "count": 12}}, "reconstruction": {"iterations": 100}}

pytestmark = pytest.mark.slow


@pytest.fixture
def workers() -> Iterator[Client]:
    """Two worker processes of one thread; one that dies is started again."""
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster, Client(cluster) as client:
        yield client


def recorded(folder: Path, **changes: Any) -> Site:
    """A run in one process, whose recording and results the others have to match, in `folder`/run."""
    site = tiny_site(folder, **changes)
    with Sender(site.endpoint) as sender:
        sender.send(simulated(site).whole)
        command = site.run()
        assert command.wait(600) == 0, command.err
    return site


def replayed(site: Site, *options: str) -> Command:
    ports = {"BRAGGSTREAM__DASHBOARD__PORT": str(free_port()), "BRAGGSTREAM__PUBLISH__PORT": str(free_port())}
    return site.command("replay", site.folder / "run", "--output", "replayed", "--once", *options, **ports)


def kill_one_at_work(workers: Client, in_status: Callable[[], str], status: str) -> int:
    """SIGKILL a worker that has a task in hand while the run is in that status; its pid."""

    def busy() -> str | None:
        if in_status() != status:
            return None
        return next((worker for worker, tasks in workers.processing().items() if tasks), None)

    worker = until(busy, f"a task while {status}", 300)
    pid = int(workers.run(os.getpid, workers=[worker])[worker])
    os.kill(pid, signal.SIGKILL)
    assert in_status() == status
    return pid


def finished(folder: Path) -> float:
    """Seconds that the final maps took."""
    lines = map(orjson.loads, (RunDirectory(folder).logs / "analyse.log").read_bytes().splitlines())
    return float(next(line["seconds"] for line in lines if line["event"] == "analyse.finished"))


def test_twelve_slices_while_workers_are_killed(tmp_path: Path, workers: Client) -> None:
    site = recorded(tmp_path, **SLICES)
    command = replayed(site, "--cluster", workers.scheduler.address)
    state, killed = RunDirectory(tmp_path / "replayed").state, set[int]()
    try:
        for status in ("acquiring", "finishing"):
            killed.add(kill_one_at_work(workers, lambda: (read_json(state) or {}).get("status", ""), status))
        assert command.wait(600) == 0, command.err
    finally:
        command.end()
    print(f"final maps of 12 slices: one process {finished(tmp_path / 'run'):.1f} s, "
          f"two workers, two kills {finished(tmp_path / 'replayed'):.1f} s")  # fmt: skip
    assert not killed & set(workers.run(os.getpid).values())
    assert_identical(results(tmp_path / "run"), results(tmp_path / "replayed"))


def test_a_live_run_and_workers_of_its_own(tmp_path: Path, workers: Client) -> None:
    site = recorded(tmp_path)
    with Sender(site.endpoint) as sender:
        sender.send(simulated(site).whole)
        live = site.command("run", site.path, "--output", "live", "--once", "--cluster", workers.scheduler.address)
        assert live.wait(600) == 0, live.err
    own = replayed(site, "--local", "2")
    assert own.wait(600) == 0, own.err
    for folder in ("live", "replayed"):
        assert_identical(results(tmp_path / "run"), results(tmp_path / folder))
        assert "cluster.connected" in (RunDirectory(tmp_path / folder).logs / "analyse.log").read_text()
