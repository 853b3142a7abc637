"""Live volumes against the truth, in every order of a scan, and with rays that never came."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from helpers.live_scan import ANGLES, COUNT, ITERATIONS, ORDERS, error, grid, live_errors, scan

from stream.analyse.tomography.projector import Projector
from stream.analyse.tomography.sirt import reconstruct

pytestmark = pytest.mark.slow


@cache
def offline(counts: float) -> float:
    source = grid("linear")
    projector = Projector(source.angles, source.positions, 0.0)
    return error(reconstruct(projector, scan(counts), np.ones(projector.rays), ITERATIONS)[0])


@pytest.mark.parametrize("counts", [5.0, 50.0])
@pytest.mark.parametrize("order", ORDERS)
def test_at_the_last_ray_the_live_volume_is_as_good_as_sirt_of_all(order: str, counts: float, tmp_path: Path) -> None:
    errors = live_errors(tmp_path, order, scan(counts), counts)
    print(order, counts, np.round(errors, 3), "offline", round(offline(counts), 3))
    assert errors[-1] <= 1.1 * offline(counts)
    assert np.all(np.diff(errors) < 0.01)


@pytest.mark.parametrize("gap", ["a tenth at random", "a wedge of 20 degrees"])
def test_missing_rays_cost_less_than_zeros(gap: str) -> None:
    source = grid("linear")
    measured = np.random.default_rng(3).random((ANGLES, COUNT)) >= 0.1
    if gap != "a tenth at random":
        measured = np.repeat(((source.angles < 60) | (source.angles >= 80))[:, None], COUNT, axis=1)
    projector = Projector(source.angles, source.positions, 0.0)
    data = scan(50.0)
    holes = np.where(measured[..., None], data, 0)
    weighted = error(reconstruct(projector, holes, measured, ITERATIONS)[0])
    filled = error(reconstruct(projector, holes, np.ones(projector.rays), ITERATIONS)[0])
    print(gap, "complete", round(offline(50.0), 3), "weighted", round(weighted, 3), "zeros", round(filled, 3))
    assert weighted < filled
