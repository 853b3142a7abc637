"""Which detector series a message belongs to, and what an image must be like to be taken."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from stream.core.errors import MessageError, Reject
from stream.core.messages import EncodedArray, Image, SeriesEnd, SeriesStart

TOLERANCE = 0.005  # header against PONI; more is said aloud


@dataclass(slots=True)
class Series:
    """The one series that is being taken.

    A start makes its series the current one, also while another is open (the detector was armed again). An image
    opens its own series where none is: joining late loses nothing, and neither does a restart during which the
    detector was armed again. first is the number of the first image seen.
    """

    current: str | None = None
    ended: bool = False
    first: int | None = None
    _remembered: bool = False  # known from an earlier process only

    @classmethod
    def resumed(cls, state: Mapping[str, Any]) -> Self:
        """The series of an earlier process, from its `state`."""
        return cls(state.get("current"), state.get("ended", False), state.get("first"), _remembered=True)

    @property
    def open(self) -> bool:
        """True when more of it is to be expected."""
        return self.current is not None and not self.ended

    def start(self, event: SeriesStart) -> str | None:
        """Take a header; returns what a person should know, if anything."""
        replaced = self.current if self.open and self.current != event.series else None
        self._begin(event.series)
        return None if replaced is None else f"series {event.series} began before series {replaced} had ended"

    def image(self, event: Image) -> str | None:
        """Check that an image belongs to the current series; returns a note when it opens one.

        Raises
        ------
        MessageError
            `foreign-series` where another series is open.
        """
        note = None
        if event.series != self.current:
            if self.open and not self._remembered:
                raise MessageError(
                    Reject.FOREIGN_SERIES, f"frame {event.frame} is of series {event.series}, not of {self.current}"
                )
            self._begin(event.series)
            note = f"series {event.series} is taken without its header, from frame {event.frame} on"
        self._remembered = False
        self.first = event.frame if self.first is None else self.first
        return note

    def end(self, event: SeriesEnd) -> str | None:
        """Take an end; returns a note when it is stale."""
        if event.series != self.current:
            return f"a stale end of series {event.series} was dropped"
        self.ended = True
        return None

    def state(self) -> dict[str, Any]:
        """What a restarted ingest needs to know."""
        return {"current": self.current, "ended": self.ended, "first": self.first}

    def _begin(self, series: str) -> None:
        if series != self.current:
            self.first = None
        self.current, self.ended, self._remembered = series, False, False


def choose_channel(event: Image, channel: str | None) -> EncodedArray:
    """The pixels of the configured threshold, the first one by default."""
    if channel is None:
        return next(iter(event.channels.values()))
    try:
        return event.channels[channel]
    except KeyError:
        raise MessageError(
            Reject.NOT_DECODABLE, f"frame {event.frame} has no channel {channel!r}, only {sorted(event.channels)}"
        ) from None


def read_monitor(event: Image, key: str | None) -> float | None:
    """The incident intensity of a frame: None where none is configured, NaN where the frame has none."""
    if key is None:
        return None
    if key == "real_time":
        value: Any = event.real_time
    else:
        value = event.appendix.get(key) if isinstance(event.appendix, Mapping) else None
    try:
        monitor = float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan
    return monitor if math.isfinite(monitor) else math.nan


@dataclass(frozen=True, slots=True)
class Expected:
    """What the geometry says of the detector; wavelength in Å, pixel size (rows, columns) in m."""

    shape: tuple[int, int]
    wavelength: float
    pixel_size: tuple[float, float] | None = field(default=None)

    def check(self, array: EncodedArray) -> None:
        """Refuse an image that the geometry does not fit."""
        if tuple(array.shape) != self.shape:
            raise MessageError(
                Reject.SHAPE, f"the image is {array.shape[0]} x {array.shape[1]} pixels, the geometry {self.shape}"
            )
        if array.dtype.kind != "u" or array.dtype.itemsize > 4:
            raise MessageError(Reject.DTYPE, f"the image is of type {array.dtype}, not unsigned of 8 to 32 bits")

    def differences(self, header: SeriesStart) -> list[str]:
        """Sentences for what header and geometry disagree on by more than 0.5 %."""
        notes = []
        if header.wavelength and abs(header.wavelength / self.wavelength - 1) > TOLERANCE:
            notes.append(f"the detector says wavelength {header.wavelength} Å, the geometry {self.wavelength} Å")
        if header.shape and tuple(header.shape) != self.shape:
            notes.append(f"the detector says shape {header.shape}, the geometry {self.shape}")
        for told, known in zip(header.pixel_size or (), self.pixel_size or (), strict=False):
            if told and abs(told / known - 1) > TOLERANCE:
                notes.append(f"the detector says pixels of {told} m, the geometry {known} m")
        return notes
