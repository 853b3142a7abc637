"""Plans of a real RunEngine into a real run: simulated motors, the virtual detector, documents and frames by ZeroMQ."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt
import pytest
from bluesky_tiled_plugins import TiledWriter
from event_model import DocumentNames, schema_validators
from helpers.beamline import Beamline, drive, interrupted, make_beamline
from helpers.chain import results
from helpers.tiled_run import KEY, Server
from tiled.client import from_uri
from tiled.queries import Key

from stream.core.rundir import RunDirectory
from stream.ingest.integrate import CpuIntegrator, load_geometry


@pytest.fixture
def tiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A facility's Tiled."""
    server = Server(tmp_path / "tiled", embedded=False)
    server.folder.mkdir()
    monkeypatch.setenv("TILED_API_KEY", KEY)
    server.start()
    yield server
    server.stop()


def expected_patterns(beamline: Beamline, directory: Path) -> npt.NDArray[np.float64]:
    """Integrated straight from the virtual frames, per unit of the incident intensity."""
    config = RunDirectory(directory).read_config()
    geometry = load_geometry(config.detector.geometry)
    mask = geometry.detector_mask() | beamline.virtual.detector.pixel_mask.astype(bool)
    integrate = CpuIntegrator.create(geometry, config.integration, mask)
    found = np.empty((beamline.virtual.grid.size, config.integration.bins))
    for n in range(beamline.virtual.grid.size):
        image, told = beamline.virtual.frame(n)
        pattern = integrate(image)
        found[beamline.virtual.grid.visit[n]] = pattern.sums / pattern.norms / told["i0"]
    return found


def test_a_plan_that_pauses_and_goes_back(tmp_path: Path, tiled: Server, request: pytest.FixtureRequest) -> None:
    """Behind a trigger its exposure has no event; behind a save the point is measured again: the last one counts.

    Raw run and maps lie side by side in one Tiled, and each is found from the other.
    """
    documents: list[tuple[str, dict[str, Any]]] = []
    with make_beamline(tmp_path, publish={"tiled": tiled.url}) as beamline:
        run = beamline.site.run()
        try:
            tiled.wait()
            root = from_uri(tiled.url, api_key=KEY)
            request.addfinalizer(root.context.close)
            beamline.engine.subscribe(TiledWriter(root))
            beamline.engine.subscribe(lambda *document: documents.append(document))
            plan = beamline.scan(maps=True)
            drive(beamline.engine, interrupted(plan, {"trigger": {3, 30, 61}, "save": {5, 6, 40}}))
            assert run.wait() == 0, run.err
        finally:
            run.end()
        directory = tmp_path / "run"
        frames, state = beamline.counts(directory), beamline.state(directory)
        assert frames["integrated"] == frames["expected"] == 48
        assert frames["dropped"] == {"superseded": 3}
        assert frames["received"] == 48 + 3 + sum(frames["rejected"].values())
        assert set(frames["rejected"]) <= {"off-grid"}
        assert state["bluesky"]["proposal"] == 7
        patterns = results(directory)["patterns"].reshape(48, -1)
        np.testing.assert_allclose(patterns, expected_patterns(beamline, directory), rtol=1e-5)
    for name, document in documents:
        schema_validators[DocumentNames[name]].validate(document)
    check_links(root, documents)


def check_links(root: Any, documents: list[tuple[str, dict[str, Any]]]) -> None:
    """From the raw run to the maps, back, and to the maps by the processor's own documents."""
    start = documents[0][1]
    raw, (maps,) = root[start["uid"]], root.search(Key("bluesky_uid") == start["uid"]).values()
    assert maps.metadata["bluesky"]["proposal"] == raw.metadata["start"]["proposal"] == 7
    assert maps.metadata["bluesky"]["sample"] == raw.metadata["start"]["sample"] == {"name": "LNMO"}
    assert raw.metadata["stop"]["exit_status"] == "success"
    resource = next(document for name, document in documents if name == "stream_resource")
    answer = httpx.get(resource["uri"], headers={"Authorization": f"Apikey {KEY}"}, trust_env=False)
    stored = maps["maps"]["coverage"].read()
    assert np.frombuffer(answer.raise_for_status().content, stored.dtype).tobytes() == stored.tobytes()
