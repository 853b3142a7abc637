"""Work that takes longer than an update, in a thread beside the updates that gives way to them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Generic, TypeVar

NICE = 5  # more than the process

T = TypeVar("T")


@dataclass(slots=True)
class Aside(Generic[T]):
    """One job at a time."""

    name: str
    _pool: ThreadPoolExecutor = field(init=False)
    _running: Future[T] | None = None

    def __post_init__(self) -> None:
        """A thread of its own, which begins with the first job."""
        self._pool = ThreadPoolExecutor(1, self.name, initializer=_give_way)

    @property
    def busy(self) -> bool:
        """Whether a job runs whose result nobody has taken."""
        return self._running is not None

    def begin(self, job: Callable[[], T]) -> None:
        """Run a job; only while none is running."""
        assert self._running is None
        self._running = self._pool.submit(job)

    def taken(self) -> T | None:
        """What the job has found, once; None while it runs, and where there is none."""
        if self._running is None or not self._running.done():
            return None
        return self.awaited()

    def awaited(self) -> T | None:
        """What the job has found, waited for; None where there is none."""
        running, self._running = self._running, None
        return None if running is None else running.result()


def _give_way() -> None:
    if sys.platform == "linux":  # elsewhere niceness is the whole process's
        os.nice(NICE)
