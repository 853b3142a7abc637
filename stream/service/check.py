"""Everything that can be known to be wrong with a config before a frame arrives."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from stream.analyse.elements import ANGSTROM_KEV
from stream.analyse.fluorescence.lines import element_lines
from stream.analyse.self_absorption import SelfAbsorption
from stream.analyse.voxels import VoxelReader
from stream.core.config import Config
from stream.core.scan import ScanGrid
from stream.ingest.curve import read_curve_keys
from stream.ingest.integrate import CpuIntegrator, load_background, load_geometry, load_mask
from stream.ingest.integrate.backend import open_backend
from stream.service.keys import facility_key, users_key

PATTERN_BYTES = 12  # sum, norm and variance of a bin


def check(config: Config, *, planned: bool = False) -> Iterator[str]:
    """Load every file the config names; lines that say what a run of it would be.

    planned: the grid is a stand-in, and comes with a plan's start document.

    Raises
    ------
    ConfigError
        naming the key that is wrong.
    UnavailableError
        where the device that integration.backend names is not there.
    """
    users_key(config)
    facility_key(config)
    read_curve_keys(config)
    grid = ScanGrid.from_config(config.scan)
    slices, angles, positions = grid.shape
    size = f"{slices} slices × {angles} angles × {positions} positions = {grid.size} frames"
    yield f"scan {config.scan.name}: {'its grid comes with the start document of a plan' if planned else size}"
    geometry = load_geometry(config.detector.geometry)
    mask = load_mask(config.detector.mask, geometry)
    rows, columns = geometry.shape
    yield f"detector: {rows} × {columns} pixels, {mask.sum()} masked, wavelength {geometry.wavelength:.5f} Å"
    integrate = CpuIntegrator.create(geometry, config.integration, mask)
    if config.integration.backend in {"cuda", "opencl"}:
        open_backend(config.integration.backend, integrate)
    if config.integration.background is not None:
        load_background(config.integration.background, integrate)
    axis = integrate.axis
    empty = int(np.count_nonzero(integrate(np.zeros(geometry.shape, dtype=np.uint16)).norms == 0))
    yield f"patterns: {axis.bins} bins from {axis.low:.4g} to {axis.high:.4g} {axis.unit}, {empty} without a pixel"
    if config.fluorescence is not None:
        beam_kev = ANGSTROM_KEV / geometry.wavelength
        lines = [element_lines(element, beam_kev) for element in config.fluorescence.elements]
        SelfAbsorption.of(config, grid, lines, beam_kev)
        yield f"fluorescence: {', '.join(config.fluorescence.elements)}"
    reader = VoxelReader.from_config(config, axis)
    yield from reader.description()
    if not planned:
        yield f"disk: the journal takes {grid.size * axis.bins * PATTERN_BYTES / 1e9:.2f} GB"
    yield "the config is valid"
