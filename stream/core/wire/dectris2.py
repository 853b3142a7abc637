"""DECTRIS Stream V2 ("cbor"): one CBOR map a message."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from stream.core.errors import MessageError, Reject
from stream.core.messages import Event, Image, Parts, SeriesEnd, SeriesStart
from stream.core.wire.appendix import Appendix, parse_appendix
from stream.core.wire.cbor import plain, read_cbor
from stream.core.wire.header import Header
from stream.core.wire.typed_array import is_array, read_array


def decode(parts: Parts) -> Event:
    """Decode one V2 message; MessageError for anything else."""
    if len(parts) != 1:
        raise MessageError(Reject.NOT_DECODABLE, f"a V2 message has one part, this one has {len(parts)}")
    values = read_cbor(parts[0])
    if not isinstance(values, dict):
        raise MessageError(Reject.NOT_DECODABLE, "CBOR, but not a map")
    kind = values.get("type")
    if not isinstance(kind, str) or kind not in _READERS:
        raise Header("V2", values).refuse("type", "start, image or end", Reject.UNKNOWN_TYPE)
    return _READERS[kind](Header(f"V2 {kind}", values))


def _start(header: Header) -> SeriesStart:
    masks = _mapping(header, "pixel_mask") if "pixel_mask" in header.values else {}
    return SeriesStart(
        series=header.text("series_unique_id"),
        number=header.label("series_id"),
        settings={key: value for key, value in plain(header.values).items() if key != "user_data"},
        appendix=_user_data(header),
        channels=_channels(header),
        shape=header.extent("image_size_y", "image_size_x"),
        wavelength=header.quantity("incident_wavelength"),
        pixel_size=header.pitch("pixel_size_y", "pixel_size_x"),
        saturation=header.limit("saturation_value"),
        # some senders leave a stub, not an array, where the mask was
        mask={name: read_array(value, f"mask of {name}") for name, value in masks.items() if is_array(value)},
    )


def _image(header: Header) -> Image:
    data = _mapping(header, "data")
    if not data:
        raise header.refuse("data", "a map with a channel in it")
    return Image(
        series=header.text("series_unique_id"),
        number=header.label("series_id"),
        frame=header.count("image_id"),
        channels={name: read_array(value, f"data of {name}") for name, value in data.items()},
        real_time=_seconds(header, "real_time"),
        appendix=_user_data(header),
    )


def _end(header: Header) -> SeriesEnd:
    return SeriesEnd(series=header.text("series_unique_id"), number=header.label("series_id"))


_READERS: dict[str, Callable[[Header], Event]] = {"start": _start, "image": _image, "end": _end}


def _channels(header: Header) -> tuple[str, ...]:
    names = header.values.get("channels", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise header.refuse("channels", "a list of names")
    return tuple(names)


def _mapping(header: Header, key: str) -> dict[str, Any]:
    value = header.values.get(key)
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise header.refuse(key, "a map of channels")
    return value


def _seconds(header: Header, key: str) -> float | None:
    """A rational [numerator, denominator], or a plain number, in seconds."""
    match header.values.get(key):
        case [int(numerator), int(denominator)] if numerator >= 0 and denominator > 0:
            return numerator / denominator or None
        case list():
            raise header.refuse(key, "a ratio of whole numbers")
    return header.quantity(key)


def _user_data(header: Header) -> Appendix | None:
    """What was attached: a map, text, bytes, or any other CBOR value as its JSON text."""
    value = header.values.get("user_data")
    if value is None:
        return None
    if isinstance(value, str | memoryview):
        return parse_appendix(value)
    attached = plain(value)
    return attached if isinstance(attached, dict) else orjson.dumps(attached).decode()
