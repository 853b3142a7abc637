"""What is known of every frame: recording, journal and ledger, written in this order.

A frame in the ledger is in the journal, a frame in the journal is in the recording.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from stream.core.errors import MessageError
from stream.core.messages import Event, MonitorEvent, Parts, Pattern
from stream.ingest.journal import Journal
from stream.ingest.ledger import FrameRow, Ledger
from stream.ingest.recorded import RecordedMessage
from stream.ingest.recorder import Recorder
from stream.ingest.slots import Slots


@dataclass(slots=True)
class Books:
    """Frames gather here until they are written and committed.

    taken holds the slots that have their frame, booked or about to be; recorded is the place of the next message in
    the recording, None before the first.
    """

    journal: Journal
    ledger: Ledger
    recorder: Recorder | None
    taken: Slots = field(init=False)
    recorded: dict[str, Any] | None = None
    waiting: list[tuple[FrameRow, Pattern]] = field(default_factory=list)
    arrivals: list[float] = field(default_factory=list)  # of the frames that are not committed yet, oldest first

    def __post_init__(self) -> None:
        """No frame is booked yet."""
        self.taken = Slots(self.journal.slots)

    def record(self, parts: Parts, event: Event | MonitorEvent | None, received: float, stream: int = 0) -> None:
        """Put a message into the recording; None for its event where it could not be decoded."""
        if self.recorder is not None:
            self.recorded = self.recorder.append(parts, event, received, stream) or self.recorded

    def was_recorded(self, message: RecordedMessage) -> None:
        """A message was taken from the run's own recording."""
        self.recorded = {"file": message.file, "count": message.index + 1}

    def add(self, row: FrameRow, pattern: Pattern, arrived: float) -> bool:
        """Book a frame, the first of its grid point; False for a duplicate, which is counted as one."""
        if row.slot in self.taken:
            self.ledger.duplicate()
            return False
        self.taken.add(row.slot)
        self.waiting.append((row, pattern))
        self.arrivals.append(arrived)
        return True

    def reject(self, error: MessageError) -> None:
        """Count a message that cannot be used; of the first of each reason a person is told what was wrong."""
        if not self.ledger.counts["rejected", error.reason.value]:
            self.ledger.event(f"rejected as {error.reason.value}, the first of its kind: {error}")
        self.ledger.reject(error.reason)

    def change(self, rows: list[FrameRow]) -> None:
        """Book frames again whose pattern is in the journal: their incident intensity came late."""
        if not rows:
            return
        self.write()  # a row that waits is not in the ledger yet
        for row in rows:
            self.ledger.forget(row.slot)
            self.ledger.add(row)

    def give_up(self, slot: int, why: str) -> None:
        """Free a grid point whose frame was booked: it is measured again."""
        self.write()  # a row that waits is not in the ledger yet
        self.journal.clear(slot)  # first: what only the journal holds would be booked again after a crash
        self.ledger.forget(slot)
        self.ledger.drop(why)
        self.taken.discard(slot)

    def write(self) -> None:
        """Put what has gathered into recording and journal."""
        if self.recorder is not None:
            self.recorder.flush()
            self.recorder.foresee(self.journal.slots - len(self.taken))
        for row, pattern in self.waiting:
            self.journal.write(row, pattern)
            self.ledger.add(row)
        self.waiting.clear()

    def commit(self, state: dict[str, Any]) -> None:
        """Put what was written, and `state`, into the ledger."""
        self.ledger.commit(**state)
        self.arrivals.clear()

    def close(self) -> None:
        """Close the files."""
        if self.recorder is not None:
            self.recorder.close()
        self.ledger.close()
        self.journal.close()
