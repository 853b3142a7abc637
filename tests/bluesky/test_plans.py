"""Plans of a real RunEngine into a real run: simulated motors, the virtual detector, documents and frames by ZeroMQ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from bluesky import RunEngine
from bluesky.preprocessors import plan_mutator
from bluesky.utils import Msg, RunEngineInterrupted
from helpers.chain import Site, results, tiny_site
from helpers.ports import free_port
from ophyd_async.sim import SimMotor

from stream.bluesky import Forwarder
from stream.bluesky.plans import xrdct_scan
from stream.bluesky.virtual import VirtualDetector
from stream.core.config import load_config
from stream.core.rundir import RunDirectory
from stream.core.scan import ScanGrid
from stream.ingest.integrate import CpuIntegrator, load_geometry
from stream.ingest.ledger_reader import LedgerReader
from stream.simulate.presets import find_preset
from stream.simulate.scan import VirtualScan
from stream.simulate.wire import Series, make_encoder

ANGLES = {"start": 0.0, "step": 22.5, "count": 8}
POSITIONS = {"start": -5.0, "step": 2.0, "count": 6}


@dataclass
class Beamline:
    """A RunEngine, its motors and detector, and the site of the processor that follows it."""

    engine: RunEngine
    site: Site
    angle: SimMotor
    position: SimMotor
    detector: VirtualDetector
    scan_: VirtualScan

    def scan(self, **changes: Any) -> Any:
        keys = {"frame": "detector-frame", "monitor": "detector-i0", "md": {"sample": {"name": "LNMO"}, "proposal": 7}}
        arguments = {"angles": ANGLES, "positions": POSITIONS, **keys, **changes}
        return xrdct_scan([self.detector], self.angle, self.position, **arguments)


@pytest.fixture
def beamline(tmp_path: Path) -> Iterator[Beamline]:
    site = tiny_site(tmp_path, bluesky={"endpoint": f"tcp://127.0.0.1:{free_port()}"})
    scan = {"name": "tiny", "index": "bluesky"}
    site.config = {**site.config, "scan": {**scan, "angles": ANGLES, "positions": POSITIONS}}
    site.config["detector"].pop("monitor")
    site.write()
    config = load_config(site.path)
    site.config["scan"] = scan  # the plan tells the grid
    site.write()
    integrator = load_geometry(config.detector.geometry).integrator
    virtual = VirtualScan(ScanGrid.from_config(config.scan), integrator, find_preset("ncm622-cycled"), seed=5)
    pixel = (integrator.detector.pixel1, integrator.detector.pixel2)
    series = Series(virtual.grid.size, virtual.detector.pixel_mask, virtual.detector.wavelength, pixel, 5)
    engine = RunEngine(context_managers=[])
    angle, position = SimMotor("rot", units="deg"), SimMotor("x", units="um")
    encoder = make_encoder("dectris-2", series)
    detector = VirtualDetector(virtual, encoder, site.endpoint, {"angle": angle, "position": position})
    forwarder = Forwarder(site.config["bluesky"]["endpoint"])
    engine.subscribe(forwarder)
    yield Beamline(engine, site, angle, position, detector, virtual)
    forwarder.close()
    detector.close()


def interrupted(plan: Any, after: dict[str, set[int]]) -> Any:
    """The plan with a pause behind the n-th message of some kinds."""
    seen: Counter[str] = Counter()

    def pausing(message: Msg) -> Any:
        seen[message.command] += 1
        if seen[message.command] in after.get(message.command, ()):
            return None, (Msg("pause") for _ in range(1))
        return None, None

    return plan_mutator(plan, pausing)


def drive(engine: RunEngine, plan: Any) -> None:
    """Run a plan, and resume it from each pause."""
    with suppress(RunEngineInterrupted):
        engine(plan)
    while engine.state == "paused":
        with suppress(RunEngineInterrupted):
            engine.resume()


def expected_patterns(beamline: Beamline, directory: Path) -> npt.NDArray[np.float64]:
    """Integrated straight from the virtual frames, per unit of the incident intensity."""
    config = RunDirectory(directory).read_config()
    geometry = load_geometry(config.detector.geometry)
    mask = geometry.detector_mask() | beamline.scan_.detector.pixel_mask.astype(bool)
    integrate = CpuIntegrator.create(geometry, config.integration, mask)
    found = np.empty((beamline.scan_.grid.size, config.integration.bins))
    for n in range(beamline.scan_.grid.size):
        image, told = beamline.scan_.frame(n)
        pattern = integrate(image)
        found[beamline.scan_.grid.visit[n]] = pattern.sums / pattern.norms / told["i0"]
    return found


def test_a_plan_that_pauses_and_goes_back(beamline: Beamline) -> None:
    """Behind a trigger its exposure has no event; behind a save the point is measured again: the last one counts."""
    run = beamline.site.run()
    try:
        drive(beamline.engine, interrupted(beamline.scan(), {"trigger": {3, 30, 61}, "save": {5, 6, 40}}))
        assert run.wait() == 0, run.err
    finally:
        run.end()
    directory = beamline.site.folder / "run"
    reader = LedgerReader(directory / "ledger.sqlite", beamline.scan_.grid)
    frames, state = reader.snapshot().frames, reader.snapshot().state
    reader.close()
    assert frames["integrated"] == frames["expected"] == 48
    assert frames["dropped"] == {"superseded": 3}
    assert frames["received"] == 48 + 3 + sum(frames["rejected"].values())
    assert set(frames["rejected"]) <= {"off-grid"}
    assert state["bluesky"]["proposal"] == 7
    patterns = results(directory)["patterns"].reshape(48, -1)
    np.testing.assert_allclose(patterns, expected_patterns(beamline, directory), rtol=1e-5)
