"""Where pure functions are applied to one part of a job after the other: here, or on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Spread:
    """What long work is handed to.

    map: as the builtin: results in order, of arguments that are taken as they are needed.
    threads: that one call may use; None: as many as there are cores. Results do not depend on it.
    """

    map: Callable[..., Iterator[Any]] = map
    threads: int | None = None


HERE = Spread()
"""One part after the other in this process, each in all its threads."""
