"""Which detector series a message belongs to, and whether the series is still open."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from stream.core.errors import MessageError, Reject
from stream.core.messages import EncodedArray, Image, SeriesEnd, SeriesStart

TOLERANCE = 0.005  # header against PONI; more is said aloud


@dataclass(slots=True)
class Series:
    """The one series that is being taken.

    A start makes its series the current one, also while another is open (the detector was armed again); an image
    before any header opens its own series, so that joining late loses nothing.
    """

    current: str | None = None
    ended: bool = False
    header: SeriesStart | None = None

    def start(self, event: SeriesStart) -> str | None:
        """Take a header; returns what a person should know, if anything."""
        replaced = self.current if self.current not in {None, event.series} and not self.ended else None
        self.current, self.ended, self.header = event.series, False, event
        if replaced is not None:
            return f"series {event.series} began before series {replaced} had ended"
        return None

    def image(self, event: Image) -> None:
        """Check that an image belongs to the current series.

        Raises
        ------
        MessageError
            `foreign-series` where it does not.
        """
        if self.current is None:
            self.current = event.series
        if event.series != self.current:
            raise MessageError(
                Reject.FOREIGN_SERIES, f"frame {event.frame} is of series {event.series}, not of {self.current}"
            )

    def end(self, event: SeriesEnd) -> str | None:
        """Take an end; returns a note when it is stale."""
        if event.series != self.current:
            return f"a stale end of series {event.series} was dropped"
        self.ended = True
        return None

    def state(self) -> dict[str, Any]:
        """What a restarted ingest needs to know."""
        return {"current": self.current, "ended": self.ended}


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
        value = event.appendix.get(key) if isinstance(event.appendix, dict) else None
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


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
