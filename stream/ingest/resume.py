"""Taking up what an earlier ingest left: killed at any point, nothing is lost that was recorded or journalled."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from stream.core.errors import StoreError
from stream.ingest.ingest import Ingest
from stream.ingest.recorded import RecordedMessage, read_recording
from stream.ingest.refill import refill


def resume(ingest: Ingest, *, sent_again: bool) -> None:
    """Continue where the ledger's last commit is.

    Rows without an intact slot are taken back, and filled from the recording where it has their frames; recorded
    messages whose fate was open are taken; what then only the journal knows (of a run without recording) is booked,
    unless the source sends it again. The journal does not hold the beam behind the sample: such a ray weighs nothing.

    Parameters
    ----------
    sent_again
        The source is a recording, which goes on with the first message whose fate was open.
    """
    ledger, state = ingest.books.ledger, ingest.books.ledger.state()
    booked, intact = ledger.frames(), {row.slot: row for row in ingest.books.journal.filled()}
    damaged = booked.keys() - intact.keys()
    for slot in sorted(damaged):
        ledger.forget(slot)
        ledger.event(f"slot {slot} of the journal was damaged; its grid point is free again")
    ingest.books.taken |= booked.keys() & intact.keys()
    ingest.received, ingest.messages = ledger.accounted, state.get("messages", 0)
    ingest.books.recorded, ingest.command = state.get("recorded"), state.get("command", 0)
    ingest.beside.join.restore(ledger.readings())
    for slot in ingest.books.taken:
        ingest.beside.join.booked(booked[slot])
    ingest.read_documents()
    _restore(ingest, state)
    if damaged:
        filled = refill(ingest, recorded(ingest, None), damaged)
        ledger.event(f"{filled} of {len(damaged)} damaged frames were taken from the recording again")
        _restore(ingest, state)
    for message in recorded(ingest, ingest.books.recorded):
        ingest.accept(message.parts, message.received or 0.0, message, stream=message.stream)
        ingest.settle(wait=False)
        ingest.commit_when_due()
    ingest.settle()
    for slot in [] if sent_again else sorted(intact.keys() - ingest.books.taken):
        row = intact[slot] if ingest.monitored else replace(intact[slot], monitor=None)
        ledger.add(row if ingest.reduction.transmission is None else replace(row, transmission=math.nan))
        ingest.books.taken.add(slot)
        ingest.received += 1
    if "phase" in state:
        ledger.event(f"ingest started again with {len(ingest.books.taken)} of {ingest.reduction.grid.size} frames")
    ingest.commit()


def recorded(ingest: Ingest, since: Mapping[str, Any] | None) -> Iterator[RecordedMessage]:
    """The run's own recording from a place on, None for all of it; what is damaged is noted and left out."""

    def note(error: StoreError) -> None:
        ingest.books.ledger.event(f"left out: {error}")

    name, count = (since["file"], since["count"]) if since else ("", 0)
    for path in sorted(ingest.directory.recording.glob("raw-*.h5")):
        if path.name >= name:
            try:
                yield from read_recording(path, count if path.name == name else 0, on_damage=note)
            except StoreError as error:
                note(error)


def _restore(ingest: Ingest, state: dict[str, Any]) -> None:
    """The phase, the series, and what its header told."""
    ingest.acquisition.resume(state, ingest.clock())
    series = ingest.acquisition.series.current
    if series is not None:
        ingest.reduction.begin(*ingest.books.ledger.read_header(series, ingest.reduction.expected.shape))
