"""Recordings read back: our own, a dump of messages, or the facility's detector files."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from stream.core.errors import MessageError, RunDirectoryError, StoreError
from stream.core.messages import Image, Parts
from stream.core.wire import decode
from stream.ingest import detector_files, dumps
from stream.ingest.master import MASTER
from stream.ingest.rawfile import RawFile, open_raw, reading
from stream.ingest.rawformat import INDEX, ROW, Kind

_BEING_WRITTEN = 5.0  # seconds since the last write of a file that its writer has not closed
_A_WRITE = 0.05  # seconds that HDF5 takes to write its tables, and more


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedMessage:
    """One message as it was received.

    received is in Unix seconds, None where the file does not tell; index counts the messages of the file; stream 0 is
    the detector, n + 1 the config's ``monitors[n]``.
    """

    parts: Parts
    received: float | None
    file: str
    index: int
    stream: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingSummary:
    """One file of a recording.

    messages and images count; frames has the shape (rows of it, rows, columns) and dtype of the pixels kept as such,
    both None where there are none; size in bytes; first and last are Unix seconds, None where not told; closed is
    False where its writer was killed or is still writing.
    """

    file: str
    messages: int
    images: int
    shape: tuple[int, ...] | None
    dtype: str | None
    size: int
    first: float | None
    last: float | None
    closed: bool


def read_recording(
    path: Path,
    skip: int = 0,
    *,
    first_frame: int = 0,
    series: int = 1,
    on_damage: Callable[[StoreError], None] | None = None,
) -> Iterator[RecordedMessage]:
    """All messages but the first `skip`, in the order in which they were received.

    Parameters
    ----------
    path
        A run directory, its recording folder, one file of it, a ``.cbors`` dump of messages, a detector's HDF5 file
        (DECTRIS/NeXus layout), whose frames come as DECTRIS V1 messages, or a folder of such master files.
    first_frame, series
        number of the first frame, and of the first file's series, where it is a detector's.
    on_damage
        is told what cannot be read, and the rest goes on; None raises it.

    Raises
    ------
    RunDirectoryError
        where a directory holds no recording.
    StoreError
        naming the file, and the message that cannot be read or does not match its seal.
    """
    report = on_damage or _refuse
    for n, file in enumerate(recording_files(path)):
        try:
            if is_recording(file):
                skip = yield from _read_file(file, skip, report)
                continue
            for message in _read_other(file, first_frame, series + n):
                if skip == 0:
                    yield message
                skip = max(0, skip - 1)
        except StoreError as error:
            report(error)


def _refuse(error: StoreError) -> None:
    raise error


def recording_summary(path: Path) -> list[RecordingSummary]:
    """What `read_recording` would read, file by file, from the indices alone; errors as there."""
    return [_summarise(file) if is_recording(file) else _count_other(file) for file in recording_files(path)]


def recording_files(path: Path) -> list[Path]:
    """The files of a recording, oldest first; its master (`stream.ingest.master`) stands for all of them."""
    if path.name == MASTER and list(path.parent.glob("raw-*.h5")):
        path = path.parent
    if not path.is_dir():
        return [path]
    files = sorted(path.glob("recording/raw-*.h5")) or sorted(path.glob("raw-*.h5")) or detector_masters(path)
    if not files:
        raise RunDirectoryError(f"{path} holds no recording: there are no frames to replay")
    return files


def detector_masters(path: Path) -> list[Path]:
    """DECTRIS' master files in a folder, one for each series, in the order of the numbers in their names."""

    def in_order(file: Path) -> list[tuple[int, str]]:
        return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", file.name)]

    return sorted(path.glob("*_master.h5"), key=in_order)


def tells_series(path: Path) -> bool:
    """True where the messages are a detector's own; False for its HDF5 file, whose frames have only their order."""
    return path.is_dir() or path.suffix == ".cbors" or is_recording(path)


def is_recording(path: Path) -> bool:
    """True for a file that `Recording` wrote, by its name or its content."""
    if re.fullmatch(r"raw-\d+\.h5", path.name):
        return True
    if path.suffix == ".cbors":
        return False
    with reading(path), open_raw(path) as (file, _):
        return file is None or INDEX in file


def _read_file(path: Path, skip: int, report: Callable[[StoreError], None]) -> Generator[RecordedMessage, None, int]:
    """The messages of one file but the first `skip`; returned is how many of the next file are to be skipped."""
    with reading(path), open_raw(path) as (file, closed):
        if file is None:
            return skip
        raw = RawFile(path, file)
        rows = raw.rows()
        for index, row in islice(enumerate(rows), skip, None):
            try:
                parts, received, stream = _message(raw, path, index, row, closed)
            except StoreError as error:
                report(error)
                continue
            yield RecordedMessage(parts=parts, received=received, file=path.name, index=index, stream=stream)
        raw.check_length()
        return max(0, skip - len(rows))


def _message(raw: RawFile, path: Path, index: int, row: np.void, closed: bool) -> tuple[list[bytes], float, int]:
    """A message; once more, and anew, from a file that is being written: HDF5's tables may have been half written."""
    try:
        return raw.message(index, row)
    except StoreError:
        if closed or time.time() - path.stat().st_mtime > _BEING_WRITTEN:
            raise
        time.sleep(_A_WRITE)
        with open_raw(path) as (file, _):
            if file is None:
                raise
            return RawFile(path, file).message(index, row)


def _read_other(path: Path, first_frame: int = 0, series: int = 1) -> Iterator[RecordedMessage]:
    messages = (
        dumps.read_dump(path)
        if path.suffix == ".cbors"
        else detector_files.read_frames(path, first=first_frame, series=series)
    )
    for index, parts in enumerate(messages):
        yield RecordedMessage(parts=parts, received=None, file=path.name, index=index)


def _summarise(path: Path) -> RecordingSummary:
    with reading(path), open_raw(path) as (file, closed):
        raw = None if file is None else RawFile(path, file)
        rows = np.zeros(0, dtype=ROW) if raw is None else raw.rows()
        frames = None if raw is None else raw.frames
        received = rows["received"][rows["length"] > 0]
        return RecordingSummary(
            file=path.name,
            messages=len(rows),
            images=int((rows["kind"] == Kind.IMAGE).sum()),
            shape=None if frames is None else tuple(frames.shape),
            dtype=None if frames is None else frames.dtype.name,
            size=path.stat().st_size,
            first=float(received[0]) if len(received) else None,
            last=float(received[-1]) if len(received) else None,
            closed=closed,
        )


def _count_other(path: Path) -> RecordingSummary:
    """Dumps and detector files carry no index: their messages are decoded to count the images."""
    messages, images, shape, dtype = 0, 0, None, None
    for message in _read_other(path):
        messages += 1
        with suppress(MessageError):
            event = decode(message.parts)
            if isinstance(event, Image):
                images += 1
                first = next(iter(event.channels.values()))
                shape, dtype = first.shape, first.dtype.name
    return RecordingSummary(
        file=path.name,
        messages=messages,
        images=images,
        shape=None if shape is None else (images, *shape),
        dtype=dtype,
        size=path.stat().st_size,
        first=None,
        last=None,
        closed=True,
    )
