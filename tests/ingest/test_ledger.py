"""The ledger's law: received = integrated + duplicate + Σ rejected + Σ dropped + in flight, at every commit."""

from __future__ import annotations

import math
import sqlite3
import threading
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from stream.core.config import ScanConfig
from stream.core.errors import Reject, StoreError
from stream.core.scan import ScanGrid
from stream.ingest.ledger import FrameRow, Ledger
from stream.ingest.ledger_reader import LedgerReader
from stream.ingest.ledger_schema import SCHEMA

GRID = ScanGrid.from_config(
    ScanConfig.model_validate(
        {
            "name": "t",
            "angles": {"start": 0, "step": 1, "count": 5, "sequence": "interlaced:2"},
            "positions": {"count": 4},
            "snake": True,
        }
    )
)


def frame_row(slot: int, **values: Any) -> FrameRow:
    told = {"series": "1", "frame": slot, "monitor": None, "received": 1.5} | values
    return FrameRow(slot=slot, **told)


class Books(RuleBasedStateMachine):
    """A ledger beside a plain count of what it was told, read by one reader throughout and by a new one each time."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.path = Path(self.folder.name) / "ledger.sqlite"
        self.ledger = Ledger.open(self.path)
        self.reader = LedgerReader(self.path, GRID)
        self.fates: Counter[str] = Counter()
        self.slots: set[int] = set()
        self.received = 0
        self.committed: dict[str, Any] | None = None

    @rule(count=st.integers(1, 9))
    def receive(self, count: int) -> None:
        self.received += count

    @precondition(lambda self: self.in_flight and len(self.slots) < GRID.size)
    @rule(data=st.data())
    def integrate(self, data: st.DataObject) -> None:
        slot = data.draw(st.sampled_from(sorted(set(range(GRID.size)) - self.slots)))
        self.ledger.add(frame_row(slot))
        self.slots.add(slot)

    @precondition(lambda self: self.in_flight)
    @rule(fate=st.sampled_from(["duplicate", "superseded", *Reject]))
    def other_fate(self, fate: str) -> None:
        if fate == "duplicate":
            self.ledger.duplicate()
        elif fate == "superseded":
            self.ledger.drop(fate)
        else:
            self.ledger.reject(Reject(fate))
        self.fates[fate] += 1

    @rule()
    def commit(self) -> None:
        self.ledger.commit(received=self.received, phase="acquiring")
        rejected = {reason: n for reason, n in self.fates.items() if reason in set(Reject)}
        self.committed = {
            "expected": GRID.size,
            "received": self.received,
            "integrated": len(self.slots),
            "duplicate": self.fates["duplicate"],
            "rejected": rejected,
            "dropped": {"superseded": self.fates["superseded"]} if self.fates["superseded"] else {},
            "in_flight": self.in_flight,
            "missing": GRID.size - len(self.slots),
            "missing_ranges": ranges([n for n in range(GRID.size) if GRID.slot(n) not in self.slots]),
        }

    @precondition(lambda self: self.slots)
    @rule(data=st.data())
    def take_back(self, data: st.DataObject) -> None:
        """As a restart does with a damaged slot."""
        self.reopen()
        slot = data.draw(st.sampled_from(sorted(self.slots)))
        self.ledger.forget(slot)
        self.slots.remove(slot)
        self.received = self.ledger.accounted
        self.commit()

    @rule()
    def reopen(self) -> None:
        self.commit()
        self.ledger.close()
        self.ledger = Ledger.open(self.path)
        assert self.ledger.accounted == self.received - self.in_flight
        assert self.ledger.frames().keys() == self.slots
        self.received = self.ledger.accounted
        self.commit()

    @property
    def in_flight(self) -> int:
        return self.received - len(self.slots) - sum(self.fates.values())

    @invariant()
    def every_reader_sees_the_last_commit(self) -> None:
        if self.committed is not None:
            for reader in (self.reader, LedgerReader(self.path, GRID)):
                frames = reader.snapshot().frames
                assert frames == self.committed
                fates = frames["integrated"] + frames["duplicate"]
                fates += sum(frames["rejected"].values()) + sum(frames["dropped"].values())
                assert frames["received"] == fates + frames["in_flight"]

    def teardown(self) -> None:
        self.ledger.close()
        self.folder.cleanup()


def ranges(frames: list[int]) -> list[list[int]]:
    """Runs of consecutive numbers, the long way."""
    found: list[list[int]] = []
    for n in frames:
        if found and found[-1][1] == n - 1:
            found[-1][1] = n
        else:
            found.append([n, n])
    return found


TestBooks = Books.TestCase
TestBooks.settings = settings(max_examples=25, stateful_step_count=40, deadline=None)


def test_before_there_is_a_file_everything_is_missing(tmp_path: Path) -> None:
    reader = LedgerReader(tmp_path / "ledger.sqlite", GRID)
    snapshot = reader.snapshot()
    assert snapshot.state == {"phase": "waiting"}
    assert snapshot.frames["missing_ranges"] == [[0, GRID.size - 1]]
    assert (reader.rows(0), reader.events()) == ([], [])
    ledger = Ledger.open(tmp_path / "ledger.sqlite")
    ledger.add(frame_row(0))
    ledger.commit(received=1)
    assert reader.snapshot().frames["integrated"] == 1
    ledger.close()


def test_missing_ranges_count_frames_in_the_order_of_the_visit(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path / "ledger.sqlite")
    for frame in (0, 1, 5, 19):
        ledger.add(frame_row(int(GRID.visit[frame])))
    ledger.commit(received=4)
    frames = LedgerReader(tmp_path / "ledger.sqlite", GRID).snapshot().frames
    assert frames["missing_ranges"] == [[2, 4], [6, 18]]
    ledger.close()


@pytest.mark.parametrize("reading", ["monitor", "transmission"])
@pytest.mark.parametrize("value", [None, math.nan, math.inf, 0.0, -1.0, 1e-300])
def test_readings_come_back(tmp_path: Path, reading: str, value: float | None) -> None:
    """None, where none is configured, is not the same as one that could not be read."""
    ledger = Ledger.open(tmp_path / "ledger.sqlite")
    ledger.add(frame_row(3, **{reading: value}, series="Σ1", frame=2**62))
    ledger.commit()
    (found,) = LedgerReader(tmp_path / "ledger.sqlite", GRID).rows(0)
    if value is None:
        assert getattr(found, reading) is None
    else:
        np.testing.assert_array_equal(getattr(found, reading), value)
    assert (found.series, found.frame, found.received) == ("Σ1", 2**62, 1.5)
    ledger.close()


def test_a_ledger_of_before_the_transmission(tmp_path: Path) -> None:
    """It can be read as it is, and is brought up to date where it is written."""
    path = tmp_path / "ledger.sqlite"
    older = SCHEMA.replace(",\n  transmitted INTEGER NOT NULL DEFAULT 0, transmission REAL", "")
    assert older != SCHEMA
    connection = sqlite3.connect(path)
    connection.executescript(older)
    connection.execute("INSERT INTO frames VALUES (1, 3, 0, 's', 7, 1, 2.5, 1.5)")
    connection.commit()
    connection.close()
    before = FrameRow(slot=3, series="s", frame=7, monitor=2.5, received=1.5, number=0, id=1)
    reader = LedgerReader(path, GRID)
    assert reader.rows(0) == [before]
    ledger = Ledger.open(path)
    ledger.add(frame_row(4, transmission=0.25))
    ledger.commit()
    assert reader.rows(0)[0] == before
    assert reader.rows(0)[1].transmission == 0.25
    ledger.close()
    Ledger.open(path).close()


def test_each_row_is_seen_once(tmp_path: Path) -> None:
    ledger, reader = Ledger.open(tmp_path / "ledger.sqlite"), LedgerReader(tmp_path / "ledger.sqlite", GRID)
    last, seen = 0, []
    for batch in ([3, 1], [], [7], [0, 19, 5]):
        for slot in batch:
            ledger.add(frame_row(slot))
        ledger.commit()
        rows = reader.rows(last)
        last = rows[-1].id if rows else last
        seen += [row.slot for row in rows]
    assert seen == [3, 1, 7, 0, 19, 5]
    ledger.forget(7)
    ledger.add(frame_row(7))  # a new row, which a follower takes again
    ledger.commit()
    assert [row.slot for row in reader.rows(last)] == [7]
    ledger.close()


def test_a_reader_notices_a_row_that_was_taken_back(tmp_path: Path) -> None:
    ledger, reader = Ledger.open(tmp_path / "ledger.sqlite"), LedgerReader(tmp_path / "ledger.sqlite", GRID)
    for slot in (0, 1, 2):
        ledger.add(frame_row(slot))
    ledger.commit(received=3)
    assert reader.snapshot().frames["integrated"] == 3
    ledger.forget(1)
    assert reader.snapshot().frames["integrated"] == 3
    ledger.commit(received=2)
    frames = reader.snapshot().frames
    assert (frames["integrated"], frames["received"], frames["in_flight"]) == (2, 2, 0)
    assert [frame for frame in range(GRID.size) if GRID.slot(frame) in {0, 2}] == [
        n for n in range(GRID.size) if not any(first <= n <= last for first, last in frames["missing_ranges"])
    ]
    ledger.close()


def test_no_point_is_booked_twice(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path / "ledger.sqlite")
    ledger.add(frame_row(3))
    ledger.commit()
    ledger.add(frame_row(3, frame=99))
    with pytest.raises(StoreError, match="cannot be written"):
        ledger.commit()
    assert [row.frame for row in LedgerReader(tmp_path / "ledger.sqlite", GRID).rows(0)] == [3]
    ledger.close()


def test_uncommitted_changes_are_nobody_s(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path / "ledger.sqlite")
    ledger.commit(received=0)
    ledger.add(frame_row(1))
    ledger.reject(Reject.SIZE)
    ledger.event("x")
    ledger.header("1", 7, None)
    reader = LedgerReader(tmp_path / "ledger.sqlite", GRID)
    assert reader.snapshot().frames["integrated"] == 0
    ledger.connection.close()
    again = Ledger.open(tmp_path / "ledger.sqlite")
    assert (again.accounted, again.frames(), reader.events()) == (0, {}, [])
    assert again.read_header("1", (2, 3)) == (None, None)
    again.close()


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (71, 95)])
def test_headers_come_back(tmp_path: Path, shape: tuple[int, int]) -> None:
    mask = np.random.default_rng(1).random(shape) < 0.3
    ledger = Ledger.open(tmp_path / "ledger.sqlite")
    ledger.header("a", 65534, mask)
    ledger.header("b", None, None)
    ledger.header("b", 3, ~mask)  # sent again, and changed
    ledger.commit()
    ledger.close()
    again = Ledger.open(tmp_path / "ledger.sqlite")
    saturation, found = again.read_header("a", shape)
    assert saturation == 65534
    np.testing.assert_array_equal(found, mask)
    saturation, found = again.read_header("b", shape)
    assert saturation == 3
    np.testing.assert_array_equal(found, ~mask)
    assert again.read_header("c", shape) == (None, None)
    again.connection.execute("UPDATE headers SET mask = x'00ff'")
    with pytest.raises(StoreError, match="mask of series a"):
        again.read_header("a", shape)
    again.close()


def test_a_reader_beside_a_writer_always_sees_a_commit(tmp_path: Path) -> None:
    path, done = tmp_path / "ledger.sqlite", threading.Event()
    grid = ScanGrid.from_config(
        ScanConfig.model_validate(
            {"name": "t", "angles": {"start": 0, "step": 1, "count": 40}, "positions": {"count": 10}}
        )
    )

    def write() -> None:
        ledger = Ledger.open(path)
        for slot in range(grid.size):
            ledger.add(frame_row(slot))
            ledger.duplicate()
            if slot % 4 == 0:
                ledger.commit(received=2 * (slot + 1) + 3, phase="acquiring", slot=slot)
        ledger.commit(received=2 * grid.size)
        ledger.close()
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    reader, seen = LedgerReader(path, grid), []
    while not done.is_set():
        snapshot = reader.snapshot()
        frames = snapshot.frames
        assert frames["integrated"] == frames["duplicate"]
        if "slot" in snapshot.state and frames["in_flight"]:
            assert (frames["integrated"], frames["in_flight"]) == (snapshot.state["slot"] + 1, 3)
        seen.append(frames["integrated"])
    writer.join()
    assert seen == sorted(seen)
    assert reader.snapshot().frames["integrated"] == grid.size


def test_a_damaged_ledger_is_a_store_error(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    ledger = Ledger.open(path)
    ledger.add(frame_row(1))
    ledger.commit(received=1)
    ledger.close()
    reader = LedgerReader(path, GRID)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE state SET value = '{' WHERE key = 'received'")
    connection.close()
    with pytest.raises(StoreError, match="cannot be read"):
        reader.snapshot()
    data = path.read_bytes()
    path.write_bytes(b"x" * 100 + data[100:])
    with pytest.raises(StoreError, match="cannot be read"):
        LedgerReader(path, GRID).snapshot()
    with pytest.raises(StoreError, match="cannot be opened"):
        Ledger.open(path)
