"""Messages that must be rejected, each with its reason: one corpus for every layer.

A message is refused when it is decoded or when its pixels are; `reject` is the reason either way. Those of streams
that name no series, of monitors and of PandABoxes are in `hostile_streams`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import cbor2
import numpy as np
import orjson
from helpers.encode import bslz4, multi_dim, v1_image, v2_image, v2_message

from stream.core.errors import Reject

PIXELS = np.random.default_rng(622).poisson(2, (71, 95)).astype("<u4")
"""What the good message of each pair would have carried."""

BLOB = bslz4(PIXELS)

GIBIBYTE = (1 << 14, 1 << 14)
"""Shape of an image of 1 GiB in 4-byte pixels."""

_EMPTY_BLOCK = bslz4(np.zeros(2048, "<u4"))[12:]
BOMB = struct.pack(">QI", 1 << 30, 8192) + _EMPTY_BLOCK * (1 << 17)
"""6 MB in bslz4's framing that really inflate to 1 GiB of zeros; every number in it agrees."""

BARE_BOMB = b"\x1f\x00\x01\x00" + b"\xff" * ((1 << 30) // 255) + b"\x50" + b"\x00" * 5
"""4 MB of one LZ4 block that inflate to as much."""


@dataclass(frozen=True)
class Hostile:
    """One bad message."""

    name: str
    parts: list[bytes]
    reject: Reject


def _changed(parts: list[bytes], index: int, **changes: Any) -> list[bytes]:
    """The message with keys of one JSON part replaced; None removes a key."""
    values = orjson.loads(parts[index]) | changes
    part = orjson.dumps({key: value for key, value in values.items() if value is not None})
    return [*parts[:index], part, *parts[index + 1 :]]


def _v1(blob: bytes, encoding: str = "bs32-lz4<") -> list[bytes]:
    return v1_image(PIXELS, encoding=encoding, blob=blob)


def _v2(algorithm: str, element_size: Any, blob: Any) -> list[bytes]:
    return v2_image(PIXELS, elements=cbor2.CBORTag(56500, [algorithm, element_size, blob]))


def _compressed(blob: bytes, algorithm: str = "bslz4") -> cbor2.CBORTag:
    return cbor2.CBORTag(56500, [algorithm, 4, blob])


def _elements(blob: bytes, algorithm: str = "bslz4") -> cbor2.CBORTag:
    return cbor2.CBORTag(70, _compressed(blob, algorithm))


def _header(total: int, block: int) -> bytes:
    return struct.pack(">QI", total, block) + BLOB[12:]


_RAW = v1_image(PIXELS)

ABSURD_NUMBERS = {
    b"1e999": Reject.NOT_DECODABLE,
    b"-1e999": Reject.NOT_DECODABLE,
    b"9" * 4000: Reject.NOT_DECODABLE,
    b"NaN": Reject.NOT_DECODABLE,
    b"Infinity": Reject.NOT_DECODABLE,
    b"0x10": Reject.NOT_DECODABLE,
    b"-3": Reject.SHAPE,
    b"1.5": Reject.SHAPE,
    b"1e5": Reject.SHAPE,
    b"1" + b"0" * 30: Reject.SHAPE,
}
"""As they stand in the JSON. The first ones are none; the reason of the others is that of a length of an axis."""


def _raw_number(index: int, old: bytes, new: bytes) -> list[bytes]:
    """The raw image with a number's text replaced in one JSON part."""
    assert old in _RAW[index]
    return [*_RAW[:index], _RAW[index].replace(old, new), *_RAW[index + 1 :]]


_N = PIXELS.nbytes
_TEBIBYTE = struct.pack(">QI", 1 << 40, 8192) + b"\x00\x00\x00\x04\xff\xff\xff\xff"
_END = v2_message("end")[0]
_40 = [[2, 2], cbor2.CBORTag(69, b"12345678")]


def _v2_data(value: Any) -> list[bytes]:
    return v2_message("image", image_id=0, data={"a": value})


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
    Hostile("v2-foreign-type", v2_message("calibration"), Reject.UNKNOWN_TYPE),
    Hostile("v2-empty-map", [b"\xa0"], Reject.UNKNOWN_TYPE),
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
    Hostile("bomb-20-bytes", _changed(_v1(_TEBIBYTE), 1, shape=[1 << 20, 1 << 18]), Reject.SIZE),
    Hostile("bomb-6-MB", _changed(_v1(BOMB), 1, shape=GIBIBYTE), Reject.SIZE),
    Hostile("bomb-6-MB-as-small", _v1(BOMB), Reject.SIZE),
    Hostile("bomb-lz4", _changed(_v1(BARE_BOMB, "lz4<"), 1, shape=GIBIBYTE), Reject.SIZE),
    Hostile("bomb-lz4-as-small", _v1(BARE_BOMB, "lz4<"), Reject.NOT_DECODABLE),
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
    # CBOR
    Hostile("v2-two-parts", [_END, _END], Reject.NOT_DECODABLE),
    Hostile("v2-cut", [_END[:-1]], Reject.TRUNCATED),
    Hostile("v2-magic-alone", [b"\xd9\xd9\xf7"], Reject.TRUNCATED),
    Hostile("v2-not-a-map", [b"\xd9\xd9\xf7\x81\x00"], Reject.NOT_DECODABLE),
    Hostile("v2-no-series", [cbor2.dumps({"type": "end", "series_id": 1})], Reject.NOT_DECODABLE),
    Hostile("v2-deep", [b"\xa1\x61a" + b"\x81" * 100_000], Reject.NOT_DECODABLE),
    Hostile("v2-deep-tags", [b"\xa1\x61a" + b"\xc6" * 100_000], Reject.NOT_DECODABLE),
    Hostile("v2-huge-bytes", [b"\xa1\x61a\x5b\x7f" + b"\xff" * 7], Reject.TRUNCATED),
    *(
        Hostile(f"v2-20-bytes-{kind}", [b"\xa1\x64type" + head + (1 << 40).to_bytes(8, "big") + b"abcde"], reject)
        for kind, head, reject in [
            ("bytes", b"\x5b", Reject.TRUNCATED), ("text", b"\x7b", Reject.TRUNCATED),
            ("list", b"\x9b", Reject.TRUNCATED), ("map", b"\xbb", Reject.TRUNCATED),
        ]
    ),
    Hostile("v2-bomb-claimed", _v2_data(cbor2.CBORTag(40, [[1 << 20, 1 << 18], _elements(_TEBIBYTE)])), Reject.SIZE),
    Hostile("v2-bomb-6-MB", _v2_data(cbor2.CBORTag(40, [GIBIBYTE, _elements(BOMB)])), Reject.SIZE),
    Hostile("v2-bomb-lz4", _v2_data(cbor2.CBORTag(40, [GIBIBYTE, _elements(BOMB, "lz4")])), Reject.SIZE),
    Hostile("v2-many-lists", [b"\xa1\x61a\x9a\x00\x60\x00\x00" + b"\x80" * 6_000_000], Reject.SIZE),
    Hostile("v2-many-maps", [b"\xa1\x61a\x9f" + b"\xa0" * 4_990 + b"\xff"], Reject.UNKNOWN_TYPE),
    Hostile("v2-many-pieces", [b"\xa1\x61a\x5f" + b"\x40" * 1_000_000 + b"\xff"], Reject.SIZE),
    Hostile("v2-long-text", [b"\xa1\x61a\x7a\x00\x60\x00\x00" + b"x" * 0x600000], Reject.SIZE),
    Hostile("v2-endless-list", [b"\xa1\x61a" + b"\x9f" * 100_000], Reject.NOT_DECODABLE),
    Hostile("v2-endless-piece", [b"\xa1\x61a\x5f\x5f\x5f"], Reject.NOT_DECODABLE),
    Hostile("v2-endless-number", [b"\xa1\x61a\x1f"], Reject.NOT_DECODABLE),
    Hostile("v2-reserved-length", [b"\xa1\x61a\x1c"], Reject.NOT_DECODABLE),
    Hostile("v2-simple", [b"\xa1\x61a\xf8\x20"], Reject.NOT_DECODABLE),
    Hostile("v2-trailing", [_END + b"\x00"], Reject.SIZE),
    Hostile("v2-frame-bignum", v2_message("image", image_id=cbor2.CBORTag(2, b"\xff" * 2000)), Reject.NOT_DECODABLE),
    Hostile("v2-frame-nan", v2_message("image", image_id=float("nan")), Reject.NOT_DECODABLE),
    Hostile("v2-frame-negative", v2_message("image", image_id=-1), Reject.NOT_DECODABLE),
    Hostile("v2-frame-huge", v2_message("image", image_id=2**64 - 1), Reject.NOT_DECODABLE),
    Hostile("v2-wavelength-nan", v2_message("start", incident_wavelength=float("nan")), Reject.NOT_DECODABLE),
    Hostile("v2-wavelength-inf", v2_message("start", incident_wavelength=float("inf")), Reject.NOT_DECODABLE),
    Hostile("v2-huge-array", [b"\xa1\x61a\x9b\x7f" + b"\xff" * 7], Reject.TRUNCATED),
    Hostile("v2-number-key", [b"\xa1\x01\x02"], Reject.UNKNOWN_TYPE),
    Hostile("v2-bytes-key", [b"\xa1\x41a\x02"], Reject.NOT_DECODABLE),
    Hostile("v2-list-key", [b"\xa1\x81\x01\x02"], Reject.NOT_DECODABLE),
    Hostile("v2-bad-utf8", [b"\xa1\x64type\x61\xff"], Reject.NOT_DECODABLE),
    Hostile("v2-break-as-value", [b"\xa1\x64type\xff"], Reject.NOT_DECODABLE),
    Hostile("v2-break-in-list", [b"\xa1\x64type\x82\x00\xff"], Reject.NOT_DECODABLE),
    Hostile("v2-break-in-tag", [b"\xa1\x64type\x9f\xc6\xff"], Reject.NOT_DECODABLE),
    Hostile("v2-break", [b"\xa1\xff"], Reject.NOT_DECODABLE),
    Hostile("v2-cycle", [b"\xa1\x64type\xd8\x1c\x81\xd8\x1d\x00"], Reject.UNKNOWN_TYPE),
    Hostile("v2-no-data", v2_message("image", image_id=0, data={}), Reject.NOT_DECODABLE),
    Hostile("v2-data-list", v2_message("image", image_id=0, data=[1]), Reject.NOT_DECODABLE),
    Hostile("v2-plain-list", _v2_data([[1, 2], [3, 4]]), Reject.SHAPE),
    Hostile("v2-column-major-short", _v2_data(cbor2.CBORTag(1040, [[2, 3], _40[1]])), Reject.TRUNCATED),
    Hostile("v2-column-major-huge", _v2_data(cbor2.CBORTag(1040, [[2**31, 2**31], _40[1]])), Reject.SIZE),
    Hostile("v2-dims-3", _v2_data(cbor2.CBORTag(40, [[1, 2, 2], _40[1]])), Reject.SHAPE),
    Hostile("v2-dims-huge", _v2_data(cbor2.CBORTag(40, [[2**62, 2**62], _40[1]])), Reject.SIZE),
    Hostile("v2-elements-untagged", _v2_data(cbor2.CBORTag(40, [[2, 2], b"12345678"])), Reject.DTYPE),
    Hostile("v2-reserved-tag", _v2_data(cbor2.CBORTag(40, [[2, 2], cbor2.CBORTag(76, b"1234")])), Reject.DTYPE),
    Hostile("v2-float128", _v2_data(cbor2.CBORTag(40, [[1, 1], cbor2.CBORTag(87, b"1" * 16)])), Reject.DTYPE),
    Hostile("v2-elements-text", _v2_data(cbor2.CBORTag(40, [[2, 2], cbor2.CBORTag(69, "x")])), Reject.NOT_DECODABLE),
    Hostile("v2-short", _v2_data(cbor2.CBORTag(40, [[2, 3], _40[1]])), Reject.TRUNCATED),
    Hostile("v2-unknown-algorithm", _v2("bszstd", 4, BLOB), Reject.NOT_DECODABLE),
    Hostile("v2-element-size-0", _v2("bslz4", 0, BLOB), Reject.SIZE),
    Hostile("v2-element-size-3", _v2("bslz4", 3, BLOB), Reject.SIZE),
    Hostile("v2-element-size-text", _v2("bslz4", "4", BLOB), Reject.NOT_DECODABLE),
    Hostile("v2-blob-cut", _v2("bslz4", 4, BLOB[:-1]), Reject.TRUNCATED),
    Hostile("v2-real-time", v2_message("image", image_id=0, real_time=[1, 0], data={"a": multi_dim(PIXELS)}),
            Reject.NOT_DECODABLE),
]  # fmt: skip
