"""What lines, frames and other runs are told by: numbers from the geometry, the structures and the maps themselves."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from helpers.dashboard import AUTH, SCAN, sentence, serving
from helpers.fake_run import CENTRE, COLUMNS, DISTANCE, FACTOR, PIXEL, ROWS, FakeRun

from stream.core.revision import read_revision
from stream.dashboard.view import RunView

OTHER = "/api/v1/scans/@pristine"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[FakeRun, FakeRun]:
    folder = tmp_path_factory.mktemp("runs")
    own, other = FakeRun(folder / "cycled", size=21, slices=2), FakeRun(folder / "pristine", size=25)
    own.advance(0.5)
    other.advance(1.0, "complete")
    (folder / "empty").mkdir()
    (folder / "notes.txt").write_text("no run")
    return own, other


@pytest.fixture(scope="module")
def client(runs: tuple[FakeRun, FakeRun]) -> Iterator[httpx.Client]:
    with serving(runs[0]) as url, httpx.Client(base_url=url, trust_env=False, timeout=30) as client:
        yield client


def test_the_angles_of_the_frame_are_the_geometrys(client: httpx.Client) -> None:
    answer = client.get(f"{SCAN}/frame/two_theta?format=npy")
    y, x = np.mgrid[:ROWS, :COLUMNS]
    r = np.hypot(y - CENTRE[0], x - CENTRE[1]) * FACTOR * PIXEL
    found = np.load(io.BytesIO(answer.content))
    np.testing.assert_allclose(found, np.rad2deg(np.arctan(r / DISTANCE)), atol=0.02)  # half a pixel off the middle


def test_lines_lie_where_the_cells_say(client: httpx.Client, runs: tuple[FakeRun, FakeRun]) -> None:
    found = client.get(f"{SCAN}/reflections").json()["reflections"]
    lab6 = {tuple(sorted(map(abs, line["hkl"]))): line for line in found["LaB6"]["lines"]}
    for hkl, line in lab6.items():
        assert line["d"] == pytest.approx(4.1569 / np.linalg.norm(hkl), rel=1e-4)  # NIST SRM 660b
        assert line["two_theta"] == line["x"] == pytest.approx(2 * np.rad2deg(np.arcsin(0.62 / (2 * line["d"]))))
    revision = read_revision(runs[0].directory.revision)
    assert revision is not None
    layered = {tuple(line["hkl"]): line["d"] for line in found["layered"]["lines"]}
    assert layered[0, 0, 3] == pytest.approx(np.nanmedian(revision.arrays["maps/c_layered"]) / 3, rel=1e-6)
    assert [name for name, entry in found.items() if entry["phase"]] == ["layered", "spinel"]  # humps have no lines


def test_a_summary_holds_mean_patterns_and_quantities(client: httpx.Client, runs: tuple[FakeRun, FakeRun]) -> None:
    run = runs[1]
    revision = read_revision(run.directory.revision)
    assert revision is not None
    summary = client.get(f"{OTHER}/summary").json()
    volume = np.fromfile(run.directory.volume, dtype="<f4").reshape(1, 25, 25, run.bins)
    particle = revision.arrays["maps/class_index"] == 3
    assert summary["patterns"]["particle"]["voxels"] == particle.sum()
    np.testing.assert_allclose(summary["patterns"]["particle"]["pattern"], volume[particle].mean(axis=0), rtol=1e-5)
    cell = next(quantity for quantity in summary["quantities"] if quantity["name"] == "a_layered")
    known = revision.arrays["maps/a_layered"][np.isfinite(revision.arrays["maps/a_layered"])]
    assert cell["n"] == len(known)
    assert cell["mean"] == pytest.approx(np.median(known), rel=1e-5)


def test_runs_beside_are_read_and_never_changed(client: httpx.Client, runs: tuple[FakeRun, FakeRun]) -> None:
    assert client.get("/api/v1/beside").json() == ["@pristine"]
    assert len(client.get(f"{OTHER}/maps/coverage").json()["data"]) == 25
    assert client.get(f"{OTHER}/voxels/0/12/12").json()["fit"] is None
    body = {"regions": [{"name": "new", "range": [2.0, 3.0]}]}
    assert "no scan '@pristine'" in sentence(client.post(f"{OTHER}/regions", json=body, headers=AUTH), 404)
    for name in ("@cycled", "@empty", "@notes.txt", "@..", "pristine", "@%2e%2e%2fpristine"):
        assert client.get(f"/api/v1/scans/{name}/maps").status_code == 404, name


def test_a_drawn_region_stays_in_the_pattern(tmp_path: Path) -> None:
    run = FakeRun(tmp_path / "run", size=21)
    run.advance(0.2)
    with serving(run) as url, httpx.Client(base_url=url + SCAN, trust_env=False, headers=AUTH) as client:
        for low in (4.0, 5.0):  # the second one in place of the first
            client.post("/regions", json={"regions": [{"name": "new", "range": [low, 6.0]}]}).raise_for_status()
        regions = client.get("/pattern").json()["regions"]
    assert regions == [{"name": "hump", "range": [1.5, 3.0]}, {"name": "new", "range": [5.0, 6.0]}]


def test_what_a_revision_comes_to_is_made_once(tmp_path: Path) -> None:
    run = FakeRun(tmp_path, size=21)
    view, made = RunView(run.directory, run.config), []
    for number in (1, 1, 2, 2):
        view.once((number, "summary"), lambda number=number: made.append(number))
    assert made == [1, 2]
