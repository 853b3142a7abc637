"""Documents get to the processor, whoever is away; the plan never notices."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from helpers.chain import until
from helpers.dashboard import KEY, serving
from helpers.fake_run import FakeRun
from helpers.ports import free_port

from stream.bluesky import Forwarder, forwarder
from stream.core.documents import KeptDocuments
from stream.service.documents import Receiver

PLAN: list[tuple[str, dict[str, Any]]] = [
    ("start", {"uid": "a"}), *(("event", {"seq_num": n}) for n in range(1, 200)), ("stop", {"run_start": "a"})
]  # fmt: skip


def kept(path: Path) -> list[tuple[str, dict[str, Any]]]:
    return [(name, dict(content)) for name, content in KeptDocuments(path).new()]


def test_to_a_processor_that_comes_late_and_comes_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    endpoint, path = f"tcp://127.0.0.1:{free_port()}", tmp_path / "d"
    sender = Forwarder(endpoint)
    begun = time.monotonic()
    for name, document in PLAN[:100]:
        sender(name, document)
    assert time.monotonic() - begun < 1.0, "the plan does not wait"
    until(lambda: "the processor is away" in caplog.text, "the warning")
    with Receiver(endpoint) as receiver:
        receiver.into(path)
        until(lambda: len(kept(path)) == 100, "what waited")
    time.sleep(0.5)  # what is on the way to a receiver that goes is lost: there is no acknowledgement
    for name, document in PLAN[100:]:
        sender(name, document)
    with Receiver(endpoint) as receiver:
        receiver.into(path)
        until(lambda: len(kept(path)) == len(PLAN), "the rest")
    sender.close()
    assert kept(path) == PLAN
    assert sender.dropped == 0


def test_over_http(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One that is too large is dropped and counted, and holds up none behind it."""
    run = FakeRun(tmp_path)
    with serving(run) as url:
        sender = Forwarder(url, KEY)
        for name, document in [*PLAN[:50], ("event", {"notes": "x" * 2_000_000}), *PLAN[50:]]:
            sender(name, document)
        until(lambda: kept(run.directory.documents) == PLAN, "the documents")
        sender.close()
    assert sender.dropped == 1
    assert "refuses a document" in caplog.text


def test_what_is_too_much_is_dropped_and_counted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(forwarder, "ROOM", 50)
    sender = Forwarder(f"tcp://127.0.0.1:{free_port()}")
    for name, document in PLAN:
        sender(name, document)
    sender("event", {"seq_num": 1 << 80})  # no JSON holds it
    sender.close(0.0)
    assert sender.dropped == len(PLAN) - 50 + 1
    assert sum("are dropped" in record.message for record in caplog.records) == 1


def test_a_run_takes_the_documents_of_one_plan(tmp_path: Path) -> None:
    """The next plan's wait for the next run; a plan whose stop never came is ended when another begins."""
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    sender = Forwarder(endpoint)
    with Receiver(endpoint, single=True) as receiver:
        receiver.into(tmp_path / "first")
        for name, document in [*PLAN[:3], ("start", {"uid": "b"}), ("stop", {"run_start": "b"})]:
            sender(name, document)
        until(lambda: len(kept(tmp_path / "first")) == 4, "the end of the first")
        receiver.release()
        receiver.into(tmp_path / "second")
    sender.close()
    name, last = kept(tmp_path / "first")[-1]
    assert (name, last["run_start"], last["exit_status"]) == ("stop", "a", "abort")
    assert kept(tmp_path / "second") == [("start", {"uid": "b"}), ("stop", {"run_start": "b"})]
