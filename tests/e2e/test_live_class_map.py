"""What the live maps of a scan show half-way, and what a scan with few projections still tells apart."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from helpers.chain import correlation
from helpers.virtual import scanned

from stream.analyse.pipeline import Pipeline
from stream.core.axis import RadialAxis
from stream.core.rundir import RunDirectory
from stream.core.scan import ScanGrid
from stream.ingest.journal import Journal
from stream.ingest.ledger_reader import LedgerReader

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

STEP = 0.75
RATE = 200  # frames between two updates: of a detector of that rate,
EVERY = 1.0  # s, with an update a second; models are compared meanwhile


def scan(positions: int, angles: int, sequence: str) -> dict[str, object]:
    """Half a turn over 48 µm."""
    return {
        "angles": {"start": 0.0, "step": 180 / angles, "count": angles, "sequence": sequence},
        "positions": {"start": -STEP * (positions - 1) / 2, "step": STEP, "count": positions},
    }


def live(finished: RunDirectory, work: RunDirectory, share: float) -> Iterator[npt.NDArray[np.int8]]:
    """Class maps of a live run over the first share of a scan's frames, update by update, at the detector's pace."""
    config = finished.read_config()
    grid = ScanGrid.from_config(config.scan)
    ledger, journal = LedgerReader(finished.ledger, grid), Journal.read_only(finished.journal)
    axis = RadialAxis(**ledger.snapshot().state["axis"])
    work.create()
    pipeline = Pipeline.create(work, config, grid, axis, None)
    rows = ledger.rows(0)
    rows = rows[: round(len(rows) * share)]
    for begin in range(0, len(rows), RATE):
        due = time.monotonic() + EVERY
        pipeline.take(journal, rows[begin : begin + RATE])
        pipeline.update()
        pipeline.refine()
        yield pipeline.maps()[0]["maps/class_index"]
        time.sleep(max(due - time.monotonic(), 0.0))


def check_classes(found: npt.NDArray[np.int8], truth: npt.NDArray[np.int8], least: float) -> None:
    """So many of all voxels are named rightly, edges and unknown ones included, and four fifths of each class."""
    right, inside = found == truth, truth >= 0
    recalls = [float(right[truth == c].mean()) for c in np.unique(truth[inside])]
    print(float(right[inside].mean()), recalls)
    assert right[inside].mean() > least
    assert min(recalls) > 0.8


def test_half_the_projections_show_the_classes_of_all(tmp_path: Path) -> None:
    """Interlaced angles: at half of them nine of ten voxels of each class are already named as they will be."""
    result = scanned(tmp_path, 0.58, 777, scan(64, 64, "interlaced:4"))
    found = result["found"]["maps/class_index"]
    check_classes(found, result["truth"]["class_index"], 0.95)
    *_, half = live(RunDirectory(tmp_path / "run"), RunDirectory(tmp_path / "half"), 0.5)
    agreement = {int(c): float((half[found == c] == c).mean()) for c in np.unique(found) if c >= 0}
    print(agreement)
    assert len(agreement) == 5
    assert min(agreement.values()) >= 0.9


def test_a_quarter_of_the_angles_tells_phases_apart(tmp_path: Path) -> None:
    """23 projections of 64 positions, the ratio of the paper's scans."""
    result = scanned(tmp_path, 0.62, 778, scan(64, 23, "linear"))
    found, truth = result["found"], result["truth"]
    told = {n: correlation(found[f"maps/phase_{n}"], truth[f"phase_{n}"]) for n in ("layered", "spinel", "carbon")}
    print(told)
    assert min(told.values()) > 0.9
    check_classes(found["maps/class_index"], truth["class_index"], 0.93)
