"""Messages that must be rejected, each with its reason: one corpus for every layer.

Those of streams that name no series, of monitors and of PandABoxes are in `hostile_streams`.
"""

from __future__ import annotations

import struct
from typing import Any

import orjson
from helpers.encode import v1_image
from helpers.hostile_material import ABSURD_NUMBERS, BLOB, BOMB, GIBIBYTE, PIXELS, TEBIBYTE, Hostile, bare_bomb
from helpers.hostile_v2 import V2

from stream.core.errors import Reject

__all__ = ["BLOB", "CASES", "PIXELS", "Hostile"]


def _changed(parts: list[bytes], index: int, **changes: Any) -> list[bytes]:
    """The message with keys of one JSON part replaced; None removes a key."""
    values = orjson.loads(parts[index]) | changes
    part = orjson.dumps({key: value for key, value in values.items() if value is not None})
    return [*parts[:index], part, *parts[index + 1 :]]


def _v1(blob: bytes, encoding: str = "bs32-lz4<") -> list[bytes]:
    return v1_image(PIXELS, encoding=encoding, blob=blob)


def _header(total: int, block: int) -> bytes:
    return struct.pack(">QI", total, block) + BLOB[12:]


_RAW = v1_image(PIXELS)


def _raw_number(index: int, old: bytes, new: bytes) -> list[bytes]:
    """The raw image with a number's text replaced in one JSON part."""
    assert old in _RAW[index]
    return [*_RAW[:index], _RAW[index].replace(old, new), *_RAW[index + 1 :]]


_N = PIXELS.nbytes


CASES = [
    # nothing that is a message
    Hostile("no-parts", [], Reject.NOT_DECODABLE),
    Hostile("empty-part", [b""], Reject.NOT_DECODABLE),
    Hostile("noise", [bytes(range(256))], Reject.NOT_DECODABLE),
    Hostile("pickle", [b"\x80\x04\x95\x0b\x00\x00\x00"], Reject.NOT_DECODABLE),
    Hostile("unfinished-json", [b'{"htype":"dimage-1.0",'], Reject.NOT_DECODABLE),
    Hostile("deep-json", [b'{"htype":' + b"[" * 5_000], Reject.NOT_DECODABLE),
    Hostile("deep-json-vast", [b'{"htype":' + b"[" * 100_000], Reject.SIZE),
    Hostile("deep-json-closed", [b'{"htype":' + b"[" * 900 + b"]" * 900 + b"}"], Reject.NOT_DECODABLE),
    Hostile("json-long", [b'{"htype":"' + b"x" * 6_000_000 + b'"}'], Reject.SIZE),
    Hostile("json-many", [b'{"htype":[' + b"{}," * 60_000 + b"0]}"], Reject.SIZE),
    Hostile("json-many-allowed", [b'{"htype":[' + b"[]," * 3_900 + b"0]}"], Reject.UNKNOWN_TYPE),
    Hostile("json-objects-allowed", [b'{"htype":[' + b'{"abcd":1},' * 2_600 + b"0]}"], Reject.UNKNOWN_TYPE),
    Hostile("json-emoji", [b'{"htype":"' + b"x" * 59_900 + "🌋".encode() + b'"}'], Reject.UNKNOWN_TYPE),
    Hostile("bad-utf8", [b'{"htype":"\xff"}'], Reject.NOT_DECODABLE),
    # messages nobody knows
    Hostile("foreign-htype", [b'{"htype":"bsr_m-1.1","pulse_id":1}'], Reject.UNKNOWN_TYPE),
    Hostile("no-htype", [b"{}"], Reject.UNKNOWN_TYPE),
    Hostile("htype-number", [b'{"htype":3}'], Reject.UNKNOWN_TYPE),
    # V1, wrong in form
    Hostile("v1-start-parts", [b'{"htype":"dheader-1.0","header_detail":"all","series":1}'], Reject.NOT_DECODABLE),
    Hostile("v1-start-detail", [b'{"htype":"dheader-1.0","header_detail":"x","series":1}'], Reject.NOT_DECODABLE),
    Hostile("v1-image-parts", _RAW[:3], Reject.NOT_DECODABLE),
    Hostile("v1-no-frame", _changed(_RAW, 0, frame=None), Reject.NOT_DECODABLE),
    Hostile("v1-frame-negative", _changed(_RAW, 0, frame=-1), Reject.NOT_DECODABLE),
    Hostile("v1-frame-huge", _changed(_RAW, 0, frame=2**64 - 1), Reject.NOT_DECODABLE),
    *(
        Hostile(f"v1-frame-{text[:6].decode()}", _raw_number(0, b'"frame":0', b'"frame":' + text), Reject.NOT_DECODABLE)
        for text in ABSURD_NUMBERS
    ),
    *(
        Hostile(f"v1-shape-{text[:6].decode()}", _raw_number(1, b"95,", text + b","), reject)
        for text, reject in ABSURD_NUMBERS.items()
    ),
    Hostile("v1-series-negative", _changed(_RAW, 0, series=-1), Reject.NOT_DECODABLE),
    Hostile("v1-real-time-negative", _changed(_RAW, 3, real_time=-1), Reject.NOT_DECODABLE),
    Hostile("v1-real-time-huge", _raw_number(3, b"2000000", b"1" + b"0" * 300), Reject.NOT_DECODABLE),
    Hostile("v1-size-negative", _changed(_RAW, 1, size=-1), Reject.NOT_DECODABLE),
    Hostile("v1-size-huge", _changed(_RAW, 1, size=2**63 - 1), Reject.TRUNCATED),
    Hostile("v1-frame-text", _changed(_RAW, 0, frame="0"), Reject.NOT_DECODABLE),
    Hostile("v1-frame-true", _changed(_RAW, 0, frame=True), Reject.NOT_DECODABLE),
    Hostile("v1-encoding", _changed(_RAW, 1, encoding="gzip<"), Reject.NOT_DECODABLE),
    Hostile("v1-encoding-shuffle-only", _changed(_RAW, 1, encoding="bs32<"), Reject.NOT_DECODABLE),
    Hostile("v1-times-not-json", [*_RAW[:3], b"nil"], Reject.NOT_DECODABLE),
    # V1, numbers that disagree
    Hostile("v1-size-short", [*_RAW[:2], _RAW[2][:-1], _RAW[3]], Reject.TRUNCATED),
    Hostile("v1-size-long", [*_RAW[:2], _RAW[2] + b"x", _RAW[3]], Reject.SIZE),
    Hostile("v1-type", _changed(_RAW, 1, type="complex64"), Reject.DTYPE),
    Hostile("v1-type-object", _changed(_RAW, 1, type="object"), Reject.DTYPE),
    Hostile("v1-type-narrow", _changed(_RAW, 1, type="uint16"), Reject.SIZE),
    Hostile("v1-type-wide", _changed(_RAW, 1, type="uint64"), Reject.TRUNCATED),
    Hostile("v1-shape-1d", _changed(_RAW, 1, shape=[_N // 4]), Reject.SHAPE),
    Hostile("v1-shape-zero", _changed(_RAW, 1, shape=[0, 95]), Reject.SHAPE),
    Hostile("v1-shape-negative", _changed(_RAW, 1, shape=[-95, -71]), Reject.SHAPE),
    Hostile("v1-shape-float", _changed(_RAW, 1, shape=[95.0, 71.0]), Reject.SHAPE),
    Hostile("v1-shape-text", _changed(_RAW, 1, shape="95x71"), Reject.SHAPE),
    Hostile("v1-shape-overflow", _changed(_RAW, 1, shape=[2**62, 2**62]), Reject.SIZE),
    # blobs
    Hostile("bomb-shape", _changed(_v1(BLOB), 1, shape=[1 << 20, 1 << 20]), Reject.SIZE),
    Hostile("bomb-ratio", _changed(_v1(BLOB), 1, shape=[1 << 13, 1 << 12]), Reject.TRUNCATED),
    Hostile("bomb-20-bytes", _changed(_v1(TEBIBYTE), 1, shape=[1 << 20, 1 << 18]), Reject.SIZE),
    Hostile("bomb-6-MB", _changed(_v1(BOMB), 1, shape=GIBIBYTE), Reject.SIZE),
    Hostile("bomb-6-MB-as-small", _v1(BOMB), Reject.SIZE),
    Hostile("bomb-lz4", _changed(_v1(bare_bomb(1 << 30), "lz4<"), 1, shape=GIBIBYTE), Reject.SIZE),
    Hostile("bomb-lz4-as-small", _v1(bare_bomb(1 << 30), "lz4<"), Reject.NOT_DECODABLE),
    Hostile("bomb-declared", _v1(_header(1 << 60, 8192)), Reject.SIZE),
    Hostile("blob-no-header", _v1(b"\x00\x00\x00"), Reject.TRUNCATED),
    Hostile("blob-declares-less", _v1(_header(_N - 4, 8192)), Reject.SIZE),
    Hostile("blob-block-zero", _v1(_header(_N, 0)), Reject.SIZE),
    Hostile("blob-block-odd", _v1(_header(_N, 8190)), Reject.SIZE),
    Hostile("blob-block-huge", _v1(_header(_N, 0xFFFFFFE0)), Reject.SIZE),
    Hostile("blob-block-other", _v1(_header(_N, 4096)), Reject.TRUNCATED),
    Hostile("blob-cut", _v1(BLOB[:-40]), Reject.TRUNCATED),
    Hostile("blob-longer", _v1(BLOB + b"x"), Reject.SIZE),
    Hostile("blob-length-huge", _v1(BLOB[:12] + b"\xff\xff\xff\xff" + BLOB[16:]), Reject.TRUNCATED),
    Hostile("blob-block-damaged", _v1(BLOB[:16] + b"\xff" * 200 + BLOB[216:]), Reject.NOT_DECODABLE),
    Hostile("lz4-damaged", _v1(b"\xff" * 200, "lz4<"), Reject.NOT_DECODABLE),
    Hostile("lz4-too-little", _v1(b"\xf0" + b"\x00" + b"a" * 15 + b"b" * 100, "lz4<"), Reject.NOT_DECODABLE),
    *V2,
]  # fmt: skip
