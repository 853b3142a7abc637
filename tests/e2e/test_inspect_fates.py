"""`inspect` and `status` say what happened to every frame, from a ledger written by hand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.dashboard import serving
from helpers.fake_run import FakeRun
from typer.testing import CliRunner

from stream.cli.app import app
from stream.core.errors import Reject, UnavailableError
from stream.ingest.ledger import FrameRow, Ledger

SENTENCES = {
    "recording": "raw-0001.h5 cannot be written: No space left on device",
    "back_pressure": "the sender has been blocked for 12 s",
    "stolen": "another receiver takes every second frame of tcp://10.0.0.1:31001",
}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeRun]:
    """A run of 60 × 21 frames that lacks 12–15, 40 and the last 20 of them."""
    monkeypatch.setenv("COLUMNS", "160")
    run = FakeRun(tmp_path, size=21)
    run.directory.lock.touch()
    ledger = Ledger.open(run.directory.ledger)
    for frame in range(run.grid.size - 20):
        if frame not in {12, 13, 14, 15, 40}:
            slot = int(run.grid.visit[frame])
            ledger.add(FrameRow(slot=slot, series="1", frame=frame, monitor=None, received=1.0))
    ledger.duplicate()
    ledger.reject(Reject.SIZE)
    ledger.drop("superseded")
    ledger.event("series [/] is a stray [bold]one[/bold]")
    ledger.commit(phase="acquiring", received=ledger.accounted + 2, disconnected=True, **SENTENCES)
    yield run
    ledger.close()


def said(*arguments: str) -> dict[str, str]:
    """Rows of the table that a command prints, by their name; those of notes by their text."""
    result = CliRunner().invoke(app, arguments)
    # nobody tends this run: it is not ready
    assert isinstance(result.exception, UnavailableError if arguments[0] == "status" else type(None))
    rows = [[cell.strip() for cell in line.split("│")[1:3]] for line in result.output.splitlines() if "│" in line]
    return {"note" if re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", name) else name: text for name, text in rows}


@pytest.mark.parametrize("command", ["inspect", "status"])
def test_counts_gaps_notes_and_warnings(run: FakeRun, command: str) -> None:
    with serving(run) as url:
        found = said(command, str(run.path) if command == "inspect" else url)
    integrated = run.grid.size - 25
    counts = {"expected": run.grid.size, "received": integrated + 5, "integrated": integrated, "duplicate": 1,
              "in_flight": 2, "missing": 25, "rejected size": 1, "dropped superseded": 1}  # fmt: skip
    assert {name: int(found[name.replace("_", " ")]) for name in counts} == counts
    assert found["missing frames"] == f"12–15, 40, {run.grid.size - 20}–{run.grid.size - 1}"
    assert found["note"] == "series [/] is a stray [bold]one[/bold]"
    warnings = (found["recording suspended"], found["back pressure"], found["stolen"])
    assert warnings == tuple(SENTENCES.values())
    assert found["socket"] == "closed: the grid is full"
    assert "failure" not in found
