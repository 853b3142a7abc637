"""PandABox captures: recorded ones, the published way from raw numbers to units, and any cut of the stream."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from helpers.encode import panda_capture
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.core.errors import MessageError
from stream.core.wire.panda import CaptureEnd, CaptureEvent, CaptureReader, CaptureRows
from stream.core.wire.panda_header import CaptureStart

ROWS = np.arange(12, dtype=np.uint32).reshape(4, 3)


def read(data: bytes, size: int = 1 << 20) -> list[CaptureEvent]:
    reader = CaptureReader()
    events = [event for at in range(0, len(data), size) for event in reader.feed(data[at : at + size])]
    reader.close()
    return events


def scaled(events: list[CaptureEvent]) -> dict[str, np.ndarray]:
    """All rows of one capture in units; they follow each other without a gap."""
    start, *rows, end = events
    assert isinstance(start, CaptureStart)
    assert isinstance(end, CaptureEnd)
    chunks = [event for event in rows if isinstance(event, CaptureRows)]
    assert len(chunks) == len(rows)
    assert [event.first for event in chunks] == [0, *np.cumsum([len(event.rows) for event in chunks])[:-1]]
    return start.scaled(np.concatenate([event.rows for event in chunks]))


def check(columns: dict[str, np.ndarray], rows: int) -> None:
    """The counters of all three recordings: they step by 1, 2 and 3 a row, and stand still while a row is taken."""
    count = np.arange(1, rows + 1)
    for column, step in [("COUNTER1.OUT.Min", 1), ("COUNTER1.OUT.Max", 1), ("COUNTER1.OUT.Mean", 1),
                         ("COUNTER2.OUT.Mean", 2), ("COUNTER3.OUT.Value", 3)]:  # fmt: skip
        np.testing.assert_allclose(columns[column], step * count, rtol=1e-12)


@pytest.mark.parametrize(("name", "rows", "period"), [("slow", 5, 1.0), ("fast", 58, 0.01)])
def test_recorded_scaled(recordings: Path, name: str, rows: int, period: float) -> None:
    events = read((recordings / f"panda/{name}_dump.bin").read_bytes())
    assert events[-1] == CaptureEnd(rows=rows, reason="Disarmed")
    columns = scaled(events)
    check(columns, rows)
    np.testing.assert_allclose(np.diff(columns["PCAP.TS_START.Value"]), period, rtol=1e-5)
    start = events[0]
    assert isinstance(start, CaptureStart)
    assert (start.raw, start.missed, start.arm_time, start.dtype.itemsize) == (False, 0, None, 52)
    stamp = start.fields[4]
    assert (stamp.column, stamp.scale, stamp.offset, stamp.units) == ("PCAP.TS_START.Value", 8e-9, 0.0, "s")


def test_recorded_raw(shared_data: Path) -> None:
    """Means are sums over SAMPLES, a column that no field names; a clock tick of the box is 8 ns."""
    events = read((shared_data / "panda/raw_dump_no_duration.bin").read_bytes())
    start = events[0]
    assert isinstance(start, CaptureStart)
    assert start.raw
    assert start.dtype.names is not None
    assert start.dtype.names[0] == "SAMPLES"
    columns = scaled(events)
    check(columns, 10_000)
    assert "SAMPLES" not in columns
    np.testing.assert_allclose(np.diff(columns["PCAP.TS_START.Value"]), 2e-6, rtol=1e-6)
    first = events[1]
    assert isinstance(first, CaptureRows)
    np.testing.assert_array_equal(first.rows["SAMPLES"], 125)


@pytest.mark.parametrize("size", [1, 7, 64, 1000])
def test_pieces_of_any_size(recordings: Path, size: int) -> None:
    data = (recordings / "panda/fast_dump.bin").read_bytes()
    whole, pieces = scaled(read(data)), scaled(read(data, size))
    for column, values in whole.items():
        np.testing.assert_array_equal(pieces[column], values)


def test_one_capture_a_line() -> None:
    """Armed for every line of a mesh, as at DanMAX: the rows begin anew."""
    events = read(b"OK\n" + b"\n".join(panda_capture(ROWS + line) for line in range(3)))
    assert [type(event) for event in events] == [CaptureStart, CaptureRows, CaptureEnd] * 3
    for line, event in enumerate(events[1::3]):
        assert isinstance(event, CaptureRows)
        assert event.first == 0
        np.testing.assert_array_equal(event.rows["C0.Value"], ROWS[:, 0] + line)


def test_times_and_another_reason() -> None:
    data = panda_capture(ROWS).replace(b'missed="0"', b'missed="3" arm_time="1970-01-01T00:00:10Z" start_time="x"')
    start, _, end = read(data.replace(b"Disarmed", b"Data overrun"))
    assert isinstance(start, CaptureStart)
    assert (start.missed, start.arm_time, start.start_time) == (3, "1970-01-01T00:00:10Z", "x")
    assert end == CaptureEnd(rows=4, reason="Data overrun")


def test_a_raw_mean_over_no_samples_is_nan() -> None:
    fields = '<field name="A" type="int64" capture="Mean" scale="0.5" offset="1" units="mm" />'
    header = f'<header><data process="Raw" sample_bytes="12" /><fields>{fields}</fields></header>\n\n'
    rows = struct.pack("<IqIq", 4, 40, 0, 0)
    data = header.encode() + b"BIN " + struct.pack("<I", len(rows) + 8) + rows + b"END 2 Ok\n"
    np.testing.assert_array_equal(scaled(read(data))["A.Mean"], [40 / 4 * 0.5 + 1, np.nan])


def test_little_waits_for_what_never_comes() -> None:
    """A frame of 4 GiB is announced: what came of it is handed on, and less than a row is kept."""
    data = panda_capture(ROWS)
    at = data.index(b"BIN ")
    reader = CaptureReader()
    list(reader.feed(data[:at] + b"BIN \xf8\xff\xff\xff"))
    for _ in range(100):
        assert sum(len(event.rows) for event in reader.feed(bytes(100_000)) if isinstance(event, CaptureRows)) >= 8333
        assert len(reader._waiting) < 12


@settings(max_examples=50)
@given(st.data())
def test_any_cut_is_noticed(data: st.DataObject) -> None:
    whole = panda_capture(ROWS)
    cut = data.draw(st.integers(1, len(whole) - 1))
    with pytest.raises(MessageError):
        read(whole[:cut])
