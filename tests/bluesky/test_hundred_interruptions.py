"""A plan that is interrupted at a hundred points: its maps are those of a quiet one, or it says what is missing."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bluesky.utils import RunEngineInterrupted
from helpers.beamline import Beamline, drive, interrupted, make_beamline
from helpers.chain import assert_identical, results

from stream.core.lifecycle import Status
from stream.core.rundir import RunDirectory
from stream.service.guard import read_status

POINTS = 48
PAUSES = {"trigger": 20, "save": 20, "create": 20, "set": 20, "read": 18}
ABORTS = {"trigger": 17, "save": 31}


def measured(beamline: Beamline, name: str, code: int, drive_it: Any) -> dict[str, Any]:
    """The results of a run, and what became of its frames."""
    run = beamline.site.run(name)
    try:
        drive_it()
        assert run.wait(200) == code, run.err
    finally:
        run.end()
    counts = beamline.counts(beamline.site.folder / name)
    assert counts["integrated"] + counts["missing"] == POINTS
    assert set(counts["dropped"]) <= {"superseded"}
    assert set(counts["rejected"]) <= {"off-grid"}
    fates = counts["integrated"] + sum(counts["rejected"].values()) + sum(counts["dropped"].values())
    assert counts["received"] == fates + counts["duplicate"]
    return counts


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_maps_are_those_of_a_quiet_plan_or_honestly_incomplete(tmp_path: Path) -> None:
    rng = np.random.default_rng(11)
    # the first messages of each kind arm the processor; between them and the first checkpoint no plan can be paused
    pauses = {kind: set(rng.choice(np.arange(3, POINTS), n, replace=False).tolist()) for kind, n in PAUSES.items()}
    with make_beamline(tmp_path) as beamline:
        engine = beamline.engine
        measured(beamline, "quiet", 0, lambda: drive(engine, beamline.scan()))
        counts = measured(beamline, "paused", 0, lambda: drive(engine, interrupted(beamline.scan(), pauses)))
        print(sum(map(len, pauses.values())), counts)
        assert_identical(results(tmp_path / "quiet"), results(tmp_path / "paused"))
        quiet = results(tmp_path / "quiet")["patterns"]
        for kind, n in ABORTS.items():

            def abort(kind: str = kind, n: int = n) -> None:
                with suppress(RunEngineInterrupted):
                    engine(interrupted(beamline.scan(), {kind: {n}}))
                engine.abort()

            counts = measured(beamline, kind, 3, abort)
            assert counts["integrated"] == (n if kind == "save" else n - 1)
            assert read_status(RunDirectory(tmp_path / kind)) is Status.INCOMPLETE
            found = results(tmp_path / kind)["patterns"]
            assert np.isfinite(found).any(axis=-1).sum() == counts["integrated"]
            np.testing.assert_array_equal(np.where(np.isfinite(found), found, quiet), quiet)
