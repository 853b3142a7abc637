"""A golden-angle scan that ends when its class map is stable, against all of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.beamline import KEYS, drive, make_beamline
from helpers.chain import results, write_poni
from helpers.virtual import hump

from stream.bluesky.plans import xrdct_until
from stream.simulate.presets import HUMPS

WAVELENGTH = 0.6738
ANGLES = {"start": 0.0, "step": 3.0, "count": 60, "sequence": "golden"}
POSITIONS = {"start": -24.0, "step": 1.0, "count": 49}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_scan_ends_by_itself_with_the_classes_of_all_of_it(tmp_path: Path) -> None:
    phases = [{"name": "layered", "cif": "nmc622"}, {"name": "spinel", "cif": "lnmo-spinel"}]
    phases += [{"name": name, "hump": hump(name, WAVELENGTH)} for name in HUMPS]
    config = {
        "phases": phases, "classification": {"model": "auto"}, "regions": [],
        "integration": {"bins": 1000, "range": None}, "reconstruction": {"iterations": 100, "update_every": 0.5},
    }  # fmt: skip
    classes, counts = [], []
    with make_beamline(tmp_path, ANGLES, POSITIONS, **config) as beamline:
        write_poni(tmp_path / "detector.poni", (128, 128), 300e-6)
        whole = beamline.scan(angles=ANGLES, positions=POSITIONS)
        part = xrdct_until(
            [beamline.detector], beamline.processor, beamline.angle, beamline.position, ANGLES, POSITIONS, **KEYS
        )
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
    assert counts[1] < counts[0]
    agreement = {int(c): float((early[all_of_it == c] == c).mean()) for c in np.unique(all_of_it) if c >= 0}
    print(counts, agreement)
    assert min(agreement.values()) >= 0.9
