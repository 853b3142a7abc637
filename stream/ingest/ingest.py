"""The ingest loop: message → recording → decode and integrate in threads → join → journal → ledger.

With each commit the ledger keeps the place of the oldest message whose fate is open: there a restart goes on
(`stream.ingest.resume`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import numpy as np

from stream.core.commands import read_commands
from stream.core.errors import MessageError
from stream.core.messages import Decoder, Event, Image, MonitorEvent, Parts, Pattern, SeriesEnd, SeriesStart
from stream.core.rundir import RunDirectory
from stream.core.vitals import Vitals
from stream.core.wire import decode as decode_any
from stream.ingest.acquisition import Acquisition
from stream.ingest.beside import Beside
from stream.ingest.books import Books
from stream.ingest.ledger import FrameRow
from stream.ingest.recorded import RecordedMessage
from stream.ingest.reduction import Frame, Reduces, rejected
from stream.ingest.sources import Source
from stream.ingest.watch import Watch
from stream.ingest.window import Pending, Window

COMMIT_ROWS = 64
COMMIT_EVERY = 0.02
HEARTBEAT = 1.0  # seconds between commits while nothing happens
QUIET = 2.0  # seconds without a message after which a source is let go once the grid is full
GIVEN_UP = {"finish": "finished", "abort": "aborted"}
"""Commands after which a series' frames are dropped, and the reason that the ledger gives."""
SUPERSEDED = "superseded"
"""Why the ledger drops a frame whose point a plan went back to."""
POLL = 0.05
POLL_BUSY = 0.002  # while threads work on messages


@dataclass(slots=True, kw_only=True)
class Ingest:
    """One stream of one run; everything it needs is given to it.

    received and messages count as the ledger does; command is the number of the last one obeyed.
    """

    directory: RunDirectory
    decode: Decoder
    reduction: Reduces
    acquisition: Acquisition
    books: Books
    beside: Beside
    watch: Watch
    window: Window
    vitals: Vitals
    first_frame: int | None = 0
    clock: Callable[[], float] = time.monotonic
    received: int = 0
    messages: int = 0
    command: int = 0
    _due: float = 0.0
    _heard: float = 0.0
    _committed: tuple[float, Any] = (0.0, None)
    _over: bool = False  # the plan that takes the frames has ended

    def run(self, source: Source, stop: threading.Event) -> None:
        """Take messages until `stop` is set."""
        while not stop.is_set():
            message = source.receive(POLL_BUSY if self.window.busy else POLL)
            if message is not None:
                self.accept(message.parts, time.time(), stream=message.stream)
            elif source.live:
                self.watch.idle()
                self._let_go(source)
            self.turn(exhausted=message is None and source.exhausted)
            self.vitals.beat(self._queue)
        self.read_documents()
        self.settle(give_up=True)
        self.commit()

    def accept(
        self, parts: Parts, received: float, recorded: RecordedMessage | None = None, *, stream: int = 0
    ) -> None:
        """Take one message: record it, unless it comes from the recording, and give its pixels to a thread."""
        place, now = self._place(), self.clock()
        self._heard = now
        if stream:
            reading = self.beside.decode(stream, parts)
            self._record(parts, reading, received, recorded, stream)
            if reading is not None:
                self.books.change(self.beside.take(stream, reading, now))
            return
        event = self._decode(parts, self.decode if recorded is None else decode_any)
        self._record(parts, None if isinstance(event, MessageError) else event, received, recorded)
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
            self.window.add(Pending(work=work, place=place, size=size, since=now))

    @property
    def monitored(self) -> bool:
        """True where the config names an incident intensity."""
        return self.reduction.monitor is not None or self.beside.join.monitored

    def turn(self, *, exhausted: bool) -> None:
        """What is to be done between two messages; an exhausted source has no more to give."""
        self.settle(wait=exhausted, give_up=exhausted)
        full = len(self.books.taken) == self.reduction.grid.size
        if not self.window.pending:
            self._note(self.acquisition.watch(self.clock(), full=full, exhausted=exhausted, over=self._over))
        self.commit_when_due()

    def read_documents(self) -> None:
        """Take what a plan's documents tell, such as that it is over; while it is not it may be silent."""
        documents = self.beside.join.documents
        if documents is None:
            return
        now = self.clock()
        for note in documents.news(now):
            self._note(note)
        for slot in documents.take_back():
            self.books.give_up(slot, SUPERSEDED)
        if documents.open:
            self.acquisition.heard(now)
        self._over = self.watch.live and not documents.open and documents.outcome is not None

    def settle(self, *, wait: bool = True, give_up: bool = False) -> None:
        """Give finished messages their fate, in the order of arrival: the first valid frame of a point wins.

        wait for the threads; give_up what other streams have not told yet.
        """
        pending = self.window.pending
        while pending and (wait or pending[0].work.done()):
            message, now = pending[0], self.clock()
            try:
                row, pattern = message.work.result()
                if self.beside.join.superseded(row.number):
                    self.books.ledger.drop(SUPERSEDED)
                    pending.popleft()
                    continue
                joined = self.beside.join.complete(row, now - message.since, now, give_up=give_up)
                if joined is None:
                    break
                self.book(joined, pattern, message.since)
            except MessageError as error:
                self.books.reject(error)
            pending.popleft()

    def book(self, row: FrameRow, pattern: Pattern, arrived: float) -> None:
        """Book a frame, unless it is a duplicate or not wanted any more."""
        if self.acquisition.given_up is not None and row.slot not in self.books.taken:
            self.books.ledger.drop(self.acquisition.given_up)
        elif self.books.add(row, pattern, arrived):
            self.beside.join.booked(row)
            self.acquisition.frame(self.clock())

    def commit_when_due(self) -> None:
        """Commit when rows or time have gathered; obey what a person has asked for meanwhile."""
        now = self.clock()
        if now < self._due and len(self.books.waiting) < COMMIT_ROWS:
            return
        self._due = now + COMMIT_EVERY
        self.read_documents()
        for command in read_commands(self.directory.commands, self.command):
            self.command = command.number
            if command.kind in GIVEN_UP:
                self.acquisition.finish(GIVEN_UP[command.kind])
        for note in (*self.watch.notes(now), *self.beside.notes(now)):
            self._note(note)
        at, progress = self._committed
        if self._progress() != progress or now - at >= HEARTBEAT:
            self.commit()

    def commit(self) -> None:
        """Recording, then journal, then ledger."""
        self.books.write()
        arrivals = np.array(self.books.arrivals)
        self.books.commit(self._state())
        self.vitals.histogram("journal").observe(self.clock() - arrivals)
        self._committed = (self.clock(), self._progress())

    def close(self) -> None:
        """End the threads and close the files."""
        self.reduction.close()
        self.books.close()

    def _decode(self, parts: Parts, decode: Decoder) -> Event | MessageError:
        try:
            return decode(parts)
        except MessageError as error:
            return error

    def _record(
        self,
        parts: Parts,
        event: Event | MonitorEvent | None,
        received: float,
        recorded: RecordedMessage | None,
        stream: int = 0,
    ) -> None:
        self.messages += 1
        if recorded is None:
            self.books.record(parts, event, received, stream)
        else:
            self.books.was_recorded(recorded)

    def _start(self, event: SeriesStart) -> None:
        self._note(self.acquisition.start(event))
        if self.acquisition.series.count == 1:  # else the numbers go on from line to line
            self.watch.begin()
        for difference in self.reduction.expected.differences(event):
            self._note(difference)
        mask = None
        try:
            mask = self.reduction.mask_of(event)
        except MessageError as error:
            self._note(f"the mask of series {event.series} is not used: {error}")
        self.reduction.begin(event.saturation, mask)
        self.books.ledger.header(event.series, event.saturation, mask)
        self._due = 0.0  # a header comes once: what it told is committed with the next turn

    def _image(self, event: Image, received: float) -> Future[Frame]:
        series = self.acquisition.series
        try:
            note = series.image(event)
            if note is not None:
                self._note(note)
                if series.count == 1:  # the next line is taken as the last one was
                    self.watch.begin()
                    self.reduction.begin(None, None)
            number = series.number(event, self.first_frame)
            self.watch.frame(number, event.message)
        except MessageError as error:
            return rejected(error)
        return self.reduction.submit(event, number, received)

    def _make_room(self, size: int) -> None:
        """Wait for threads while the window is full; do not wait for readings beyond what memory allows."""
        if self.window.crowded:
            self.settle(wait=False, give_up=True)
        while self.window.is_full(size):
            self.watch.full()
            self.window.wait()
            self.settle(wait=False)

    def _let_go(self, source: Source) -> None:
        """A full grid needs no more frames: who comes next on this endpoint shall have them."""
        full = self.acquisition.phase == "ended" and len(self.books.taken) == self.reduction.grid.size
        if full and not self.watch.disconnected and self.clock() - self._heard > QUIET:
            source.close()
            self.watch.disconnected = True

    def _note(self, text: str | None) -> None:
        if text is not None:
            self.books.ledger.event(text)

    def _queue(self) -> dict[str, Any]:
        return {"queue_bytes": self.window.size, "queue_limit_bytes": self.window.limit}

    def _place(self) -> dict[str, Any]:
        return {"messages": self.messages, "recorded": self.books.recorded, "series": self.acquisition.series.state()}

    def _progress(self) -> tuple[Any, ...]:
        """What tells two commits apart."""
        counts = self.messages, self.books.ledger.accounted, self.command
        return *counts, self.acquisition.phase, self.watch.disconnected, self.beside.state()

    def _state(self) -> dict[str, Any]:
        now = self.clock()
        return {
            **(self.window.pending[0].place if self.window.pending else self._place()),
            "phase": self.acquisition.phase,
            "received": self.received,
            "command": self.command,
            "updated": time.time(),
            "recording": None if self.books.recorder is None else self.books.recorder.suspended,
            **({"latency": now - self.books.arrivals[0]} if self.books.arrivals else {}),
            **self.watch.state(now, self.books.ledger.integrated),
            **self.beside.state(),
        }
