"""DECTRIS Stream V1 (SIMPLON 1.8, "legacy"): JSON parts with binary parts between them."""

from __future__ import annotations

import re

from stream.core.errors import MessageError, Reject
from stream.core.messages import Algorithm, EncodedArray, Event, Image, Parts, SeriesEnd, SeriesStart
from stream.core.wire.appendix import parse_appendix
from stream.core.wire.header import Header, Reader, dispatch, expect_parts, read_json

CHANNEL = ""
"""V1 has one channel, and it has no name."""

_PARTS = {"none": 1, "basic": 2, "all": 8}
_ENCODING = re.compile(r"(?:(?:bs(8|16|32|64)-)?(lz4))?([<>])")


def decode(parts: Parts) -> Event:
    """Decode one V1 message; MessageError for anything else."""
    return dispatch(parts, READERS)


def _start(header: Header, parts: Parts) -> SeriesStart:
    detail = header.text("header_detail")
    if detail not in _PARTS:
        raise header.refuse("header_detail", "none, basic or all")
    n = _PARTS[detail]
    expect_parts(parts, header, n, n + 1)
    config = read_json(parts[1], "detector configuration") if n > 1 else Header(header.kind, {})
    number = header.count("series")
    return SeriesStart(
        series=str(number),
        number=number,
        settings=config.values,
        appendix=parse_appendix(parts[n]) if len(parts) > n else None,
        channels=(CHANNEL,),
        shape=config.extent("y_pixels_in_detector", "x_pixels_in_detector"),
        wavelength=config.quantity("wavelength"),
        pixel_size=config.pitch("y_pixel_size", "x_pixel_size"),
        saturation=config.limit("countrate_correction_count_cutoff"),
        mask=_masks(parts[2:n]),
    )


def _masks(arrays: Parts) -> dict[str, EncodedArray]:
    """The pixel mask among the pairs of JSON and blob that ``all`` adds.

    Simulators name the pairs loosely (``flatfield-1.0`` for ``dflatfield-1.0``), so the name is searched.
    """
    for head, blob in zip(arrays[::2], arrays[1::2], strict=True):
        header = read_json(head, "detector array")
        if "pixelmask" in header.text("htype"):
            return {CHANNEL: _array(header, "<", blob)}
    return {}


def _image(header: Header, parts: Parts) -> Image:
    expect_parts(parts, header, 4, 5)
    data = read_json(parts[1], "dimage_d-1.0")
    times = read_json(parts[3], "dconfig-1.0")
    size, sent = data.count("size"), len(parts[2])
    if size != sent:
        reason = Reject.TRUNCATED if sent < size else Reject.SIZE
        raise MessageError(reason, f"dimage_d-1.0: size is {size}, but {sent} bytes were sent")
    nanoseconds = times.quantity("real_time")
    number = header.count("series")
    return Image(
        series=str(number),
        number=number,
        frame=header.count("frame"),
        channels={CHANNEL: _array(data, data.text("encoding"), parts[2])},
        real_time=None if nanoseconds is None else nanoseconds * 1e-9,
        appendix=parse_appendix(parts[4]) if len(parts) > 4 else None,
    )


def _array(header: Header, encoding: str, blob: bytes | memoryview) -> EncodedArray:
    """The array in `blob`. V1 names the fast axis first, numpy the slow one."""
    match = _ENCODING.fullmatch(encoding)
    if match is None:
        raise header.refuse("encoding", "[bsN-][lz4] with < or >")
    shuffled, compressed, order = match.groups()
    algorithm: Algorithm = "bslz4" if shuffled else "lz4" if compressed else "raw"
    return EncodedArray(
        shape=header.shape()[::-1],
        dtype=header.dtype(order=order),
        algorithm=algorithm,
        element_size=int(shuffled) // 8 if shuffled else 0,
        data=blob,
    )


def _end(header: Header, parts: Parts) -> SeriesEnd:
    expect_parts(parts, header, 1)
    number = header.count("series")
    return SeriesEnd(series=str(number), number=number)


READERS: dict[str, Reader] = {"dheader-1.0": _start, "dimage-1.0": _image, "dseries_end-1.0": _end}
