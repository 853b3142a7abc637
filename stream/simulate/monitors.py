"""Readings beside the frames: an electrometer, or the encoders of a PandABox, in MAX IV's envelopes.

Each arming of the detector is a series of its own, and message_id counts from 1 in it, as in the recordings.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from stream.core.config import Column, MonitorStream
from stream.core.scan import AXES
from stream.simulate.arming import Arm, Message
from stream.simulate.scan import VirtualScan
from stream.simulate.wire.series import DATE, FRAME_TIME, to_json

EPOCH = 1_727_690_400_000_000_000  # ns, of DATE
DARK = 1e-11  # A, noise of a channel that nothing is connected to
BATCH = 15  # rows
Row = dict[str, Any]


class Monitor:
    """Says what an instrument sends for each message that the detector makes.

    Parameters
    ----------
    stream
        The columns: the incident intensity is called `key`; scale · reading + offset is a frame's place on an axis.
    scan
        Knows both.
    """

    def __init__(self, stream: MonitorStream, scan: VirtualScan) -> None:
        self.stream, self.scan = stream, scan
        self._single = stream.format == "maxiv-albaem"
        self._number = 0
        self._armed = False
        self._rows: list[Row] = []
        self._first = 0

    def follow(self, message: Message) -> list[bytes]:
        """The envelopes that are due once the detector has made `message`."""
        if message.kind == "start":
            return [*self._disarm(), self._arm()]
        if message.kind == "end":
            return self._disarm()
        if not self._rows:
            self._first = message.frame + self.stream.first_frame
        self._rows.append(self._row(message.arm, message.frame))
        return self._flush() if len(self._rows) == (1 if self._single else BATCH) else []

    def _arm(self) -> bytes:
        self._armed, self._number = True, 0
        return self._envelope("series-start", {} if self._single else {"arm_time": DATE})

    def _disarm(self) -> list[bytes]:
        if not self._armed:
            return []
        self._armed = False
        more = {"detector_specific": {"read_overflow": False, "memory_overflow": False}} if self._single else {}
        return [*self._flush(), self._envelope("series-end", more)]

    def _flush(self) -> list[bytes]:
        if not self._rows:
            return []
        columns = self._rows[0] if self._single else {key: [row[key] for row in self._rows] for key in self._rows[0]}
        self._rows = []
        return [self._envelope("data", {"frame_number": self._first, **columns})]

    def _envelope(self, kind: str, content: Row) -> bytes:
        self._number += 1
        return to_json({"version": 1, "message_type": kind, "message_id": self._number, **content})

    def _row(self, arm: Arm, frame: int) -> Row:
        told = self.scan.appendix(arm.first + frame)
        row = self._electrometer(arm.first + frame) if self._single else self._encoders(frame, told)
        return row if self.stream.key is None else row | {self.stream.key: told["i0"]}

    def _electrometer(self, n: int) -> Row:
        seconds = n * FRAME_TIME
        dark = np.random.default_rng([self.scan.seed, 6, n]).normal(0, DARK, 4)
        return {
            "timestamp": seconds,
            "acquisition_timestamp": EPOCH + round(seconds * 1e9),
            **{f"channel{k}": current for k, current in enumerate(dark.tolist(), 1)},
        }

    def _encoders(self, frame: int, told: Row) -> Row:
        axes = self.stream.axes or {axis: Column(column=axis) for axis in AXES}
        return {
            "inttime": FRAME_TIME * 1e3,
            "triggernumber": frame + 1.0,
            "repeatindex": 1.0,
            **{column.column: (told[axis] - column.offset) / column.scale for axis, column in axes.items()},
        }
