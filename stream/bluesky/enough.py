"""When a scan is good enough: its maps meet a criterion several times in a row, or its time is out."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

import bluesky.plan_stubs as bps
from bluesky.utils import MsgGenerator

from stream.bluesky.course import Scan

Criterion = Literal["classes", "strain", "time"]


@dataclass
class GoodEnough:
    """Asked after each point, with the number of points so far; looks at the maps after each projection.

    bound: the least share of ``settled``, or the largest ``strain_error``; times, least and seconds as of
    `xrdct_until`.
    """

    scan: Scan
    criterion: Criterion
    bound: float
    times: int
    least: float
    seconds: float | None
    _begun: float | None = None  # with the first point: the processor may have been waited for
    _in_a_row: int = 0
    _before: float | None = None

    def __call__(self, done: int) -> MsgGenerator[bool]:
        """True once it is."""
        self._begun = self._begun or time.monotonic()
        if done % len(self.scan.grid.positions):
            return False
        device = self.scan.processor
        yield from bps.trigger(device, wait=True)
        reading = yield from bps.read(device)
        key = "settled" if self.criterion == "classes" else "strain_error"
        self._look(reading[f"{device.name}-{key}"]["value"])
        late = self.seconds is not None and time.monotonic() - self._begun > self.seconds
        return late or (self._in_a_row >= self.times and done >= self.least * self.scan.grid.size)

    def _look(self, value: float) -> None:
        holds = {"classes": value >= self.bound, "strain": value <= self.bound, "time": False}[self.criterion]
        self._in_a_row = self._in_a_row + (value != self._before) if holds else 0  # the same value is the same map
        self._before = value
