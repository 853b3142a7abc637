"""Interleaved rounds: who is compared is timed in turn, so that a busy machine slows all of them alike."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Job:
    """What is timed: a call that does `count` items (frames, say)."""

    call: Callable[[], object]
    count: int = 1


@dataclass(frozen=True, slots=True)
class Figure:
    """One value of each round."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return float(np.median(self.values))

    @property
    def spread(self) -> float:
        """Median absolute deviation from the median."""
        return float(np.median(np.abs(np.array(self.values) - self.median)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table; what there is no figure of is None, and the note says why.

    ratio is how many times the peer's time ours goes into, formed in each round. deviation is the largest one of
    our result from the peer's, relative to the peer's largest value; it must not exceed bound.
    """

    name: str
    unit: str
    ours: Figure | None = None
    peer: str | None = None
    theirs: Figure | None = None
    ratio: Figure | None = None
    deviation: float | None = None
    bound: float | None = None
    note: str = ""

    @property
    def right(self) -> bool:
        """False where the figure is of a wrong result."""
        return self.deviation is None or self.bound is None or self.deviation <= self.bound


def interleave(
    jobs: Sequence[Job], rounds: int, floor: float, clock: Callable[[], float] = time.perf_counter
) -> list[Figure]:
    """Milliseconds an item of each job.

    Each job is called once to warm it and once to see how many calls last `floor` seconds; so many are one round's
    measurement. Who begins a round changes from round to round: what one leaves in the caches helps each alike.
    """
    calls = []
    for job in jobs:
        job.call()
        calls.append(max(1, math.ceil(floor / max(timed(job, 1, clock), 1e-9))))
    times: list[list[float]] = [[] for _ in jobs]
    for turn in range(rounds):
        for place in range(len(jobs)):
            at = (turn + place) % len(jobs)
            times[at].append(1e3 * timed(jobs[at], calls[at], clock) / (calls[at] * jobs[at].count))
    return [Figure(tuple(values)) for values in times]


def timed(job: Job, calls: int, clock: Callable[[], float]) -> float:
    """Seconds that so many calls take."""
    begun = clock()
    for _ in range(calls):
        job.call()
    return clock() - begun


def ratio(ours: Figure, theirs: Figure) -> Figure:
    """Theirs over ours, round by round."""
    return Figure(tuple(b / a for a, b in zip(ours.values, theirs.values, strict=True)))
