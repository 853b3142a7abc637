"""MAX IV monitors: recorded streams in full, and what else such a message may hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from helpers.encode import monitor
from helpers.recordings import read_messages
from hypothesis import given
from hypothesis import strategies as st

from stream.core.errors import MessageError
from stream.core.messages import Armed, Disarmed, Readings
from stream.core.wire.maxiv import decode_monitor


def readings(**values: Any) -> Readings:
    event = decode_monitor(monitor("data", **{"frame_number": 7} | values))
    assert isinstance(event, Readings)
    return event


def test_recorded_positions_of_an_energy_scan(recordings: Path) -> None:
    """The manifest: 102 messages, 1500 contiguous rows. The box counts its triggers from 1."""
    start, *data, end = [decode_monitor(parts) for parts in read_messages(recordings / "maxiv/pcap-zmq.cbors")]
    assert (start, end) == (Armed(message=1), Disarmed(message=102))
    frames: list[int] = []
    columns: dict[str, list[float]] = {}
    for message, event in enumerate(data, start=2):
        assert isinstance(event, Readings)
        assert event.message == message
        assert list(event.values) == ["inttime", "triggernumber", "repeatindex", "energy", "INENC3.VAL.Mean"]
        assert {(column.dtype, column.ndim) for column in event.values.values()} == {(np.dtype("f8"), 1)}
        for key, column in event.values.items():
            columns.setdefault(key, []).extend(column)
        frames += range(event.first, event.first + len(event.values["energy"]))
    assert frames == list(range(1500))
    np.testing.assert_array_equal(columns["triggernumber"], np.arange(1, 1501))
    assert columns["energy"][0] == 8879.101048716273
    np.testing.assert_allclose(np.diff(columns["energy"]), 0.2, atol=0.01)


def test_recorded_electrometer(recordings: Path) -> None:
    start, *data, end = [decode_monitor(parts) for parts in read_messages(recordings / "maxiv/albaem-dump.cbors")]
    assert (start, end) == (Armed(message=1), Disarmed(message=6))
    assert [(event.first, event.message) for event in data if isinstance(event, Readings)] == [
        (0, 2), (1, 3), (2, 4), (3, 5),
    ]  # fmt: skip
    first = data[0]
    assert isinstance(first, Readings)
    assert list(first.values) == [
        "timestamp", "acquisition_timestamp", "channel1", "channel2", "channel3", "channel4",
    ]  # fmt: skip
    np.testing.assert_array_equal(first.values["channel4"], [4.80528800718246e-10], strict=True)


def test_what_is_no_number_is_left_out() -> None:
    found = readings(i0=[1, 2.5], name="x", on=True, units=["a", "b"], flags=[True, False], nested=[[1], [2]]).values
    assert list(found) == ["i0"]
    np.testing.assert_array_equal(found["i0"], [1.0, 2.5], strict=True)
    assert list(readings(i0=4, name="x", on=True, extra={"a": 1}).values) == ["i0"]


def test_null_is_nan() -> None:
    np.testing.assert_array_equal(readings(i0=[1, None]).values["i0"], [1.0, np.nan])
    np.testing.assert_array_equal(readings(i0=None).values["i0"], [np.nan])


def test_a_scalar_beside_lists_is_no_column() -> None:
    assert list(readings(i0=[1, 2], exposure=0.1).values) == ["i0"]


@pytest.mark.parametrize("message", [None, -1, 1.0, True, "1", 2**63])
def test_its_own_count_is_only_a_label(message: Any) -> None:
    for kind in ("series-start", "series-end"):
        assert decode_monitor(monitor(kind, message=message)).message is None
    assert decode_monitor([b'{"message_type":"series-end"}']) == Disarmed()


def test_the_error_names_frame_and_lengths() -> None:
    with pytest.raises(MessageError, match=r"monitor: frame 7 comes with lists of \[1, 2\] numbers"):
        readings(a=[1, 2], b=[1])


NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**63), 2**64 - 1) | st.none()


@given(st.integers(1, 5).flatmap(lambda n: st.dictionaries(st.text(), st.lists(NUMBERS, min_size=n, max_size=n))))
def test_any_numbers_come_out_as_they_went_in(columns: dict[str, list[float | None]]) -> None:
    own = {"message_id", "message_type", "version", "frame_number"}
    columns = {key: column for key, column in columns.items() if key not in own} | {
        "i0": next(iter(columns.values()), [1])
    }
    event = decode_monitor([orjson.dumps(columns | {"message_type": "data", "frame_number": 3})])
    assert isinstance(event, Readings)
    assert event.values.keys() == columns.keys()
    for key, column in columns.items():
        np.testing.assert_array_equal(event.values[key], np.array(column, dtype=float))
