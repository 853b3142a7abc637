"""Bluesky documents on their way: as a ZeroMQ message, and kept in the run directory.

A message has three parts: ``bluesky-doc-v1``, the document's name, the document as JSON. In the run directory each
document is a line, [name, document] as JSON; whoever receives documents appends, ingest and publish read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from stream.core.errors import MessageError, Reject, StoreError
from stream.core.messages import Parts

PROTOCOL = b"bluesky-doc-v1"
NAMES = frozenset(
    {"start", "descriptor", "event", "event_page", "resource", "datum", "datum_page", "stream_resource",
     "stream_datum", "stop"}
)  # fmt: skip
LARGEST = 16 << 20
"""Bytes of a document: a page of a hundred thousand readings is smaller."""


class Document(NamedTuple):
    """A document of event-model: its name and what it says."""

    name: str
    content: Mapping[str, Any]


def as_json(content: Mapping[str, Any]) -> bytes:
    """A document as JSON; what JSON does not know (arrays of objects, enums) goes as text."""
    return orjson.dumps(content, default=str, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS)


def encode_document(name: str, content: Mapping[str, Any]) -> list[bytes]:
    """The message of a document."""
    return [PROTOCOL, name.encode(), as_json(content)]


def decode_document(parts: Parts) -> Document:
    """The document in a message; nothing is ever unpickled.

    Raises
    ------
    MessageError
        for anything else.
    """
    if len(parts) != 3 or bytes(parts[0]) != PROTOCOL:
        raise MessageError(Reject.UNKNOWN_TYPE, "no Bluesky document: three parts, the first bluesky-doc-v1, make one")
    if len(parts[2]) > LARGEST:
        raise MessageError(Reject.SIZE, f"a Bluesky document of {len(parts[2])} bytes: {LARGEST} are the most")
    try:
        return checked(bytes(parts[1]).decode(), orjson.loads(parts[2]))
    except ValueError as error:
        raise MessageError(Reject.NOT_DECODABLE, f"a Bluesky document is not JSON: {error}") from None


def checked(name: object, content: object) -> Document:
    """A document whose name is known and that is a mapping.

    Raises
    ------
    MessageError
        where it is not.
    """
    if not isinstance(name, str) or name not in NAMES:
        raise MessageError(Reject.UNKNOWN_TYPE, f"{str(name)[:40]!r} is no name of a Bluesky document")
    if not isinstance(content, dict):
        raise MessageError(Reject.NOT_DECODABLE, f"a Bluesky {name} document is no mapping")
    return Document(name, content)


def line_of(document: Document) -> bytes:
    """What is kept of a document.

    Raises
    ------
    MessageError
        for what is no JSON: nested too deep, a whole number of more than 64 bits, half a surrogate pair.
    """
    try:
        # a line of its own even behind one that a full disk cut short
        return b"\n" + orjson.dumps(list(document)) + b"\n"
    except TypeError as error:
        raise MessageError(Reject.NOT_DECODABLE, f"a Bluesky {document.name} document is no JSON: {error}") from None


def keep_document(path: Path, document: Document) -> None:
    """Append a document, in one write: a reader sees it whole, and two writers do not mix.

    Raises
    ------
    MessageError
        for one that is no JSON.
    StoreError
        where it cannot be written.
    """
    line = line_of(document)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            written = os.write(descriptor, line)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise StoreError(f"the documents {path} cannot be written: {error.strerror}") from error
    if written != len(line):
        raise StoreError(f"the documents {path} cannot be written: only {written} of {len(line)} bytes fit")


@dataclass(slots=True)
class KeptDocuments:
    """Reads what is kept, from the first document on; offset is how far it has come."""

    path: Path
    offset: int = 0

    def new(self) -> Iterator[Document]:
        """Documents that came since the last call; a line that a crash cut short is passed over."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(self.offset)
            for line in file:
                if not line.endswith(b"\n"):
                    return  # it is being written
                self.offset += len(line)
                try:
                    yield checked(*orjson.loads(line))
                except (ValueError, TypeError, MessageError):
                    continue
