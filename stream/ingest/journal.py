"""The pattern journal: a preallocated file with one slot for each grid point.

A slot holds a header (checksum, frame, series, monitor) and three float32 arrays: sums, norms, variances, all
before the monitor, so that a late monitor value needs no rewrite. Slots are written with ``pwrite``, never
through a mapping (a full disk would be a SIGBUS), and carry a CRC-32 that is verified on every read. The file's own
header is there twice, and must agree with the length of the file.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from stream.core.errors import StoreError
from stream.core.messages import Pattern
from stream.ingest.ledger import FrameRow

MAGIC = b"BRAGGJ01"
FILE_HEADER = struct.Struct("<8sQQ")
SLOT_HEADER = struct.Struct("<IIqdd32s")  # crc, filled, frame, monitor, received, series
FIRST_SLOT = 4096
HEADERS = (0, FIRST_SLOT // 2)


@dataclass(frozen=True, slots=True)
class Journal:
    """An open journal of `slots` patterns of `bins` bins."""

    path: Path
    descriptor: int
    slots: int
    bins: int

    @classmethod
    def create(cls, path: Path, slots: int, bins: int) -> Self:
        """Create the journal, or open it for writing where it exists.

        The header is written last: without it, an earlier creation was cut short and is done again.

        Raises
        ------
        StoreError
            when the disk cannot hold it, or it is the journal of another grid.
        """
        descriptor = _open(path, os.O_RDWR | os.O_CREAT)
        journal = cls(path, descriptor, slots, bins)
        try:
            if not any(os.pread(descriptor, FILE_HEADER.size, 0)):
                os.posix_fallocate(descriptor, 0, FIRST_SLOT + slots * journal.stride)
                for at in reversed(HEADERS):
                    os.pwrite(descriptor, FILE_HEADER.pack(MAGIC, slots, bins), at)
        except OSError as error:
            journal.close()
            raise StoreError(f"the journal {path} cannot be created: {error.strerror}") from error
        journal._check_header()
        return journal

    @classmethod
    def read_only(cls, path: Path) -> Self:
        """Open an existing journal; StoreError where there is none, or no header of it can be trusted."""
        descriptor = _open(path, os.O_RDONLY)
        headers = _headers(descriptor)
        length = os.fstat(descriptor).st_size
        for _, slots, bins in headers:
            journal = cls(path, descriptor, slots, bins)
            if length == journal._offset(slots) or headers.count((MAGIC, slots, bins)) == len(HEADERS):
                return journal
        os.close(descriptor)
        raise StoreError(f"{path} is not the journal of a run, or its header is damaged")

    @property
    def stride(self) -> int:
        """Bytes from one slot to the next."""
        return SLOT_HEADER.size + 12 * self.bins

    def write(self, row: FrameRow, pattern: Pattern) -> None:
        """Fill the slot of `row` with `pattern`."""
        monitor = np.nan if row.monitor is None else row.monitor
        series = row.series.encode()[:32]
        payload = b"".join(
            np.ascontiguousarray(part, dtype="<f4").tobytes()
            for part in (pattern.sums, pattern.norms, pattern.variances)
        )
        rest = SLOT_HEADER.pack(0, 1, row.frame, monitor, row.received, series)[4:] + payload
        record = struct.pack("<I", zlib.crc32(rest)) + rest
        try:
            written = os.pwrite(self.descriptor, record, self._offset(row.slot))
        except OSError as error:
            raise StoreError(f"the journal {self.path} cannot be written: {error.strerror}") from error
        if written != len(record):
            raise StoreError(f"the journal {self.path} cannot be written: only {written} of {len(record)} bytes fit")

    def clear(self, slot: int) -> None:
        """Empty a slot: its header becomes what no filled one has."""
        try:
            os.pwrite(self.descriptor, bytes(SLOT_HEADER.size), self._offset(slot))
        except OSError as error:
            raise StoreError(f"the journal {self.path} cannot be written: {error.strerror}") from error

    def read(self, slot: int) -> Pattern:
        """The pattern in `slot`.

        Raises
        ------
        StoreError
            when the slot is empty or its checksum is wrong.
        """
        record = os.pread(self.descriptor, self.stride, self._offset(slot))
        if not self._intact(record):
            raise StoreError(f"slot {slot} of the journal {self.path} is empty or damaged")
        values = np.frombuffer(record, dtype="<f4", offset=SLOT_HEADER.size).reshape(3, self.bins)
        return Pattern(sums=values[0], norms=values[1], variances=values[2])

    def filled(self) -> Iterator[FrameRow]:
        """Rows of all intact slots, read from the slots themselves."""
        for slot in range(self.slots):
            header = os.pread(self.descriptor, SLOT_HEADER.size, self._offset(slot))
            if any(header) and self._intact(os.pread(self.descriptor, self.stride, self._offset(slot))):
                _, _, frame, monitor, received, series = SLOT_HEADER.unpack(header)
                name = series.rstrip(b"\0").decode(errors="replace")
                yield FrameRow(slot=slot, series=name, frame=frame, monitor=monitor, received=received)

    def close(self) -> None:
        """Close the file."""
        os.close(self.descriptor)

    def _offset(self, slot: int) -> int:
        return FIRST_SLOT + slot * self.stride

    def _intact(self, record: bytes) -> bool:
        if len(record) != self.stride:
            return False
        crc, filled, *_ = SLOT_HEADER.unpack_from(record)
        return bool(filled) and crc == zlib.crc32(memoryview(record)[4:])

    def _check_header(self) -> None:
        if (MAGIC, self.slots, self.bins) not in _headers(self.descriptor):
            self.close()
            raise StoreError(f"{self.path} is not the journal of {self.slots} patterns with {self.bins} bins")


def _headers(descriptor: int) -> list[tuple[bytes, int, int]]:
    """Magic, slots and bins from each header that begins as one."""
    copies = (os.pread(descriptor, FILE_HEADER.size, at) for at in HEADERS)
    return [FILE_HEADER.unpack(copy) for copy in copies if len(copy) == FILE_HEADER.size and copy.startswith(MAGIC)]


def _open(path: Path, flags: int) -> int:
    try:
        return os.open(path, flags | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StoreError(f"the journal {path} cannot be opened: {error.strerror}") from error
