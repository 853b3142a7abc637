"""Filling what is missing of a run from the detector's own files, and making its final maps once more."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from math import isfinite
from pathlib import Path

import numpy as np
import orjson

from stream.core.config import Config
from stream.core.errors import ScanIncomplete, UsageError
from stream.core.lifecycle import Status
from stream.core.messages import Image, SeriesStart
from stream.core.rundir import RunDirectory
from stream.core.wire import decode
from stream.ingest.ingest import Ingest
from stream.ingest.process import open_ingest
from stream.ingest.recorded import RecordedMessage, detector_masters, read_recording, tells_series
from stream.ingest.refill import refill
from stream.service.guard import prepare
from stream.service.run import NOTHING, Job, outcome, perform, stop_on_signals

FIRST = 1_000_000_000
"""Number of the first file's series: no detector's own, so that its frames are never taken for another's."""


def backfill(
    path: Path,
    files: Sequence[Path],
    announce: Callable[[str], None],
    tick: Callable[[], None],
    stop: threading.Event | None = None,
) -> Status:
    """Fill the missing frames of the run in `path` from `files`; returns the status reached.

    Frames are found by their place in the file, the first one being ``detector.first_frame``; of a scan with a series
    for each line or slice, all files are needed, in that order, or the folder that holds them. A recording or a dump of
    messages may be given, too. A file knows no incident intensity: where it comes with the frames, it is taken from
    those before and after.

    Raises
    ------
    UsageError
        where the run is complete, busy or aborted, or the number of files is not that of the series.
    ScanIncomplete
        where frames are still missing at the end.
    """
    stop = stop or stop_on_signals()
    directory = RunDirectory(path.resolve())
    config = directory.read_config()
    files = [each for file in files for each in (file.is_dir() and detector_masters(file)) or [file]]
    check_files(config, files)
    lock = prepare(directory, config)
    try:
        found, missing = fill(directory, config, files)
        announce(f"filled {found} of {missing} missing frames")
        if not found:
            raise ScanIncomplete(f"none of the {missing} missing frames of {directory.path} is in these files")
        perform(Job(config=config, output=directory.path, once=True), directory, lock, NOTHING, tick, stop)
    finally:
        os.close(lock)
    return outcome(directory, config)


def check_files(config: Config, files: Sequence[Path]) -> None:
    """Refuse files that are not there, or that do not tell where their frames belong."""
    for file in files:
        if not file.exists():
            raise UsageError(f"there is no {file}")
    scan = config.scan
    series = scan.points // scan.series_frames
    plain = [file for file in files if not tells_series(file)]
    if scan.index == "appendix" and plain:
        raise UsageError(f"scan.index is 'appendix': the file {plain[0]} does not tell where its frames lie")
    if series > 1 and plain and len(plain) != series:
        raise UsageError(
            f"scan.series is {scan.series!r}: the files of all {series} series are needed, in order, not {len(plain)}"
        )


def fill(directory: RunDirectory, config: Config, files: Sequence[Path]) -> tuple[int, int]:
    """Take what is missing; returns how many frames were found, and how many were missing."""
    ingest = open_ingest(directory, config, live=False)
    try:
        wanted = set(range(ingest.reduction.grid.size)) - ingest.books.taken
        found = 0
        for place, file in enumerate(files):
            messages = read_recording(file, first_frame=ingest.first_frame or 0, series=FIRST + place)
            if not tells_series(file):
                messages = completed(messages, ingest, place)
            found += refill(ingest, messages, wanted - ingest.books.taken, record=True)
        ingest.books.ledger.event(f"{found} of {len(wanted)} missing frames were filled from {len(files)} files")
        ingest.commit()
    finally:
        ingest.close()
    return found, len(wanted)


def completed(messages: Iterator[RecordedMessage], ingest: Ingest, place: int) -> Iterator[RecordedMessage]:
    """The messages made of a detector's file, with what such a file does not tell in their appendices.

    The header gets the place of the series, an image the incident intensity (``detector.monitor``): between those of
    the frames before and after it.
    """
    series, first, key = ingest.acquisition.series, ingest.first_frame or 0, ingest.reduction.monitor
    rows = [row for row in ingest.books.ledger.frames().values() if row.monitor is not None and row.number >= 0]
    known = sorted((row.number, row.monitor) for row in rows if row.monitor is not None and isfinite(row.monitor))
    numbers, values = [number for number, _ in known], [value for _, value in known]
    if key is not None and known:
        ingest.books.ledger.event(
            f"detector.monitor {key!r} is not in a detector's file: it is taken from the frames beside"
        )
    behind = ingest.reduction.transmission
    if behind is not None:
        ingest.books.ledger.event(
            f"detector.transmission {behind!r} is not in a detector's file: rays of its frames weigh nothing"
        )
    for message in messages:
        event = decode(message.parts)
        if isinstance(event, SeriesStart):
            yield replace(message, parts=[*message.parts, orjson.dumps({series.kind: place})])
        elif isinstance(event, Image) and key is not None and known:
            number = place * series.frames + event.frame - first
            yield with_monitor(message, key, float(np.interp(number, numbers, values)))
        else:
            yield message


def with_monitor(message: RecordedMessage, key: str, value: float) -> RecordedMessage:
    """A V1 image with this incident intensity, where `read_monitor` looks for it."""
    head, layout, blob, times = message.parts
    if key == "real_time":
        times = orjson.dumps({"htype": "dconfig-1.0", "real_time": round(value * 1e9)})
        return replace(message, parts=[head, layout, blob, times])
    return replace(message, parts=[head, layout, blob, times, orjson.dumps({key: value})])
