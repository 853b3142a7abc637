"""One file of the recording, while it is written: every message as it was received.

Files are written in HDF5's single-writer mode: what was flushed can be read although the writer was killed (with
``swmr=True``), but such a file can never be written again; hence each start of ingest begins another
(`stream.ingest.recorder`). A write that fails leaves HDF5 in a state in which it may crash: so the room on the disk is
looked at first, and a file that failed all the same is not touched again.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np

from stream.core.errors import StoreError
from stream.core.messages import EncodedArray, Event, Image, MonitorEvent, Parts, SeriesEnd, SeriesStart
from stream.ingest.envelope import find_blob, pack, seal
from stream.ingest.rawformat import BYTES, INDEX, ROW, Kind, frame_pixels, nexus_data, stream_of, tell
from stream.ingest.room import MARGIN

_HELD = 256 << 20  # bytes held in memory until the first image tells the frames' dtype
_BUFFER = 1 << 20  # bytes held back until they are worth a write
_FEW = 64 << 20  # bytes of messages that are written again when the first image comes after them
_BYTES_CHUNK = 1 << 18
_ROWS_CHUNK = 1024


_KINDS: dict[type, Kind] = {SeriesStart: Kind.START, Image: Kind.IMAGE, SeriesEnd: Kind.END}


class Recording:
    """Writes the messages of one file, from one thread.

    Parameters
    ----------
    folder
        gets the file, ``raw-0001.h5`` or the next free number. It is empty until the first image of the detector's
        shape tells the frames' dtype, or until `flush`; begun without frames, it is made anew by that image.
    shape
        (rows, columns) of the detector. Images of another shape or dtype, or with several channels, are kept whole.
    reserve
        bytes of the disk that are left alone.

    Attributes
    ----------
    name
        of the file.
    count
        messages so far.
    flushed
        of them, those that the file holds.

    Raises
    ------
    StoreError
        where the file cannot be written.
    """

    def __init__(self, folder: Path, shape: tuple[int, int], reserve: int = MARGIN) -> None:
        self.path = folder / f"raw-{_next_number(folder):04d}.h5"
        self.name = self.path.name
        self._making = self.path.with_suffix(".partial")  # killed before single-writer mode, it can never be read
        self.count = self.flushed = 0
        self._shape = shape
        self._reserve = reserve
        self._file: h5py.File | None = None
        self._frames: h5py.Dataset | None = None
        self._store: Any = None  # the datasets BYTES and INDEX
        self._index: Any = None
        self._failed = False
        self._frame_count = 0
        self._offset = 0
        self._rows: list[tuple[int, int, int, int, int, int, int, float]] = []
        self._bytes: list[bytes] = []
        self._buffered = 0
        self._before: tuple[list[Any], list[bytes]] | None = [], []  # rows and bytes of a file without frames, if few
        self._check_room(0)
        try:
            self.path.touch(exist_ok=False)
        except OSError as error:
            raise StoreError(f"{self.path} cannot be written: {error.strerror}") from error

    def misses_frames(self, event: Event | MonitorEvent | None) -> bool:
        """True where the file is without frames, too long to be made anew, and the event's pixels could be one."""
        return self._frames is None and self._before is None and frame_pixels(event, self._shape) is not None

    def append(self, parts: Parts, event: Event | MonitorEvent | None, received: float, stream: int = 0) -> int:
        """Record one message; its index in this file is returned.

        Parameters
        ----------
        event
            what it was decoded to, None where it could not be.
        received
            in Unix seconds.
        stream
            0 is the detector, n + 1 the config's ``monitors[n]``.

        Raises
        ------
        StoreError
            where the file cannot be written. A disk that is full is noticed before anything is written: the message
            is not in the recording then, and may come again when there is room.
        """
        self._check_room(sum(map(len, parts)))
        with self._writing():
            pixels = frame_pixels(event, self._shape)
            if self._file is None and (pixels is not None or self._buffered > _HELD):
                self._create(pixels)
            elif self._frames is None and pixels is not None and self._before is not None:
                self._write_buffer().close()
                self._create(pixels)
            frame, cut, size = self._store_frame(parts, pixels)
            kind = Kind.MONITOR + stream - 1 if stream else _KINDS.get(type(event), Kind.UNDECODABLE)
            self._buffer(parts, kind, frame, cut, size, received)
            if self._file is not None and self._buffered > _BUFFER:
                self._write_buffer()
        self.count += 1
        return self.count - 1

    def flush(self) -> None:
        """Hand everything to the operating system; before the first image the file is begun without frames."""
        if self._file is None and not self._rows:
            return
        with self._writing():
            self._write_buffer()

    def close(self) -> None:
        """Flush and close; no file is left behind where no message came, one that failed was closed then."""
        if self._failed:
            return
        if self._file is None and not self._rows:
            self.path.unlink(missing_ok=True)
            return
        with self._writing():
            file = self._write_buffer()
            file.flush()  # what fails here can still be abandoned
            self._file = None
            file.close()

    def _check_room(self, size: int) -> None:
        """HDF5 does not survive a full disk: it crashes when it closes a file it could not write."""
        try:
            free = shutil.disk_usage(self.path.parent).free
        except OSError as error:
            raise StoreError(f"{self.path} cannot be written: {error.strerror}") from error
        if free < size + self._buffered + self._reserve:
            raise StoreError(f"{self.path} cannot be written: the disk is full ({free} bytes left)")

    @contextmanager
    def _writing(self) -> Iterator[None]:
        if self._failed:
            raise StoreError(f"{self.path} cannot be written: an earlier write failed")
        try:
            yield
        except (OSError, RuntimeError, ValueError) as error:  # h5py has no error of its own
            self._failed = True
            self._abandon()
            raise StoreError(f"{self.path} cannot be written: {' '.join(str(error).split())}") from error

    def _abandon(self) -> None:
        """Close a file that cannot be written: HDF5 crashes where its last writes fail, so they go to memory."""
        for path in (self._making, *(() if self.flushed else (self.path,))):
            with suppress(OSError):
                path.unlink()
        if self._file is not None:
            with suppress(OSError, RuntimeError, ValueError):
                nowhere = os.memfd_create(self.name)
                os.dup2(nowhere, self._file.id.get_vfd_handle(), inheritable=False)
                os.close(nowhere)
                self._file.close()

    def _create(self, pixels: EncodedArray | None) -> h5py.File:
        self._file = file = h5py.File(self._making, "w", libver="latest")
        data = nexus_data(file)
        tell(file.create_group("entry/messages"), NX_class="NXcollection")
        if pixels is not None:
            self._frames = data.create_dataset(
                "frames",
                shape=(0, *self._shape),
                maxshape=(None, *self._shape),
                chunks=(1, *self._shape),
                dtype=pixels.dtype,
                compression=hdf5plugin.Bitshuffle(cname="lz4"),
            )
        # both kept open: what a dataset could not write is lost without an error when h5py closes it unasked
        self._store = file.create_dataset(BYTES, (0,), np.uint8, maxshape=(None,), chunks=(_BYTES_CHUNK,))
        self._index = file.create_dataset(INDEX, (0,), ROW, maxshape=(None,), chunks=(_ROWS_CHUNK,))
        file.flush()  # single-writer mode does not survive a disk that fails while it begins
        file.swmr_mode = True
        self._put(file, *(self._before or ([], [])))
        self._making.replace(self.path)
        return file

    def _store_frame(self, parts: Parts, pixels: EncodedArray | None) -> tuple[int, int, int]:
        """Row in frames, and which bytes of the joined parts went there; (-1, 0, 0) where none did."""
        if self._frames is None or pixels is None or pixels.dtype != self._frames.dtype:
            return -1, 0, 0
        cut = find_blob(parts, pixels.data)
        if cut is None:
            return -1, 0, 0
        row = self._frame_count
        self._frames.resize(row + 1, axis=0)
        skipped = 0 if pixels.algorithm == "bslz4" else 1  # a bit for each filter that was not applied
        self._frames.id.write_direct_chunk((row, 0, 0), pixels.data, filter_mask=skipped)
        self._frame_count += 1
        return row, cut, len(pixels.data)

    def _buffer(self, parts: Parts, kind: int, frame: int, cut: int, size: int, received: float) -> None:
        envelope, crc = pack(parts, cut, size), seal(parts, received, stream_of(kind))
        self._rows.append((self._offset, len(envelope), kind, crc, frame, cut, size, received))
        self._bytes.append(envelope)
        self._offset += len(envelope)
        self._buffered += len(envelope)

    def _write_buffer(self) -> h5py.File:
        file = self._file or self._create(None)
        if self._rows:
            self._put(file, self._rows, self._bytes)
            if self._frames is None and self._before is not None:
                self._before[0].extend(self._rows)
                self._before[1].extend(self._bytes)
                if self._offset > _FEW:
                    self._before = None
            self.flushed += len(self._rows)
            self._rows, self._bytes, self._buffered = [], [], 0
        return file

    def _put(self, file: h5py.File, rows: list[Any], envelopes: list[bytes]) -> None:
        if rows:
            _extend(self._store, np.frombuffer(b"".join(envelopes), dtype=np.uint8))
            file.flush()  # a row must never come before what it points to
            _extend(self._index, np.array(rows, dtype=ROW))
            file.flush()


def _extend(dataset: h5py.Dataset, values: np.ndarray[tuple[int], np.dtype[np.generic]]) -> None:
    """Append values by HDF5's own calls: h5py's indexing takes three times as long, at every commit."""
    end, count = dataset.id.shape[0], len(values)
    dataset.id.set_extent((end + count,))
    place = dataset.id.get_space()
    place.select_hyperslab((end,), (count,))
    dataset.id.write(h5py.h5s.create_simple((count,)), place, values)


def _next_number(folder: Path) -> int:
    taken = [int(path.stem[4:]) for path in folder.glob("raw-*.h5") if path.stem[4:].isdecimal()]
    return max(taken, default=0) + 1
