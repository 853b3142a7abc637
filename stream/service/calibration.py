"""The instrument profile from a line standard, integrated as the run integrates."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from stream.analyse.crystal.calibrate import calibrate
from stream.analyse.crystal.drawing import draw
from stream.analyse.crystal.instrument import save_instrument
from stream.analyse.crystal.response import Response
from stream.analyse.crystal.structure import load_structure
from stream.core.config import Config
from stream.core.errors import UsageError
from stream.ingest.integrate import CpuIntegrator, load_geometry, load_mask
from stream.service.standard import standard_pattern

CALIBRANTS = ("LaB6", "CeO2", "Si")


def write_instrument(config: Config, image: Path, calibrant: str, output: Path) -> str:
    """Fit and write the profile; returns a sentence on what was found.

    image is a frame, or the directory of a run whose frames are the standard's.

    Raises
    ------
    UsageError
        for an unknown calibrant.
    FitError
        where its lines cannot carry the fit.
    """
    standard = next((name for name in CALIBRANTS if name.lower() == calibrant.lower()), None)
    if standard is None:
        raise UsageError(f"--calibrant is {calibrant!r}, not one of {', '.join(CALIBRANTS)}")
    geometry = load_geometry(config.detector.geometry)
    mask = load_mask(config.detector.mask, geometry)
    integrate = CpuIntegrator.create(geometry, config.integration, mask)
    pattern, dead = standard_pattern(image, integrate, f"--image {image}")
    reached = pattern.norms > 0
    norms = np.where(reached, pattern.norms, 1).astype(np.float64)
    intensity = np.where(reached, pattern.sums / norms, np.nan)
    variance = np.where(reached, pattern.variances / norms**2, np.nan)
    response = Response.of(geometry, config.integration, mask, dead)
    found = calibrate(integrate.axis, intensity, variance, load_structure(standard.lower()), response)
    instrument, drawing = found.instrument, output.with_suffix(".svg")
    save_instrument(instrument.without(dead), output)
    drawing.write_text(draw(integrate.axis, intensity, variance, found, response), encoding="utf-8")
    ends = np.deg2rad(instrument.valid)
    sigma, gamma = map(np.rad2deg, instrument.widths(ends, response.seen(ends)[0]))
    low, high = instrument.valid
    return (
        f"{output}: σ {sigma[0]:.4f}° to {sigma[1]:.4f}°, γ {gamma[0]:.4f}° to {gamma[1]:.4f}° "
        f"from {standard} lines between 2θ = {low:.2f}° and {high:.2f}°; "
        f"reduced χ² {found.quality:.2f}, drawn in {drawing}"
    )
