"""Filling grid points from what was recorded before, or elsewhere; the frames of other grid points are left alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable

from stream.core.errors import MessageError
from stream.core.messages import Event, Image, SeriesStart
from stream.core.wire import decode
from stream.ingest.ingest import Ingest
from stream.ingest.recorded import RecordedMessage
from stream.ingest.reduction import NOWHERE
from stream.ingest.series import Series

TOGETHER = 64  # frames between two commits


def refill(
    ingest: Ingest,
    messages: Iterable[RecordedMessage],
    wanted: Collection[int],
    *,
    record: bool = False,
    tick: Callable[[], None] = lambda: None,
) -> int:
    """Take the frames of the `wanted` slots out of `messages`; returns how many were found.

    The messages begin a scan of their own: their series count from its first. With `record` those that are used go
    into the run's recording, so that a replay of it has them, too. What cannot be used is passed over, it is none of
    the run's messages.
    """
    series = ingest.acquisition.series
    fresh = Series(frames=series.frames, count=series.count, kind=series.kind)
    missing, found = set(wanted), 0
    for message in messages:
        if not missing:
            break
        if message.stream:
            continue
        try:
            event = decode(message.parts)
            slot = _take(ingest, fresh, event, missing, message.received or 0.0)
        except MessageError:
            continue
        missing.discard(slot)
        found += slot >= 0
        if record and (slot >= 0 or isinstance(event, SeriesStart)):
            ingest.books.record(message.parts, event, message.received or time.time())
        if slot >= 0 and found % TOGETHER == 0:
            ingest.commit()
        tick()
    ingest.commit()
    return found


def _take(ingest: Ingest, series: Series, event: Event, missing: Collection[int], received: float) -> int:
    """The slot that was filled, -1 for none."""
    reduction = ingest.reduction
    if isinstance(event, SeriesStart):
        series.start(event)
        reduction.begin(event.saturation, reduction.mask_of(event))
    if not isinstance(event, Image):
        return -1
    series.image(event)
    number = series.number(event, ingest.first_frame)
    slot, join = reduction.slot(event, number), ingest.beside.join
    if join.superseded(number):
        return -1
    if (join.place(number, event.frame) if slot == NOWHERE else slot) not in missing:
        return -1
    row, pattern = reduction.submit(event, number, received).result()
    joined = join.complete(row, 0.0, 0.0, give_up=True)
    assert joined is not None  # nothing is waited for
    ingest.received += 1
    ingest.book(joined, pattern, ingest.clock())
    return joined.slot
