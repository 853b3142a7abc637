"""`/readyz` says whether a frame sent now would be taken, recorded and shown, and why not; `/metrics` how it goes."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from helpers.dashboard import KEY, serving
from helpers.fake_run import FakeRun
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner

from stream.cli.app import app
from stream.core.errors import UnavailableError, UsageError
from stream.core.files import read_json, write_json
from stream.core.vitals import BOUNDS, Histogram, Vitals, tell

QUEUE = {"queue_bytes": 5000, "queue_limit_bytes": 9000}


@pytest.fixture
def run(tmp_path: Path) -> FakeRun:
    """A run of which every process lives, as far as it tells."""
    run = FakeRun(tmp_path, size=5, angles=4)
    run.advance(0.5)
    supervise(run)
    for name in ("ingest", "analyse"):
        tell(run.directory.vitals / f"{name}.json", {"histograms": {}, "values": QUEUE})
    write_json(run.directory.published, {"revision": 1, "error": None, "final": False})
    return run


@pytest.fixture
def client(run: FakeRun) -> Iterator[httpx.Client]:
    with serving(run) as url, httpx.Client(base_url=url, trust_env=False) as client:
        yield client


def supervise(run: FakeRun, **pids: int | None) -> None:
    """The supervisor tells of its children, which are this process where not said otherwise."""
    names = ("ingest", "analyse", "publish", "tiled")
    children = {name: {"pid": pids.get(name, os.getpid()), "restarts": int(name in pids)} for name in names}
    tell(run.directory.vitals / "supervisor.json", {"children": children})


def readiness(client: httpx.Client) -> tuple[int, list[str], list[str]]:
    answer = client.get("/readyz")
    assert answer.json()["status"] == ("ready" if answer.status_code == 200 else "not ready")
    return answer.status_code, answer.json()["problems"], answer.json()["warnings"]


def samples(client: httpx.Client) -> dict[tuple[str, ...], float]:
    """Values by name and labels of every metric, labels in the order of the text."""
    families = list(text_string_to_metric_families(client.get("/metrics").text))
    assert len({family.name for family in families}) == len(families)
    return {(sample.name, *sample.labels.values()): sample.value for f in families for sample in f.samples}


def test_ready_is_said_only_of_a_run_that_takes_and_shows_frames(run: FakeRun, client: httpx.Client) -> None:
    vitals = run.directory.vitals
    assert readiness(client) == (200, [], [])
    for name, words in (("ingest", "not connected yet"), ("analyse", "does not follow")):
        told = read_json(vitals / f"{name}.json")
        (vitals / f"{name}.json").unlink()  # as the supervisor does with that of a process that it starts
        code, (problem,), _ = readiness(client)
        assert (code, words in problem) == (503, True)
        write_json(vitals / f"{name}.json", told)
    told = read_json(vitals / "ingest.json")
    write_json(vitals / "ingest.json", told | {"time": time.time() - 8})
    assert readiness(client)[:2] == (503, ["ingest has told nothing for 8 s"])
    write_json(vitals / "ingest.json", told)
    process = subprocess.Popen(["true"])
    process.wait()
    for gone in (None, process.pid):
        supervise(run, analyse=gone)
        assert readiness(client)[:2] == (503, ["analyse is not running"])
    supervise(run, tiled=None)
    assert readiness(client)[:2] == (200, [])
    (vitals / "supervisor.json").unlink()
    assert readiness(client)[:2] == (503, ["no supervisor tends this run"])


def test_what_costs_data_is_a_problem_and_what_costs_delay_a_warning(run: FakeRun, client: httpx.Client) -> None:
    write_json(run.directory.published, {"revision": 1, "error": "http://user:secret@tiled is away", "final": False})
    code, problems, (warning,) = readiness(client)
    assert (code, problems) == (200, [])
    assert warning.startswith("Tiled is away")
    assert run._ledger is not None
    run._ledger.commit(recording="/data/run/raw-0001.h5 cannot be written: the disk is full")
    code, problems, _ = readiness(client)
    assert (code, problems) == (503, ["the recording is suspended: the disk is nearly full"])
    state = read_json(run.directory.state) or {"status": "failed", "revision": 1, "frames_used": 0, "started": 0.0}
    write_json(run.directory.state, state | {"failure": "analyse died 8 times in a row"})
    text = client.get("/readyz").text
    assert "the run has failed" in text
    assert not any(secret in text for secret in ("/data", "secret", "raw-0001"))  # anybody may ask


def test_what_processes_tell_is_in_the_metrics(run: FakeRun, client: httpx.Client) -> None:
    seconds = np.array([0.004, 0.005, 0.02, 0.3, 0.3, 100.0])
    vitals = Vitals(run.directory.vitals / "ingest.json")
    vitals.histogram("journal").observe(seconds)
    vitals.beat(lambda: QUEUE)
    vitals.histogram("journal").observe(1.0)
    vitals.beat(dict)  # less than a second later
    supervise(run, tiled=None, analyse=os.getpid())
    found = samples(client)
    for bound in BOUNDS:
        name = f"{bound:g}" if bound % 1 else f"{bound:.1f}"
        assert found["braggstream_journal_seconds_bucket", name, "diffraction"] == np.sum(seconds <= bound)
    assert found["braggstream_journal_seconds_bucket", "+Inf", "diffraction"] == len(seconds)
    assert found["braggstream_journal_seconds_count", "diffraction"] == len(seconds)
    assert found["braggstream_journal_seconds_sum", "diffraction"] == pytest.approx(seconds.sum())
    assert found["braggstream_queue_bytes", "diffraction"] == 5000
    assert found["braggstream_queue_limit_bytes", "diffraction"] == 9000
    assert [found["braggstream_process_up", name] for name in ("supervisor", "ingest", "tiled")] == [1, 1, 0]
    assert found["braggstream_process_restarts_total", "analyse"] == 1
    assert found["braggstream_ready",] == 1
    status = Path("/proc/self/status").read_text()
    resident = 1024 * int(status.partition("VmRSS:")[2].split()[0])
    assert found["braggstream_process_resident_memory_bytes", "ingest"] == pytest.approx(resident, rel=0.1)
    assert found["braggstream_process_open_fds", "ingest"] > 3
    assert 0 < found["braggstream_disk_free_bytes",] < found["braggstream_disk_bytes",]
    assert (found["braggstream_tiled_up",], found["braggstream_tiled_revision",]) == (1, 1)
    assert found["braggstream_warning", "tiled_away"] == 0


def test_a_disk_that_takes_no_vitals_ends_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[Any]) -> None:
    (tmp_path / "vitals").write_text("a file in the place of the folder")
    vitals = Vitals(tmp_path / "vitals" / "ingest.json", {"journal": Histogram()})
    vitals.beat()
    assert "vitals.not_told" in capsys.readouterr().out


def test_status_tells_it_in_the_terminal_and_by_its_exit_code(run: FakeRun, client: httpx.Client) -> None:
    url = str(client.base_url)
    done = CliRunner().invoke(app, ["status", f"{url}#key={KEY}"])
    assert done.exit_code == 0, done.output
    lines = [" ".join(line.replace("│", " ").split()) for line in done.stdout.splitlines()]
    assert {"scan ncm622-cycled", "status acquiring", "ready yes", "expected 20", "received 16"} <= set(lines)
    assert any(line.startswith("ingest yes 0") and line.count("MB") == 1 for line in lines)
    supervise(run, tiled=None, ingest=None)
    done = CliRunner().invoke(app, ["status", url])
    assert isinstance(done.exception, UnavailableError)
    assert str(done.exception) == f"{url} is not ready: ingest is not running"
    lines = [" ".join(line.replace("│", " ").split()) for line in done.stdout.splitlines()]
    assert {"ready no", "ingest is not running"} <= set(lines)
    assert [line.split()[:3] for line in lines if line.startswith("tiled")] == [["tiled", "no", "1"]]


def test_status_says_that_a_key_is_needed(run: FakeRun) -> None:
    with serving(run, host="0.0.0.0") as url:
        with pytest.raises(UsageError, match="needs its key: in BRAGGSTREAM_KEY, or as it was printed"):
            CliRunner().invoke(app, ["status", url], catch_exceptions=False)
        assert CliRunner().invoke(app, ["status", f"{url}/#key={KEY}"]).exit_code == 0
