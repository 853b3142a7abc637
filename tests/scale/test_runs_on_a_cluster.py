"""Whole runs with real workers: 12 slices replayed and live while workers are killed, the command's own workers."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

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


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A run of 12 slices in one process, whose recording and results the others have to match, in its folder/run."""
    site = tiny_site(tmp_path_factory.mktemp("site"), **SLICES)
    with Sender(site.endpoint) as sender:
        sender.send(simulated(site).whole)
        command = site.run()
        assert command.wait(600) == 0, command.err
    return site


def replayed(site: Site, output: str, *options: str) -> Command:
    ports = {"BRAGGSTREAM__DASHBOARD__PORT": str(free_port()), "BRAGGSTREAM__PUBLISH__PORT": str(free_port())}
    return site.command("replay", site.folder / "run", "--output", output, "--once", *options, **ports)


def kill_one_at_work(workers: Client, state: Path, status: str) -> int:
    """SIGKILL a worker that has a task in hand while the run is in that status; its pid."""

    def in_status() -> bool:
        return (read_json(state) or {}).get("status") == status

    def busy() -> str | None:
        if not in_status():
            return None
        return next((worker for worker, tasks in workers.processing().items() if tasks), None)

    worker = until(busy, f"a task while {status}", 300)
    pid = int(workers.run(os.getpid, workers=[worker])[worker])
    os.kill(pid, signal.SIGKILL)
    assert in_status()
    return pid


def finished(folder: Path) -> float:
    """Seconds that the final maps took."""
    lines = map(orjson.loads, (RunDirectory(folder).logs / "analyse.log").read_bytes().splitlines())
    return float(next(line["seconds"] for line in lines if line["event"] == "analyse.finished"))


def test_twelve_slices_while_workers_are_killed(site: Site, workers: Client) -> None:
    command = replayed(site, "replayed", "--cluster", workers.scheduler.address)
    state, killed = RunDirectory(site.folder / "replayed").state, set[int]()
    try:
        for status in ("acquiring", "finishing"):
            killed.add(kill_one_at_work(workers, state, status))
        assert command.wait(600) == 0, command.err
    finally:
        command.end()
    print(f"final maps of 12 slices: one process {finished(site.folder / 'run'):.1f} s, "
          f"two workers, two kills {finished(site.folder / 'replayed'):.1f} s")  # fmt: skip
    assert not killed & set(workers.run(os.getpid).values())
    assert_identical(results(site.folder / "run"), results(site.folder / "replayed"))


def test_a_live_run_whose_worker_is_killed(site: Site, workers: Client) -> None:
    with Sender(site.endpoint) as sender:
        sender.send(simulated(site).whole)
        command = site.command("run", site.path, "--output", "live", "--once", "--cluster", workers.scheduler.address)
        try:
            killed = kill_one_at_work(workers, RunDirectory(site.folder / "live").state, "finishing")
            assert command.wait(600) == 0, command.err
        finally:
            command.end()
    assert killed not in workers.run(os.getpid).values()
    assert "cluster.connected" not in (RunDirectory(site.folder / "live").logs / "ingest.log").read_text()
    assert_identical(results(site.folder / "run"), results(site.folder / "live"))


def test_workers_of_its_own(site: Site) -> None:
    command = replayed(site, "own", "--local", "2")
    try:
        assert command.wait(600) == 0, command.err
    finally:
        command.end()
    assert "cluster.connected" in (RunDirectory(site.folder / "own").logs / "analyse.log").read_text()
    assert_identical(results(site.folder / "run"), results(site.folder / "own"))
