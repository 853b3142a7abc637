"""A line standard and a sample on the same tilted detector, each a frame of the virtual beamline: the strain found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.chain import write_poni

from stream.analyse.crystal.calibrate import calibrate
from stream.analyse.crystal.fit import PatternFit
from stream.analyse.crystal.model import Crystal
from stream.analyse.crystal.response import Response
from stream.analyse.crystal.structure import load_structure
from stream.core.config import IntegrationConfig
from stream.core.messages import Pattern
from stream.ingest.integrate import CpuIntegrator, integrate_still, load_geometry
from stream.simulate import presets
from stream.simulate.calibrant import calibrant_image
from stream.simulate.detector import POINT_SPREAD, Detector
from stream.simulate.powder import crystal_pattern, load_lines

STRAIN = 7.9e-4
TILTS = {
    "both ways": {"wavelength": 0.6199e-10, "distance": 0.11, "rot1": -0.02, "rot2": 0.015},
    "a little": {"wavelength": 0.6738e-10, "distance": 0.12, "rot1": 0.01, "rot2": -0.008},
}


@pytest.mark.parametrize("tilt", TILTS)
def test_strain_behind_a_tilted_detector(tmp_path: Path, tilt: str) -> None:
    """CeO2 counted, the sample without noise: 1.4 % low, and a χ² of 2 to 7, with the pixel of all rings on each."""
    write_poni(tmp_path / "detector.poni", (512, 512), 75e-6, **TILTS[tilt])
    geometry, plain = load_geometry(tmp_path / "detector.poni"), IntegrationConfig(bins=1200)
    detector = Detector(geometry.integrator, 0.99, seed=1)
    mask = ~detector.valid
    integrate = CpuIntegrator.create(geometry, plain, mask)
    response = Response.of(geometry, plain, mask)
    counts = integrate_still(calibrant_image(detector, "CeO2", seed=1), integrate, "CeO2")
    found = calibrate(integrate.axis, *_intensity(counts), load_structure("ceo2"), response)
    assert 0.4 < found.quality < 1.2
    ends = np.deg2rad(found.instrument.valid)
    sigma = found.instrument.widths(ends, response.seen(ends)[0])[0]
    blur = (POINT_SPREAD * 75e-6 / TILTS[tilt]["distance"]) ** 2 + np.deg2rad(np.deg2rad(response.rest))
    np.testing.assert_allclose(sigma, np.sqrt(blur) * np.cos(ends) ** 2, rtol=0.025)

    lines = load_lines("nmc622", detector.grid.d_min)
    crystal = presets.Crystal(structure="nmc622")
    pattern = crystal_pattern(lines, crystal, STRAIN, 1.0, np.ones(lines.d.size), detector.grid)
    image = detector.images(pattern[None] / pattern.mean())[0].reshape(geometry.shape)
    image[mask] = np.nan
    values, variances = _intensity(integrate_still(image + np.float32(0.3), integrate, "sample"))
    fit = PatternFit(
        integrate.axis, [Crystal("layered", load_structure("nmc622"))], found.instrument, response=response
    )
    strain = fit.fit(values[None], variances[None], threads=1).phases["layered"].strain[0]
    assert strain == pytest.approx(STRAIN, rel=0.008)


def _intensity(pattern: Pattern) -> tuple[np.ndarray, np.ndarray]:
    reached = pattern.norms > 0
    norms = np.where(reached, pattern.norms, 1).astype(np.float64)
    return tuple(np.where(reached, part, np.nan) for part in (pattern.sums / norms, pattern.variances / norms**2))
