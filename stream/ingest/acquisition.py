"""Whether the acquisition goes on: waiting, acquiring, ended, and acquiring again when a late frame comes.

Times are seconds of one monotonic clock, handed in, so that nothing here waits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from stream.core.messages import SeriesEnd, SeriesStart
from stream.ingest.series import Series

Phase = Literal["waiting", "acquiring", "ended"]
STRAGGLERS = 2.0  # seconds that an end message waits for late frames


@dataclass(slots=True)
class Acquisition:
    """The phase of the run, and what moves it: end messages, silence, a full grid, a person's word.

    Silence ends only a scan that has begun: a stray message before the first series starts no clock. given_up is why
    frames are no longer wanted, None while they are.
    """

    idle_timeout: float
    series: Series
    phase: Phase = "waiting"
    given_up: str | None = None
    _heard: float | None = None  # the last message; None while silence means nothing
    _over_at: float | None = None  # when the stragglers of an ended series have had their time

    def resume(self, state: Mapping[str, Any], now: float) -> None:
        """Go on from the state that an earlier process left; the clocks start anew."""
        self.phase = state.get("phase", "waiting")
        self.series.resumed(state.get("series") or {})
        if self.phase != "ended":
            self._heard = now
            self._over_at = now + STRAGGLERS if self.series.finished else None

    def heard(self, now: float) -> None:
        """A message came, of whatever kind."""
        self._heard = now

    def start(self, event: SeriesStart) -> str | None:
        """A series begins; returns what a person should know, if anything."""
        self._over_at = None
        if self.series.count == 1:
            self.given_up = None
        return self.series.start(event)

    def end(self, event: SeriesEnd, now: float) -> str | None:
        """A series is over but for its stragglers; returns a note when the message is stale."""
        note = self.series.end(event)
        if note is None and self.series.finished:
            self._over_at = now + STRAGGLERS
        return note

    def frame(self, now: float) -> None:
        """A frame was integrated; a late one takes an ended run up again, for as long as stragglers have."""
        self.phase = "acquiring"
        if self.series.finished and self._over_at is None:
            self._over_at = now + STRAGGLERS

    def finish(self, why: str) -> None:
        """A person ends the acquisition: what else comes of the series is not wanted."""
        self.given_up = why
        self._close()

    def watch(self, now: float, *, full: bool, exhausted: bool, over: bool = False) -> str | None:
        """Notice that it is over: the grid is full, the source has no more, or time has passed; returns a note.

        over: the plan that takes the frames has ended; those under way have the time of stragglers.
        """
        silence = 0.0 if self._heard is None else now - self._heard
        late = self._over_at is not None and now >= self._over_at
        if full or exhausted or late or (over and silence > STRAGGLERS):
            self._close()
        elif silence > self.idle_timeout and self._over_at is None and self.series.current is not None:
            self._close()
            return f"no message for {self.idle_timeout:g} s: the scan is taken to be over"
        return None

    def _close(self) -> None:
        self.phase, self._heard, self._over_at = "ended", None, None
