"""Amounts of phases in each ray, some rays at a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stream.analyse import sinograms
from stream.analyse.sinograms import Sinograms
from stream.analyse.store import PatternStore
from stream.core.axis import RadialAxis
from stream.core.config.scan import ScanConfig
from stream.core.scan import ScanGrid

N, BINS = 6, 20


def test_amounts_that_change_faster_than_rays_are_taken_reach_every_ray(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sinograms, "AT_ONCE", 8)
    steps = {"start": 0.0, "step": 1.0, "count": N}
    grid = ScanGrid.from_config(ScanConfig.model_validate({"name": "s", "angles": steps, "positions": steps}))
    store = PatternStore.create(tmp_path / "p.f4", grid, RadialAxis("2th_deg", 1.0, 5.0, BINS, 0.7), None)
    amounts = Sinograms(store, {}, ["layered"])
    ages = np.full(grid.size, -1)
    for update in range(1, 2 * N):
        slots = range((update - 1) * N, update * N) if update <= N else range(0)
        for slot in slots:
            store.patterns.reshape(-1, BINS)[slot] = 1.0
            store.measured.ravel()[slot] = True
        amounts.take(slots)
        amounts.weigh({"layered": np.full(BINS, float(update))})  # every update has another operator
        amounts.update()
        found = amounts.arrays()["sinograms/layered"].ravel()
        assert np.isfinite(found[: min(update, N) * N]).all(), "new rays go first"
        ages = np.where(np.isfinite(found), update - found / BINS, -1)
    assert ages.max() <= -(-grid.size // 8), "the others take turns"
