"""What can go wrong, on purpose, and how it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from stream.core.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """What goes wrong; by default nothing.

    Parameters
    ----------
    drop, duplicate
        Shares (0 to 1) of the image messages that are lost, and that are sent twice.
    corrupt, truncate
        Shares of what is sent that has bits flipped in its pixels, and that has half of its largest part cut off.
    delay
        Share of what is sent that comes 1 to 64 messages late, if need be after the end or into the next series.
    shuffle
        Length of the windows within which a series' images change places.
    dump
        Share of the frames that are taken without beam, in one stretch.
    abort
        One series is given up after this share of its frames, without end; after the start of the next its last
        packets still arrive. It is taken again from its first frame, as a new series.
    restart
        The detector is armed again after this share of one series: a new start without an end before it. The frames
        of the new series count from the beginning and are those of the old one, from its first.
    dtype
        The type of the pixels in the second half: of the series, or of the frames where there is one series only.
    no_end
        No end message is sent.
    steal
        A second puller takes its turns from the detector's socket.
    """

    drop: float = 0.0
    duplicate: float = 0.0
    corrupt: float = 0.0
    truncate: float = 0.0
    delay: float = 0.0
    shuffle: int = 1
    dump: float = 0.0
    abort: float | None = None
    restart: float | None = None
    dtype: str | None = None
    no_end: bool = False
    steal: bool = False

    @classmethod
    def parse(cls, spec: str) -> Faults:
        """Read parts such as ``drop:0.01``, ``shuffle:64``, ``dtype:uint32`` or ``no-end``, with commas between them.

        Raises
        ------
        UsageError
            naming the part that is wrong.
        """
        values: dict[str, Any] = {}
        names = {field.name.replace("_", "-"): field.name for field in fields(cls)}
        for part in filter(None, spec.split(",")):
            name, _, value = part.strip().partition(":")
            try:
                values[names[name]] = READERS.get(name, _share)(value)
            except (KeyError, ValueError):
                raise UsageError(f"--faults has {part!r}; there are {KNOWN}") from None
        return cls(**values)


def _share(value: str) -> float:
    share = float(value)
    if 0 <= share <= 1:
        return share
    raise ValueError(value)


def _window(value: str) -> int:
    length = int(value)
    if length >= 1:
        return length
    raise ValueError(value)


def _dtype(value: str) -> str:
    if value in {"uint8", "uint32"}:
        return value
    raise ValueError(value)


def _flag(value: str) -> bool:
    if not value:
        return True
    raise ValueError(value)


READERS: dict[str, Callable[[str], Any]] = {
    "shuffle": _window,
    "dtype": _dtype,
    "no-end": _flag,
    "steal": _flag,
}
KNOWN = (
    "drop, duplicate, corrupt, truncate, delay, dump, abort, restart (each with :share, 0 to 1), "
    "shuffle:N, dtype:uint8 or dtype:uint32, no-end, steal"
)
