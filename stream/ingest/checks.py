"""What an image must be like to be taken, and what is read off it: channel, incident intensity, coordinates."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from stream.core.config.scan import AxisName
from stream.core.errors import MessageError, Reject
from stream.core.messages import EncodedArray, Image, SeriesStart
from stream.core.scan import AXES

TOLERANCE = 0.005  # header against PONI; more is said aloud


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
    return finite(event.real_time if key == "real_time" else _attached(event).get(key))


def read_transmission(event: Image, key: str | None) -> float | None:
    """The beam behind the sample, as `read_monitor`."""
    return None if key is None else finite(_attached(event).get(key))


def read_place(event: Image) -> dict[AxisName, float]:
    """Where the appendix says that a frame lies; NaN for a coordinate that is no number.

    Raises
    ------
    MessageError
        ``off-grid`` where it says nothing of the kind.
    """
    attached = _attached(event)
    found = {axis: finite(attached[axis]) for axis in AXES if axis in attached}
    if not found:
        raise MessageError(Reject.OFF_GRID, f"the appendix of frame {event.frame} has neither {', '.join(AXES)}")
    return found


def finite(value: Any) -> float:
    """A number, or NaN for anything that is none."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan
    return number if math.isfinite(number) else math.nan


def _attached(event: Image) -> Mapping[str, Any]:
    return event.appendix if isinstance(event.appendix, Mapping) else {}


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
