"""Recorded and published streams decode to what `expected.json` and their manifests say."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import cbor2
import numpy as np
import numpy.typing as npt
import orjson
import pytest
from helpers.encode import multi_dim, v1_image, v2_image, v2_message
from helpers.recordings import read_messages

from stream.core.errors import ConfigError, MessageError, Reject
from stream.core.messages import EncodedArray, Image, SeriesEnd, SeriesStart
from stream.core.wire import decode, decoder_for, decompress
from stream.core.wire.appendix import parse_appendix


@pytest.fixture(scope="session")
def expected(recordings: Path) -> dict[str, Any]:
    return json.loads((recordings / "expected.json").read_text())


def check_pixels(array: EncodedArray, truth: dict[str, Any]) -> None:
    image = decompress(array)
    assert list(array.shape) == truth["shape"]
    assert array.dtype.str == truth["dtype"]
    assert hashlib.sha256(image.tobytes()).hexdigest() == truth["sha256"]
    valid = image[image < np.iinfo(image.dtype).max - 1]
    assert (image.size - valid.size, valid.sum()) == (truth["n_invalid"], truth["sum_valid"])


@pytest.mark.parametrize("name", ["v1_eiger1_1M_basic", "v1_synth_all_encodings"])
@pytest.mark.parametrize("decoder", ["auto", "dectris-1"])
def test_v1(recordings: Path, expected: dict[str, Any], name: str, decoder: Any) -> None:
    events = [decoder_for(decoder)(parts) for parts in read_messages(recordings / f"dectris_v1/{name}.cbors")]
    truths = expected[f"dectris_v1/{name}.cbors"]
    assert len(events) == len(truths)
    for event, truth in zip(events, truths, strict=True):
        assert event.series == str(truth["series"])
        match event:
            case SeriesStart():
                assert truth["kind"] == "start"
                assert event.appendix == truth["appendix"]
                assert bool(event.settings) == (truth["detail"] != "none")
                assert bool(event.mask) == ("excluded" in truth)
                for mask in event.mask.values():
                    assert np.count_nonzero(decompress(mask)) == truth["excluded"]
            case Image():
                assert event.frame == truth["frame"]
                assert event.real_time == pytest.approx(truth["real_time"] * 1e-9)
                check_pixels(event.channels[""], truth)
            case SeriesEnd():
                assert truth["kind"] == "end"


def test_v1_header_of_a_real_detector(recordings: Path) -> None:
    """The EIGER 1M of wire.md: x = 1030, y = 1065 pixels of 75 µm."""
    start = decode(read_messages(recordings / "dectris_v1/v1_eiger1_1M_basic.cbors")[0])
    assert isinstance(start, SeriesStart)
    assert start.shape == (1065, 1030)
    assert start.pixel_size == pytest.approx((75e-6, 75e-6))
    assert start.channels == ("",)
    assert start.wavelength == start.settings["wavelength"]
    assert start.saturation == start.settings["countrate_correction_count_cutoff"]


def test_v1_cut_recording_is_refused(recordings: Path) -> None:
    """Every blob of this one was cut to 20,000 bytes by its author; its headers are whole."""
    start_parts, *image_parts, end_parts = read_messages(recordings / "dectris_v1/eiger-small.cbors")
    start = decode(start_parts)
    assert isinstance(start, SeriesStart)
    assert start.shape == (3262, 3108)
    assert isinstance(start.appendix, dict)
    assert "collect_dict" in start.appendix
    flatfield = EncodedArray(
        shape=(3262, 3108), dtype=np.dtype("<f4"), algorithm="raw", element_size=0, data=start_parts[3]
    )
    for array in (start.mask[""], flatfield):
        with pytest.raises(MessageError) as caught:
            decompress(array)
        assert caught.value.reason == Reject.TRUNCATED
    for parts in image_parts:
        with pytest.raises(MessageError, match=r"size is 75\d{4}, but 20000 bytes were sent") as caught:
            decode(parts)
        assert caught.value.reason == Reject.TRUNCATED
    assert decode(end_parts) == SeriesEnd(series="6", number=6)


@pytest.mark.parametrize("decoder", ["auto", "dectris-2"])
def test_v2_two_thresholds(recordings: Path, expected: dict[str, Any], decoder: Any) -> None:
    messages = read_messages(recordings / "dectris_v2/v2_synth_two_thresholds.cbors")
    start, *images, end = [decoder_for(decoder)(parts) for parts in messages]
    truths = expected["dectris_v2/v2_synth_two_thresholds.cbors"]
    assert isinstance(start, SeriesStart)
    assert list(start.channels) == truths[0]["channels"]
    assert start.shape == (33, 47)
    excluded = {name: np.count_nonzero(decompress(mask)) for name, mask in start.mask.items()}
    assert excluded == truths[0]["excluded"]
    for image, truth in zip(images, truths[1:-1], strict=True):
        assert isinstance(image, Image)
        assert image.frame == truth["image_id"]
        assert image.series == start.series
        assert image.real_time == truth["real_time"][0] / truth["real_time"][1]
        assert image.channels.keys() == truth["data"].keys()
        for name, array in image.channels.items():
            check_pixels(array, truth["data"][name])
    assert end == SeriesEnd(series=start.series, number=start.number)
    assert {event.number for event in (start, *images)} == {truths[0]["series_id"]}


def test_v2_of_a_real_detector(recordings: Path, expected: dict[str, Any]) -> None:
    """An EIGER2 16M; upstream's start message has no magic, and stubs where its arrays were."""
    start, image, end = (
        decode([(recordings / f"dectris_v2/{name}.cbor").read_bytes()]) for name in ("start", "image", "end")
    )
    assert isinstance(start, SeriesStart)
    assert isinstance(image, Image)
    assert start.shape == (4362, 4148)
    assert start.pixel_size == (75e-6, 75e-6)
    assert start.wavelength == pytest.approx(12.398419843 / 13.5003, rel=1e-5)
    assert start.saturation == 21517
    assert start.channels == ("threshold_1",), "threshold_2 has an energy, but is not active"
    assert start.mask == {}
    assert start.settings["arm_date"] == "2023-10-03T17:47:48.329000+02:00"
    assert json.loads(orjson.dumps(start.settings)) == start.settings
    assert image.real_time == pytest.approx(4.31746e-3)
    truth = expected["dectris_v2/image.cbor"]
    assert image.channels.keys() == truth.keys()
    check_pixels(image.channels["threshold_1"], truth["threshold_1"])
    assert start.series == image.series == end.series == "01HBV3JPF9T4ZDPADX6EMK6XMZ"


def test_stins(recordings: Path) -> None:
    """The manifest: frames 0 to 8 of 10 x 10 pixels with sums from 991 to 1481."""
    events = [decode(parts) for parts in read_messages(recordings / "maxiv/dump_xrd.cbors")]
    images = [event for event in events if isinstance(event, Image)]
    assert [image.frame for image in images] == list(range(9))
    sums = [int(decompress(image.channels[""]).sum()) for image in images]
    assert (min(sums), max(sums)) == (991, 1481)
    assert isinstance(events[0], SeriesStart)
    assert isinstance(events[-1], SeriesEnd)
    assert [event.message for event in events] == list(range(11)), "the server numbers all its messages"
    assert {(event.series, event.number) for event in events} == {("", None)}


PIXELS = np.arange(12, dtype="<u2").reshape(3, 4)


def only(parts: list[bytes]) -> npt.NDArray[Any]:
    event = decode(parts)
    assert isinstance(event, Image)
    [array] = event.channels.values()
    return decompress(array)


def test_stins_thresholds() -> None:
    head = {"htype": "image", "frame": 3, "shape": [2, 3, 4], "type": "uint16", "compression": "none", "i0": 7}
    event = decode([orjson.dumps(head), PIXELS.tobytes(), (PIXELS + 1).tobytes(), b"\x80a pickle"])
    assert isinstance(event, Image)
    assert event.appendix == {"i0": 7}
    assert [decompress(array).sum() for array in event.channels.values()] == [66, 78]


@pytest.mark.parametrize(("key", "order"), [("endianness", "little"), ("endianess", "big")])
def test_array1(key: str, order: str) -> None:
    head = {"htype": "array-1.0", "frame": 9, "shape": [3, 4], "type": "uint16", key: order, "pulse_id": 5}
    data = PIXELS.astype("<u2" if order == "little" else ">u2").tobytes()
    event = decoder_for("array-1")([orjson.dumps(head), data])
    assert isinstance(event, Image)
    assert (event.frame, event.appendix) == (9, {"pulse_id": 5})
    np.testing.assert_array_equal(decompress(event.channels[""]), PIXELS)


@pytest.mark.parametrize("dtype", ["|u1", "<u2", ">u2", "<u4", ">u4"])
def test_byte_orders(dtype: str) -> None:
    array = PIXELS.astype(dtype)
    np.testing.assert_array_equal(only(v1_image(array, encoding=">" if dtype[0] == ">" else "<")), PIXELS)
    np.testing.assert_array_equal(only(v2_image(array)), PIXELS)


@pytest.mark.parametrize(
    ("tag", "dtype"),
    [(64, "u1"), (65, ">u2"), (66, ">u4"), (67, ">u8"), (68, "u1"), (69, "<u2"), (70, "<u4"), (71, "<u8"),
     (72, "i1"), (73, ">i2"), (74, ">i4"), (75, ">i8"), (77, "<i2"), (78, "<i4"), (79, "<i8"),
     (80, ">f2"), (81, ">f4"), (82, ">f8"), (84, "<f2"), (85, "<f4"), (86, "<f8")],
)  # fmt: skip
def test_rfc8746_types(tag: int, dtype: str) -> None:
    """Table 1 of RFC 8746."""
    array = PIXELS.astype(dtype)
    value = cbor2.CBORTag(40, [[3, 4], cbor2.CBORTag(tag, array.tobytes())])
    decoded = only(v2_message("image", image_id=0, data={"a": value}))
    np.testing.assert_array_equal(decoded, PIXELS)
    assert decoded.dtype == np.dtype(dtype).newbyteorder("=")


PLAN = {"rows": 3}


@pytest.mark.parametrize(
    ("sent", "understood"),
    [(PLAN, PLAN), (json.dumps(PLAN), PLAN), (json.dumps(PLAN).encode(), PLAN), ("line 3", "line 3"),
     (b"\xff\x00", b"\xff\x00"), ("[1, 2]", "[1, 2]"), ([1, {"a": b"xy"}], '[1,{"a":"<2 bytes>"}]'), (None, None)],
)  # fmt: skip
def test_user_data(sent: Any, understood: Any) -> None:
    start = decode(v2_message("start", user_data=sent))
    assert isinstance(start, SeriesStart)
    assert start.appendix == understood


def test_appendix_that_could_not_be_written_again_stays_text() -> None:
    nested = '{"a":' + "[" * 600 + "]" * 600 + "}"
    assert parse_appendix(nested) == nested


def test_mask_that_does_not_fit_is_refused_when_it_is_read() -> None:
    start = decode(v2_message("start", pixel_mask={"a": multi_dim(PIXELS, b"\0\0"), "b": b"\0\0\0\0"}))
    assert isinstance(start, SeriesStart)
    assert list(start.mask) == ["a"], "b is no array at all"
    with pytest.raises(MessageError, match="2 bytes were sent"):
        decompress(start.mask["a"])


def test_unknown_format_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match=r"detector\.format is 'bsread'"):
        decoder_for("bsread")  # type: ignore[arg-type]


@pytest.mark.parametrize("tag", [2, 4, 5, 28, 29, 30, 35, 36, 258, 260, 43000])
def test_no_cbor_tag_is_evaluated(tag: int) -> None:
    """A bigfloat of 2**1,000,000,000, a pattern to compile, a cycle: kept as the numbers that were sent."""
    start = decode(v2_message("start", user_data={"x": cbor2.CBORTag(tag, [1_000_000_000, 3])}))
    assert isinstance(start, SeriesStart)
    assert start.appendix == {"x": [1_000_000_000, 3]}
