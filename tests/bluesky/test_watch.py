"""A night without hands, a plan that stops when its maps are good enough, a processor that is killed meanwhile."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from helpers.beamline import ANGLES, KEYS, POSITIONS, drive, make_beamline
from helpers.chain import until

from stream.bluesky.plans import xrdct_adaptive
from stream.core.files import read_json
from stream.core.lifecycle import Status
from stream.core.rundir import RunDirectory
from stream.service.guard import read_status


@pytest.mark.slow
def test_one_run_after_another(tmp_path: Path) -> None:
    """Three plans at once give three runs, also where the detector waits for nobody, or an agent chooses the angles."""
    with make_beamline(tmp_path) as beamline:
        watch = beamline.site.command("watch", beamline.site.path)
        uids = []
        beamline.engine.subscribe(lambda _, document: uids.append(document["uid"]), "start")
        motors = (beamline.angle, beamline.position)
        chosen = xrdct_adaptive([beamline.detector], beamline.processor, *motors, ANGLES, POSITIONS, 8, **KEYS)
        try:
            for plan in (beamline.scan(), chosen, beamline.scan(processor=None)):
                drive(beamline.engine, plan)
            runs = [RunDirectory(tmp_path / "runs" / f"tiny-{n}") for n in (1, 2, 3)]
            for run in runs:
                until(lambda run=run: read_status(run) is Status.COMPLETE, f"the maps of {run.path.name}", 120)
            until(lambda: (read_json(runs[2].published) or {}).get("final"), "the third in Tiled", 60)
            watch.process.send_signal(signal.SIGINT)
            assert watch.wait(20) == 0, watch.err
        finally:
            watch.end()
        assert [beamline.state(run.path)["bluesky"]["uid"] for run in runs] == uids
        assert [beamline.counts(run.path)["integrated"] for run in runs] == [48, 48, 48]
        assert all(not beamline.counts(run.path)["dropped"] for run in runs)


@pytest.mark.slow
def test_a_processor_that_is_killed_in_the_middle_of_a_plan(tmp_path: Path) -> None:
    """The plan waits with its exposures and goes on; the same command takes the run up."""
    with make_beamline(tmp_path) as beamline:
        run = beamline.site.run()
        engine = threading.Thread(target=drive, args=(beamline.engine, beamline.scan()))
        again: Any = None
        try:
            engine.start()
            until(
                lambda: (
                    (tmp_path / "run" / "ledger.sqlite").exists()
                    and beamline.counts(tmp_path / "run")["integrated"] > 10
                ),
                "some frames",
            )
            run.process.kill()
            run.wait()
            time.sleep(3.0)
            again = beamline.site.run()
            engine.join(120)
            assert not engine.is_alive(), "the plan ends"
            code = again.wait()
        finally:
            run.end()
            if again is not None:
                again.end()
        counts = beamline.counts(tmp_path / "run")
        assert counts["integrated"] + counts["missing"] == 48
        assert code == (0 if counts["missing"] == 0 else 3)
        assert counts["missing"] <= 4, "what was in the killed process' socket"
