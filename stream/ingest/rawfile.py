"""One file of a recording read back: what is damaged is named, what is not is read.

HDF5 marks a file that is being written, and keeps the mark where the writer is killed. Such a file is read as if it
were closed: HDF5's own way, ``swmr=True``, waits without end for damaged tables to become right.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
from numcodecs.jenkins import jenkins_lookup3

from stream.core.errors import StoreError
from stream.ingest.envelope import seal, unpack
from stream.ingest.rawformat import BYTES, FRAMES, INDEX, ROW, stream_of

Rows = npt.NDArray[Any]
_BLOCK = 1024  # rows of the index read at once
_SUPERBLOCK = struct.Struct("<8s3sB16sQQI")  # signature, versions, marks, places, length of the file, root, checksum
_ENDLESS = 1 << 43  # every file system lets one go there


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
    with ExitStack() as stack:
        try:
            file, closed = h5py.File(path, "r"), True
        except OSError:
            source = stack.enter_context(_AsClosed(path))
            source.head = _closed(source.read(_SUPERBLOCK.size), _ENDLESS)
            file, closed = h5py.File(source, "r"), False
        yield stack.enter_context(file), closed


def mark_closed(path: Path) -> None:
    """Let others open a file whose writer was killed, as HDF5's tool ``h5clear`` does; one cut short is left alone."""
    with path.open("r+b") as file:
        head = file.read(_SUPERBLOCK.size)
        if not _cut_short(path):
            file.seek(0)
            file.write(_closed(head, path.stat().st_size))


class _AsClosed(io.FileIO):
    """A file without the mark of being written, and without end: it may grow, or be cut short and go on with zeros."""

    head = b""

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        return super().seek(_ENDLESS) if whence == io.SEEK_END else super().seek(offset, whence)

    def readinto(self, buffer: Any, /) -> int:
        at, view = self.tell(), memoryview(buffer).cast("B")
        size = super().readinto(view) or 0
        view[size:] = bytes(len(view) - size)
        head = self.head[at : at + len(view)]
        view[: len(head)] = head
        return len(view)


def _closed(head: bytes, size: int) -> bytes:
    """HDF5's first bytes without its mark; OSError where they are damaged."""
    if len(head) < _SUPERBLOCK.size or jenkins_lookup3(head[:-4], 0) != _SUPERBLOCK.unpack(head)[-1]:
        raise OSError("its first bytes are damaged")
    signature, versions, _, places, _, root, _ = _SUPERBLOCK.unpack(head)
    told = _SUPERBLOCK.pack(signature, versions, 0, places, size, root, 0)[:-4]
    return told + struct.pack("<I", jenkins_lookup3(told, 0))


def _cut_short(path: Path) -> str | None:
    """How much of the file is missing, None where it is whole."""
    with path.open("rb") as file:
        head = file.read(_SUPERBLOCK.size)
    size = path.stat().st_size
    told = _SUPERBLOCK.unpack(head)[4] if len(head) == _SUPERBLOCK.size else _SUPERBLOCK.size
    return f"{path} is cut short: {size} bytes where there were {told}" if size < told else None


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
        missing = _cut_short(self._path)
        if missing is not None:
            raise StoreError(missing)

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
