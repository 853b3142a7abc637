"""Compile every kernel once, so that no run waits for it: `python -m stream.service.warm`.

Compiled code is kept beside the package (numba's cache), or in NUMBA_CACHE_DIR where that cannot be written.
"""

from __future__ import annotations

import logging
import tempfile
import time
from pathlib import Path

import numpy as np
import structlog

from stream.analyse.particles import separate
from stream.analyse.store import PatternStore, window
from stream.analyse.tomograph import Tomograph
from stream.analyse.voxels import VoxelReader
from stream.core.config import Config, IntegrationConfig, load_config
from stream.core.scan import ScanGrid
from stream.ingest import preview
from stream.ingest.integrate import CpuIntegrator, Geometry, load_geometry, load_mask
from stream.service.calibration import write_instrument
from stream.simulate.command import Setup
from stream.simulate.defaults import STANDARD, write_beamline
from stream.simulate.presets import find_preset
from stream.simulate.scan import VirtualScan

PRESET = "ncm622-cycled"


def warm() -> float:
    """Take a few virtual frames through the whole chain; returns the seconds it took."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        _chain(Path(folder))
    return time.monotonic() - begun


def _chain(folder: Path) -> None:
    path = write_beamline(folder, PRESET, True, "tcp://127.0.0.1:1", 0)
    config = load_config(path, {})
    write_instrument(config, folder / STANDARD, "LaB6", folder / "instrument.yaml")
    config = config.model_copy(update={"instrument": folder / "instrument.yaml"})
    geometry = load_geometry(config.detector.geometry)
    integrate = CpuIntegrator.create(geometry, config.integration, load_mask(None, geometry))
    integrate.warm_up()
    preview.warm_up()
    _other_integrations(config, geometry)
    grid = ScanGrid.from_config(config.scan)
    setup = Setup.from_config(path)
    scan = VirtualScan(grid, setup.integrator, find_preset(PRESET), seed=0)
    store = PatternStore.create(folder / "patterns.f4", grid, integrate.axis, None)
    for frame in range(0, grid.size, 8):
        pattern = integrate(scan.frame(frame)[0])
        index = np.unravel_index(grid.visit[frame], grid.shape)
        store.patterns[index] = pattern.sums / np.where(pattern.norms > 0, pattern.norms, np.nan)
        store.measured[index] = True
        store.norms = pattern.norms
    _voxels(config, store, integrate)


def _other_integrations(config: Config, geometry: Geometry) -> None:
    plain = config.integration.model_dump()
    for choice in ({"method": "bbox"}, {"filter": {"sigma_clip": 5}}, {"filter": {"trimmed": [0.1, 0.1]}}):
        integration = IntegrationConfig.model_validate(plain | choice)
        CpuIntegrator.create(geometry, integration, load_mask(None, geometry)).warm_up()


def _voxels(config: Config, store: PatternStore, integrate: CpuIntegrator) -> None:
    slices, _, count = store.grid.shape
    volume = np.full((slices, count, count, store.axis.bins), np.nan, np.float32)
    tomograph = Tomograph(store, config.reconstruction, volume, window(store.patterns, store.axis, None).astype("f4"))
    tomograph.update(1.0)  # what only live volumes need
    tomograph.refine(1.0)
    tomograph.settle()
    reader = VoxelReader.from_config(config, integrate.axis)
    for s, (voxels, _) in enumerate(tomograph.finals()):
        reader.read(s, voxels, {}, None)
    separate(np.ones((8, 8), dtype=bool))


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))  # nobody's data
    print(f"kernels compiled in {warm():.0f} s")  # noqa: T201
