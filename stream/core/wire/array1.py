"""PSI array-1.0 (std_daq live, sf-stream): one JSON part and the raw pixels.

The stream has no start and no end, and names no series: it is ``""``. Extra keys are the appendix.
"""

from __future__ import annotations

from stream.core.messages import EncodedArray, Event, Image, Parts
from stream.core.wire.header import Header, Reader, dispatch, expect_parts

_OWN_KEYS = {"htype", "frame", "shape", "type", "endianness", "endianess", "encoding"}


def decode(parts: Parts) -> Event:
    """Decode one array-1.0 message; MessageError for anything else."""
    return dispatch(parts, READERS)


def _image(header: Header, parts: Parts) -> Image:
    expect_parts(parts, header, 2)
    if header.values.get("encoding", "") != "":
        raise header.refuse("encoding", "empty")
    # the published example lacks an n
    key = "endianess" if "endianess" in header.values else "endianness"
    endianness = header.values.get(key, "little")
    if endianness not in ("little", "big"):
        raise header.refuse(key, "little or big")
    pixels = EncodedArray(
        shape=header.shape(),
        dtype=header.dtype(order="<" if endianness == "little" else ">"),
        algorithm="raw",
        element_size=0,
        data=parts[1],
    )
    return Image(
        series="",
        frame=header.count("frame"),
        channels={"": pixels},
        appendix={name: value for name, value in header.values.items() if name not in _OWN_KEYS} or None,
    )


READERS: dict[str, Reader] = {"array-1.0": _image}
