"""PandABox position captures as its data port sends them (TCP 8889, framed), or as they lie in a file.

A run of braggstream does not read this stream yet: MAX IV's PandABoxes come over ZeroMQ (`maxiv`). It is for
captures in files and for a client of the data port, and only tests use it.

``OK``, then for each arm an XML header, frames of ``BIN `` + u32 length (its own 8 bytes included) + packed little
endian rows, and ``END n reason``. Row k of an arm belongs to its trigger k.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from stream.core.errors import MessageError, Reject
from stream.core.wire.panda_header import LONGEST_HEADER, CaptureStart, read_header

_LONGEST_LINE = 256
_HEADER_END = b"</header>\n\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureRows:
    """Rows of the open capture, (rows,) of its `CaptureStart.dtype`; row k is that of trigger first + k."""

    first: int
    rows: npt.NDArray[np.void]


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureEnd:
    """The capture is over after `rows` rows; reason is the box's own word: ``Disarmed``, ``Data overrun``, …"""

    rows: int
    reason: str


CaptureEvent = CaptureStart | CaptureRows | CaptureEnd


@dataclass(slots=True)
class CaptureReader:
    """Makes events of a byte stream that comes in pieces of any size.

    Less than a row, or a header of 32 KiB, waits between pieces. After an error the place in the stream is lost:
    connect again.
    """

    _waiting: bytearray = field(default_factory=bytearray)
    _capture: CaptureStart | None = None
    _rows: int = 0
    _frame_left: int = 0

    def feed(self, data: bytes | memoryview) -> Iterator[CaptureEvent]:
        """The events that `data` completes.

        Raises
        ------
        MessageError
            TRUNCATED or SIZE where the rows are not as many as the end says, NOT_DECODABLE for anything that is no
            capture.
        """
        self._waiting += data
        while (event := self._next()) is not None:
            yield event

    def close(self) -> None:
        """Say that the stream is over; MessageError where a capture is not."""
        if self._capture is not None or self._waiting:
            raise MessageError(Reject.TRUNCATED, f"the capture stops after {self._rows} rows without an end")

    def _next(self) -> CaptureEvent | None:
        if self._frame_left:
            return self._read_rows()
        if self._capture is None:
            return self._read_start()
        magic = bytes(self._waiting[:4])
        if magic == b"BIN ":
            return self._read_frame(self._capture)
        if magic == b"END ":
            return self._read_end()
        if len(magic) == 4:
            raise _foreign(magic)
        return None

    def _read_start(self) -> CaptureStart | None:
        """The answer to the request and blank lines are passed over; anything else is a header."""
        while self._waiting and not self._waiting.startswith(b"<"):
            line = self._line()
            if line is None:
                return None
            if line not in ("OK", ""):
                raise _foreign(line.encode())
        end = self._waiting.find(_HEADER_END, 0, LONGEST_HEADER)
        if end < 0:
            if len(self._waiting) > LONGEST_HEADER:
                raise MessageError(Reject.SIZE, f"the header of a capture is longer than {LONGEST_HEADER} bytes")
            return None
        self._capture, self._rows = read_header(self._take(end + len(_HEADER_END))), 0
        return self._capture

    def _read_frame(self, capture: CaptureStart) -> CaptureRows | None:
        if len(self._waiting) < 8:
            return None
        length = int.from_bytes(self._waiting[4:8], "little") - 8
        if length < 0 or length % capture.dtype.itemsize:
            raise MessageError(Reject.SIZE, f"a frame of {length} bytes, rows have {capture.dtype.itemsize}")
        del self._waiting[:8]
        self._frame_left = length
        return self._read_rows() if length else CaptureRows(first=self._rows, rows=np.empty(0, capture.dtype))

    def _read_rows(self) -> CaptureRows | None:
        """What is there of the frame, in whole rows."""
        dtype = self._capture.dtype  # type: ignore[union-attr]
        count = min(len(self._waiting), self._frame_left) // dtype.itemsize
        if count == 0:
            return None
        size = count * dtype.itemsize
        event = CaptureRows(first=self._rows, rows=np.frombuffer(self._take(size), dtype=dtype))
        self._rows += count
        self._frame_left -= size
        return event

    def _read_end(self) -> CaptureEnd | None:
        line = self._line()
        if line is None:
            return None
        _, count, reason = [*line.split(" ", 2), ""][:3]
        if not count.isascii() or not count.isdigit():
            raise _foreign(line.encode())
        if int(count) != self._rows:
            told = Reject.TRUNCATED if int(count) > self._rows else Reject.SIZE
            raise MessageError(told, f"the capture ends with {int(count)} rows, {self._rows} came")
        self._capture = None
        return CaptureEnd(rows=self._rows, reason=reason)

    def _line(self) -> str | None:
        """The next line without its end; None where it is not there yet."""
        end = self._waiting.find(b"\n", 0, _LONGEST_LINE)
        if end >= 0:
            return self._take(end + 1)[:-1].decode("ascii", "replace")
        if len(self._waiting) >= _LONGEST_LINE:
            raise _foreign(bytes(self._waiting))
        return None

    def _take(self, n: int) -> bytes:
        taken = bytes(self._waiting[:n])
        del self._waiting[:n]
        return taken


def _foreign(found: bytes) -> MessageError:
    return MessageError(Reject.NOT_DECODABLE, f"{found[:40]!r} is no part of a PandABox capture")
