"""CBOR (RFC 8949) from the network: byte strings stay views of the message, no tag is evaluated, all is bounded.

General readers copy every byte string, build as many objects as the sender likes (a list a byte), and make values of
tags: powers as large as asked for, regular expressions, cyclic references.
"""

from __future__ import annotations

import struct
from typing import Any

from cbor2 import CBORTag

from stream.core.errors import MessageError, Reject

SELF_DESCRIBED = 55799
_DEPTH = 32
_MOST_VALUES = 5_000  # 3 ms of reading; detectors send 150
_LONGEST_TEXT = 200_000  # bytes; what they become is four times as much at most
_INDEFINITE = 31
_BREAK = object()
_FLOATS = {25: struct.Struct(">e"), 26: struct.Struct(">f"), 27: struct.Struct(">d")}
_CONSTANTS = {20: False, 21: True, 22: None, 23: None}


def read_cbor(data: bytes | memoryview) -> Any:
    """One CBOR item as dicts, lists, scalars, memoryviews (byte strings) and CBORTag (but for tag 55799).

    Raises
    ------
    MessageError
        TRUNCATED where the item ends early, SIZE where it holds too much or something follows it, NOT_DECODABLE else.
    """
    reader = _Reader(memoryview(data))
    value = reader.item(_DEPTH)
    if reader.at != len(data):
        raise MessageError(Reject.SIZE, f"{len(data) - reader.at} bytes follow the CBOR item")
    return value


def plain(value: Any) -> Any:
    """A CBOR value as JSON has them: a tag becomes what it marks, bytes the number of them."""
    if isinstance(value, CBORTag):
        return plain(value.value)
    if isinstance(value, dict):
        return {key if isinstance(key, str) else repr(key): plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, memoryview):
        return f"<{len(value)} bytes>"
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return float(value)
    return value


class _Reader:
    """A walk over one item; `at` is the next byte."""

    def __init__(self, data: memoryview) -> None:
        self.data, self.at, self.left = data, 0, _MOST_VALUES

    def item(self, depth: int, or_break: bool = False) -> Any:
        """The item that begins here, no deeper than `depth`; _BREAK where the end of a list or map may be."""
        self._spend()
        if depth == 0:
            raise MessageError(Reject.NOT_DECODABLE, f"CBOR nested deeper than {_DEPTH}")
        first = self.take(1)[0]
        if first == 0xFF and or_break:
            return _BREAK
        major, info = first >> 5, first & 31
        if major == 7:
            return self._simple(info)
        if 2 <= major <= 5:
            return self._many(major, None if info == _INDEFINITE else self._argument(info), depth - 1)
        n = self._argument(info)
        if major < 2:
            return -1 - n if major else n
        marked = self.item(depth - 1)
        return marked if n == SELF_DESCRIBED else CBORTag(n, marked)

    def _spend(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise MessageError(Reject.SIZE, f"CBOR of more than {_MOST_VALUES} values")

    def take(self, n: int) -> memoryview:
        """The next `n` bytes."""
        start, self.at = self.at, self.at + n
        if self.at > len(self.data):
            raise MessageError(Reject.TRUNCATED, f"the CBOR item ends before it is complete, at byte {start}")
        return self.data[start : self.at]

    def _argument(self, info: int) -> int:
        if info < 24:
            return info
        if info > 27:
            raise _malformed(info)
        return int.from_bytes(self.take(1 << info - 24), "big")

    def _simple(self, info: int) -> Any:
        if info in _FLOATS:
            return _FLOATS[info].unpack(self.take(_FLOATS[info].size))[0]
        if info not in _CONSTANTS:
            raise _malformed(0xE0 | info)
        return _CONSTANTS[info]

    def _many(self, major: int, n: int | None, depth: int) -> Any:
        """A string, list or map of `n`, or of as many as there are before a break."""
        match major:
            case 2:
                return self._string(major, n)
            case 3:
                return _text(self._string(major, n))
            case 4:
                return self._list(n, depth)
        return self._map(n, depth)

    def _string(self, major: int, n: int | None) -> memoryview:
        """Its bytes; joined where they come in pieces."""
        if n is not None:
            return self.take(n)
        joined = bytearray()
        while (first := self.take(1)[0]) != 0xFF:
            self._spend()
            if first >> 5 != major:
                raise _malformed(first)
            joined += self.take(self._argument(first & 31))
        return memoryview(bytes(joined))

    def _list(self, n: int | None, depth: int) -> list[Any]:
        items: list[Any] = []
        while n is None or len(items) < n:
            value = self.item(depth, n is None)
            if value is _BREAK:
                break
            items.append(value)
        return items

    def _map(self, n: int | None, depth: int) -> dict[Any, Any]:
        """The last of equal keys wins, as in JSON."""
        items: dict[Any, Any] = {}
        read = 0
        while n is None or read < n:
            key = self.item(depth, n is None)
            if key is _BREAK:
                break
            if not isinstance(key, str | int):
                raise MessageError(Reject.NOT_DECODABLE, "a key of a CBOR map is neither text nor a whole number")
            items[key] = self.item(depth)
            read += 1
        return items


def _text(encoded: memoryview) -> str:
    if len(encoded) > _LONGEST_TEXT:
        raise MessageError(Reject.SIZE, f"a CBOR text of {len(encoded)} bytes, at most {_LONGEST_TEXT} are read")
    try:
        return str(encoded, "utf-8")
    except UnicodeDecodeError as error:
        raise MessageError(Reject.NOT_DECODABLE, f"CBOR text: {error}") from error


def _malformed(first: int) -> MessageError:
    return MessageError(Reject.NOT_DECODABLE, f"not CBOR: an item may not begin with 0x{first:02x} here")
