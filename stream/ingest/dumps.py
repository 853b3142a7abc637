"""Dumps of messages: a CBOR sequence, each item the parts of one ZeroMQ message (``.cbors``)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cbor2

from stream.core.errors import StoreError
from stream.core.messages import Parts

EVENT, PACKET = 42877, 42878
"""Tags of a MAX IV dump: [event number, {stream: packet}] and [format, parts]."""


def read_dump(path: Path) -> Iterator[Parts]:
    """The parts of each message; of a MAX IV event, those of each stream in turn.

    Raises
    ------
    StoreError
        naming the file and the item that is not such a list.
    """
    item = 0
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            decoder = cbor2.CBORDecoder(file, strict_hashable_types=True)
            while file.tell() < size:
                yield from _messages(decoder.decode())
                item += 1
    except (OSError, cbor2.CBORError, ValueError) as error:
        raise StoreError(f"{path}: item {item} cannot be read: {error}") from error


def _messages(item: Any) -> Iterator[Parts]:
    match item:
        case cbor2.CBORTag(tag=tag, value=[int(), streams]) if tag == EVENT:
            for packet in streams.values():
                yield from _messages(packet)
        case cbor2.CBORTag(tag=tag, value=[_, parts]) if tag == PACKET:
            yield from _messages(parts)
        case [bytes(), *_] if all(isinstance(part, bytes) for part in item):
            yield list(item)
        case _:
            raise ValueError("not the parts of a message")
