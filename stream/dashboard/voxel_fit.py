"""The fit of one voxel, made when somebody clicks on it."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from stream.analyse.crystal.fit import PatternFit
from stream.analyse.voxels import as_phase, build_fit
from stream.core.axis import RadialAxis
from stream.core.config import Config
from stream.core.rundir import RunDirectory
from stream.core.scan import ScanGrid
from stream.ingest.ledger_reader import LedgerReader


@dataclass(slots=True)
class VoxelFit:
    """Fits a voxel's pattern with the run's phases; called from the server's threads, one at a time."""

    directory: RunDirectory
    config: Config
    _fit: PatternFit | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, axis: npt.NDArray[Any], pattern: npt.NDArray[Any]) -> dict[str, Any]:
        """The fitted curve of a pattern (bin,)."""
        with self._lock:
            if self._fit is None:
                self._fit = self._load()
            level = np.nanmean(np.abs(pattern))
            variance = np.full((1, pattern.size), level if level > 0 else 1.0, dtype=np.float32)
            result = self._fit.fit(pattern[None], variance, curve=True)
            return {"curve": result.curve[0] if result.curve is not None else None}

    def _load(self) -> PatternFit:
        state = LedgerReader(self.directory.ledger, ScanGrid.from_config(self.config.scan)).snapshot().state
        return build_fit(self.config, RadialAxis(**state["axis"]), [as_phase(phase) for phase in self.config.phases])
