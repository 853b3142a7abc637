"""Plans of a real RunEngine into a real run: simulated motors, the virtual detector, documents and frames by ZeroMQ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from bluesky.preprocessors import plan_mutator
from bluesky.utils import Msg
from helpers.beamline import Beamline, drive, make_beamline
from helpers.chain import results

from stream.core.rundir import RunDirectory
from stream.ingest.integrate import CpuIntegrator, load_geometry


@pytest.fixture
def beamline(tmp_path: Path) -> Iterator[Beamline]:
    with make_beamline(tmp_path) as made:
        yield made


def interrupted(plan: Any, after: dict[str, set[int]]) -> Any:
    """The plan with a pause behind the n-th message of some kinds."""
    seen: Counter[str] = Counter()

    def pausing(message: Msg) -> Any:
        seen[message.command] += 1
        if seen[message.command] in after.get(message.command, ()):
            return None, (Msg("pause") for _ in range(1))
        return None, None

    return plan_mutator(plan, pausing)


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


def test_a_plan_that_pauses_and_goes_back(beamline: Beamline) -> None:
    """Behind a trigger its exposure has no event; behind a save the point is measured again: the last one counts."""
    run = beamline.site.run()
    try:
        drive(beamline.engine, interrupted(beamline.scan(), {"trigger": {3, 30, 61}, "save": {5, 6, 40}}))
        assert run.wait() == 0, run.err
    finally:
        run.end()
    directory = beamline.site.folder / "run"
    frames, state = beamline.counts(directory), beamline.state(directory)
    assert frames["integrated"] == frames["expected"] == 48
    assert frames["dropped"] == {"superseded": 3}
    assert frames["received"] == 48 + 3 + sum(frames["rejected"].values())
    assert set(frames["rejected"]) <= {"off-grid"}
    assert state["bluesky"]["proposal"] == 7
    patterns = results(directory)["patterns"].reshape(48, -1)
    np.testing.assert_allclose(patterns, expected_patterns(beamline, directory), rtol=1e-5)
