"""A raster in the pipeline, without processes: its maps in turn, holes, and the final picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.chain import tiny_site

from stream.analyse.pipeline import Pipeline
from stream.core.axis import RadialAxis
from stream.core.config import load_config
from stream.core.messages import Pattern
from stream.core.rundir import RunDirectory
from stream.core.scan import ScanGrid
from stream.ingest.journal import Journal
from stream.ingest.ledger import FrameRow
from stream.ingest.ledger_reader import LedgerRecord

ROWS, COLUMNS, BINS = 4, 6, 120
AXIS = RadialAxis("2th_deg", 1.0, 20.0, BINS, 0.6738)
SCAN = {
    "mode": "raster",
    "angles": None,
    "slices": {"start": 0.0, "step": 2.0, "count": ROWS},
    "positions": {"start": 3.0, "step": -1.0, "count": COLUMNS},
}


@pytest.mark.parametrize("missing", [(), (7, 8, 23)])
def test_points_are_voxels_and_what_is_missing_is_masked(tmp_path: Path, missing: tuple[int, ...]) -> None:
    config = load_config(tiny_site(tmp_path, scan=SCAN).path, {})
    directory, grid = RunDirectory(tmp_path / "run"), ScanGrid.from_config(config.scan)
    directory.create()
    pipeline = Pipeline.create(directory, config, grid, AXIS, None, 1e5)
    journal = Journal.create(directory.journal, grid.size, BINS)
    sums = np.arange(1, BINS + 1, dtype=np.float32)
    rows = []
    for slot in range(grid.size):
        row = FrameRow(slot=slot, series="1", frame=slot, monitor=0.0 if slot == 3 else 2.0, received=0.0)
        journal.write(row, Pattern(sums=sums * (slot + 1), norms=np.full(BINS, 4, np.float32), variances=sums))
        rows += [] if slot in missing else [row]

    pipeline.take(journal, rows[:10])
    pipeline.update()
    pipeline.refine()
    arrays, told = pipeline.maps()
    assert arrays["maps/global"].shape == (1, ROWS, COLUMNS)
    assert np.isfinite(arrays["maps/global"]).sum() == len({row.slot for row in rows[:10]} - {3})
    assert told["residual"] is None
    pipeline.take(journal, rows[10:])
    pipeline.update()
    final, said = pipeline.finish(LedgerRecord(frames={"missing_ranges": [], **COUNTS}, rows=rows, events=[]))

    seen = np.isin(np.arange(grid.size), [*missing, 3], invert=True).reshape(ROWS, COLUMNS)
    whole = sums.sum() * AXIS.step / 8 * np.arange(1, grid.size + 1).reshape(ROWS, COLUMNS)
    np.testing.assert_allclose(final["maps/global"][0][seen], whole[seen], rtol=1e-5)
    assert np.isnan(final["maps/global"][0][~seen]).all()
    np.testing.assert_array_equal(final["maps/coverage"][0], seen)
    for name, plane in final.items():
        if name.startswith("maps/") and name not in {"maps/coverage"} and plane.ndim == 3:
            outside = plane[0][~seen]
            assert (outside < 0).all() if plane.dtype.kind == "i" else np.isnan(outside).all(), name
    assert said["no_beam"] == [3]
    assert said["center_um"] is None
    assert said["absorption"] == "uncorrected"
    assert "maps/parallax_cell" not in final
    assert not np.isnan(final["sinograms/global"]).all()
    journal.close()


COUNTS = {"expected": 24, "received": 24, "integrated": 24, "duplicate": 0, "in_flight": 0, "missing": 0,
          "rejected": {}, "dropped": {}}  # fmt: skip
