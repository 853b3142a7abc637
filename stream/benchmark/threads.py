"""Work spread over threads, ours and the peers' alike."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from stream.benchmark.rounds import Job

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Threads:
    """A pool of `count` threads, each of which starts no OpenMP threads of its own."""

    count: int
    pool: ThreadPoolExecutor

    @classmethod
    def start(cls, count: int) -> Threads:
        """Start them."""
        return cls(count, ThreadPoolExecutor(count, "benchmark", initializer=limit_openmp, initargs=(1,)))

    @property
    def frames(self) -> int:
        """Frames of one call: two for each thread, and no fewer than four."""
        return max(4, 2 * self.count)

    def spread(self, work: Callable[[T], object], items: Sequence[T]) -> Job:
        """Each item to the next free thread."""

        def call() -> None:
            deque(self.pool.map(work, items), maxlen=0)

        return Job(call, len(items))

    def openmp(self, work: Callable[[T], object], items: Sequence[T]) -> Job:
        """One item after the other, the library's own OpenMP threads inside."""

        def call() -> None:
            limit_openmp(self.count)
            for item in items:
                work(item)

        return Job(call, len(items))

    def close(self) -> None:
        """End the threads."""
        self.pool.shutdown()


def limit_openmp(count: int) -> Any:
    """How many OpenMP threads what this thread calls may start: OpenMP keeps the number for each caller."""
    return threadpool_limits(count, user_api="openmp")
