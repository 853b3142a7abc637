"""Outside the circle of the field of view no map has a number, and no statistics count one."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pytest
from helpers.chain import tiny_site, until

from stream.analyse.pipeline import Pipeline
from stream.core.axis import RadialAxis
from stream.core.config import load_config
from stream.core.messages import Pattern
from stream.core.rundir import RunDirectory
from stream.core.scan import ScanGrid
from stream.ingest.journal import Journal
from stream.ingest.ledger import FrameRow
from stream.ingest.ledger_reader import LedgerRecord

BINS = 300
AXIS = RadialAxis("2th_deg", 1.0, 20.0, BINS, 0.6738)
COUNTS = {"expected": 144, "received": 144, "integrated": 144, "duplicate": 0, "in_flight": 0, "missing": 0,
          "rejected": {}, "dropped": {}, "missing_ranges": []}  # fmt: skip


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A full scan of everything a config can ask for: classes, transmission, parallax."""
    folder = tmp_path_factory.mktemp("field")
    asked = {"classification": {"model": "auto"}, "reconstruction": {"parallax": True}}
    site = tiny_site(folder, detector={"transmission": "diode"}, **asked)
    config = load_config(site.path, {})
    directory, grid = RunDirectory(folder / "run"), ScanGrid.from_config(config.scan)
    directory.create()
    made = Pipeline.create(directory, config, grid, AXIS, None, 118e3)
    journal = Journal.create(directory.journal, grid.size, BINS)
    rng = np.random.default_rng(0)
    lines = np.exp(-0.5 * ((AXIS.centers[:, None] - [8.1, 15.6, 18.9]) / 0.08) ** 2).sum(axis=1)
    rows = []
    for slot in range(grid.size):
        sums = rng.poisson(400 * (0.2 + lines)).astype(np.float32)
        row = FrameRow(slot=slot, series="1", frame=slot, monitor=1.0, received=0.0, transmission=0.9)
        journal.write(row, Pattern(sums=sums, norms=np.full(BINS, 20, np.float32), variances=sums))
        rows.append(row)
    made.take(journal, rows)
    journal.close()
    return made, rows, grid, directory


def check(arrays: dict[str, npt.NDArray[Any]], inside: npt.NDArray[np.bool_]) -> set[str]:
    maps = {name: array for name, array in arrays.items() if name.startswith("maps/")}
    for name, array in maps.items():
        outside = array[..., ~inside]
        assert (outside < 0).all() if array.dtype.kind == "i" else np.isnan(outside).all(), name
    return {name for name, array in maps.items() if array.dtype.kind != "i" and np.isfinite(array[..., inside]).any()}


def test_every_map_live_and_final(pipeline: Any) -> None:
    made, rows, grid, directory = pipeline
    inside = grid.field_of_view
    assert 0 < (~inside).sum() < inside.size / 2
    made.update()
    made.refine()
    arrays, told = made.maps()
    check(arrays, inside)
    assert not told["parallax"]["corrected"]
    assert told["parallax_sense"] is None
    arrays, told = made.finish(LedgerRecord(frames=COUNTS, rows=rows, events=[]))
    known = check(arrays, inside)
    wanted = ("global", "hump", "coverage", "density", "parallax_cell", "parallax_strain", "class_probability")
    assert {f"maps/{name}" for name in wanted} <= known
    assert told["absorption"] == "corrected"
    assert told["parallax"]["corrected"]
    assert told["parallax_sense"] in {"downstream", "upstream"}
    assert told["parallax"]["largest_cell"] == pytest.approx(2 / np.pi * 11.4 / 118e3, rel=0.1)
    counted = sum(each["n"] for each in told["strain"].values())
    assert counted <= int(inside.sum())
    with h5py.File(directory.results) as file:
        assert np.isnan(file["entry/volume"][0][~inside]).all()
        assert file["entry/maps/density"].attrs["units"] == "1/um"


def test_live_density_comes_in_time(pipeline: Any) -> None:
    made = pipeline[0]
    made.optics._looked = 0
    made.update()

    def known() -> Any:
        made.update()
        arrays, told = made.maps()
        return told if np.isfinite(arrays["maps/density"][0, 6, 6]) else None

    told = until(known, "a density map")
    assert not told["parallax"]["corrected"]
