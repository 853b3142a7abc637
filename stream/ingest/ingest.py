"""The ingest loop: message → recording → decode and integrate in threads → journal → ledger.

The order of each commit is recording, journal, ledger: a frame in the ledger is in the journal, a frame in the
journal is in the recording. What was recorded but not committed when a process died is taken from the recording
at the next start.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from stream.core.commands import read_commands
from stream.core.config import Config
from stream.core.errors import MessageError, Reject
from stream.core.messages import Decoder, EncodedArray, Event, Image, Integrate, Parts, Pattern, SeriesEnd, SeriesStart
from stream.core.rundir import RunDirectory
from stream.core.scan import ScanGrid
from stream.core.wire.compression import decompress
from stream.ingest.journal import Journal
from stream.ingest.ledger import FrameRow, Ledger
from stream.ingest.preview import Preview
from stream.ingest.recording import Recording
from stream.ingest.series import Expected, Series, choose_channel, read_monitor
from stream.ingest.sources import Source

THREADS = max(2, min(8, os.cpu_count() or 2))
WINDOW = 4 * THREADS  # messages between socket and journal
COMMIT_EVERY = 0.1
COMMIT_ROWS = 64
STRAGGLERS = 2.0  # seconds that an end message waits for late frames
POLL = 0.05
POLL_BUSY = 0.002  # while threads work on messages


@dataclass(slots=True, kw_only=True)
class Pending:
    """A message between socket and journal."""

    received: float
    row: FrameRow | None = None
    work: Future[Pattern] | None = None
    error: MessageError | None = None


@dataclass(slots=True, kw_only=True)
class Ingest:
    """One stream of one run; everything it needs is given to it."""

    directory: RunDirectory
    config: Config
    grid: ScanGrid
    decode: Decoder
    base: Integrate
    expected: Expected
    journal: Journal
    ledger: Ledger
    recording: Recording | None
    preview: Preview
    integrate: Integrate = field(init=False)
    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(THREADS, "integrate"))
    series: Series = field(default_factory=Series)
    taken: dict[int, tuple[str, int]] = field(default_factory=dict)
    phase: str = "waiting"
    received: int = 0
    messages: int = 0
    _pending: deque[Pending] = field(default_factory=deque)
    _batch: list[tuple[FrameRow, Pattern]] = field(default_factory=list)
    _committed_at: float = 0.0
    _last_message: float | None = None
    _end_at: float | None = None
    _command: int = 0
    _rate: tuple[float, int] = (0.0, 0)

    def __post_init__(self) -> None:
        """Until a header says more, the detector is as config and geometry have it."""
        self.integrate = self.base

    def run(self, source: Source, stop: threading.Event) -> None:
        """Take messages until `stop` is set, or until a recording is exhausted and the run has ended."""
        while not stop.is_set():
            parts = source.receive(POLL_BUSY if self._pending else POLL)
            if parts is not None:
                self.accept(parts, time.time())
            self.settle(wait=parts is None and source.exhausted)
            self._watch(source.exhausted)
            self.commit_when_due()
        self.settle(wait=True)
        self.commit()

    def accept(self, parts: Parts, received: float, *, record: bool = True) -> None:
        """Take one message: record it, decode its envelope, give its pixels to a thread."""
        self._last_message = time.monotonic()
        self.messages += 1
        try:
            event: Event | None = self.decode(parts)
            error = None
        except MessageError as caught:
            event, error = None, caught
        if record and self.recording is not None:
            self.recording.append(parts, event, received)
        if isinstance(event, SeriesStart):
            self._start(event)
        elif isinstance(event, SeriesEnd):
            self._end(event)
        else:
            self.received += 1
            while len(self._pending) >= WINDOW:
                self.settle(wait=True, at_most=1)
            self._pending.append(self._image(event, received) if event else Pending(received=received, error=error))

    def recover(self, tail: Iterable[tuple[float, Parts]]) -> None:
        """Continue where an earlier process ended.

        Rows without an intact slot are taken back; `tail`, messages that were recorded but not committed, are
        taken from the recording; slots that only the journal knows then (a run without recording) are booked.
        """
        booked = self.ledger.frames()
        intact = {row.slot: row for row in self.journal.filled()}
        for slot in booked.keys() - intact.keys():
            self.ledger.forget(slot)
            self.ledger.event(f"slot {slot} of the journal was damaged; its grid point is free again")
        self.taken = {slot: (row.series, row.frame) for slot, row in intact.items() if slot in booked}
        before = self.ledger.state()
        series = before.get("series") or {}
        self.series = Series(current=series.get("current"), ended=series.get("ended", False))
        self.received = self.ledger.accounted
        self.messages = before.get("messages", 0)
        for received, parts in tail:
            self.accept(parts, received, record=False)
        self.settle(wait=True)
        for slot in sorted(intact.keys() - self.taken.keys()):
            row = intact[slot]
            self.ledger.add(row if self.config.detector.monitor else replace(row, monitor=None))
            self.taken[slot] = (row.series, row.frame)
            self.received += 1
        self.phase = "acquiring" if self.taken else "waiting"
        if before.get("phase") == "ended":
            self.phase = "ended"
        elif self.series.ended:
            self._end_at = time.monotonic() + STRAGGLERS
        self._last_message = time.monotonic() if self.series.current and not self.series.ended else None
        if "phase" in before:
            self.ledger.event(f"ingest started again with {len(self.taken)} of {self.grid.size} frames")
        self.commit()

    def settle(self, *, wait: bool, at_most: int | None = None) -> None:
        """Give finished messages their fate, in the order of arrival: the first valid frame of a point wins."""
        settled = 0
        while self._pending and (at_most is None or settled < at_most):
            work = self._pending[0].work
            if work is not None and not wait and not work.done():
                return
            self._fate(self._pending.popleft())
            settled += 1

    def commit_when_due(self) -> None:
        """Commit when enough rows or time have gathered."""
        if len(self._batch) >= COMMIT_ROWS or time.monotonic() - self._committed_at >= COMMIT_EVERY:
            self.commit()

    def commit(self) -> None:
        """Recording, then journal, then ledger."""
        if self.recording is not None:
            self.recording.flush()
        for row, pattern in self._batch:
            self.journal.write(row, pattern)
            self.ledger.add(row)
        latency = time.time() - self._batch[0][0].received if self._batch else None
        self._batch.clear()
        self._committed_at = time.monotonic()
        self.ledger.commit(**self._state(latency))

    def _image(self, event: Image, received: float) -> Pending:
        try:
            self.series.image(event)
            slot = self.grid.slot(event.frame - (self.config.detector.first_frame or 0))
            if slot is None:
                raise MessageError(Reject.BEYOND_GRID, f"frame {event.frame} is beyond the grid of {self.grid.size}")
            array = choose_channel(event, self.config.detector.channel)
            self.expected.check(array)
        except MessageError as error:
            return Pending(received=received, error=error)
        monitor = read_monitor(event, self.config.detector.monitor)
        row = FrameRow(slot=slot, series=event.series, frame=event.frame, monitor=monitor, received=received)
        work = None if slot in self.taken else self.pool.submit(self._pattern, self.integrate, array, event.frame)
        return Pending(received=received, row=row, work=work)

    def _pattern(self, integrate: Integrate, array: EncodedArray, frame: int) -> Pattern:
        image = decompress(array)
        self.preview.offer(frame, image)
        return integrate(image)

    def _fate(self, message: Pending) -> None:
        row = message.row
        if message.error is not None or row is None:
            self.ledger.reject(message.error.reason if message.error else Reject.NOT_DECODABLE)
        elif row.slot in self.taken or message.work is None:
            self.ledger.duplicate()
        else:
            try:
                self._batch.append((row, message.work.result()))
            except MessageError as error:
                self.ledger.reject(error.reason)
                return
            self.taken[row.slot] = (row.series, row.frame)
            self.phase = "acquiring"

    def _start(self, event: SeriesStart) -> None:
        self._end_at = None
        channel = self.config.detector.channel or next(iter(event.channels), "")
        mask = event.mask.get(channel)
        self.integrate = self.base.for_series(None, event.saturation)
        if mask is not None:
            try:
                self.integrate = self.base.for_series(decompress(mask) != 0, event.saturation)
            except MessageError as error:
                self.ledger.event(f"the mask of series {event.series} is not used: {error}")
        for note in [self.series.start(event), *self.expected.differences(event)]:
            if note:
                self.ledger.event(note)

    def _end(self, event: SeriesEnd) -> None:
        note = self.series.end(event)
        if note:
            self.ledger.event(note)
        else:
            self._end_at = time.monotonic() + STRAGGLERS

    def _watch(self, exhausted: bool) -> None:
        """Notice that the acquisition is over."""
        if len(self.taken) == self.grid.size:
            self.phase = "ended"
            return
        now = time.monotonic()
        silent = self._last_message is not None and now - self._last_message > self.config.detector.idle_timeout
        over = self._end_at is not None and now >= self._end_at
        if over or silent or (exhausted and not self._pending):
            if self.phase != "ended" and silent and not over:
                self.ledger.event(f"no message for {self.config.detector.idle_timeout:g} s: the series is over")
            self.phase, self._end_at, self._last_message = "ended", None, None
        for command in read_commands(self.directory.commands, self._command):
            self._command = command.number
            if command.kind in {"finish", "abort"}:
                self.phase, self._last_message = "ended", None

    def _state(self, latency: float | None) -> dict[str, Any]:
        now = time.monotonic()
        state: dict[str, Any] = {
            "phase": self.phase,
            "received": self.received,
            "messages": self.messages,
            "series": self.series.state(),
            "updated": time.time(),
        }
        if latency is not None:
            state["latency"] = latency
        since, count = self._rate
        if now - since >= 1.0:
            state["rate"] = (self.ledger.integrated - count) / (now - since) if since else 0.0
            self._rate = (now, self.ledger.integrated)
        if self.recording is not None:
            state["recorded"] = {"file": self.recording.name, "count": self.recording.count}
        return state
