"""MAX IV monitors over ZeroMQ: an electrometer (albaem) or a PandABox (pcap) that tells values by frame number.

A message is one JSON part. A PandABox sends lists, whose row k belongs to frame ``frame_number + k``; an electrometer
sends the scalars of one frame. The content tells which.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from stream.core.errors import MessageError, Reject
from stream.core.messages import Armed, Disarmed, MonitorEvent, Parts, Readings
from stream.core.wire.header import LARGEST, Header, expect_parts, read_json

_LONGEST, _MOST = 300_000, 16_000  # bytes and values: a batch of 800 rows of 20 columns
_OWN_KEYS = {"message_id", "message_type", "version", "frame_number"}


def decode_monitor(parts: Parts) -> MonitorEvent:
    """Decode one message of a `maxiv-albaem` or `maxiv-pcap` stream.

    Readings hold the columns of numbers, null as NaN; others are left out, and so are scalars beside lists.

    Raises
    ------
    MessageError
        for anything else; never another exception.
    """
    header = read_json(parts[0], "monitor", _LONGEST, _MOST) if parts else Header("monitor", {})
    expect_parts(parts, header, 1)
    kind = header.values.get("message_type")
    if not isinstance(kind, str) or kind not in _READERS:
        raise header.refuse("message_type", "series-start, data or series-end", Reject.UNKNOWN_TYPE)
    return _READERS[kind](header)


def _armed(header: Header) -> Armed:
    return Armed(message=header.label("message_id"))


def _readings(header: Header) -> Readings:
    first = header.count("frame_number")
    values = {key: np.array(column, dtype=np.float64) for key, column in _columns(header.values).items()}
    rows = {len(column) for column in values.values()}
    if len(rows) != 1:
        found = f"lists of {sorted(rows)}" if rows else "no column of"
        raise MessageError(Reject.SHAPE, f"monitor: frame {first} comes with {found} numbers")
    if first + max(rows) > LARGEST:
        raise header.refuse("frame_number", "a number of a frame")
    return Readings(first=first, values=values, message=header.label("message_id"))


def _disarmed(header: Header) -> Disarmed:
    return Disarmed(message=header.label("message_id"))


_READERS: dict[str, Callable[[Header], MonitorEvent]] = {
    "series-start": _armed,
    "data": _readings,
    "series-end": _disarmed,
}


def _columns(values: Mapping[str, Any]) -> Mapping[str, Sequence[float | None]]:
    """The lists of numbers; where there are none, each number as a list of one."""
    own = {key: value for key, value in values.items() if key not in _OWN_KEYS}
    lists = {key: value for key, value in own.items() if isinstance(value, list) and _numbers(value)}
    return lists or {key: [value] for key, value in own.items() if _numbers([value])}


def _numbers(column: Sequence[Any]) -> bool:
    """True where every value is a number or null. JSON has neither infinities nor truth values among its numbers."""
    return {type(value) for value in column} <= {int, float, type(None)}
