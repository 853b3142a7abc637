"""Logs: one JSON line for whatever is said, with the same keys, in files that stay short."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from stream.service import logs

SPEAKER = """
import logging, threading, warnings
import structlog
from stream.service.logs import log_as
log_as("analyse", "ncm622")
structlog.get_logger().info("fit.refused", frame=17, reason="two\\nlines")
logging.getLogger("tiled.server").warning("disk %s is slow", "sda")
warnings.warn("old\\nfashioned", stacklevel=1)
thread = threading.Thread(target=lambda: 1 / 0)
thread.start()
thread.join()
raise ValueError("nobody catches this")
"""


def test_whatever_is_said_is_one_line_with_the_same_keys() -> None:
    done = subprocess.run([sys.executable, "-c", SPEAKER], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert all({"timestamp", "level", "event", "process", "run"} <= event.keys() for event in events)
    assert {(event["process"], event["run"]) for event in events} == {("analyse", "ncm622")}
    refused, slow, old, thread, main = events
    assert (refused["event"], refused["frame"], refused["reason"]) == ("fit.refused", 17, "two\nlines")
    assert (slow["event"], slow["logger"], slow["level"]) == ("disk sda is slow", "tiled.server", "warning")
    assert "old\nfashioned" in old["event"]
    assert [event["event"] for event in (thread, main)] == ["process.crashed"] * 2
    assert "ZeroDivisionError" in thread["exception"]
    assert main["error"] == "nobody catches this"


def test_a_long_log_begins_anew_under_a_writer_that_appends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "LARGEST", 1000)
    path = tmp_path / "ingest.log"
    with path.open("ab", buffering=0) as writer:
        for n in range(300):
            writer.write(b"line %4d\n" % n)
            logs.keep_short(tmp_path)
            assert path.stat().st_size <= 1010
    kept = (tmp_path / "ingest.log.1").read_bytes() + path.read_bytes()
    assert kept.splitlines() == [b"line %4d" % n for n in range(300)][-len(kept) // 10 :]
    assert len(kept) >= 1000
    assert sorted(each.name for each in tmp_path.iterdir()) == ["ingest.log", "ingest.log.1"]
