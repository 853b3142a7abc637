"""Messages between socket and books, in the order of arrival, and how many there may be."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from stream.ingest.reduction import THREADS, Frame

WORKED_ON = 6 * THREADS  # messages with their pixels
WAITING = 4096  # frames that are done but for their readings


@dataclass(slots=True, kw_only=True)
class Pending:
    """An image message whose fate is open; place is where a restart before it would go on."""

    work: Future[Frame]
    place: dict[str, Any]
    size: int
    since: float


@dataclass(slots=True)
class Window:
    """At most `limit` bytes of messages are worked on at a time, and so many of them."""

    limit: int
    working: int = WORKED_ON
    pending: deque[Pending] = field(default_factory=deque)
    _working: deque[Pending] = field(default_factory=deque)

    def add(self, message: Pending) -> None:
        """A message arrived."""
        self.pending.append(message)
        self._working.append(message)

    @property
    def busy(self) -> bool:
        """True while threads work."""
        while self._working and self._working[0].work.done():
            self._working.popleft()
        return bool(self._working)

    @property
    def size(self) -> int:
        """Bytes of the messages that are worked on."""
        return sum(each.size for each in self._working)

    @property
    def crowded(self) -> bool:
        """True when more frames wait for their readings than memory allows."""
        return len(self.pending) >= WAITING

    def is_full(self, size: int) -> bool:
        """True when a message of `size` bytes has to wait; one alone never has."""
        return self.busy and (len(self._working) >= self.working or size + self.size > self.limit)

    def wait(self) -> None:
        """Wait until the oldest message is worked off."""
        self._working[0].work.exception()
