"""Recorded streams: a `.cbors` file is a CBOR sequence, each item the parts of one message."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cbor2


def read_messages(path: Path) -> list[list[bytes]]:
    """The messages of a recording in order, each the list of its parts."""
    messages = []
    with path.open("rb") as file:
        decoder = cbor2.CBORDecoder(file)
        while file.tell() < path.stat().st_size:
            messages.append(_parts(decoder.decode()))
    return messages


def _parts(item: Any) -> list[bytes]:
    """The parts in an item; dranspose wraps them in tags 42877 [n, {stream: 42878 [type, parts]}]."""
    if isinstance(item, cbor2.CBORTag):
        [event] = item.value[1].values()
        return [bytes(part) for part in event.value[1]]
    return [bytes(part) for part in item]
