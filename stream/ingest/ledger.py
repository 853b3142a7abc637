"""The ledger: what happened to every frame, in SQLite (WAL), written by ingest alone.

received = integrated + duplicate + Σ rejected + Σ dropped + in_flight, where received counts image messages and
undecodable ones. A row of `frames` says that the slot of that grid point holds a journalled pattern; row ids grow,
so a reader that remembers the last one sees each frame once, and again when its monitor came late. `headers` keeps
what a series' header tells of the pixels, for a restart in the middle of the series; `readings` the values of monitor
streams by frame of the scan.
"""

from __future__ import annotations

import math
import sqlite3
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import orjson

from stream.core.bits import pack_mask, unpack_mask
from stream.core.errors import Reject, StoreError
from stream.ingest.ledger_schema import create_tables, tells_transmission

Mask = npt.NDArray[np.bool_]
Reading = tuple[int, int, str, float]
"""Stream, number of the frame in the scan, column, value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameRow:
    """One integrated frame; monitor is None where none is configured, NaN where it could not be read.

    transmission is the reading of the beam behind the sample, None and NaN as of the monitor.
    number counts the frames of the scan from 0, as the detector sent them (-1 where only the journal remembers the
    frame); frame is the detector's own number.
    """

    slot: int
    series: str
    frame: int
    monitor: float | None
    received: float
    number: int = -1
    transmission: float | None = None
    id: int = 0


@dataclass(slots=True)
class Ledger:
    """The writing side. Changes gather in memory and reach the disk with `commit`."""

    connection: sqlite3.Connection
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    integrated: int = 0
    _forgotten: list[tuple[int]] = field(default_factory=list)
    _rows: list[FrameRow] = field(default_factory=list)
    _events: list[tuple[float, str]] = field(default_factory=list)
    _headers: list[tuple[str, int | None, bytes | None]] = field(default_factory=list)
    _readings: list[Reading] = field(default_factory=list)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open or create the ledger at `path`."""
        try:
            connection = sqlite3.connect(path, isolation_level=None)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            create_tables(connection)
            ledger = cls(connection)
            rows = connection.execute("SELECT kind, reason, n FROM counts").fetchall()
            ledger.counts.update({(kind, reason): n for kind, reason, n in rows})
            ledger.integrated = connection.execute("SELECT COUNT(*) FROM frames").fetchone()[0]
        except sqlite3.Error as error:
            raise StoreError(f"the ledger {path} cannot be opened: {error}") from error
        return ledger

    def add(self, row: FrameRow) -> None:
        """Count a frame as integrated."""
        self._rows.append(row)
        self.integrated += 1

    def duplicate(self) -> None:
        """Count a frame whose grid point is taken."""
        self.counts["duplicate", ""] += 1

    def reject(self, reason: Reject) -> None:
        """Count a message that cannot be used."""
        self.counts["rejected", reason.value] += 1

    def drop(self, reason: str) -> None:
        """Count a good frame that was given up."""
        self.counts["dropped", reason] += 1

    def event(self, text: str) -> None:
        """Note what a person should know: a gap, a restart, a stray series."""
        self._events.append((time.time(), text))

    def header(self, series: str, saturation: int | None, mask: Mask | None) -> None:
        """Keep what the header of a series tells of the pixels."""
        self._headers.append((series, saturation, None if mask is None else pack_mask(mask)))

    def read_header(self, series: str, shape: tuple[int, int]) -> tuple[int | None, Mask | None]:
        """Saturation and mask (rows, columns) of a series, None where its header told none or never came."""
        row = self.connection.execute("SELECT saturation, mask FROM headers WHERE series = ?", (series,)).fetchone()
        if row is None or row[1] is None:
            return row[0] if row else None, None
        try:
            return row[0], unpack_mask(row[1], shape)
        except ValueError as error:
            raise StoreError(f"the ledger's mask of series {series} cannot be read: {error}") from error

    @property
    def accounted(self) -> int:
        """Messages whose fate is known."""
        return self.integrated + sum(self.counts.values())

    def commit(self, **state: Any) -> None:
        """Write what has gathered, and `state` (JSON values), in one transaction."""
        cursor = self.connection.cursor()
        state["integrated"] = self.integrated
        try:
            cursor.execute("BEGIN IMMEDIATE")
            cursor.executemany("DELETE FROM frames WHERE slot = ?", self._forgotten)
            cursor.executemany(
                "INSERT INTO frames "
                "(slot, number, series, frame, received, monitored, monitor, transmitted, transmission) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (r.slot, r.number, r.series, r.frame, r.received, *_told(r.monitor), *_told(r.transmission))
                    for r in self._rows
                ],
            )
            cursor.executemany(
                "INSERT OR REPLACE INTO counts VALUES (?, ?, ?)",
                [(kind, reason, n) for (kind, reason), n in self.counts.items()],
            )
            cursor.executemany("INSERT INTO events (time, text) VALUES (?, ?)", self._events)
            cursor.executemany("INSERT OR REPLACE INTO headers VALUES (?, ?, ?)", self._headers)
            cursor.executemany("INSERT OR REPLACE INTO readings VALUES (?, ?, ?, ?)", self._readings)
            cursor.executemany(
                "INSERT OR REPLACE INTO state VALUES (?, ?)",
                [(key, orjson.dumps(value).decode()) for key, value in state.items()],
            )
            cursor.execute("COMMIT")
        except sqlite3.Error as error:
            raise StoreError(f"the ledger cannot be written: {error}") from error
        self._forgotten.clear()
        self._rows.clear()
        self._events.clear()
        self._headers.clear()
        self._readings.clear()

    def reading(self, reading: Reading) -> None:
        """Keep a monitor's value."""
        self._readings.append(reading)

    def readings(self) -> list[Reading]:
        """Every value kept."""
        rows = self.connection.execute("SELECT stream, number, column, value FROM readings")
        return [
            (stream, number, column, math.nan if value is None else value) for stream, number, column, value in rows
        ]

    def forget(self, slot: int) -> None:
        """Take back a row: the journal cannot give its pattern, or it is to be booked again."""
        self._forgotten.append((slot,))
        self._rows = [row for row in self._rows if row.slot != slot]
        self.integrated -= 1

    def frames(self) -> dict[int, FrameRow]:
        """Every integrated frame by slot."""
        return {row.slot: row for row in read_rows(self.connection, after=0)}

    def state(self) -> dict[str, Any]:
        """The key-value state of the last commit."""
        return read_state(self.connection)

    def close(self) -> None:
        """Close the file; the write-ahead log goes with the last reader."""
        self.connection.close()


def read_rows(connection: sqlite3.Connection, after: int) -> list[FrameRow]:
    """Rows with an id above `after`, in order."""
    transmission = "transmitted, transmission" if tells_transmission(connection) else "0, NULL"
    rows = connection.execute(
        f"SELECT id, slot, number, series, frame, received, monitored, monitor, {transmission} "
        "FROM frames WHERE id > ? ORDER BY id",
        (after,),
    )
    return [
        FrameRow(
            id=i, slot=slot, number=n, series=series, frame=frame, received=at,
            monitor=_reading(monitored, monitor), transmission=_reading(transmitted, behind),
        )
        for i, slot, n, series, frame, at, monitored, monitor, transmitted, behind in rows
    ]  # fmt: skip


def _told(reading: float | None) -> tuple[bool, float | None]:
    """Whether there is such a reading, and its value."""
    return reading is not None, reading


def _reading(told: int, value: float | None) -> float | None:
    """SQLite keeps a NaN as NULL."""
    return (math.nan if value is None else value) if told else None


def read_state(connection: sqlite3.Connection) -> dict[str, Any]:
    """The key-value state."""
    return {key: orjson.loads(value) for key, value in connection.execute("SELECT key, value FROM state")}
