"""`results.nxs` as the NeXus definitions, and the libraries of those who read it, see it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import silx.io
from helpers.chain import tiny_site
from nexusformat.nexus.validate import validate_application, validate_file
from nxxrdct.application.nxxrdct import NXxrdct
from silx.io.nxdata import get_default

from stream.analyse.results import Result, write_results
from stream.analyse.store import PatternStore
from stream.core.axis import RadialAxis
from stream.core.config import load_config
from stream.core.scan import ScanGrid
from stream.ingest.ledger import FrameRow, Ledger
from stream.ingest.ledger_reader import LedgerReader

SLICES, ANGLES, POSITIONS, BINS = 2, 4, 6, 30
AXIS = RadialAxis("2th_deg", 1.0, 16.0, BINS, 0.62)
SHAPE = (SLICES, ANGLES, POSITIONS, BINS)
FALSE_ALARMS = {
    "The field value is not a member of the enumerated list",  # of source types, which NXsource leaves open
    "NXbeam is an invalid class in NXentry",  # where nxxrdct puts it
    'Axis "translation_values" size is inconsistent with the signal shape',  # every virtual array is taken for a stack
}


def written(folder: Path, **scan: Any) -> Path:
    """Results of a scan without meaning, whose patterns are numbered."""
    site = tiny_site(
        folder,
        scan={
            "angles": {"start": 0.0, "step": 45.0, "count": ANGLES},
            "positions": {"start": -4.0, "step": 2.0, "count": POSITIONS},
            "slices": {"start": 10.0, "step": 2.0, "count": SLICES},
            **scan,
        },
        integration={"bins": BINS},
    )
    config = load_config(site.path)
    grid = ScanGrid.from_config(config.scan)
    store = PatternStore.create(folder / "patterns.f4", grid, AXIS, None)
    store.patterns[:] = np.arange(store.patterns.size).reshape(store.patterns.shape)
    store.patterns[0, 0, 1] = np.nan
    store.norms[:] = 7
    maps, rays = np.random.default_rng(1).random((2, *grid.map_shape)), grid.shape
    arrays = {"maps/global": maps[0].astype("f4"), "maps/strain_layered": maps[1].astype("f4")}
    arrays |= {"maps/class_index": np.zeros(grid.map_shape, "i1"), "sinograms/global": np.ones(rays, "f4")}
    arrays |= {"maps/class_probability": np.ones((len(maps[0]), 3, *grid.map_shape[1:]), "f4")}
    arrays |= {"radial": AXIS.centers, "sum_pattern": np.ones(BINS), "particles/diameter_um": np.ones(3)}
    ledger = Ledger.open(folder / "ledger.sqlite")
    for n in range(3):
        ledger.add(FrameRow(slot=n, series="1", frame=n, monitor=1.0, received=1.8e9 + n))
    ledger.commit(phase="ended")
    result = Result(
        config=config,
        store=store,
        volume=np.ones((*grid.map_shape, BINS), "f4"),
        arrays=arrays,
        told={"units": {"strain_layered": "1", "global": "intensity 2th_deg/um"}},
        record=LedgerReader(folder / "ledger.sqlite", grid).record(),
    )
    write_results(folder / "results.nxs", result)
    return folder / "results.nxs"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("results"))


def complaints(caplog: pytest.LogCaptureFixture) -> set[str]:
    return {record.getMessage().strip() for record in caplog.records if record.levelno == logging.ERROR}


def test_the_file_is_valid_nexus(results: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        assert validate_file(str(results)) is not None
    assert complaints(caplog) == FALSE_ALARMS


@pytest.mark.parametrize("entry", ["azint", "tomoproc"])
def test_the_entries_are_what_they_claim(results: Path, entry: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        _, errors = validate_application(str(results), entry)
    assert errors == 0, caplog.text
    with h5py.File(results) as file:
        assert file[entry]["definition"].asstr()[()] == {"azint": "NXazint1d", "tomoproc": "NXtomoproc"}[entry]


def test_the_validator_would_have_said(results: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    broken = tmp_path / "broken.nxs"
    broken.write_bytes(results.read_bytes())
    with h5py.File(broken, "r+") as file:
        del file["azint/data/radial_axis"], file["tomoproc/reconstruction/program"]
    assert validate_application(str(broken), "azint")[1] > 0
    assert validate_application(str(broken), "tomoproc")[1] > 0


@pytest.mark.parametrize(
    ("path", "signal", "axes"),
    [
        ("/", "global", ["slice", "y", "x"]),
        ("/entry/sinograms", "global", ["slice", "angle", "position"]),
        ("/azint", "I", [None, "radial_axis"]),
        ("/tomoproc", "volume", ["z", "y", "x", "radial_axis"]),
        ("/tomoproc/data", "data", ["x", "y", "z"]),
        ("/xrdct_2", "intensity", ["translation_values", "rotation_angles", "radial_axis"]),
    ],
)
def test_viewers_know_what_to_draw(results: Path, path: str, signal: str, axes: list[str | None]) -> None:
    with silx.io.open(str(results)) as file:
        shown = get_default(file[path], validate=True)
        assert shown is not None
        assert shown.is_valid, shown.issues
        assert shown.signal_dataset_name == signal
        assert [axis and axis.name.rpartition("/")[2] for axis in shown.axes] == axes
        if path == "/":
            assert shown.auxiliary_signals_dataset_names == ["class_index", "strain_layered"]
            assert shown.interpretation == "image"


def test_patterns_are_the_same_by_every_name(results: Path) -> None:
    with h5py.File(results) as file:
        patterns = file["entry/patterns"][()]
        np.testing.assert_array_equal(file["azint/data/I"][()].reshape(SHAPE), patterns)
        for s in range(SLICES):
            intensity = file[f"xrdct_{s + 1}/data/intensity"][()]
            np.testing.assert_array_equal(intensity, patterns[s].transpose(1, 0, 2))
        assert file["tomoproc/patterns/volume"] == file["entry/volume"]
        np.testing.assert_array_equal(file["tomoproc/data/data"][()].T, file["entry/maps/global"][()])
    assert results.stat().st_size < 4 * patterns.nbytes + 200_000  # linked, not copied


def test_nxxrdct_reads_each_slice(results: Path) -> None:
    assert NXxrdct.get_valid_entries(str(results)) == ("/xrdct_1", "/xrdct_2")
    scan = NXxrdct().load(str(results), "xrdct_2")
    detector, sample = scan.instrument.detector, scan.sample
    assert detector.data.shape == (POSITIONS, ANGLES, BINS)
    np.testing.assert_allclose(detector.radial_axis.to("degree").magnitude, AXIS.centers)
    np.testing.assert_allclose(sample.rotation_angles.to("degree").magnitude, [0, 45, 90, 135])
    np.testing.assert_allclose(sample.translation_values.to("um").magnitude, [-4, -2, 0, 2, 4, 6])
    assert sample.z_translation.to("um").magnitude == pytest.approx(12)
    assert scan.beam.incident_energy.to("angstrom", "spectroscopy").magnitude == pytest.approx(0.62)
    assert scan.start_time.timestamp() == 1.8e9


def test_a_raster_claims_no_reconstruction(tmp_path: Path) -> None:
    angles = {"start": 0.0, "step": 1.0, "count": 1}
    with h5py.File(written(tmp_path, mode="raster", angles=angles)) as file:
        assert set(file) == {"entry", "azint"}
        assert file["azint/data/I"].shape == (SLICES * POSITIONS, BINS)
