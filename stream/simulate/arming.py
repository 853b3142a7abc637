"""How often the detector is armed for a scan, and what it makes each time: its messages, before they travel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from stream.core.config import Config
from stream.simulate.faults import Faults

DTYPE = "uint16"
STRAYS = 4  # packets of an aborted series that are still on their way


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesPlan:
    """How much of the scan one series holds (`frames`; None: all of it), and the number of its first frame."""

    kind: Literal["scan", "slice", "line"] = "scan"
    frames: int | None = None
    first_frame: int = 0

    @classmethod
    def from_config(cls, config: Config) -> SeriesPlan:
        """The series that a run expects; where it takes the first frame seen, that is 0."""
        first = config.detector.first_frame or 0
        return cls(kind=config.scan.series, frames=config.scan.series_frames, first_frame=first)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """The detector armed once.

    Parameters
    ----------
    index, message
        Number of series, and of messages, that the detector made before.
    first
        Which frame of the scan its first one is.
    planned, made
        Frames announced, and frames taken.
    ended
        False where it is given up without an end.
    strays
        How many of its last frames arrive after the start of the next series.
    dtypes
        Types of the pixels in the first and in the second half of the planned frames.
    label
        What the header's appendix says of it.
    """

    index: int
    message: int
    first: int
    planned: int
    made: int
    ended: bool = True
    strays: int = 0
    dtypes: tuple[str, str] = (DTYPE, DTYPE)
    label: Mapping[str, int] = field(default_factory=dict, hash=False)

    @property
    def messages(self) -> int:
        """How many messages it makes."""
        return 1 + self.made + self.ended

    def dtype(self, frame: int) -> str:
        """Type of the pixels of a frame."""
        return self.dtypes[2 * frame >= self.planned]


@dataclass(frozen=True, slots=True)
class Message:
    """A message of the detector, and the state in which it is sent; `frame` counts from 0 in its series."""

    kind: Literal["start", "image", "end"]
    arm: Arm
    frame: int = 0
    damage: Literal["none", "corrupt", "truncate"] = "none"


def make_arms(frames: int, plan: SeriesPlan, faults: Faults, seed: int) -> list[Arm]:
    """Each arming of the detector in a scan of `frames` frames, in order.

    Which series is aborted, and which is restarted, depends on the seed.
    """
    length = plan.frames or frames
    pieces = frames // length
    aborted, restarted = np.random.default_rng([seed, 5]).integers(pieces, size=2)
    arms: list[Arm] = []
    message = 0
    for k in range(pieces):
        attempts = [(length, True, 0)]
        if faults.restart is not None and k == restarted:
            attempts.insert(0, (round(faults.restart * length), False, 0))
        if faults.abort is not None and k == aborted:
            made = round(faults.abort * length)
            attempts.insert(0, (made, False, min(STRAYS, made)))
        for made, ended, strays in attempts:
            arm = Arm(
                index=len(arms),
                message=message,
                first=k * length,
                planned=length,
                made=made,
                ended=ended,
                strays=strays,
                dtypes=_dtypes(k, pieces, faults.dtype or DTYPE),
                label={} if plan.kind == "scan" else {plan.kind: k},
            )
            arms.append(arm)
            message += arm.messages
    return arms


def _dtypes(piece: int, pieces: int, other: str) -> tuple[str, str]:
    if pieces == 1:
        return DTYPE, other
    return (other, other) if 2 * piece >= pieces else (DTYPE, DTYPE)


def make_messages(arms: Sequence[Arm]) -> Iterator[Message]:
    """Everything that the detector makes, in the order of its making."""
    for arm in arms:
        yield Message("start", arm)
        for frame in range(arm.made):
            yield Message("image", arm, frame)
        if arm.ended:
            yield Message("end", arm)
