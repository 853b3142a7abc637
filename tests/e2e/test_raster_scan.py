"""A raster of a thin sample, from the virtual beamline through a real run, its page and Tiled, to its maps."""

from __future__ import annotations

from pathlib import Path

import h5py
import httpx
import numpy as np
import pytest
from helpers.chain import Site, results, tiny_site, until
from tiled.client import from_uri

from stream.core.config import load_config
from stream.core.scan import ScanGrid
from stream.ingest.ledger_reader import LedgerReader

ROWS, COLUMNS = 7, 15
SCAN = {
    "mode": "raster",
    "angles": None,
    "slices": {"start": 200.0, "step": 3.0, "count": ROWS},
    "positions": {"start": -14.0, "step": 2.0, "count": COLUMNS},
    "snake": True,
}
DETECTOR = {"transmission": "diode"}


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The raster with its truth, run to the end while page and Tiled were read."""
    site = tiny_site(tmp_path_factory.mktemp("raster"), scan=SCAN, detector=DETECTOR)
    options = ("--config", site.path, "--absorption", "--seed", "3", "--truth", "truth.h5", "--rate", "60")
    beamline, run = site.command("simulate", *options), site.run(once=False)
    try:
        until(lambda: site.in_tiled() and complete(site), "complete in Tiled", 180)
        assert beamline.wait() == 0, beamline.err
        page = f"http://127.0.0.1:{site.page}/api/v1"
        status = httpx.get(f"{page}/status", trust_env=False).json()
        assert (len(status["grid"]["y"]), status["grid"]["x"][0], status["grid"]["y"][0]) == (ROWS, -14.0, 200.0)
        assert status["absorption"] == "corrected"
        found = httpx.get(f"{page}/scans/tiny/maps/phase_layered", trust_env=False).json()
        assert np.shape(found["data"]) == (ROWS, COLUMNS)
        voxel = httpx.get(f"{page}/scans/tiny/voxels/0/{ROWS - 1}/3", trust_env=False).json()
        assert voxel["position_um"] == {"y": 218.0, "x": -8.0}
        assert voxel["inside"]
        assert len(voxel["pattern"]) == 300
        root = from_uri(f"http://127.0.0.1:{site.tiled}")
        scan = root["tiny"]
        assert scan["maps"]["phase_layered"].read().shape == (1, ROWS, COLUMNS)
        assert scan["volume"].shape == (1, ROWS, COLUMNS, 300)
        assert scan["live"].shape[2:] == (ROWS, COLUMNS)
        assert scan["sinograms"]["transmission"].shape == (ROWS, 1, COLUMNS)
        root.context.close()
        run.interrupt()
    finally:
        run.end()
        beamline.end()
    return site


def complete(site: Site) -> bool:
    url = f"http://127.0.0.1:{site.tiled}/api/v1/metadata/tiny"
    answer = httpx.get(url, trust_env=False, timeout=5)
    return answer.is_success and answer.json()["data"]["attributes"]["metadata"]["status"] == "complete"


def test_every_point_is_a_voxel(scanned: Site) -> None:
    found = results(scanned.folder / "run")
    with h5py.File(scanned.folder / "truth.h5") as file:
        truth = {name: values[()] for name, values in file["maps"].items()}
    assert {found[name].shape for name in found if name.startswith("maps/") and found[name].ndim == 3} == {
        (1, ROWS, COLUMNS)
    }
    assert (found["maps/coverage"] == 1).all()
    np.testing.assert_array_equal(found["maps/y"], 200.0 + 3.0 * np.arange(ROWS))
    np.testing.assert_array_equal(found["maps/x"], -14.0 + 2.0 * np.arange(COLUMNS))
    np.testing.assert_array_equal(found["volume"][0], found["patterns"][:, 0])
    layered = truth["phase_layered"]
    known = np.isfinite(found["maps/phase_layered"])
    assert known.mean() > 0.9
    assert np.corrcoef(found["maps/phase_layered"][known], layered[known])[0, 1] > 0.9
    cell = found["maps/a_layered"] / truth["a_layered"]
    assert np.nanmedian(cell) == pytest.approx(1, abs=5e-4)
    # µt of the thin sample: its normalisation is by the outermost points, which it may cover in part
    depth, attenuation = found["maps/density"], truth["density"]
    assert np.corrcoef(depth.ravel(), attenuation.ravel())[0, 1] > 0.99


@pytest.mark.slow
def test_a_replay_changes_no_bit(scanned: Site) -> None:
    replay = scanned.command("replay", "run", "--output", "again", "--once")
    assert replay.wait() == 0, replay.err
    one, other = results(scanned.folder / "run"), results(scanned.folder / "again")
    assert one.keys() == other.keys()
    for name, values in one.items():
        np.testing.assert_array_equal(other[name], values, err_msg=name)


@pytest.mark.slow
def test_killed_and_resumed_it_is_the_same(scanned: Site, tmp_path: Path) -> None:
    site = tiny_site(tmp_path, scan=SCAN, detector=DETECTOR)
    options = ("--config", site.path, "--absorption", "--seed", "3", "--rate", "60")
    beamline, run = site.command("simulate", *options), site.run()
    try:
        until(lambda: site.integrated() > 20, "some frames")
        run.process.kill()
        run.process.wait()
        again = site.run()
        assert again.wait() in {0, 3}, again.err
    finally:
        beamline.end()
        run.end()
    grid = ScanGrid.from_config(load_config(site.path).scan)
    seen = np.zeros(grid.size, dtype=bool)
    for row in LedgerReader(site.folder / "run" / "ledger.sqlite", grid).rows(0):
        seen[row.slot] = True
    before, after = results(scanned.folder / "run"), results(site.folder / "run")
    same = seen.reshape(ROWS, COLUMNS)
    assert same.sum() > 20
    np.testing.assert_array_equal(after["volume"][0][same], before["volume"][0][same])
    np.testing.assert_array_equal(after["maps/coverage"][0], same)
