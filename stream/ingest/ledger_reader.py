"""The ledger as other processes see it: read only, always at a commit."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import structlog

from stream.core.errors import StoreError
from stream.core.scan import ScanGrid
from stream.ingest.ledger import FrameRow, read_rows, read_state

NOTES = 20  # of the newest events, in a snapshot
Notes = list[tuple[float, str]]
"""What a person should know: (Unix seconds, sentence)."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerSnapshot:
    """The ledger at one commit.

    frames is the dict of the interface: expected, received, integrated, duplicate, rejected, dropped, in_flight,
    missing, missing_ranges ([first, last] frame numbers, both inclusive). state holds what ingest tells beside:
    phase (waiting | acquiring | ended), started and updated (Unix seconds), rate (frames/s), latency (s); recording,
    back_pressure and stolen (a sentence, or null), disconnected. notes are the newest events, newest first.
    """

    frames: dict[str, Any]
    state: dict[str, Any]
    notes: Notes


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerRecord:
    """All that the ledger holds, at one commit: the counts, a row for each integrated frame, events, oldest first."""

    frames: dict[str, Any]
    rows: list[FrameRow]
    events: Notes


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

    def events(self) -> Notes:
        """What a person should know, oldest first."""
        with self._reading() as connection:
            return [] if connection is None else _events(connection)

    def snapshot(self) -> LedgerSnapshot:
        """Counts, state and newest events of one commit."""
        with self._commit() as connection:
            state: dict[str, Any] = {"phase": "waiting"}
            if connection is None:
                return LedgerSnapshot(frames=self._frames({}, 0), state=state, notes=[])
            state |= read_state(connection)
            notes = connection.execute("SELECT time, text FROM events ORDER BY id DESC LIMIT ?", (NOTES,)).fetchall()
            return LedgerSnapshot(frames=self._counted(connection, state), state=state, notes=notes)

    def record(self) -> LedgerRecord:
        """Everything, of one commit."""
        with self._commit() as connection:
            if connection is None:
                return LedgerRecord(frames=self._frames({}, 0), rows=[], events=[])
            frames = self._counted(connection, read_state(connection))
            return LedgerRecord(frames=frames, rows=read_rows(connection, 0), events=_events(connection))

    def close(self) -> None:
        """Let go of the file; the next look opens it again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _counted(self, connection: sqlite3.Connection, state: dict[str, Any]) -> dict[str, Any]:
        counts = {(kind, reason): n for kind, reason, n in connection.execute("SELECT kind, reason, n FROM counts")}
        self._see(read_rows(connection, self._last))
        if np.count_nonzero(self._seen) != state.get("integrated", 0):  # a damaged slot was taken back
            self._seen[:] = False
            self._see(read_rows(connection, 0))
        return self._frames(counts, state.get("received", 0))

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

    @contextmanager
    def _commit(self) -> Iterator[sqlite3.Connection | None]:
        """One read transaction: everything read in it is of the same commit."""
        with self._reading() as connection:
            if connection is None:
                yield None
                return
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.execute("ROLLBACK")

    def _connect(self) -> sqlite3.Connection | None:
        if self._connection is None and self.path.exists():
            address = f"{self.path.absolute().as_uri()}?{'immutable=1' if _is_at_rest(self.path) else 'mode=ro'}"
            connection = sqlite3.connect(address, uri=True, isolation_level=None, check_same_thread=False)
            has_tables = connection.execute("SELECT COUNT(*) FROM sqlite_master WHERE name = 'state'").fetchone()[0]
            if not has_tables:
                connection.close()
                return None
            self._connection = connection
        return self._connection

    def _frames(self, counts: dict[tuple[str, str], int], received: int) -> dict[str, Any]:
        integrated = int(self._seen.sum())
        duplicate = counts.get(("duplicate", ""), 0)
        rejected = {reason: n for (kind, reason), n in counts.items() if kind == "rejected"}
        dropped = {reason: n for (kind, reason), n in counts.items() if kind == "dropped"}
        accounted = integrated + duplicate + sum(rejected.values()) + sum(dropped.values())
        gaps = ~self._seen[self.grid.visit]
        edges = np.flatnonzero(np.diff(np.concatenate([[False], gaps, [False]])))
        return {
            "expected": self.grid.size,
            "received": max(received, accounted),
            "integrated": integrated,
            "duplicate": duplicate,
            "rejected": rejected,
            "dropped": dropped,
            "in_flight": max(received - accounted, 0),
            "missing": self.grid.size - integrated,
            "missing_ranges": [[int(a), int(b) - 1] for a, b in zip(edges[::2], edges[1::2], strict=True)],
        }


def _events(connection: sqlite3.Connection) -> Notes:
    return connection.execute("SELECT time, text FROM events ORDER BY id").fetchall()


def put_at_rest(path: Path) -> None:
    """Leave the ledger as one file that can be read where nothing can be written; call it after the last process.

    Where somebody looks at it just then it stays as it is: whole, in two files. So it does when the disk is full, which
    is said in the log.
    """
    if not path.exists():
        return
    connection = sqlite3.connect(path, timeout=0)
    try:
        connection.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.Error as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
            log.warning("ledger.not_at_rest", path=str(path), error=str(error))
    finally:
        connection.close()


def _is_at_rest(path: Path) -> bool:
    """True where nobody can write and nothing lies in a write-ahead log: SQLite would want to create one."""
    return not os.access(path.parent, os.W_OK) and not path.with_name(f"{path.name}-wal").exists()
