"""A golden-angle scan that ends when its class map has settled, against all of it."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import yaml
from helpers.beamline import KEYS, drive, make_beamline
from helpers.chain import results, write_poni
from helpers.virtual import hump

from stream.analyse.pipeline import Pipeline
from stream.bluesky.plans import xrdct_until
from stream.bluesky.settling import Settling
from stream.core.axis import RadialAxis
from stream.core.config import load_config, write_resolved
from stream.core.rundir import RunDirectory
from stream.core.scan import ScanGrid
from stream.ingest.integrate import load_geometry
from stream.ingest.journal import Journal
from stream.ingest.ledger_reader import LedgerReader, LedgerRecord
from stream.ingest.process import open_ingest
from stream.simulate.presets import HUMPS, find_preset
from stream.simulate.scan import VirtualScan
from stream.simulate.wire import Series, make_encoder

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]

WAVELENGTH = 0.6738
POSITIONS = {"start": -24.0, "step": 1.0, "count": 49}
FINE = {"start": -24.0, "step": 0.8, "count": 61}
COUNT = 240
ENOUGH = 0.95
PIXELS, WIDTH = 128, 300e-6


def angles(count: int) -> dict[str, Any]:
    return {"start": 0.0, "step": 180 / count, "count": count, "sequence": "golden"}


def agreement(early: npt.NDArray[Any], whole: npt.NDArray[Any]) -> dict[int, float]:
    """Of the voxels of each class in the whole scan, the share that has it already."""
    return {int(c): round(float((early[whole == c] == c).mean()), 3) for c in np.unique(whole) if c >= 0}


class Measured:
    """All frames of a virtual scan in a journal, and the maps of the first projections of it."""

    def __init__(self, folder: Path, preset: str, seed: int, count: int) -> None:
        sample = find_preset(preset)
        write_poni(folder / "detector.poni", (PIXELS, PIXELS), WIDTH)
        phases: list[dict[str, Any]] = [{"name": n, "cif": crystal.structure} for n, crystal in sample.crystals.items()]
        phases += [{"name": name, "hump": hump(name, WAVELENGTH)} for name in HUMPS]
        config = {
            "scan": {"name": "until", "angles": angles(count), "positions": FINE},
            "detector": {"endpoint": "tcp://127.0.0.1:1", "geometry": "detector.poni", "monitor": "i0"},
            "phases": phases, "integration": {"bins": 1000}, "reconstruction": {"update_every": 0.5},
        }  # fmt: skip
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        self.folder, self.config = folder, load_config(folder / "config.yaml")
        self.grid = ScanGrid.from_config(self.config.scan)
        directory = RunDirectory(folder / "run")
        directory.create()
        write_resolved(self.config, directory.config)
        virtual = VirtualScan(self.grid, load_geometry(self.config.detector.geometry).integrator, sample, seed=seed)
        detector = virtual.detector
        series = Series(self.grid.size, detector.pixel_mask, detector.wavelength, (WIDTH, WIDTH), seed)
        encoder = make_encoder("dectris-2", series)
        ingest = open_ingest(directory, self.config, live=True)
        ingest.accept(encoder.start(), time.time())
        for n in range(self.grid.size):
            ingest.accept(list(encoder.image(n, *virtual.frame(n))), time.time())
            ingest.settle(wait=False)
            ingest.commit_when_due()
        ingest.settle()
        ingest.commit()
        ingest.close()
        ledger = LedgerReader(directory.ledger, self.grid)
        self.axis = RadialAxis(**ledger.snapshot().state["axis"])
        self.journal, self.record = Journal.read_only(directory.journal), ledger.record()
        self.visited = np.argsort(self.grid.visit)

    def first(self, projections: int) -> LedgerRecord:
        """What the ledger would hold after so many projections."""
        count = projections * len(self.grid.positions)
        return replace(self.record, rows=[row for row in self.record.rows if self.visited[row.slot] < count])

    def pipeline(self, name: str) -> Pipeline:
        work = RunDirectory(self.folder / name)
        work.create()
        return Pipeline.create(work, self.config, self.grid, self.axis, None)

    def settles(self) -> int:
        """The projections after which the live class map has settled, three times in a row."""
        pipeline, settling, in_a_row = self.pipeline("live"), Settling(), 0
        rows = sorted(self.record.rows, key=lambda row: self.visited[row.slot])
        length = len(self.grid.positions)
        for begin in range(0, len(rows), length):
            pipeline.take(self.journal, rows[begin : begin + length])
            pipeline.update()
            pipeline.refine()
            settling.take(begin + length, pipeline.maps()[0].get("maps/class_index"))
            in_a_row = in_a_row + 1 if settling.settled(self.grid.size) >= ENOUGH else 0
            if in_a_row == 3 and begin > self.grid.size / 4:
                return begin // length + 1
        return len(self.grid.angles)

    def final(self, projections: int) -> npt.NDArray[Any]:
        pipeline, record = self.pipeline(f"final-{projections}"), self.first(projections)
        pipeline.take(self.journal, record.rows)
        return np.asarray(pipeline.finish(record)[0]["maps/class_index"])


@pytest.mark.parametrize(("preset", "seed"), [("llnmo-cycled", 23)])
def test_it_ends_with_the_classes_of_all_of_it(tmp_path: Path, preset: str, seed: int) -> None:
    scan = Measured(tmp_path, preset, seed, COUNT)
    stop = scan.settles()
    found = agreement(scan.final(stop), scan.final(COUNT))
    print(preset, seed, stop, found)
    assert stop < 0.6 * COUNT
    assert len(found) == 5
    assert min(found.values()) >= ENOUGH


def test_a_plan_ends_by_itself(tmp_path: Path) -> None:
    """A noisy scan of few projections, by a real engine and processor: nine of ten voxels are asked for."""
    phases = [{"name": "layered", "cif": "nmc622"}, {"name": "spinel", "cif": "lnmo-spinel"}]
    phases += [{"name": name, "hump": hump(name, WAVELENGTH)} for name in HUMPS]
    config = {
        "phases": phases, "classification": {"model": "auto"}, "regions": [],
        "integration": {"bins": 1000, "range": None}, "reconstruction": {"iterations": 100, "update_every": 0.5},
    }  # fmt: skip
    classes, counts = [], []
    with make_beamline(tmp_path, angles(60), POSITIONS, **config) as beamline:
        write_poni(tmp_path / "detector.poni", (128, 128), 300e-6)
        whole = beamline.scan(angles=angles(60), positions=POSITIONS)
        part = xrdct_until(
            [beamline.detector], beamline.processor, beamline.angle, beamline.position, angles(60), POSITIONS,
            agreement=0.9, **KEYS,
        )  # fmt: skip
        for name, plan, code in (("whole", whole, 0), ("part", part, 3)):
            run = beamline.site.run(name)
            try:
                drive(beamline.engine, plan)
                assert run.wait(200) == code, run.err
            finally:
                run.end()
            classes.append(results(tmp_path / name)["maps/class_index"])
            counts.append(beamline.counts(tmp_path / name)["integrated"])
    all_of_it, early = classes
    print(counts, agreement(early, all_of_it))
    assert counts[1] < counts[0]
    assert min(agreement(early, all_of_it).values()) >= 0.9
