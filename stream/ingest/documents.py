"""Where a frame lies, and its incident intensity, by the Bluesky documents of its run.

An event belongs to a frame, counted from 0: the one whose number it has under the key that the plan names; else the
one that a ``stream_datum`` gives for its ``seq_num``; else the next one. A ``seq_num`` that comes again takes the
place of its event before: that frame is given up. Of a scan on the fly there are no events: its ``seq_num`` counts the
points of the grid in their order.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from stream.core.bluesky_scan import in_grid_units, motors_of_axes, own_words
from stream.core.config.scan import AxisName
from stream.core.documents import Document, KeptDocuments
from stream.core.scan import AXES, ScanGrid
from stream.ingest.checks import finite

MAIN = "primary"
"""Name of the event stream that the frames belong to."""
OVERTAKEN = 0.5  # seconds after the event of a later frame, a missing one is lost
MOST = 4  # times the grid: more frames at once are none of this scan's

Row = Mapping[str, Any]


@dataclass(slots=True)
class Documents:
    """What the documents have told so far.

    order: axes of the scan, slowest first; monitor: the data key of the incident intensity, None where it comes
    otherwise. start is the latest start document; open is True from it to its stop; outcome is the latest stop's
    ``exit_status`` and ``reason``. superseded: frames whose point was measured again.
    """

    kept: KeptDocuments
    grid: ScanGrid
    order: tuple[AxisName, AxisName, AxisName] = AXES
    monitor: str | None = None
    start: Row = field(default_factory=dict)
    open: bool = False
    outcome: tuple[str, str] | None = None
    superseded: set[int] = field(default_factory=set)
    booked: dict[int, int] = field(default_factory=dict)
    """Slot by frame, of those in the ledger."""
    _frame_key: str | None = None
    _external: bool = False  # the detector's own documents tell which frame an event has
    _fly: bool = False
    _motors: dict[AxisName, str] = field(default_factory=dict)
    _scale: dict[AxisName, float] = field(default_factory=dict)
    _descriptors: set[str] = field(default_factory=set)
    _rows: dict[int, Row] = field(default_factory=dict)  # by seq_num
    _frames: dict[int, int] = field(default_factory=dict)  # seq_num → frame
    _seq: dict[int, int] = field(default_factory=dict)  # frame → seq_num
    _next: int = 0
    _told: tuple[float, int] = (math.inf, -1)  # when, and which, the latest frame that an event had

    def news(self, now: float) -> Iterator[str]:
        """Take what came; sentences that are news."""
        for document in self.kept.new():
            try:
                yield from self._take(document, now)
            except (TypeError, ValueError, AttributeError) as error:  # fields of another kind than event-model's
                yield f"a Bluesky {document.name} document cannot be used: {error}"

    def where(self, frame: int) -> dict[AxisName, float]:
        """Coordinates (µm, degrees) of a frame; empty while no event tells them."""
        if self._fly:
            return self._by_order(frame)
        row = self._row(frame)
        return {
            axis: finite(row[motor]) * self._scale.get(axis, 1.0)
            for axis, motor in self._motors.items()
            if row is not None and motor in row
        }

    def intensity(self, frame: int) -> float | None:
        """The incident intensity of a frame, None while no event tells it."""
        row = self._row(frame)
        return None if self.monitor is None or row is None or self.monitor not in row else finite(row[self.monitor])

    def lost(self, frame: int, now: float) -> bool:
        """True where no event will come for a frame: a later one has its own, or the run is over."""
        at, last = self._told
        return (last > frame and now - at > OVERTAKEN) or (not self.open and self.outcome is not None)

    def take_back(self) -> list[int]:
        """Slots of frames in the ledger whose point was measured again: they are free, and told once."""
        return [self.booked.pop(frame) for frame in sorted(self.superseded & self.booked.keys())]

    def _row(self, frame: int) -> Row | None:
        return self._rows.get(self._seq.get(frame, -1))

    def _by_order(self, frame: int) -> dict[AxisName, float]:
        point = self._seq.get(frame, 0) - 1
        if not 0 <= point < self.grid.size:
            return {}
        coordinates = zip(AXES, (self.grid.slices, self.grid.angles, self.grid.positions), strict=True)
        return {axis: float(points[i]) for (axis, points), i in zip(coordinates, self.grid.at(point), strict=True)}

    def _take(self, document: Document, now: float) -> Iterator[str]:
        content = document.content
        match document.name:
            case "start":
                yield from self._start(content)
            case "descriptor" if content.get("name", MAIN) == MAIN:
                self._descriptor(content)
            case "event" if content.get("descriptor") in self._descriptors:
                self._event(content.get("seq_num"), content.get("data"), now)
            case "event_page" if content.get("descriptor") in self._descriptors:
                for seq, row in rows_of_page(content):
                    self._event(seq, row, now)
            case "stream_datum" if content.get("descriptor") in self._descriptors:
                self._stream_datum(content, now)
            case "stop":
                self.open = False
                self.outcome = (str(content.get("exit_status", "success")), str(content.get("reason") or ""))
                status, reason = self.outcome
                if status != "success":
                    yield f"the Bluesky run ended as {status!r}{': ' if reason else ''}{reason}"

    def _start(self, content: Row) -> Iterator[str]:
        self.start, self.open, self.outcome = dict(content), True, None
        moving = [axis for axis in self.order if self.grid.shape[AXES.index(axis)] > 1]
        self._motors = motors_of_axes(content, moving)
        frame, monitor = own_words(content, "frame"), own_words(content, "monitor")
        self._frame_key, self._fly = None if frame is None else str(frame), own_words(content, "fly") is True
        self.monitor = str(monitor) if monitor is not None else self.monitor
        yield f"Bluesky run {content.get('uid')} began"

    def _descriptor(self, content: Row) -> None:
        self._descriptors.add(str(content.get("uid")))
        keys = content.get("data_keys")
        for axis, motor in self._motors.items():
            told = keys.get(motor) if isinstance(keys, Mapping) else None
            if isinstance(told, Mapping):
                self._scale[axis] = in_grid_units(axis, told.get("units"))

    def _event(self, seq: Any, row: Any, now: float) -> None:
        if not isinstance(seq, int) or not isinstance(row, Mapping):
            return
        wanted = (*self._motors.values(), self.monitor)
        self._rows[seq] = {key: value for key, value in row.items() if key in wanted}
        if self._frame_key is not None:
            frame = row.get(self._frame_key)
            if isinstance(frame, int | float) and math.isfinite(frame):
                self._belongs(int(frame), seq)
        elif not self._external:
            self._belongs(self._next, seq)
            self._next += 1
        self._told = (now, self._frames.get(seq, self._told[1]))

    def _stream_datum(self, content: Row, now: float) -> None:
        """Frames start to stop of the detector's own file are of the events with these numbers."""
        if self._frame_key is not None and not self._fly:
            return
        indices, numbers = content.get("indices"), content.get("seq_nums")
        if not (isinstance(indices, Mapping) and isinstance(numbers, Mapping)):
            return
        frames = range(int(indices.get("start", 0)), int(indices.get("stop", 0)))
        seqs = range(int(numbers.get("start", 0)), int(numbers.get("stop", 0)))
        self._external = True
        if len(frames) <= MOST * self.grid.size:
            for frame, seq in zip(frames, seqs, strict=False):
                self._belongs(frame, seq)
            if self._fly:
                self._told = now, frames.stop - 1

    def _belongs(self, frame: int, seq: int) -> None:
        before = self._frames.get(seq)
        if before is not None and before != frame:
            self.superseded.add(before)
            self._seq.pop(before, None)
        self._frames[seq], self._seq[frame] = frame, seq


def rows_of_page(page: Row) -> Iterator[tuple[Any, Row]]:
    """seq_num and data of each event in a page."""
    data, numbers = page.get("data"), page.get("seq_num")
    if isinstance(data, Mapping) and isinstance(numbers, list):
        for i, seq in enumerate(numbers):
            yield seq, {key: column[i] for key, column in data.items() if isinstance(column, list) and i < len(column)}
