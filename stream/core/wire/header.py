"""A message's header: JSON or CBOR values, each checked when it is read."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import orjson

from stream.core.errors import MessageError, Reject
from stream.core.messages import Event, Parts

LARGEST = 2**63 - 1
LONGEST_JSON = 60_000
"""Bytes of a JSON part that are read: orjson takes 12 to 16 for each of them."""
MOST_VALUES = 8_000
"""Values in it, likewise: an object of one key takes 9 bytes to send and 230 to hold."""
_DEEPEST = 250  # orjson writes 254 levels, and reads 1024
_KINDS = {"uint": (8, 16, 32, 64), "int": (8, 16, 32, 64), "float": (16, 32, 64)}
_DTYPES = {f"{kind}{bits}": np.dtype(f"{kind}{bits}") for kind, widths in _KINDS.items() for bits in widths}


@dataclass(frozen=True, slots=True)
class Header:
    """The key-value part of a message; `kind` is what the error sentences call it.

    Every getter raises MessageError when the value is missing (unless it says otherwise) or impossible.
    """

    kind: str
    values: Mapping[str, Any]

    def refuse(self, key: str, wanted: str, reason: Reject = Reject.NOT_DECODABLE) -> MessageError:
        """The error for a value that cannot be used."""
        shown = shortened(self.values[key]) if key in self.values else "missing"
        return MessageError(reason, f"{self.kind}: {key} is {shown}, not {wanted}")

    def text(self, key: str) -> str:
        """A string."""
        value = self.values.get(key)
        if not isinstance(value, str):
            raise self.refuse(key, "a text")
        return value

    def count(self, key: str) -> int:
        """A whole number from 0 to 2**63 - 1."""
        value = self.values.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= LARGEST:
            raise self.refuse(key, "a whole number")
        return value

    def label(self, key: str) -> int | None:
        """A whole number that only helps to see what is missing; None for anything else, which costs no frame."""
        value = self.values.get(key)
        return value if type(value) is int and 0 <= value <= LARGEST else None

    def quantity(self, key: str) -> float | None:
        """A positive number; None where there is none or a placeholder of zero."""
        value = self.values.get(key)
        if value is None:
            return None
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= LARGEST:
            raise self.refuse(key, "a positive number")
        return float(value) or None

    def limit(self, key: str) -> int | None:
        """A positive number as a whole one; None where there is none or a placeholder of zero."""
        return int(self.quantity(key) or 0) or None

    def extent(self, slow: str, fast: str) -> tuple[int, int] | None:
        """Numbers of pixels along the slow and the fast axis; None unless both are told."""
        rows, columns = self.limit(slow), self.limit(fast)
        return None if rows is None or columns is None else (rows, columns)

    def pitch(self, slow: str, fast: str) -> tuple[float, float] | None:
        """Pixel sizes along the slow and the fast axis; None unless both are told."""
        rows, columns = self.quantity(slow), self.quantity(fast)
        return None if rows is None or columns is None else (rows, columns)

    def shape(self, key: str = "shape", axes: tuple[int, ...] = (2,)) -> tuple[int, ...]:
        """A list of positive whole numbers, in the order sent; `axes` are the lengths it may have."""
        return checked_shape(self.values.get(key), self.kind, axes)

    def dtype(self, key: str = "type", order: str = "<") -> np.dtype[Any]:
        """An element type by its numpy name; `order` is ``<`` or ``>``."""
        name = self.values.get(key)
        if not isinstance(name, str) or name not in _DTYPES:
            raise self.refuse(key, "a known element type", Reject.DTYPE)
        return _DTYPES[name].newbyteorder("<" if order == "<" else ">")


class _Short(reprlib.Repr):
    def repr_memoryview(self, value: memoryview, _level: int) -> str:
        return f"<{len(value)} bytes>"


shortened = _Short().repr
"""Any value in a few words, for an error sentence."""


def checked_shape(dims: Any, kind: str, axes: tuple[int, ...] = (2,)) -> tuple[int, ...]:
    """`dims` as a shape of positive whole numbers with one of the numbers of `axes`."""
    whole = isinstance(dims, list) and all(type(n) is int and 0 < n <= LARGEST for n in dims)
    if not whole or len(dims) not in axes:
        wanted = " or ".join(map(str, axes))
        raise MessageError(Reject.SHAPE, f"{kind}: shape is {shortened(dims)}, not {wanted} positive whole numbers")
    return tuple(dims)


def parse_json(part: bytes | memoryview, kind: str, longest: int = LONGEST_JSON, most: int = MOST_VALUES) -> Any:
    """The JSON value in `part`, of at most `longest` bytes and `most` values.

    Raises
    ------
    MessageError
        SIZE for more than is ever needed; NOT_DECODABLE for what is not JSON or could not be written again.
    """
    if len(part) > longest:
        raise MessageError(Reject.SIZE, f"{kind}: {len(part)} bytes of JSON, at most {longest} are read")
    text = bytes(part)
    opened = text.count(b"[") + text.count(b"{")
    if opened + text.count(b",") + text.count(b":") > most:
        raise MessageError(Reject.SIZE, f"{kind}: JSON of more than {most} values")
    try:
        value = orjson.loads(text)
    except ValueError as error:
        raise MessageError(Reject.NOT_DECODABLE, f"{kind}: not JSON: {error}") from error
    if opened > _DEEPEST and _deep(value):
        raise MessageError(Reject.NOT_DECODABLE, f"{kind}: JSON nested deeper than {_DEEPEST}")
    return value


def _deep(value: Any) -> bool:
    """True where something is left after so many levels."""
    level = [value]
    for _ in range(_DEEPEST):
        inner = [item.values() if isinstance(item, dict) else item for item in level if isinstance(item, dict | list)]
        level = list(chain.from_iterable(inner))
    return bool(level)


def read_json(part: bytes | memoryview, kind: str, longest: int = LONGEST_JSON, most: int = MOST_VALUES) -> Header:
    """The header in a part that holds one JSON object; limits and errors as in `parse_json`."""
    values = parse_json(part, kind, longest, most)
    if not isinstance(values, dict):
        raise MessageError(Reject.NOT_DECODABLE, f"{kind}: JSON, but not an object")
    return Header(kind, values)


Reader = Callable[[Header, Parts], Event]
"""What makes an event of the parts of a message whose first part is read already."""


def dispatch(parts: Parts, readers: Mapping[str, Reader]) -> Event:
    """Read the first part as JSON and hand the message to the reader of its `htype`."""
    if not parts:
        raise MessageError(Reject.NOT_DECODABLE, "the message has no parts")
    header = read_json(parts[0], "first part")
    htype = header.values.get("htype")
    if not isinstance(htype, str) or htype not in readers:
        raise header.refuse("htype", "a type of message this stream has", Reject.UNKNOWN_TYPE)
    return readers[htype](Header(htype, header.values), parts)


def expect_parts(parts: Parts, header: Header, *allowed: int) -> None:
    """Refuse a message that has another number of parts."""
    if len(parts) not in allowed:
        numbers = " or ".join(map(str, allowed))
        raise MessageError(Reject.NOT_DECODABLE, f"{header.kind}: {len(parts)} parts where {numbers} are expected")
