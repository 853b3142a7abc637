"""Children that die: by their own fault, by somebody's hand, or with something to say."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.chain import tiny_site, until

from stream.core.config import load_config
from stream.core.errors import BraggstreamError, UsageError
from stream.core.files import read_json
from stream.core.rundir import RunDirectory
from stream.service import supervisor
from stream.service.supervisor import Supervisor


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    """A run directory without a frame: its analyse waits."""
    run = RunDirectory(tmp_path / "run")
    run.create()
    run.write_config(load_config(tiny_site(tmp_path).path))
    return run


@pytest.fixture
def supervised(directory: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Supervisor]:
    """A supervisor that gives up after two faults and hardly waits before it starts a child again."""
    monkeypatch.setattr(supervisor, "FLAPPING", 2)
    monkeypatch.setattr(supervisor, "BACKOFF", (0.01,))
    lock = os.open(directory.lock, os.O_RDWR | os.O_CREAT)
    return lambda *names: Supervisor(directory, names, lock, {})


def tend(children: Supervisor, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        children.tend()
        time.sleep(0.02)


def test_the_last_words_of_a_child_that_never_can_run(
    directory: RunDirectory, supervised: Callable[..., Supervisor]
) -> None:
    directory.config.unlink()
    with supervised("analyse") as children, pytest.raises(UsageError, match=r"has no config\.yaml"):
        tend(children)


def test_a_child_that_dies_again_and_again_ends_the_run(
    directory: RunDirectory, supervised: Callable[..., Supervisor]
) -> None:
    with supervised("nonsense") as children, pytest.raises(BraggstreamError, match=r"died 2 times.*nonsense\.log"):
        tend(children)
    events = [json.loads(line) for line in (directory.logs / "nonsense.log").read_text().splitlines()]
    assert [(event["event"], event["process"], event["run"]) for event in events] == [
        ("process.crashed", "nonsense", "tiny")
    ] * 2
    assert all("KeyError: 'nonsense'" in event["exception"] for event in events)
    told = read_json(directory.vitals / "supervisor.json")
    assert told is not None
    assert told["children"] == {"nonsense": {"pid": None, "restarts": 1}}


def test_a_child_that_somebody_kills_is_started_again_as_often_as_it_takes(
    supervised: Callable[..., Supervisor],
) -> None:
    with supervised("analyse") as children:
        seen = set()
        for _ in range(4):
            pid = until(lambda: running(children, seen), "a new process")
            seen.add(pid)
            os.kill(pid, signal.SIGKILL)
        last = until(lambda: running(children, seen), "a new process")
    assert not Path(f"/proc/{last}").exists()


def running(children: Supervisor, seen: set[int]) -> int | None:
    """Pid of the only child, None while it is one that was seen before or is being started again."""
    children.tend()
    process = children.children[0].process
    return process.pid if process is not None and process.pid not in seen else None
