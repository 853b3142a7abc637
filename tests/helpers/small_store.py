"""Patterns of a small scan as analyse keeps them: counts at random, some rays missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from stream.analyse.store import PatternStore
from stream.core.axis import RadialAxis
from stream.core.config import ScanConfig
from stream.core.messages import Pattern
from stream.core.scan import ScanGrid
from stream.ingest.journal import Journal
from stream.ingest.ledger import FrameRow


def small_store(folder: Path, bins: int, slices: int = 2, angles: int = 9, positions: int = 11) -> PatternStore:
    """Slices over a half turn, nine rays of ten measured."""
    scan = {
        "name": "t",
        "slices": {"start": 0, "step": 1, "count": slices},
        "angles": {"start": 0, "step": 180 / angles, "count": angles},
        "positions": {"start": -(positions - 1) / 2, "step": 1, "count": positions},
    }
    axis, grid = RadialAxis("2th_deg", 1.0, 20.0, bins, 0.6738), ScanGrid.from_config(ScanConfig.model_validate(scan))
    store = PatternStore.create(folder / "patterns", grid, axis, None, False)
    journal, random = Journal.create(folder / "journal", grid.size, bins), np.random.default_rng(7)
    norms = np.full(bins, 50, np.float32)
    for slot in np.flatnonzero(random.random(grid.size) < 0.9).tolist():
        row = FrameRow(slot=slot, series="1", frame=slot, monitor=1.0, received=0.0, transmission=None)
        sums = random.poisson(3000, bins).astype(np.float32)
        journal.write(row, Pattern(sums=sums, norms=norms, variances=sums))
        store.take(journal, row)
    journal.close()
    return store
