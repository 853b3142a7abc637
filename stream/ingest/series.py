"""Which detector series a message belongs to, and which frame of the scan an image is.

A scan is taken in `count` series of `frames` images each: one for the whole scan, or one for each slice or line. The
place of a series among them is, in this order: the whole number that its header's appendix gives under ``line`` or
``slice`` (counted from 0, in the order of the visit); how far its number is from that of the first series; the one
after the last.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from stream.core.errors import MessageError, Reject
from stream.core.messages import Image, SeriesEnd, SeriesStart

REMEMBERED = 64  # earlier series whose stray packets are told apart


@dataclass(slots=True)
class Series:
    """The series that is being taken, and those before it.

    A start makes its series the current one, also while another is open (the detector was armed again). An image
    opens its own series where none is: joining late loses nothing, and neither does a restart during which the
    detector was armed again. first is the number of the first image seen, last that of the latest; place is that of
    the series among those of the scan, origin the detector's number of the one at place 0. over holds places and
    first images of series that ended, whose stragglers are taken where each series has frames of its own; gone are
    those that were given up, whose stray packets are not. since is the detector's number of the header's message:
    where series have no names, an older message is of an earlier one.
    """

    frames: int
    count: int = 1
    kind: Literal["scan", "slice", "line"] = "scan"
    current: str | None = None
    ended: bool = False
    first: int | None = None
    last: int | None = None
    place: int = 0
    origin: int | None = None
    since: int | None = None
    over: dict[str, tuple[int, int]] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)
    _headless: bool = False
    _remembered: bool = False  # known from an earlier process only

    def resumed(self, state: Mapping[str, Any]) -> Self:
        """Take up the series of an earlier process, from its `state`."""
        for key in self.state().keys() & state.keys():
            setattr(self, key, state[key])
        self.over = {series: (place, first) for series, (place, first) in self.over.items()}
        self._remembered = True
        return self

    @property
    def finished(self) -> bool:
        """True when the last series of the scan has ended."""
        return self.ended and self.place == self.count - 1

    def start(self, event: SeriesStart) -> str | None:
        """Take a header; returns what a person should know, if anything."""
        note = None
        if self.current is not None and not self.ended and self.current != event.series:
            note = f"series {event.series} began before series {self.current} had ended"
        self._begin(event.series, event.number, event.appendix)
        self.since = event.message
        return note

    def image(self, event: Image) -> str | None:
        """Find the series of an image; returns a note when the image opens it.

        Raises
        ------
        MessageError
            ``foreign-series`` where another series is open, or where its own was given up.
        """
        note = None
        if self.since is not None and event.message is not None and event.message < self.since:
            raise MessageError(
                Reject.FOREIGN_SERIES, f"frame {event.frame} was sent before the header of the series that is open"
            )
        if event.series != self.current and event.series not in self.over:
            if self._is_foreign(event):
                raise MessageError(
                    Reject.FOREIGN_SERIES, f"frame {event.frame} is of series {event.series}, not of {self.current}"
                )
            self._begin(event.series, event.number, None)
            self._headless = True
            note = f"series {event.series} is taken without its header, from frame {event.frame} on"
        elif self._starts_over(event):
            self._begin(event.series, None, None)
            self._headless = True
        if event.series == self.current:
            self._remembered = False
            self.first = event.frame if self.first is None else self.first
            self.last = event.frame
        return note

    def number(self, event: Image, first: int | None) -> int:
        """Which frame of the scan an image is, counted from 0.

        Parameters
        ----------
        first
            the number that the detector gives to the first image of a series; None: the first one seen has it.

        Raises
        ------
        MessageError
            ``beyond-grid`` where it comes before the first one, or its series has fewer.
        """
        place, seen = self.place, self.first
        if event.series != self.current:
            place, seen = self.over[event.series]
        frame = event.frame - ((seen or 0) if first is None else first)
        if frame < 0 or (self.count > 1 and not (frame < self.frames and place < self.count)):
            size = f"{self.count} series of {self.frames} frames"
            raise MessageError(
                Reject.BEYOND_GRID, f"frame {event.frame} of series {place} is beyond the grid of {size}"
            )
        return place * self.frames + frame

    def end(self, event: SeriesEnd) -> str | None:
        """Take an end; returns a note when it is stale."""
        if event.series != self.current:
            return f"a stale end of series {event.series} was dropped"
        self.ended = True
        return None

    def state(self) -> dict[str, Any]:
        """What a restarted ingest needs to know."""
        keys = ("current", "ended", "first", "last", "place", "origin", "since", "over", "gone")
        return {key: getattr(self, key) for key in keys}

    def _is_foreign(self, event: Image) -> bool:
        if event.series in self.gone:
            return True
        if self.current is None or self.ended or self._remembered:
            return False
        # a line whose header was lost: the detector's count of series tells it from stray packets
        later = event.number is not None and self.origin is not None and event.number > self.origin + self.place
        return not (later and self.count > 1)

    def _starts_over(self, event: Image) -> bool:
        """A stream without headers and series begins the next line when its frames count from the beginning again."""
        silent = self._headless and event.number is None and event.message is None
        return self.count > 1 and silent and self.last is not None and event.frame <= self.last

    def _begin(self, series: str, number: int | None, appendix: object) -> None:
        again = series == self.current and number is not None
        if not again:
            self._leave()
            self.place = self._place(number, appendix)
            self.first = self.last = None
        if number is not None:
            self.origin = number - self.place
        self.current, self.ended = series, False
        self.over.pop(series, None)
        self.gone = [name for name in self.gone if name != series]
        self._headless = self._remembered = False

    def _leave(self) -> None:
        """The current series is past: it ended, or it was given up. One without a name cannot be told from the next."""
        if not self.current:
            return
        if self.ended and self.count > 1:
            self.over[self.current] = (self.place, self.first or 0)
        elif not self.ended:
            self.gone = [*self.gone[-REMEMBERED + 1 :], self.current]
        while len(self.over) > REMEMBERED:
            del self.over[next(iter(self.over))]

    def _place(self, number: int | None, appendix: object) -> int:
        if self.count == 1:
            return 0
        told = appendix.get(self.kind) if isinstance(appendix, Mapping) else None
        if isinstance(told, int) and not isinstance(told, bool) and told >= 0:
            return told
        if number is not None and self.origin is not None and number >= self.origin:
            return number - self.origin
        return 0 if self.current is None else self.place + 1
