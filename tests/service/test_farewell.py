"""A run whose processes cannot go on: page and Tiled say so, and why, before they end."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from helpers.chain import tiny_site

from stream.core.config import load_config
from stream.core.errors import BraggstreamError
from stream.core.files import read_json, write_json
from stream.core.lifecycle import Status
from stream.core.rundir import RunDirectory
from stream.service import run as service
from stream.service.keys import store_key
from stream.service.marks import fail, revive

SENTENCE = "the disk of the run is gone"


def asked(url: str) -> dict[str, Any]:
    """What an address answers, nothing where it does not."""
    try:
        answer = httpx.get(url, trust_env=False, timeout=2)
    except httpx.HTTPError:
        return {}
    return answer.json() if answer.status_code == 200 else {}


def test_page_and_tiled_learn_that_a_run_failed(tmp_path: Path) -> None:
    site = tiny_site(tmp_path)
    config, directory = load_config(site.path), RunDirectory(tmp_path / "run")
    directory.create()
    directory.write_config(config)
    store_key("a-key", directory)
    page, tiled = f"http://127.0.0.1:{site.page}/api/v1/status", f"http://127.0.0.1:{site.tiled}/api/v1/metadata/tiny"
    stop, deadline = threading.Event(), time.monotonic() + 60
    told: dict[str, tuple[str | None, str | None]] = {}

    def watch() -> None:
        while not stop.wait(0.1):
            found = {
                "page": asked(page),
                "tiled": asked(tiled).get("data", {}).get("attributes", {}).get("metadata", {}),
            }
            told.update({name: (each.get("status"), each.get("failure")) for name, each in found.items() if each})

    def tick() -> None:
        if told == dict.fromkeys(("page", "tiled"), ("waiting", None)):
            raise BraggstreamError(SENTENCE)
        assert time.monotonic() < deadline, told

    watcher = threading.Thread(target=watch)
    watcher.start()
    lock = os.open(directory.lock, os.O_RDWR | os.O_CREAT)
    try:
        job = service.Job(config=config, output=directory.path)
        with pytest.raises(BraggstreamError, match=SENTENCE):
            service.perform(job, directory, lock, {}, tick, threading.Event())
    finally:
        stop.set()
        watcher.join()
        os.close(lock)
    assert told == {"page": ("failed", SENTENCE), "tiled": ("failed", SENTENCE)}
    assert (read_json(directory.state)["status"], read_json(directory.state)["failure"]) == ("failed", SENTENCE)
    assert [path.name for path in directory.path.glob("ledger.sqlite*")] == ["ledger.sqlite"]


@pytest.mark.parametrize("status", [Status.ACQUIRING, Status.FINISHING, Status.INCOMPLETE])
def test_a_failed_run_that_goes_on_is_not_failed_any_more(tmp_path: Path, status: Status) -> None:
    directory = RunDirectory(tmp_path)
    write_json(directory.state, {"status": status, "revision": 3, "frames_used": 20, "started": 1.0})
    fail(directory, SENTENCE)
    assert read_json(directory.state)["failure"] == SENTENCE
    revive(directory)
    expected = {"status": "waiting", "revision": 3, "frames_used": 20, "started": 1.0}
    assert read_json(directory.state) == expected


@pytest.mark.parametrize("status", [Status.COMPLETE, Status.ABORTED])
def test_a_run_that_is_over_cannot_fail(tmp_path: Path, status: Status) -> None:
    directory = RunDirectory(tmp_path)
    before = {"status": status, "revision": 3, "frames_used": 20, "started": 1.0}
    write_json(directory.state, before)
    fail(directory, SENTENCE)
    revive(directory)
    assert read_json(directory.state) == before
