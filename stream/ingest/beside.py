"""The streams beside the detector: their messages decoded, their readings joined to the frames and kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from stream.core.errors import MessageError
from stream.core.messages import MonitorEvent, Parts
from stream.core.wire.maxiv import decode_monitor
from stream.ingest.join import Join
from stream.ingest.ledger import FrameRow, Ledger

NEWS = 10.0  # seconds between two sentences


@dataclass(slots=True)
class Beside:
    """Monitors and encoders of a run; with none of them a frame needs no waiting."""

    join: Join
    ledger: Ledger
    counts: Counter[tuple[int, str]] = field(default_factory=Counter)
    _told: int = 0
    _due: float = 0.0

    def decode(self, stream: int, parts: Parts) -> MonitorEvent | None:
        """The event in a message of monitors[stream - 1]; None, counted and noted once, where it cannot be used."""
        if stream > len(self.join.streams):
            return None
        self.counts[stream, "received"] += 1
        try:
            return decode_monitor(parts)
        except MessageError as error:
            if not self.counts[stream, "rejected"]:
                self.ledger.event(f"a message of monitors.{stream - 1} cannot be used: {error}")
            self.counts[stream, "rejected"] += 1
            return None

    def take(self, stream: int, event: MonitorEvent, now: float) -> list[FrameRow]:
        """Keep the readings of a message; returns the rows of booked frames whose monitor came only now."""
        readings = self.join.take(stream - 1, event, now)
        for reading in readings:
            self.ledger.reading(reading)
        return self.join.late(readings)

    def notes(self, now: float) -> Iterator[str]:
        """A sentence when more frames have gone without their incident intensity."""
        without = len(self.join.unmonitored)
        if without != self._told and now >= self._due:
            self._told, self._due = without, now + NEWS
            if without:
                yield f"{without} frames have no incident intensity yet and count as without beam"

    def state(self) -> dict[str, Any]:
        """What the ledger keeps: messages of each stream, frames without their reading, the plan's start document."""
        documents = self.join.documents
        plan = {"bluesky": documents.start} if documents is not None and documents.start else {}
        streams = range(1, len(self.join.streams) + 1)
        told = [{kind: self.counts[stream, kind] for kind in ("received", "rejected")} for stream in streams]
        return plan | ({"monitors": told, "unmonitored": len(self.join.unmonitored)} if told else {})
