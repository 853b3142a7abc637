"""How long frames take to come on live maps, for those who watch the run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from stream.core.rundir import RunDirectory
from stream.core.vitals import Vitals
from stream.ingest.ledger import FrameRow


@dataclass(slots=True)
class Delays:
    """Counts the seconds from the reception of a frame to the first live maps that have it, and those of an update.

    newest is the reception of the newest frame taken, in Unix seconds. Frames from before `begun` tell nothing: they
    waited for this process.
    """

    vitals: Vitals
    begun: float = field(default_factory=time.time)
    newest: float | None = None
    _waiting: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, directory: RunDirectory) -> Self:
        """Those of analyse."""
        return cls(Vitals(directory.vitals / "analyse.json"))

    def take(self, rows: Sequence[FrameRow]) -> None:
        """Frames were taken from the journal."""
        received = [row.received for row in rows if row.received > self.begun]
        self._waiting += received
        self.newest = max([*received, self.newest or 0.0]) or None

    def updated(self, seconds: float) -> None:
        """Live maps that have all of them are stored; to make them took so long."""
        self.vitals.histogram("update").observe(seconds)
        self.vitals.histogram("map").observe(time.time() - np.array(self._waiting))
        self._waiting.clear()
