"""Bytes of a detector message in, an event out: no sockets, no state, one kind of error."""

from __future__ import annotations

from typing import Literal

from stream.core.errors import ConfigError, MessageError, Reject
from stream.core.messages import Decoder, Event, Parts
from stream.core.wire import array1, dectris1, dectris2, stins
from stream.core.wire.compression import decompress
from stream.core.wire.header import dispatch

__all__ = ["Format", "decode", "decoder_for", "decompress"]

Format = Literal["auto", "dectris-1", "dectris-2", "stins", "array-1"]

_CBOR_MAGIC = b"\xd9\xd9\xf7"
_CBOR_MAPS = range(0xA0, 0xC0)
_JSON_READERS = dectris1.READERS | stins.READERS | array1.READERS


def decode(parts: Parts) -> Event:
    """Decode one message of any format, recognised by its content.

    The ports say nothing: three formats share port 9999.

    Raises
    ------
    MessageError
        for anything that is not a message of a known format; never another exception.
    """
    start = bytes(parts[0][:3]) if parts else b""
    if start[:1] == b"{":
        return dispatch(parts, _JSON_READERS)
    if start == _CBOR_MAGIC or (start and start[0] in _CBOR_MAPS):
        return dectris2.decode(parts)
    raise MessageError(Reject.NOT_DECODABLE, f"a message that begins with {start!r} is of no known format")


_DECODERS: dict[str, Decoder] = {
    "auto": decode,
    "dectris-1": dectris1.decode,
    "dectris-2": dectris2.decode,
    "stins": stins.decode,
    "array-1": array1.decode,
}


def decoder_for(name: Format) -> Decoder:
    """The decoder that `detector.format` names."""
    if name not in _DECODERS:
        raise ConfigError(f"detector.format is {name!r}, not one of {', '.join(_DECODERS)}")
    return _DECODERS[name]
