"""A run that moved a line standard through the beam gives the pattern of all its frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.bench import SHAPE, Bench, pixels, v1, v1_end, v1_start

from stream.core.config import Config
from stream.core.errors import RunDirectoryError, UsageError
from stream.ingest.integrate import CpuIntegrator, integrate_still, load_geometry
from stream.service.standard import standard_pattern

SCAN = {"mode": "raster", "slices": {"count": 3}}


def integrator(config: Config, bins: int = 40) -> CpuIntegrator:
    section = config.integration.model_copy(update={"bins": bins})
    return CpuIntegrator.create(load_geometry(config.detector.geometry), section, np.zeros(SHAPE, dtype=bool))


def test_frames_count_together_and_dead_pixels_do_not(tmp_path: Path) -> None:
    bench = Bench.open(tmp_path, scan={**SCAN, "angles": None})
    dead = np.zeros(SHAPE, np.uint32)
    dead[20:24, 30:50] = 1
    bench.send(v1_start(mask=dead), *(v1(n) for n in range(12)), v1_end())
    bench.close()
    found, unseen = standard_pattern(bench.directory.path, integrator(bench.config), "--image run")
    total = np.where(dead > 0, np.nan, np.sum([pixels(n).astype(float) for n in range(12)], axis=0))
    expected = integrate_still(total, integrator(bench.config), "the sum")
    np.testing.assert_allclose(found.sums / found.norms, expected.sums / expected.norms / 12, rtol=1e-6)
    np.testing.assert_allclose(found.variances, expected.variances, rtol=1e-5)
    np.testing.assert_array_equal(unseen, dead > 0)
    with pytest.raises(UsageError, match="other bins"):
        standard_pattern(bench.directory.path, integrator(bench.config, 50), "--image run")
    with pytest.raises(RunDirectoryError):
        standard_pattern(tmp_path, integrator(bench.config), "--image run")
