"""What can go wrong on the way, on purpose: which frame is sent when, how often, and in what state."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np

from stream.core.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """Shares of frames (0 to 1) that are lost, sent twice, cut short or taken without beam.

    reorder is the length of the windows within which frames change places; no_end leaves the end message out.
    """

    drop: float = 0.0
    duplicate: float = 0.0
    corrupt: float = 0.0
    dump: float = 0.0
    reorder: int = 0
    no_end: bool = False

    @classmethod
    def parse(cls, spec: str) -> Faults:
        """Read ``drop:0.01,duplicate:0.01,corrupt:0.005,dump:0.02,reorder:3,no-end``; any part may be missing.

        Raises
        ------
        UsageError
            naming the part that is wrong.
        """
        values: dict[str, float | int | bool] = {}
        names = {field.name.replace("_", "-"): field.name for field in fields(cls)}
        for part in filter(None, spec.split(",")):
            name, _, value = part.strip().partition(":")
            try:
                values[names[name]] = True if name == "no-end" and not value else _number(name, value)
            except (KeyError, ValueError):
                known = "drop, duplicate, corrupt, dump (each with :share), reorder:N, no-end"
                raise UsageError(f"--faults has {part!r}; there are {known}") from None
        return cls(**values)  # type: ignore[arg-type]


def _number(name: str, value: str) -> float | int:
    if name == "reorder":
        count = int(value)
        if count >= 0:
            return count
    elif name != "no-end":
        share = float(value)
        if 0 <= share <= 1:
            return share
    raise ValueError(value)


def deliveries(frames: int, faults: Faults, seed: int) -> Iterator[tuple[int, bool]]:
    """(frame, cut short?) in the order of sending."""
    rng = np.random.default_rng([seed, 4])
    window = max(faults.reorder, 1)
    for start in range(0, frames, window):
        batch = np.arange(start, min(start + window, frames))
        if faults.reorder:
            rng.shuffle(batch)
        for frame, (lost, twice, cut) in zip(batch, rng.random((len(batch), 3)), strict=True):
            if lost >= faults.drop:
                yield int(frame), bool(cut < faults.corrupt)
                if twice < faults.duplicate:
                    yield int(frame), False


def cut_short(parts: list[bytes]) -> list[bytes]:
    """The message with the second half of its largest part missing."""
    largest = max(range(len(parts)), key=lambda i: len(parts[i]))
    return [part[: len(part) // 2] if i == largest else part for i, part in enumerate(parts)]
