"""Recordings read back: our own, a dump of messages, or the facility's detector files."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from stream.core.errors import MessageError, RunDirectoryError, StoreError
from stream.core.messages import Image, Parts
from stream.core.wire import decode
from stream.ingest import detector_files, dumps
from stream.ingest.envelope import seal, unpack
from stream.ingest.recording import BYTES, FRAMES, INDEX, ROW, Kind, stream_of


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


def read_recording(path: Path, skip: int = 0) -> Iterator[RecordedMessage]:
    """All messages but the first `skip`, in the order in which they were received.

    Parameters
    ----------
    path
        A run directory, its recording folder, one file of it, a ``.cbors`` dump of messages, or a detector's HDF5
        file (DECTRIS/NeXus layout), whose frames come as DECTRIS V1 messages.

    Raises
    ------
    RunDirectoryError
        where a directory holds no recording.
    StoreError
        naming the file, and the message that cannot be read or does not match its seal.
    """
    for file in recording_files(path):
        if is_recording(file):
            skip = yield from _read_file(file, skip)
        else:
            yield from islice(_read_other(file), skip, None)


def recording_summary(path: Path) -> list[RecordingSummary]:
    """What `read_recording` would read, file by file, from the indices alone; errors as there."""
    return [_summarise(file) if is_recording(file) else _count_other(file) for file in recording_files(path)]


def recording_files(path: Path) -> list[Path]:
    """The files of a recording, oldest first."""
    if not path.is_dir():
        return [path]
    files = sorted(path.glob("recording/raw-*.h5")) or sorted(path.glob("raw-*.h5"))
    if not files:
        raise RunDirectoryError(f"{path} holds no recording: there are no frames to replay")
    return files


def is_recording(path: Path) -> bool:
    """True for a file that `Recording` wrote, an empty one (killed before the first image) included."""
    if path.suffix == ".cbors":
        return False
    with _reading(path), _open(path) as (file, _):
        return file is None or INDEX in file


@contextmanager
def _open(path: Path) -> Iterator[tuple[h5py.File | None, bool]]:
    """The file, and whether it was closed; None for an empty one."""
    if path.stat().st_size == 0:
        yield None, False
        return
    closed = True
    try:
        file = h5py.File(path, "r")
    except OSError:  # HDF5 marks a file that is being written, and keeps the mark when the writer is killed
        file, closed = h5py.File(path, "r", swmr=True), False
    with file:
        yield file, closed


@contextmanager
def _reading(path: Path, what: str = "") -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError, ValueError, KeyError) as error:  # h5py has no error of its own
        raise StoreError(f"{path}: {what}cannot be read: {' '.join(str(error).split())}") from error


def _read_file(path: Path, skip: int) -> Generator[RecordedMessage, None, int]:
    """The messages of one file but the first `skip`; returned is how many of the next file are to be skipped."""
    with _reading(path), _open(path) as (file, closed):
        if file is None:
            return skip
        rows, source = _rows(file, closed), _Source(file)
        for index, row in islice(enumerate(rows), skip, None):
            with _reading(path, f"message {index} "):
                parts = source.message(row)
            received, stream = float(row["received"]), stream_of(int(row["kind"]))
            if seal(parts, received, stream) != row["crc32"]:
                raise StoreError(f"{path}: message {index} is damaged, it does not match its checksum")
            yield RecordedMessage(parts=parts, received=received, file=path.name, index=index, stream=stream)
        return max(0, skip - len(rows))


class _Source:
    """The datasets of a file; h5py takes long to look one up."""

    def __init__(self, file: h5py.File) -> None:
        self._bytes: h5py.Dataset = file[BYTES]
        self._frames: h5py.Dataset | None = file.get(FRAMES)

    def message(self, row: np.void) -> list[bytes]:
        """The parts of the message in a row of the index."""
        envelope = self._bytes[row["offset"] : row["offset"] + row["length"]].tobytes()
        return unpack(envelope, int(row["cut"]), self._blob(int(row["frame"])))

    def _blob(self, frame: int) -> bytes:
        if frame < 0 or self._frames is None:
            return b""
        blob: bytes = self._frames.id.read_direct_chunk((frame, 0, 0))[1]
        return blob


def _read_other(path: Path) -> Iterator[RecordedMessage]:
    read = dumps.read_dump if path.suffix == ".cbors" else detector_files.read_frames
    for index, parts in enumerate(read(path)):
        yield RecordedMessage(parts=parts, received=None, file=path.name, index=index)


def _rows(file: h5py.File | None, closed: bool) -> npt.NDArray[Any]:
    """The index; rows that the writer was killed before flushing are left out."""
    if file is None:
        return np.zeros(0, dtype=ROW)
    rows: npt.NDArray[Any] = file[INDEX][:]
    unwritten = np.flatnonzero(rows["length"] == 0)
    return rows if closed or not unwritten.size else rows[: unwritten[0]]


def _summarise(path: Path) -> RecordingSummary:
    with _reading(path), _open(path) as (file, closed):
        rows = _rows(file, closed)
        frames = None if file is None else file.get(FRAMES)
        return RecordingSummary(
            file=path.name,
            messages=len(rows),
            images=int((rows["kind"] == Kind.IMAGE).sum()),
            shape=None if frames is None else tuple(frames.shape),
            dtype=None if frames is None else frames.dtype.name,
            size=path.stat().st_size,
            first=float(rows["received"][0]) if len(rows) else None,
            last=float(rows["received"][-1]) if len(rows) else None,
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
