"""Readings of monitor and encoder streams, joined to the frames by their number in the scan.

A stream sends its readings in order, some time after the frames. A frame waits for those that it needs until they are
there, until a later reading of the stream is half a second old (then its own was lost), or for ten seconds at most.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from stream.core.config import MonitorStream
from stream.core.config.scan import AxisName
from stream.core.errors import MessageError, Reject
from stream.core.messages import Armed, MonitorEvent, Readings
from stream.core.scan import ScanGrid
from stream.ingest.checks import finite
from stream.ingest.documents import Documents
from stream.ingest.ledger import FrameRow, Reading

PATIENCE = 10.0  # seconds that a frame waits for its readings
OVERTAKEN = 0.5  # seconds after a later reading of the same stream, a missing one is lost
MOST = 4  # times the grid: readings of more frames than that are none of this scan's


@dataclass(slots=True)
class Stream:
    """The readings of one stream: values[column] by number of the frame in the scan."""

    config: MonitorStream
    columns: tuple[str, ...]
    values: dict[str, dict[int, float]] = field(init=False)
    armed: int = -1  # how many series of readings have begun before this one
    heard: deque[tuple[int, float]] = field(default_factory=deque)  # last number and time of the latest messages

    def __post_init__(self) -> None:
        """Nothing was read yet."""
        self.values = {column: {} for column in self.columns}

    def lost(self, number: int, now: float) -> bool:
        """True where a later reading came long enough ago."""
        return any(last > number and now - at > OVERTAKEN for last, at in self.heard)


@dataclass(slots=True)
class Join:
    """What the streams beside the detector know of each frame.

    grid, frames: of the scan, and how many of them one detector series holds. encoder is the stream that tells where
    a frame lies, monitor the one with the incident intensity; None where there is none. documents are a plan's, located
    says that they tell where a frame lies.
    """

    grid: ScanGrid
    frames: int
    streams: list[Stream]
    monitor: int | None
    encoder: int | None
    documents: Documents | None = None
    located: bool = False
    axes: dict[str, tuple[AxisName, float, float]] = field(default_factory=dict)
    unmonitored: dict[int, FrameRow] = field(default_factory=dict)

    @classmethod
    def create(cls, grid: ScanGrid, frames: int, streams: list[MonitorStream], encoder: MonitorStream | None) -> Join:
        """Streams as configured; `encoder` is the one of them that tells positions."""
        axes: dict[str, tuple[AxisName, float, float]] = {}
        if encoder is not None:
            named = {axis: (c.column, c.scale, c.offset) for axis, c in encoder.axes.items()}
            plain: dict[AxisName, tuple[str, float, float]] = {a: (a, 1.0, 0.0) for a in ("slice", "angle", "position")}
            axes = {column: (axis, scale, offset) for axis, (column, scale, offset) in (named or plain).items()}
        keyed = [i for i, stream in enumerate(streams) if stream.key is not None]
        return cls(
            grid,
            frames,
            [
                Stream(stream, ((stream.key,) if stream.key else ()) + (tuple(axes) if stream is encoder else ()))
                for stream in streams
            ],
            monitor=keyed[0] if keyed else None,
            encoder=None if encoder is None else streams.index(encoder),
            axes=axes,
        )

    def restore(self, readings: Iterable[Reading]) -> None:
        """Take up what an earlier process read."""
        for stream, number, column, value in readings:
            if stream < len(self.streams) and column in self.streams[stream].values:
                self.streams[stream].values[column][number] = value

    def take(self, index: int, event: MonitorEvent, now: float) -> list[Reading]:
        """Take a message of stream `index`; returns the readings that are to be kept."""
        stream = self.streams[index]
        if isinstance(event, Armed):
            stream.armed += 1
            stream.heard.clear()
        if not isinstance(event, Readings):
            return []
        begin = event.first - stream.config.first_frame
        if self.frames < self.grid.size:  # a series of readings for each of the detector's
            begin += max(stream.armed, 0) * self.frames
        taken: list[Reading] = []
        for column in stream.columns:
            for offset, value in enumerate(event.values.get(column, ())):
                if 0 <= begin + offset < MOST * self.grid.size:
                    stream.values[column][begin + offset] = finite(value)
                    taken.append((index, begin + offset, column, finite(value)))
        if taken:
            stream.heard.append((max(number for _, number, _, _ in taken), now))
            while len(stream.heard) > 1 and now - stream.heard[1][1] > OVERTAKEN:
                stream.heard.popleft()
        return taken

    def complete(self, row: FrameRow, waited: float, now: float, *, give_up: bool) -> FrameRow | None:
        """The row with what the streams tell of it; None while it has to wait.

        Raises
        ------
        MessageError
            ``off-grid`` where its position is not on the grid, or never came.
        """
        patient = (waited < PATIENCE or self._paused) and not give_up
        if row.slot < 0:
            if patient and not self._where(row.number) and not self._lost(self.encoder, row.number, now):
                return None
            row = replace(row, slot=self.place(row.number, row.frame))
        if not self.monitored:
            return row
        value = self._monitor(row.number)
        if value is None:
            if patient and not self._lost(self.monitor, row.number, now):
                return None
            value = math.nan
        return replace(row, monitor=value)

    @property
    def monitored(self) -> bool:
        """True where a stream or the documents tell the incident intensity."""
        return self.monitor is not None or (self.documents is not None and self.documents.monitor is not None)

    def superseded(self, number: int) -> bool:
        """True for a frame whose point a plan has measured again."""
        return self.documents is not None and number in self.documents.superseded

    def place(self, number: int, frame: int) -> int:
        """Slot of frame `number` of the scan, which the detector calls `frame`, by the encoders.

        Raises
        ------
        MessageError
            ``off-grid`` where it is not on the grid, or no position came.
        """
        where = self._where(number)
        if not where:
            raise MessageError(Reject.OFF_GRID, f"no position came for frame {frame}")
        return self.grid.locate(number, where)

    def booked(self, row: FrameRow) -> None:
        """A frame was booked: where its incident intensity is missing it may still come."""
        if self.documents is not None:
            self.documents.booked[row.number] = row.slot
        if self.monitor is not None and row.monitor is not None and math.isnan(row.monitor):
            self.unmonitored[row.number] = row

    def late(self, readings: Iterable[Reading]) -> list[FrameRow]:
        """Rows of frames that were booked without the incident intensity which has come now."""
        numbers = {number for stream, number, column, _ in readings if stream == self.monitor and column == self._key}
        rows = []
        for number in sorted(numbers & self.unmonitored.keys()):
            value = self._monitor(number)
            rows.append(replace(self.unmonitored.pop(number), monitor=math.nan if value is None else value))
        return rows

    @property
    def _key(self) -> str:
        return "" if self.monitor is None else self.streams[self.monitor].config.key or ""

    @property
    def _paused(self) -> bool:
        """A plan that has not ended may rest for as long as it likes."""
        return self.located and self.documents is not None and self.documents.open

    def _lost(self, stream: int | None, number: int, now: float) -> bool:
        if stream is not None:
            return self.streams[stream].lost(number, now)
        return self.documents is None or self.documents.lost(number, now)

    def _monitor(self, number: int) -> float | None:
        if self.monitor is not None:
            return self.streams[self.monitor].values[self._key].get(number)
        return None if self.documents is None else self.documents.intensity(number)

    def _where(self, number: int) -> dict[AxisName, float]:
        if self.located and self.documents is not None:
            return self.documents.where(number)
        values = self.streams[self.encoder].values if self.encoder is not None else {}
        return {
            axis: scale * values[column][number] + offset
            for column, (axis, scale, offset) in self.axes.items()
            if number in values[column]
        }
