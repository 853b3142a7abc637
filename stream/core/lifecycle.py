"""The run's lifecycle as a table; an event that its state does not allow is a named error."""

from __future__ import annotations

from enum import StrEnum

from stream.core.errors import LifecycleError


class Status(StrEnum):
    """Where a run stands; the value is what Tiled and the page show."""

    WAITING = "waiting"
    ACQUIRING = "acquiring"
    FINISHING = "finishing"
    COMPLETE = "complete"
    INCOMPLETE = "incomplete"
    ABORTED = "aborted"
    FAILED = "failed"

    @property
    def final(self) -> bool:
        """True when the final maps are stored, or never will be."""
        return self in FINAL


class Happening(StrEnum):
    """What can happen to a run."""

    FRAME = "frame"  # a frame was journalled
    ENDED = "ended"  # the grid is full, or the series ended and stragglers had their time
    STORED_FULL = "stored-full"  # final results of a full grid can be read
    STORED_PARTIAL = "stored-partial"  # final results of a grid with gaps can be read
    ABORT = "abort"
    FAILURE = "failure"


FINAL = frozenset({Status.COMPLETE, Status.INCOMPLETE, Status.ABORTED, Status.FAILED})
CLOSED = frozenset({Status.COMPLETE, Status.ABORTED})

_TABLE: dict[tuple[Status, Happening], Status] = {
    (Status.WAITING, Happening.FRAME): Status.ACQUIRING,
    (Status.WAITING, Happening.ENDED): Status.FINISHING,
    (Status.ACQUIRING, Happening.FRAME): Status.ACQUIRING,
    (Status.ACQUIRING, Happening.ENDED): Status.FINISHING,
    (Status.FINISHING, Happening.FRAME): Status.ACQUIRING,
    (Status.FINISHING, Happening.ENDED): Status.FINISHING,
    (Status.FINISHING, Happening.STORED_FULL): Status.COMPLETE,
    (Status.FINISHING, Happening.STORED_PARTIAL): Status.INCOMPLETE,
    # a late frame reopens an incomplete run
    (Status.INCOMPLETE, Happening.FRAME): Status.ACQUIRING,
    (Status.FAILED, Happening.FRAME): Status.ACQUIRING,
}


def advance(status: Status, happening: Happening) -> Status:
    """The status after `happening`.

    Raises
    ------
    LifecycleError
        when the table has no such row.
    """
    if happening in {Happening.ABORT, Happening.FAILURE} and status not in CLOSED:
        return Status.ABORTED if happening is Happening.ABORT else Status.FAILED
    try:
        return _TABLE[status, happening]
    except KeyError:
        raise LifecycleError(f"a run that is {status} cannot take the event {happening}") from None
