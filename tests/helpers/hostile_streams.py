"""Hostile messages of the streams that name no series (STINS, array-1.0), of monitors and of PandABoxes."""

from __future__ import annotations

from typing import Any

import orjson
from helpers.encode import array1_image, monitor, panda_capture, stins_image
from helpers.hostile_material import ABSURD_NUMBERS, BLOB, BOMB, GIBIBYTE, PIXELS, Hostile

from stream.core.errors import Reject

_ARRAY = array1_image(PIXELS)
_COLUMNS = {"i0": [1.0, 2.0], "x": [3, 4]}
_DATA = monitor("data", frame_number=7, **_COLUMNS)
_PANDA = panda_capture(PIXELS[:4, :3])
PIXEL_BYTES = PIXELS.tobytes()


def _stins(blob: bytes = BLOB, **changes: Any) -> list[bytes]:
    return stins_image(PIXELS, blob, **{"compression": "bslz4"} | changes)


def _array1(data: bytes = PIXEL_BYTES, **changes: Any) -> list[bytes]:
    return [orjson.dumps(orjson.loads(_ARRAY[0]) | changes), data]


def _number(text: bytes) -> list[bytes]:
    return [_DATA[0].replace(b'"frame_number":7', b'"frame_number":' + text)]


def _panda(old: bytes, new: bytes) -> list[bytes]:
    assert old in _PANDA
    return [_PANDA.replace(old, new, 1)]


WITHOUT_SERIES = [
    Hostile("stins-image-alone", _stins()[:1], Reject.NOT_DECODABLE),
    Hostile("stins-no-frame", _stins(frame=None), Reject.NOT_DECODABLE),
    Hostile("stins-frame-negative", _stins(frame=-1), Reject.NOT_DECODABLE),
    Hostile("stins-compression", _stins(compression="zstd"), Reject.NOT_DECODABLE),
    Hostile("stins-type", _stins(type="complex128"), Reject.DTYPE),
    Hostile("stins-shape-4d", _stins(shape=[1, 1, 71, 95]), Reject.SHAPE),
    Hostile("stins-thresholds-missing", _stins(shape=[2, 71, 95]), Reject.NOT_DECODABLE),
    Hostile("stins-thresholds-huge", _stins(shape=[2**62, 71, 95]), Reject.NOT_DECODABLE),
    Hostile("stins-bomb-shape", _stins(shape=[1 << 20, 1 << 20]), Reject.SIZE),
    Hostile("stins-bomb-6-MB", _stins(BOMB, shape=GIBIBYTE), Reject.SIZE),
    Hostile("stins-cut", _stins(BLOB[:-9]), Reject.TRUNCATED),
    Hostile("stins-end-parts", [b'{"htype":"series_end"}', b"{}"], Reject.NOT_DECODABLE),
    Hostile("stins-start-parts", [b'{"htype":"header"}', b"{}", b"{}"], Reject.NOT_DECODABLE),
    Hostile("array1-alone", _ARRAY[:1], Reject.NOT_DECODABLE),
    Hostile("array1-three-parts", [*_ARRAY, b""], Reject.NOT_DECODABLE),
    Hostile("array1-cut", _array1(PIXEL_BYTES[:-1]), Reject.TRUNCATED),
    Hostile("array1-long", _array1(PIXEL_BYTES + b"x"), Reject.SIZE),
    Hostile("array1-encoding", _array1(encoding="jpeg"), Reject.NOT_DECODABLE),
    Hostile("array1-endianness", _array1(endianness="middle"), Reject.NOT_DECODABLE),
    Hostile("array1-endianness-list", _array1(endianness=[]), Reject.NOT_DECODABLE),
    Hostile("array1-shape-huge", _array1(shape=[2**62, 2**62]), Reject.SIZE),
    Hostile("array1-claims-1-TiB", _array1(b"x" * 20, shape=[1 << 20, 1 << 18]), Reject.SIZE),
    Hostile("array1-type", _array1(type="bool"), Reject.DTYPE),
]

MONITORS = [
    Hostile("monitor-no-parts", [], Reject.NOT_DECODABLE),
    Hostile("monitor-two-parts", [*_DATA, b""], Reject.NOT_DECODABLE),
    Hostile("monitor-list", [b"[1]"], Reject.NOT_DECODABLE),
    Hostile("monitor-pickle", [b"\x80\x04N."], Reject.NOT_DECODABLE),
    Hostile("monitor-type", monitor("series-pause"), Reject.UNKNOWN_TYPE),
    Hostile("monitor-type-list", monitor([]), Reject.UNKNOWN_TYPE),
    Hostile("monitor-of-a-detector", _ARRAY[:1], Reject.UNKNOWN_TYPE),
    Hostile("monitor-no-frame", monitor("data", i0=1.0), Reject.NOT_DECODABLE),
    Hostile("monitor-frame-true", monitor("data", frame_number=True, i0=1.0), Reject.NOT_DECODABLE),
    Hostile("monitor-frame-last", monitor("data", frame_number=2**63 - 1, i0=1.0), Reject.NOT_DECODABLE),
    *(
        Hostile(f"monitor-frame-{text[:6].decode()}", _number(text), Reject.NOT_DECODABLE)
        for text in ABSURD_NUMBERS
    ),
    Hostile("monitor-value-1e999", [_DATA[0].replace(b"2.0", b"1e999")], Reject.NOT_DECODABLE),
    Hostile("monitor-value-nan", [_DATA[0].replace(b"2.0", b"NaN")], Reject.NOT_DECODABLE),
    Hostile("monitor-value-vast", [_DATA[0].replace(b"2.0", b"9" * 4000)], Reject.NOT_DECODABLE),
    Hostile("monitor-unequal", monitor("data", frame_number=0, a=[1, 2], b=[1]), Reject.SHAPE),
    Hostile("monitor-no-numbers", monitor("data", frame_number=0, a=["x"], b="y", c=True), Reject.SHAPE),
    Hostile("monitor-many", monitor("data", frame_number=0, a=[0] * 1_000_000), Reject.SIZE),
    Hostile("monitor-long", monitor("data", frame_number=0, a="x" * 1_000_000), Reject.SIZE),
    Hostile("monitor-deep", [b'{"a":' * 3_000], Reject.NOT_DECODABLE),
]  # fmt: skip

PANDA = [
    Hostile("panda-http", [b"HTTP/1.1 200 OK\r\n\r\n"], Reject.NOT_DECODABLE),
    Hostile("panda-endless-line", [b"x" * 100_000], Reject.NOT_DECODABLE),
    Hostile("panda-error", [b"ERR Bad request\n"], Reject.NOT_DECODABLE),
    Hostile("panda-endless-header", [b"<header>" + b" " * 100_000], Reject.SIZE),
    Hostile("panda-entities", _panda(b"<header>", b'<!DOCTYPE h [<!ENTITY a "aaaa">]>\n<header>'),
            Reject.NOT_DECODABLE),
    Hostile("panda-instruction", _panda(b"<header>", b"<?xml encoding='utf-7'?>\n<header>"), Reject.NOT_DECODABLE),
    Hostile("panda-many-elements", _panda(b"<fields>", b"<fields>" + b"<a>" * 8_000), Reject.SIZE),
    Hostile("panda-not-xml", _panda(b"<fields>", b"<fields"), Reject.NOT_DECODABLE),
    Hostile("panda-no-data", _panda(b"<data", b"<date"), Reject.NOT_DECODABLE),
    Hostile("panda-type", _panda(b'type="uint32"', b'type="object"'), Reject.DTYPE),
    Hostile("panda-no-name", _panda(b'name="C1"', b""), Reject.NOT_DECODABLE),
    Hostile("panda-one-name", _panda(b'name="C1"', b'name="C0"'), Reject.NOT_DECODABLE),
    Hostile("panda-scale-nan", _panda(b'scale="1"', b'scale="nan"'), Reject.NOT_DECODABLE),
    Hostile("panda-scale-1e999", _panda(b'scale="1"', b'scale="1e999"'), Reject.NOT_DECODABLE),
    Hostile("panda-row-size", _panda(b'sample_bytes="12"', b'sample_bytes="13"'), Reject.SIZE),
    Hostile("panda-row-size-huge", _panda(b'sample_bytes="12"', b'sample_bytes="1e300"'), Reject.SIZE),
    Hostile("panda-no-fields", [b'<header><data sample_bytes="0"/></header>\n\n'], Reject.SIZE),
    Hostile("panda-frame-short", _panda(b"BIN \x38", b"BIN \x07"), Reject.SIZE),
    Hostile("panda-frame-odd", _panda(b"BIN \x38", b"BIN \x39"), Reject.SIZE),
    Hostile("panda-frame-4-GiB", _panda(b"BIN \x38\0\0\0", b"BIN \xf8\xff\xff\xff"), Reject.TRUNCATED),
    Hostile("panda-magic", _panda(b"BIN ", b"BUN "), Reject.NOT_DECODABLE),
    Hostile("panda-end-more", _panda(b"END 4 ", b"END 5 "), Reject.TRUNCATED),
    Hostile("panda-end-fewer", _panda(b"END 4 ", b"END 3 "), Reject.SIZE),
    Hostile("panda-end-vast", _panda(b"END 4 ", b"END " + b"9" * 200 + b" "), Reject.TRUNCATED),
    Hostile("panda-end-text", _panda(b"END 4 ", b"END four "), Reject.NOT_DECODABLE),
    Hostile("panda-cut", [_PANDA[:-1]], Reject.TRUNCATED),
]  # fmt: skip
"""One part each: the bytes of the data port, whole."""
