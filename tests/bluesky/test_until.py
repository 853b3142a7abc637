"""A golden-angle scan that ends when its classes have settled, against all of it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from helpers.beamline import KEYS, Beamline, drive, make_beamline
from helpers.chain import results
from helpers.virtual import hump

from stream.analyse.pipeline import Pipeline
from stream.bluesky.plans import xrdct_until
from stream.core.axis import RadialAxis
from stream.core.config import load_config, write_resolved
from stream.core.rundir import RunDirectory
from stream.ingest.journal import Journal
from stream.ingest.ledger_reader import LedgerReader
from stream.ingest.process import open_ingest
from stream.simulate.presets import HUMPS, find_preset
from stream.simulate.wire import Series, make_encoder

PRESET, SEED, COUNT = "llnmo-cycled", 23, 240
WAVELENGTH = 0.6738
ANGLES = {"start": 0.0, "step": 180 / COUNT, "count": COUNT, "sequence": "golden"}
POSITIONS = {"start": -24.0, "step": 0.8, "count": 61}
PIXEL = (300e-6, 300e-6)


def classes_of_all_of_it(beamline: Beamline, folder: Path) -> npt.NDArray[Any]:
    """The final class map of every projection, measured without an engine."""
    site, virtual = beamline.site, beamline.virtual
    scan = {"name": "whole", "angles": ANGLES, "positions": POSITIONS, "index": "order"}
    config = load_config(site.write(scan=scan, detector={"monitor": "i0"}))
    directory = RunDirectory(folder)
    directory.create()
    write_resolved(config, directory.config)
    detector = virtual.detector
    encoder = make_encoder(
        "dectris-2", Series(virtual.grid.size, detector.pixel_mask, detector.wavelength, PIXEL, SEED)
    )
    ingest = open_ingest(directory, config, live=True)
    ingest.accept(encoder.start(), time.time())
    for n in range(virtual.grid.size):
        ingest.accept(list(encoder.image(n, *virtual.frame(n))), time.time())
        ingest.settle(wait=False)
        ingest.commit_when_due()
    ingest.settle()
    ingest.commit()
    ingest.close()
    ledger = LedgerReader(directory.ledger, virtual.grid)
    axis, record = RadialAxis(**ledger.snapshot().state["axis"]), ledger.record()
    pipeline = Pipeline.create(directory, config, virtual.grid, axis, None)
    pipeline.take(Journal.read_only(directory.journal), record.rows)
    return np.asarray(pipeline.finish(record)[0]["maps/class_index"])


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_a_plan_ends_with_the_classes_of_all_of_it(tmp_path: Path) -> None:
    """By a real engine and processor: before 60 % of the projections, each class as in the whole scan in 95 %."""
    phases: list[dict[str, Any]] = [{"name": n, "cif": c.structure} for n, c in find_preset(PRESET).crystals.items()]
    phases += [{"name": name, "hump": hump(name, WAVELENGTH)} for name in HUMPS]
    config = {
        "phases": phases, "classification": {"model": "auto"}, "regions": [],
        "integration": {"bins": 1000, "range": None}, "reconstruction": {"iterations": 100, "update_every": 0.5},
    }  # fmt: skip
    with make_beamline(tmp_path, ANGLES, POSITIONS, PRESET, SEED, **config) as beamline:
        run = beamline.site.run("part")
        begun = time.monotonic()
        try:
            drive(beamline.engine, xrdct_until(
                [beamline.detector], beamline.processor, beamline.angle, beamline.position, ANGLES, POSITIONS, **KEYS
            ))  # fmt: skip
            seconds = time.monotonic() - begun
            assert run.wait(300) == 3, run.err  # incomplete, and says so
        finally:
            run.end()
        measured = beamline.counts(tmp_path / "part")["integrated"]
        whole = classes_of_all_of_it(beamline, tmp_path / "whole")
    early = results(tmp_path / "part")["maps/class_index"]
    classes, counts = np.unique(whole[whole >= 0], return_counts=True)
    found = {int(c): round(float((early[whole == c] == c).mean()), 3) for c in classes}
    share = measured / (COUNT * POSITIONS["count"])
    print(f"{measured} frames in {seconds:.0f} s, {share:.2f} of all; of each class {found} of {counts}")
    assert share < 0.6
    assert len(found) == 5
    assert min(found.values()) >= 0.95
