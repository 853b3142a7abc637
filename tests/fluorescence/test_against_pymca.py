"""A simulated sum spectrum fitted here and by PyMca, which must be installed beside the rest (`pip install PyMca5`)."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.chain import tiny_site

from stream.analyse.element_look import channels_of
from stream.analyse.fluorescence.calibrate import branch, refine
from stream.analyse.fluorescence.fit import fit_spectrum
from stream.analyse.fluorescence.lines import element_lines
from stream.analyse.fluorescence.response import Response
from stream.core.config import load_config
from stream.core.scan import ScanGrid
from stream.ingest.integrate import load_geometry
from stream.simulate.fluorescence import CHANNELS, VirtualSpectra
from stream.simulate.presets import find_preset
from stream.simulate.scan import VirtualScan

pytestmark = pytest.mark.slow
ELEMENTS = ("Ni", "Co", "Mn")
BEAM = 12.398419843320026 / 0.6738


@pytest.fixture
def theory() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own imports
        module = pytest.importorskip(
            "PyMca5.PyMcaPhysics.xrf.ClassMcaTheory", reason="PyMca5 is not installed", exc_type=ImportError
        )
        return module.McaTheory()


def by_pymca(theory: Any, counts: np.ndarray, low: int, high: int) -> dict[str, float]:
    """Areas of the K lines, with their escape peaks, over its own SNIP background."""
    config = theory.getConfiguration()
    config["fit"] |= {
        "xmin": low, "xmax": high, "use_limit": 1, "energy": [BEAM], "energyweight": [1.0], "energyflag": [1],
        "energyscatter": [0], "stripflag": 1, "stripalgorithm": 1, "snipwidth": 30, "continuum": 3, "escapeflag": 1,
        "sumflag": 0, "scatterflag": 0, "hypermetflag": 1, "fitfunction": 0, "linearfitflag": 0, "fitweight": 1,
    }  # fmt: skip
    config["detector"] |= {"detele": "Si", "zero": 0.0, "gain": 0.01, "noise": 0.1, "fano": 0.115, "nthreshold": 4}
    config["detector"] |= {"fixedzero": 0, "fixedgain": 0, "fixednoise": 0, "fixedfano": 1, "fixedsum": 1, "sum": 0.0}
    config["peaks"] = {element: ["K"] for element in ELEMENTS}
    config["attenuators"] = {name: [0, *rest[1:]] for name, rest in config["attenuators"].items()}
    theory.setConfiguration(config)
    theory.setData(np.arange(CHANNELS, dtype=float), counts, xmin=low, xmax=high)
    theory.estimate()
    found = theory.startfit(digest=1)[1]
    return {element: float(found[f"{element} K"]["fitarea"]) for element in ELEMENTS}


def test_net_intensities_are_those_of_pymca(theory: Any, tmp_path: Path) -> None:
    site = tiny_site(tmp_path)
    config = load_config(site.path)
    integrator = load_geometry(config.detector.geometry).integrator
    scan = VirtualScan(ScanGrid.from_config(config.scan), integrator, find_preset("ncm622-cycled"), seed=5)
    source = VirtualSpectra(scan, ELEMENTS)
    expected = np.sum([source.expected(n) for n in range(scan.grid.size)], axis=0)
    counts = np.random.default_rng(1).poisson(expected).astype(float)
    lines = [element_lines(element, BEAM) for element in ELEMENTS]
    channels = channels_of(lines, Response(0.0, 0.01))
    part = counts[channels.astype(int)]
    response = refine(part, part, channels, lines, Response(0.0, 0.01))
    fit = fit_spectrum(part, part, channels, branch(part, part, channels, lines, response), response)
    ours = dict(zip(fit.elements, fit.net, strict=True))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own code
        theirs = by_pymca(theory, counts, int(channels[0]), int(channels[-1]))
    print({element: f"{ours[element]:.0f}, PyMca {theirs[element]:.0f}" for element in ELEMENTS})
    for element in ELEMENTS:
        assert ours[element] == pytest.approx(theirs[element], rel=0.03)
