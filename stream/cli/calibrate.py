"""`braggstream calibrate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from stream.core.config import Config, load_config
from stream.core.errors import ConfigError

CALIBRANTS = {"lab6": "lab6", "ceo2": "ceo2", "si": "si"}


def calibrate(
    config: Annotated[Path, typer.Argument(help="The run's config: how the frame is integrated.")],
    image: Annotated[Path, typer.Option(help="The line standard's frame (any format fabio reads).")],
    output: Annotated[Path, typer.Option(help="Where the instrument profile goes.")],
    calibrant: Annotated[str, typer.Option(help="LaB6, CeO2 or Si")] = "LaB6",
) -> None:
    """Find the instrument's line widths from a line standard's frame."""
    typer.echo(write_instrument(load_config(config), image, calibrant, output))


def write_instrument(config: Config, image: Path, calibrant: str, output: Path) -> str:
    """Fit and write the profile; returns a sentence on what was found."""
    from stream.analyse.crystal.calibrate import calibrate as fit
    from stream.analyse.crystal.instrument import save_instrument
    from stream.analyse.crystal.structure import load_structure
    from stream.ingest.integrate import CpuIntegrator, integrate_still, load_geometry, load_mask, read_image

    if calibrant.lower() not in CALIBRANTS:
        raise ConfigError(f"--calibrant is {calibrant!r}, not LaB6, CeO2 or Si")
    geometry = load_geometry(config.detector.geometry)
    mask = load_mask(config.detector.mask, geometry)
    integrate = CpuIntegrator.create(geometry, config.integration, mask)
    where = f"--image {image}"
    pattern = integrate_still(read_image(image, where), integrate, where)
    reached = pattern.norms > 0
    norms = np.where(reached, pattern.norms, 1).astype(np.float64)
    intensity = np.where(reached, pattern.sums / norms, np.nan)
    variance = np.where(reached, pattern.variances / norms**2, np.nan)
    instrument = fit(integrate.axis, intensity, variance, load_structure(CALIBRANTS[calibrant.lower()]))
    save_instrument(instrument, output)
    sigma, gamma = (np.rad2deg(width) for width in instrument.widths(np.deg2rad(instrument.valid)))
    low, high = instrument.valid
    return (
        f"{output}: σ {sigma[0]:.4f}° to {sigma[1]:.4f}°, γ {gamma[0]:.4f}° to {gamma[1]:.4f}° "
        f"from {instrument.calibrant} lines between 2θ = {low:.2f}° and {high:.2f}°"
    )
