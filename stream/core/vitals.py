"""What each process of a run tells of itself, once a second: a file in DIR/vitals, moved into place.

Prometheus asks publish alone, which reads these files; durations are counted where they end. The supervisor removes the
file of a process that it starts: one that is there is of the process that runs, and says that it has begun its work.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import structlog

from stream.core.errors import StoreError
from stream.core.files import read_json, write_json

EVERY = 1.0  # seconds
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper ends of a histogram's classes in seconds; what is longer comes last."""

log = structlog.get_logger()


@dataclass(slots=True)
class Histogram:
    """Durations in seconds: counts of each class of BOUNDS, one more beyond the last, and their sum."""

    counts: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(BOUNDS) + 1, dtype=np.int64))
    total: float = 0.0

    def observe(self, seconds: npt.ArrayLike) -> None:
        """Count one duration, or many at once."""
        values = np.atleast_1d(np.asarray(seconds, dtype=np.float64))
        self.counts += np.bincount(np.searchsorted(BOUNDS, values), minlength=len(self.counts))
        self.total += float(values.sum())

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {"counts": self.counts.tolist(), "sum": self.total}


@dataclass(slots=True)
class Vitals:
    """One process's file, its histograms by name."""

    path: Path
    histograms: dict[str, Histogram] = field(default_factory=dict)
    _due: float = 0.0

    def histogram(self, name: str) -> Histogram:
        """The histogram of that name."""
        return self.histograms.setdefault(name, Histogram())

    def beat(self, values: Callable[[], Mapping[str, Any]] = dict) -> None:
        """Write the file, with these values, if a second has passed; call it often, from where the work is done."""
        if (now := time.monotonic()) >= self._due:
            self._due = now + EVERY
            counted = {name: histogram.as_dict() for name, histogram in self.histograms.items()}
            tell(self.path, {"histograms": counted, "values": values()})


def tell(path: Path, told: Mapping[str, Any]) -> None:
    """Write what a process tells; a disk that does not take it is for those to say whose data it costs."""
    try:
        path.parent.mkdir(exist_ok=True)
        write_json(path, {"pid": os.getpid(), "time": time.time(), **told})
    except (OSError, StoreError) as error:
        log.warning("vitals.not_told", file=path.name, error=str(error))


def read_vitals(folder: Path) -> dict[str, dict[str, Any]]:
    """What each process told last, by its name."""
    found = {path.stem: read_json(path) for path in folder.glob("*.json")}
    return {name: told for name, told in found.items() if told is not None}  # None: removed meanwhile
