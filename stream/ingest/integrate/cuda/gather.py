"""Calls of many threads become batches."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(slots=True)
class Gather(Generic[Item, Result]):
    """At most `lanes` batches run at a time; calls that come meanwhile wait, and go together in the next one.

    run
        results of a batch of at most `most` items, in their order.
    """

    run: Callable[[Sequence[Item]], Sequence[Result]]
    lanes: int
    most: int
    _waiting: deque[tuple[Item, Future[Result]]] = field(default_factory=deque)
    _lane: threading.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        """Open the lanes."""
        self._lane = threading.Semaphore(self.lanes)

    def __call__(self, item: Item) -> Result:
        """The item's result, or the error that its batch ended with."""
        future: Future[Result] = Future()
        self._waiting.append((item, future))
        with self._lane:
            self._run(self._take())
        return future.result()  # every thread takes at least one item, so each item is taken

    def _take(self) -> list[tuple[Item, Future[Result]]]:
        batch: list[tuple[Item, Future[Result]]] = []
        while len(batch) < self.most:
            try:
                batch.append(self._waiting.popleft())
            except IndexError:
                break
        return batch

    def _run(self, batch: list[tuple[Item, Future[Result]]]) -> None:
        if not batch:
            return
        try:
            results = self.run([item for item, _ in batch])
        except Exception as error:  # noqa: BLE001  each caller gets it
            for _, future in batch:
                future.set_exception(error)
            return
        for (_, future), result in zip(batch, results, strict=True):
            future.set_result(result)
