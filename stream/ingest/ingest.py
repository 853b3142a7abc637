"""The ingest loop: message → recording → decode and integrate in threads → journal → ledger.

The order of each commit is recording, journal, ledger: a frame in the ledger is in the journal, a frame in the
journal is in the recording. With each commit the ledger keeps the place of the oldest message whose fate is open:
there a restart goes on (`stream.ingest.resume`).
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from stream.core.commands import read_commands
from stream.core.errors import MessageError
from stream.core.messages import Decoder, Event, Image, Parts, Pattern, SeriesEnd, SeriesStart
from stream.core.rundir import RunDirectory
from stream.ingest.acquisition import Acquisition
from stream.ingest.journal import Journal
from stream.ingest.ledger import FrameRow, Ledger
from stream.ingest.recorded import RecordedMessage
from stream.ingest.recording import Recording
from stream.ingest.reduction import THREADS, Frame, Reduction, rejected
from stream.ingest.sources import Source

WINDOW = 4 * THREADS  # messages between socket and journal
COMMIT_ROWS = 64
COMMIT_EVERY = 0.1
HEARTBEAT = 1.0  # seconds between commits while nothing happens
RATE_EVERY = 1.0
GIVEN_UP = {"finish": "finished", "abort": "aborted"}
"""Commands after which a series' frames are dropped, and the reason that the ledger gives."""
POLL = 0.05
POLL_BUSY = 0.002  # while threads work on messages


@dataclass(slots=True, kw_only=True)
class Pending:
    """An image message between socket and journal; place is where a restart before it would go on."""

    work: Future[Frame]
    place: dict[str, Any]
    size: int
    since: float


@dataclass(slots=True, kw_only=True)
class Ingest:
    """One stream of one run; everything it needs is given to it.

    received and messages count as the ledger does; recorded is the place of the next message in the recording,
    command the number of the last one obeyed. window_bytes of messages at most are between socket and journal.
    """

    directory: RunDirectory
    decode: Decoder
    reduction: Reduction
    acquisition: Acquisition
    journal: Journal
    ledger: Ledger
    recording: Recording | None
    window_bytes: int
    clock: Callable[[], float] = time.monotonic
    taken: set[int] = field(default_factory=set)
    received: int = 0
    messages: int = 0
    recorded: dict[str, Any] | None = None
    command: int = 0
    _pending: deque[Pending] = field(default_factory=deque)
    _batch: list[tuple[FrameRow, Pattern]] = field(default_factory=list)
    _oldest: float | None = None  # arrival of the first frame of the batch
    _due: float = 0.0
    _committed: tuple[float, Any] = (0.0, None)
    _rate: tuple[float, int] | None = None

    def run(self, source: Source, stop: threading.Event) -> None:
        """Take messages until `stop` is set."""
        while not stop.is_set():
            parts = source.receive(POLL_BUSY if self._pending else POLL)
            if parts is not None:
                self.accept(parts, time.time())
            self.turn(exhausted=parts is None and source.exhausted)
        self.settle()
        self.commit()

    def accept(self, parts: Parts, received: float, recorded: RecordedMessage | None = None) -> None:
        """Take one message: record it, unless it comes from the recording, and give its pixels to a thread."""
        place, now = self._place(), self.clock()
        event = self._decode(parts)
        if recorded is None:
            self._record(parts, event, received)
        else:
            self.recorded = {"file": recorded.file, "count": recorded.index + 1}
        self.messages += 1
        self.acquisition.heard(now)
        if isinstance(event, SeriesStart):
            self._start(event)
        elif isinstance(event, SeriesEnd):
            self._note(self.acquisition.end(event, now))
        else:
            self.received += 1
            size = sum(map(len, parts))
            self._make_room(size)
            work = rejected(event) if isinstance(event, MessageError) else self._image(event, received)
            self._pending.append(Pending(work=work, place=place, size=size, since=now))

    def turn(self, *, exhausted: bool) -> None:
        """What is to be done between two messages; an exhausted source has no more to give."""
        self.settle(wait=exhausted)
        full = len(self.taken) == self.reduction.grid.size
        self._note(self.acquisition.watch(self.clock(), full=full, exhausted=exhausted))
        self.commit_when_due()

    def settle(self, *, wait: bool = True, at_most: int | None = None) -> None:
        """Give finished messages their fate, in the order of arrival: the first valid frame of a point wins."""
        settled = 0
        while self._pending and settled != at_most and (wait or self._pending[0].work.done()):
            message = self._pending.popleft()
            settled += 1
            try:
                row, pattern = message.work.result()
            except MessageError as error:
                self.ledger.reject(error.reason)
                continue
            if row.slot in self.taken:
                self.ledger.duplicate()
                continue
            if self.acquisition.given_up is not None:
                self.ledger.drop(self.acquisition.given_up)
                continue
            self.taken.add(row.slot)
            self._batch.append((row, pattern))
            self._oldest = message.since if self._oldest is None else self._oldest
            self.acquisition.frame(self.clock())

    def commit_when_due(self) -> None:
        """Commit when rows or time have gathered; obey what a person has asked for meanwhile."""
        now = self.clock()
        if now < self._due and len(self._batch) < COMMIT_ROWS:
            return
        self._due = now + COMMIT_EVERY
        for command in read_commands(self.directory.commands, self.command):
            self.command = command.number
            if command.kind in GIVEN_UP:
                self.acquisition.finish(GIVEN_UP[command.kind])
        at, progress = self._committed
        if self._progress() != progress or now - at >= HEARTBEAT:
            self.commit()

    def commit(self) -> None:
        """Recording, then journal, then ledger."""
        if self.recording is not None:
            self.recording.flush()
        for row, pattern in self._batch:
            self.journal.write(row, pattern)
            self.ledger.add(row)
        self.ledger.commit(**self._state())
        self._batch.clear()
        self._oldest, self._committed = None, (self.clock(), self._progress())

    def close(self) -> None:
        """End the threads and close the files."""
        self.reduction.close()
        if self.recording is not None:
            self.recording.close()
        self.ledger.close()
        self.journal.close()

    def _decode(self, parts: Parts) -> Event | MessageError:
        try:
            return self.decode(parts)
        except MessageError as error:
            return error

    def _record(self, parts: Parts, event: Event | MessageError, received: float) -> None:
        if self.recording is not None:
            index = self.recording.append(parts, None if isinstance(event, MessageError) else event, received)
            self.recorded = {"file": self.recording.name, "count": index + 1}

    def _start(self, event: SeriesStart) -> None:
        self._note(self.acquisition.start(event))
        for difference in self.reduction.expected.differences(event):
            self._note(difference)
        mask = None
        try:
            mask = self.reduction.mask_of(event)
        except MessageError as error:
            self._note(f"the mask of series {event.series} is not used: {error}")
        self.reduction.begin(event.saturation, mask)
        self.ledger.header(event.series, event.saturation, mask)

    def _image(self, event: Image, received: float) -> Future[Frame]:
        series = self.acquisition.series
        try:
            note = series.image(event)
        except MessageError as error:
            return rejected(error)
        if note is not None:
            self._note(note)
            self.reduction.begin(None, None)
        return self.reduction.submit(event, series.first or 0, received)

    def _make_room(self, size: int) -> None:
        while self._pending and (
            len(self._pending) >= WINDOW or size + sum(each.size for each in self._pending) > self.window_bytes
        ):
            self.settle(at_most=1)

    def _note(self, text: str | None) -> None:
        if text is not None:
            self.ledger.event(text)

    def _place(self) -> dict[str, Any]:
        return {"messages": self.messages, "recorded": self.recorded, "series": self.acquisition.series.state()}

    def _progress(self) -> tuple[Any, ...]:
        """What tells two commits apart."""
        return self.messages, self.ledger.accounted, self.acquisition.phase, self.command

    def _state(self) -> dict[str, Any]:
        now = self.clock()
        state = {
            **(self._pending[0].place if self._pending else self._place()),
            "phase": self.acquisition.phase,
            "received": self.received,
            "command": self.command,
            "updated": time.time(),
        }
        if self._oldest is not None:
            state["latency"] = now - self._oldest
        since, count = self._rate or (now, self.ledger.integrated)
        if self._rate is None or now - since >= RATE_EVERY:
            state["rate"] = (self.ledger.integrated - count) / (now - since) if now > since else 0.0
            self._rate = now, self.ledger.integrated
        return state
