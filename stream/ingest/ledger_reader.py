"""The ledger as other processes see it: read only, always at a commit."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from stream.core.errors import StoreError
from stream.core.scan import ScanGrid
from stream.ingest.ledger import FrameRow, read_rows, read_state


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerSnapshot:
    """The ledger at one commit.

    frames is the dict of the interface: expected, received, integrated, duplicate, rejected, dropped, in_flight,
    missing, missing_ranges ([first, last] frame numbers, both inclusive). state holds what ingest tells beside:
    phase (waiting | acquiring | ended), started and updated (Unix seconds), rate (frames/s), latency (s).
    """

    frames: dict[str, Any]
    state: dict[str, Any]


@dataclass(slots=True)
class LedgerReader:
    """Follows a ledger; the file may not exist yet."""

    path: Path
    grid: ScanGrid
    _connection: sqlite3.Connection | None = None
    _last: int = 0
    _seen: npt.NDArray[np.bool_] = field(init=False)

    def __post_init__(self) -> None:
        """Nothing is seen yet."""
        self._seen = np.zeros(self.grid.size, dtype=bool)

    def rows(self, after: int) -> list[FrameRow]:
        """Frames journalled after row id `after`, oldest first.

        Raises
        ------
        StoreError
            as the other methods do, where the ledger cannot be read.
        """
        with self._reading() as connection:
            return [] if connection is None else read_rows(connection, after)

    def events(self) -> list[tuple[float, str]]:
        """What a person should know, oldest first."""
        with self._reading() as connection:
            if connection is None:
                return []
            return connection.execute("SELECT time, text FROM events ORDER BY id").fetchall()

    def snapshot(self) -> LedgerSnapshot:
        """Counts and state of one commit."""
        counts: dict[tuple[str, str], int] = {}
        state: dict[str, Any] = {"phase": "waiting"}
        with self._reading() as connection:
            if connection is not None:
                connection.execute("BEGIN")
                try:
                    counts = {(k, r): n for k, r, n in connection.execute("SELECT kind, reason, n FROM counts")}
                    state |= read_state(connection)
                    self._see(read_rows(connection, self._last))
                    if np.count_nonzero(self._seen) != state.get("integrated", 0):  # a damaged slot was taken back
                        self._seen[:] = False
                        self._see(read_rows(connection, 0))
                finally:
                    connection.execute("ROLLBACK")
        return LedgerSnapshot(frames=self._frames(counts, state.get("received", 0)), state=state)

    def _see(self, rows: list[FrameRow]) -> None:
        for row in rows:
            self._seen[row.slot] = True
            self._last = row.id

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection | None]:
        try:
            yield self._connect()
        except (sqlite3.Error, ValueError, IndexError) as error:  # the latter two: damaged values
            raise StoreError(f"the ledger {self.path} cannot be read: {error}") from error

    def _connect(self) -> sqlite3.Connection | None:
        if self._connection is None and self.path.exists():
            connection = sqlite3.connect(
                f"file:{self.path}?mode=ro", uri=True, isolation_level=None, check_same_thread=False
            )
            has_tables = connection.execute("SELECT COUNT(*) FROM sqlite_master WHERE name = 'state'").fetchone()[0]
            if not has_tables:
                connection.close()
                return None
            self._connection = connection
        return self._connection

    def _frames(self, counts: dict[tuple[str, str], int], received: int) -> dict[str, Any]:
        integrated = int(self._seen.sum())
        accounted = integrated + sum(counts.values())
        gaps = ~self._seen[self.grid.visit]
        edges = np.flatnonzero(np.diff(np.concatenate([[False], gaps, [False]])))
        return {
            "expected": self.grid.size,
            "received": max(received, accounted),
            "integrated": integrated,
            "duplicate": counts.get(("duplicate", ""), 0),
            "rejected": {r: n for (k, r), n in counts.items() if k == "rejected"},
            "dropped": {r: n for (k, r), n in counts.items() if k == "dropped"},
            "in_flight": max(received - accounted, 0),
            "missing": self.grid.size - integrated,
            "missing_ranges": [[int(a), int(b) - 1] for a, b in zip(edges[::2], edges[1::2], strict=True)],
        }
