"""Hostile messages of DECTRIS Stream V2, and hostile CBOR."""

from __future__ import annotations

from typing import Any

import cbor2
from helpers.encode import multi_dim, v2_image, v2_message
from helpers.hostile_material import BLOB, BOMB, GIBIBYTE, PIXELS, TEBIBYTE, Hostile

from stream.core.errors import Reject


def _v2(algorithm: str, element_size: Any, blob: Any) -> list[bytes]:
    return v2_image(PIXELS, elements=cbor2.CBORTag(56500, [algorithm, element_size, blob]))


def _compressed(blob: bytes, algorithm: str = "bslz4") -> cbor2.CBORTag:
    return cbor2.CBORTag(56500, [algorithm, 4, blob])


def _elements(blob: bytes, algorithm: str = "bslz4") -> cbor2.CBORTag:
    return cbor2.CBORTag(70, _compressed(blob, algorithm))


_END = v2_message("end")[0]
_40 = [[2, 2], cbor2.CBORTag(69, b"12345678")]


def _v2_data(value: Any) -> list[bytes]:
    return v2_message("image", image_id=0, data={"a": value})


V2 = [
    Hostile("v2-foreign-type", v2_message("calibration"), Reject.UNKNOWN_TYPE),
    Hostile("v2-empty-map", [b"\xa0"], Reject.UNKNOWN_TYPE),
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
    Hostile("v2-bomb-claimed", _v2_data(cbor2.CBORTag(40, [[1 << 20, 1 << 18], _elements(TEBIBYTE)])), Reject.SIZE),
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
