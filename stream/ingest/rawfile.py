"""One file of a recording read back: what is damaged is named, what is not is read."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from stream.core.errors import StoreError
from stream.ingest.envelope import seal, unpack
from stream.ingest.rawformat import BYTES, FRAMES, INDEX, ROW, stream_of

Rows = npt.NDArray[Any]
_BLOCK = 1024  # rows of the index read at once
_END = struct.Struct("<28xQ")  # where HDF5's first bytes tell how long the file is


@contextmanager
def reading(path: Path, what: str = "") -> Iterator[None]:
    """Make one StoreError of whatever HDF5 raises."""
    try:
        yield
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, MemoryError) as error:  # h5py has none of its own
        raise StoreError(f"{path}: {what}cannot be read: {' '.join(str(error).split())}") from error


@contextmanager
def open_raw(path: Path) -> Iterator[tuple[h5py.File | None, bool]]:
    """The file, and whether its writer closed it; None for an empty one, killed before the first message."""
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


class RawFile:
    """The messages of an open file.

    Parameters
    ----------
    path, file
        of the recording.
    """

    def __init__(self, path: Path, file: h5py.File) -> None:
        self._path = path
        self._index: h5py.Dataset = file[INDEX]
        self._bytes: h5py.Dataset = file[BYTES]  # h5py takes long to look one up
        self.frames: h5py.Dataset | None = file.get(FRAMES)

    def check_length(self) -> None:
        """StoreError where the file is shorter than its writer left it."""
        with self._path.open("rb") as file:
            (told,) = _END.unpack(file.read(_END.size).ljust(_END.size, b"\0"))
        size = self._path.stat().st_size
        if size < told:
            raise StoreError(f"{self._path} is cut short: {size} bytes where there were {told}")

    def rows(self) -> Rows:
        """The index; rows at its end that the writer was killed before flushing are left out.

        What cannot be read of it has the length -1.
        """
        rows = np.zeros(len(self._index), dtype=ROW)
        for first in range(0, len(rows), _BLOCK):
            try:
                rows[first : first + _BLOCK] = self._index[first : first + _BLOCK]
            except (OSError, RuntimeError):
                rows["length"][first : first + _BLOCK] = -1
        written = np.flatnonzero(rows != np.zeros(1, dtype=ROW))
        return rows[: written[-1] + 1] if written.size else rows[:0]

    def message(self, index: int, row: np.void) -> tuple[list[bytes], float, int]:
        """Parts, time of reception and stream of the message in a row of the index.

        Raises
        ------
        StoreError
            where it does not match its seal.
        """
        offset, length, cut = int(row["offset"]), int(row["length"]), int(row["cut"])
        received, stream = float(row["received"]), stream_of(int(row["kind"]))
        with reading(self._path, f"message {index} "):
            if not 0 <= offset < offset + length <= len(self._bytes):
                raise ValueError(f"its row in the index tells {length} bytes at {offset} of {len(self._bytes)}")
            envelope = self._bytes[offset : offset + length].tobytes()
            parts = unpack(envelope, cut, self._blob(int(row["frame"])))
        if seal(parts, received, stream) != row["crc32"]:
            raise StoreError(f"{self._path}: message {index} is damaged, it does not match its checksum")
        return parts, received, stream

    def _blob(self, frame: int) -> bytes:
        if frame < 0 or self.frames is None:
            return b""
        blob: bytes = self.frames.id.read_direct_chunk((frame, 0, 0))[1]
        return blob
