"""MAX IV STINS ("stream1", streaming-receiver): a JSON part, and a binary part for each threshold.

Its messages do not say which series they belong to, so the series is ``""``. Extra keys of an image's
header are its appendix.
"""

from __future__ import annotations

from stream.core.errors import MessageError, Reject
from stream.core.messages import Algorithm, EncodedArray, Event, Image, Parts, SeriesEnd, SeriesStart
from stream.core.wire.appendix import parse_appendix
from stream.core.wire.header import Header, Reader, dispatch, expect_parts

_ALGORITHMS: dict[str, Algorithm] = {"none": "raw", "bslz4": "bslz4"}
_OWN_KEYS = {"htype", "frame", "shape", "type", "compression", "msg_number"}


def decode(parts: Parts) -> Event:
    """Decode one STINS message; MessageError for anything else."""
    return dispatch(parts, READERS)


def _start(header: Header, parts: Parts) -> SeriesStart:
    expect_parts(parts, header, 1, 2)
    return SeriesStart(
        series="",
        message=header.label("msg_number"),
        settings=header.values,
        appendix=parse_appendix(parts[1]) if len(parts) > 1 else None,
    )


def _image(header: Header, parts: Parts) -> Image:
    """Parts after the blobs are a site's own, sometimes pickled: they are never looked at."""
    shape = header.shape(axes=(2, 3))
    wanted = shape[0] if len(shape) == 3 else 1
    blobs = parts[1 : 1 + wanted]
    if len(blobs) != wanted:
        raise MessageError(Reject.NOT_DECODABLE, f"STINS image {shape} came with {len(blobs)} blobs")
    names = [""] if len(shape) == 2 else [f"threshold_{n}" for n in range(1, 1 + wanted)]
    return Image(
        series="",
        message=header.label("msg_number"),
        frame=header.count("frame"),
        channels={name: _array(header, shape[-2:], blob) for name, blob in zip(names, blobs, strict=True)},
        appendix={key: value for key, value in header.values.items() if key not in _OWN_KEYS} or None,
    )


def _array(header: Header, shape: tuple[int, ...], blob: bytes | memoryview) -> EncodedArray:
    compression = header.text("compression")
    if compression not in _ALGORITHMS:
        raise header.refuse("compression", "none or bslz4")
    dtype = header.dtype()
    algorithm = _ALGORITHMS[compression]
    return EncodedArray(
        shape=shape,
        dtype=dtype,
        algorithm=algorithm,
        element_size=dtype.itemsize if algorithm == "bslz4" else 0,
        data=blob,
    )


def _end(header: Header, parts: Parts) -> SeriesEnd:
    expect_parts(parts, header, 1)
    return SeriesEnd(series="", message=header.label("msg_number"))


READERS: dict[str, Reader] = {"header": _start, "image": _image, "series_end": _end}
