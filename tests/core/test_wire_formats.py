"""What the formats allow beside what was recorded: numbers, byte orders, compressions, appendices, parts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cbor2
import lz4.block
import numpy as np
import orjson
import pytest
from helpers.encode import array1_image, bslz4, stins_image, v1_image, v2_image, v2_message
from helpers.recordings import read_messages

from stream.core.messages import Event, Image, SeriesEnd, SeriesStart
from stream.core.wire import decode, decompress

PIXELS = np.random.default_rng(4).integers(0, 200, (33, 47)).astype("<u4")
TYPES = ["|u1", "<u2", ">u2", "<u4", ">u4"]


def image(parts: list[bytes]) -> Image:
    event = decode(parts)
    assert isinstance(event, Image)
    return event


def start(parts: list[bytes]) -> SeriesStart:
    event = decode(parts)
    assert isinstance(event, SeriesStart)
    return event


def same_pixels(event: Image) -> None:
    for array in event.channels.values():
        np.testing.assert_array_equal(decompress(array), PIXELS)


# V1


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("compression", ["", "lz4", "bs-lz4"])
def test_v1_every_encoding_in_both_byte_orders(dtype: str, compression: str) -> None:
    array = PIXELS.astype(dtype)
    blobs = {"": None, "lz4": lz4.block.compress(array.tobytes(), store_size=False), "bs-lz4": bslz4(array)}
    name = compression.replace("bs", f"bs{8 * array.itemsize}")
    order = ">" if dtype[0] == ">" else "<"
    same_pixels(image(v1_image(array, encoding=name + order, blob=blobs[compression])))


def test_v1_bits_of_the_shuffle_are_those_of_the_encoding() -> None:
    """wire.md 1.3: the width of the shuffle and the type are independent."""
    blob = bslz4(PIXELS.view("<u2"))
    same_pixels(image(v1_image(PIXELS, encoding="bs16-lz4<", blob=blob)))


def v1_header(detail: str, appendix: list[bytes], prefix: str = "d") -> list[bytes]:
    parts = [orjson.dumps({"header_detail": detail, "htype": "dheader-1.0", "series": 12})]
    if detail != "none":
        parts.append(b'{"x_pixels_in_detector": 47, "y_pixels_in_detector": 33}')
    if detail == "all":
        for name, dtype in (("flatfield", "float32"), ("pixelmask", "uint32"), ("countrate_table", "float32")):
            shape = [2, 5] if name == "countrate_table" else [47, 33]
            head = {"htype": f"{prefix}{name}-1.0", "shape": shape, "type": dtype}
            parts += [orjson.dumps(head), (np.arange(shape[0] * shape[1]) % 7).astype(dtype).tobytes()]
    return parts + appendix


@pytest.mark.parametrize("appendix", [[], [b'{"rows": 3}'], [b"line 3"], [b"\xff"]])
@pytest.mark.parametrize(("detail", "masks"), [("none", 0), ("basic", 0), ("all", 1)])
@pytest.mark.parametrize("prefix", ["d", ""])
def test_v1_header_details(detail: str, masks: int, appendix: list[bytes], prefix: str) -> None:
    found = start(v1_header(detail, appendix, prefix))
    assert (found.series, found.number, found.message) == ("12", 12, None)
    assert found.shape == (None if detail == "none" else (33, 47))
    assert found.appendix == ({"rows": 3} if appendix == [b'{"rows": 3}'] else appendix[0] if appendix else None)
    assert len(found.mask) == masks
    for mask in found.mask.values():
        np.testing.assert_array_equal(decompress(mask), (np.arange(33 * 47) % 7).reshape(33, 47))


@pytest.mark.parametrize("appendix", [[], [b"{}"], [b'{"i0": 3}'], [b"i0 3"]])
def test_v1_image_appendix(appendix: list[bytes]) -> None:
    found = image([*v1_image(PIXELS, frame=5, series=12), *appendix])
    assert (found.frame, found.series, found.number, found.message) == (5, "12", 12, None)
    expected: dict[bytes, Any] = {b"{}": {}, b'{"i0": 3}': {"i0": 3}, b"i0 3": b"i0 3"}
    assert found.appendix == (expected[appendix[0]] if appendix else None)
    assert decode([b'{"htype":"dseries_end-1.0","series":12}']) == SeriesEnd(series="12", number=12)


# V2


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("algorithm", [None, "bslz4", "lz4"])
@pytest.mark.parametrize("tag", [40, 1040])
def test_v2_arrays(dtype: str, algorithm: str | None, tag: int) -> None:
    """RFC 8746: dimensions are rows and columns in both; 1040 sends the first column first."""
    array = np.ascontiguousarray(PIXELS.astype(dtype) if tag == 40 else PIXELS.T.astype(dtype))
    sent = v2_image(array)
    message = cbor2.loads(sent[0])
    elements = message["data"]["threshold_1"].value[1]
    if algorithm == "bslz4":
        elements = cbor2.CBORTag(elements.tag, cbor2.CBORTag(56500, ["bslz4", array.itemsize, bslz4(array)]))
    if algorithm == "lz4":
        raw = array.tobytes()
        block = lz4.block.compress(raw, store_size=False)
        framed = len(raw).to_bytes(8, "big") + len(raw).to_bytes(4, "big") + len(block).to_bytes(4, "big") + block
        elements = cbor2.CBORTag(elements.tag, cbor2.CBORTag(56500, ["lz4", 0, framed]))
    data = {"threshold_1": cbor2.CBORTag(tag, [[33, 47], elements])}
    same_pixels(image(v2_message("image", image_id=0, data=data)))


def test_v2_column_major_is_not_square() -> None:
    """An array that differs from its transpose, written out."""
    data = cbor2.CBORTag(1040, [[2, 3], cbor2.CBORTag(64, bytes([1, 4, 2, 5, 3, 6]))])
    array = image(v2_message("image", image_id=0, data={"a": data})).channels["a"]
    assert array.shape == (2, 3)
    np.testing.assert_array_equal(decompress(array), [[1, 2, 3], [4, 5, 6]])


def test_v2_thresholds_have_their_names() -> None:
    """The names are what `detector.channel` chooses by; all of them come with each image."""
    arrays = {name: cbor2.CBORTag(40, [[33, 47], cbor2.CBORTag(70, (PIXELS + n).tobytes())])
              for n, name in enumerate(["threshold_1", "threshold_2", "difference"])}  # fmt: skip
    found = image(v2_message("image", image_id=2, data=arrays))
    assert list(found.channels) == ["threshold_1", "threshold_2", "difference"]
    for n, array in enumerate(found.channels.values()):
        np.testing.assert_array_equal(decompress(array), PIXELS + n)


def test_v2_without_magic_and_without_its_number() -> None:
    for sent in (
        {"type": "end", "series_unique_id": "A", "series_id": 4, "new_key": [1]},
        {"type": "end", "series_unique_id": "A"},
    ):
        bare = cbor2.dumps(sent)
        assert bare[0] in range(0xA0, 0xC0)
        assert decode([bare]) == decode([b"\xd9\xd9\xf7" + bare]) == SeriesEnd(series="A", number=sent.get("series_id"))


@pytest.mark.parametrize("number", [None, -1, 1.5, "4", True, 2**63])
def test_v2_a_number_that_is_none_costs_no_frame(number: Any) -> None:
    for kind, more in (("start", {}), ("image", {"image_id": 0, "data": {"a": _one()}}), ("end", {})):
        assert decode(v2_message(kind, **more | {"series_id": number})).number is None


def _one() -> cbor2.CBORTag:
    return cbor2.CBORTag(40, [[1, 1], cbor2.CBORTag(64, b"\x07")])


@pytest.mark.parametrize("key", [1, "x"])
def test_v2_user_data_of_an_image(key: Any) -> None:
    found = image(v2_message("image", image_id=0, data={"a": _one()}, user_data={key: {"i0": 4.5}}))
    assert found.appendix == {repr(1) if key == 1 else "x": {"i0": 4.5}}


# STINS and array-1.0


def numbers(events: list[Event]) -> list[int | None]:
    return [event.message for event in events]


def test_stins_counts_its_messages_across_scans() -> None:
    """Frames may begin with 1, and messages go on from 210: neither is made to begin with 0."""
    parts = [
        [b'{"htype":"header","filename":"","msg_number":210}', b'{"exptime": 0.1}'],
        *(stins_image(PIXELS, frame=frame, msg_number=210 + frame) for frame in (1, 2, 4)),
        [b'{"htype":"series_end","msg_number":215}'],
    ]
    events = [decode(message) for message in parts]
    assert numbers(events) == [210, 211, 212, 214, 215]
    assert [event.frame for event in events if isinstance(event, Image)] == [1, 2, 4]
    assert start(parts[0]).appendix == {"exptime": 0.1}
    for message in parts[1:-1]:
        same_pixels(image(message))


@pytest.mark.parametrize("number", [None, -1, 2.0, "7", True, 2**63])
def test_stins_without_a_count(number: Any) -> None:
    """xspress3 sends none."""
    events = [decode([orjson.dumps({"htype": kind, "msg_number": number})]) for kind in ("header", "series_end")]
    assert numbers([*events, image(stins_image(PIXELS, msg_number=number))]) == [None] * 3


def test_stins_compressed_thresholds_and_a_pickle_behind_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def touched(*_: Any) -> None:
        raise AssertionError("unpickled")

    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(f"pickle.{name}", touched)
    pickled = b"cos\nsystem\n(S'false'\ntR."
    sent = stins_image(PIXELS, bslz4(PIXELS), compression="bslz4", shape=[2, 33, 47])
    found = image([*sent, bslz4(PIXELS), pickled])
    assert list(found.channels) == ["threshold_1", "threshold_2"]
    same_pixels(found)
    same_pixels(image([*stins_image(PIXELS), pickled, pickled]))


@pytest.mark.parametrize("dtype", [*TYPES, "<i2", ">f4", "<f8"])
@pytest.mark.parametrize("key", ["endianness", "endianess"])
def test_array1_every_type_and_both_spellings(dtype: str, key: str) -> None:
    head, data = array1_image(PIXELS.astype(dtype), frame=9)
    found = image([head.replace(b"endianness", key.encode()), data])
    assert (found.frame, found.series, found.number, found.message) == (9, "", None, None)
    same_pixels(found)


def test_array1_is_little_endian_unless_it_says_so() -> None:
    head, data = array1_image(PIXELS)
    values = json.loads(head)
    del values["endianness"]
    same_pixels(image([orjson.dumps(values), data]))


def test_numbers_of_recorded_series(recordings: Path) -> None:
    first = [decode(parts) for parts in read_messages(recordings / "dectris_v1/v1_synth_all_encodings.cbors")]
    assert {event.series for event in first} == {str(event.number) for event in first}
    for name in ("start", "image", "end"):
        assert decode([(recordings / f"dectris_v2/{name}.cbor").read_bytes()]).number is not None
