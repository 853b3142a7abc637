"""What a person should be told of the stream itself: gaps, another receiver, a processor that cannot keep up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from stream.core.config import FrameStream
from stream.ingest.numbers import Numbers

RATE_EVERY = 1.0  # seconds over which the rate is taken
GAPS_EVERY = 1.0  # seconds between two sentences on gaps
TOO_LONG = 2.0  # seconds of unbroken work until the sender is said to wait


@dataclass(slots=True)
class Watch:
    """Looks at the messages of one detector; `live` is False for a recording, whose gaps are no news."""

    detector: FrameStream
    live: bool
    disconnected: bool = False
    stolen: str | None = None
    frames: Numbers = field(default_factory=Numbers)
    messages: Numbers = field(default_factory=Numbers)
    back_pressure: str | None = None
    _busy: bool = False  # the window was full since the last pause
    _since: float | None = None  # when the last pause ended
    _gaps_due: float = 0.0
    _rate: tuple[float, int] | None = None

    def begin(self) -> None:
        """A series begins."""
        self.frames.begin()

    def frame(self, number: int, message: int | None) -> None:
        """An image came: its number in the scan, and the detector's own of its message, if it has one."""
        self.frames.take(number)
        if message is not None:
            self.messages.take(message)

    def idle(self) -> None:
        """Nothing waits in the socket."""
        self._busy, self._since, self.back_pressure = False, None, None

    def full(self) -> None:
        """A message had to wait for the threads."""
        self._busy = True

    def notes(self, now: float) -> Iterator[str]:
        """Sentences that are news."""
        if not self.live:
            return
        yield from self._other_receiver()
        yield from self._slow(now)
        if now >= self._gaps_due:
            self._gaps_due = now + GAPS_EVERY
            yield from self._gaps()

    def state(self, now: float, integrated: int) -> dict[str, Any]:
        """What the ledger keeps of it."""
        told = {"back_pressure": self.back_pressure, "stolen": self.stolen, "disconnected": self.disconnected}
        since, count = self._rate or (now, integrated)
        if self._rate is None or now - since >= RATE_EVERY:
            self._rate = now, integrated
            return {**told, "rate": (integrated - count) / (now - since) if now > since else 0.0}
        return told

    def _other_receiver(self) -> Iterator[str]:
        stride = self.frames.stride()
        if self.stolen is None and self.detector.socket == "pull" and stride is not None:
            self.stolen = (
                f"only every {ordinal(stride)} frame arrives: another receiver is connected to "
                f"{self.detector.endpoint} and takes the others; a detector's frames need one PULL socket alone"
            )
            yield self.stolen

    def _slow(self, now: float) -> Iterator[str]:
        if self._since is None:
            self._since = now
        if self._busy and self.back_pressure is None and now - self._since > TOO_LONG:
            held = (
                "its publisher drops what does not fit" if self.detector.socket == "sub" else "the sender is held back"
            )
            self.back_pressure = f"frames come faster than they are processed: {held}"
            yield self.back_pressure

    def _gaps(self) -> Iterator[str]:
        """PUSH may deliver out of order, and fills its gaps then; PUB never does."""
        note = self.frames.tell_gaps()
        if note is not None and self.detector.socket == "sub":
            yield note
        note = self.messages.tell_gaps()
        if note is not None:
            yield f"by its message numbers, the detector sent more than came: {note.replace('frames', 'messages')}"


def ordinal(n: int) -> str:
    """2nd, 3rd, 4th, …"""
    ending = {1: "st", 2: "nd", 3: "rd"}.get(n % 10 if n % 100 not in (11, 12, 13) else 0, "th")
    return f"{n}{ending}"
