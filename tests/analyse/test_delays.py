"""Only frames that came since analyse began tell how long a frame takes to come on the maps, and each once."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from stream.analyse.delays import Delays
from stream.core.rundir import RunDirectory
from stream.core.vitals import read_vitals
from stream.ingest.ledger import FrameRow


def row(slot: int, received: float) -> FrameRow:
    return FrameRow(slot=slot, series="1", frame=slot, monitor=None, received=received)


def test_each_new_frame_is_counted_once(tmp_path: Path) -> None:
    delays, now = Delays.of(RunDirectory(tmp_path)), time.time()
    delays.begun = now - 10
    delays.take([row(0, now - 3000), row(1, now - 2000)])  # they waited for this process
    assert delays.newest is None
    delays.take([row(2, now - 3), row(3, now - 0.7)])
    for _ in range(2):
        delays.updated(0.2)
    delays.vitals.beat()
    told = read_vitals(tmp_path / "vitals")["analyse"]["histograms"]
    assert sum(told["map"]["counts"]) == 2
    assert told["map"]["sum"] == pytest.approx(3.7, abs=0.5)
    assert (sum(told["update"]["counts"]), told["update"]["sum"]) == (2, pytest.approx(0.4))
    assert delays.newest == now - 0.7
