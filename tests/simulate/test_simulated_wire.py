"""The messages of the virtual detector, in each format."""

import hashlib
import json
from dataclasses import replace

import cbor2
import numpy as np
import pytest
from helpers.recordings import read_messages
from receiving import FORMATS, pixels_of, unfilter

from stream.core.errors import UsageError
from stream.core.messages import Image, SeriesEnd, SeriesStart
from stream.core.wire import decode, decompress
from stream.simulate.wire import DectrisV1, DectrisV2, Series, Stins, compress, make_encoder, retype


@pytest.fixture
def series():
    mask = np.zeros((33, 47), dtype=np.uint32)
    mask[3, 5] = 2
    return Series(12, mask, 0.6738, (75e-6, 76e-6), 5)


@pytest.fixture
def pixels():
    image = np.random.default_rng(1).poisson(3.0, (33, 47)).astype(np.uint16)
    image[3, 5] = 65535
    return image


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
@pytest.mark.parametrize("shape", [(1, 1), (33, 47), (64, 128), (100, 100)])
def test_compressed_pixels_come_back_through_hdf5(dtype, shape, tmp_path):
    image = np.random.default_rng(2).integers(0, 200, shape).astype(dtype)
    np.testing.assert_array_equal(unfilter(compress(image), shape, dtype, tmp_path), image)


def test_v1_messages_are_those_of_the_recordings(series, pixels, tmp_path):
    encoder = DectrisV1(series)
    head, config, appendix = (json.loads(part) for part in encoder.start())
    assert head == {"header_detail": "basic", "htype": "dheader-1.0", "series": 6}
    assert (config["x_pixels_in_detector"], config["y_pixels_in_detector"]) == (47, 33)
    assert (config["x_pixel_size"], config["y_pixel_size"]) == (76e-6, 75e-6)
    assert (config["nimages"], config["ntrigger"], config["wavelength"]) == (12, 1, 0.6738)
    assert config["photon_energy"] == pytest.approx(12398.42 / 0.6738)
    assert config["number_of_excluded_pixels"] == 1
    assert appendix["seed"] == 5

    one, two, blob, four, five = encoder.image(7, pixels, {"i0": 0.98})
    head, layout, times = json.loads(one), json.loads(two), json.loads(four)
    assert (head["htype"], head["frame"], head["series"]) == ("dimage-1.0", 7, 6)
    assert head["hash"] == hashlib.md5(two).hexdigest()
    assert layout == {
        "encoding": "bs16-lz4<",
        "htype": "dimage_d-1.0",
        "shape": [47, 33],
        "size": len(blob),
        "type": "uint16",
    }
    np.testing.assert_array_equal(unfilter(blob, (33, 47), "<u2", tmp_path), pixels)
    assert times["htype"] == "dconfig-1.0"
    assert times["stop_time"] - times["start_time"] == times["real_time"] == 1999900
    assert json.loads(five) == {"i0": 0.98}
    assert [json.loads(part) for part in encoder.end()] == [{"htype": "dseries_end-1.0", "series": 6}]


def test_v2_messages_are_tagged_cbor(series, pixels, tmp_path):
    encoder = DectrisV2(series)
    (start,), (image,), (end,) = encoder.start(), encoder.image(7, pixels, {"i0": 0.98}), encoder.end()
    assert start[:3] == image[:3] == end[:3] == bytes.fromhex("d9d9f7")
    head = cbor2.loads(start)
    assert (head["type"], head["series_id"], head["channels"]) == ("start", 6, ("threshold_1",))
    assert len(head["series_unique_id"]) == 26
    assert (head["image_size_x"], head["image_size_y"], head["number_of_images"]) == (47, 33, 12)
    dims, array = head["pixel_mask"]["threshold_1"].value
    algorithm, element, blob = array.value.value
    np.testing.assert_array_equal(unfilter(blob, tuple(dims), "<u4", tmp_path), series.pixel_mask)

    body = cbor2.loads(image)
    assert next(iter(body)) == "type"
    assert (body["type"], body["image_id"]) == ("image", 7)
    assert body["series_unique_id"] == head["series_unique_id"]
    tag = body["data"]["threshold_1"]
    assert tag.tag == 40
    dims, array = tag.value
    assert (tuple(dims), array.tag, array.value.tag) == ((33, 47), 69, 56500)
    algorithm, element, blob = array.value.value
    assert (algorithm, element) == ("bslz4", 2)
    np.testing.assert_array_equal(unfilter(blob, (33, 47), "<u2", tmp_path), pixels)
    assert tuple(body["start_time"]) == (7 * 100_000, 50_000_000)
    assert json.loads(body["user_data"]) == {"i0": 0.98}
    assert dict(cbor2.loads(end)) == {k: head[k] for k in ("series_id", "series_unique_id")} | {"type": "end"}


def test_an_unknown_format_is_named(series):
    with pytest.raises(UsageError, match="'xyz' cannot be simulated; there are dectris-1, dectris-2, stins"):
        make_encoder("xyz", series)


def test_stins_messages_are_those_of_the_description(series, pixels, tmp_path):
    encoder = Stins(replace(series, message=100, label={"line": 3}))
    head, appendix = (json.loads(part) for part in encoder.start())
    assert head == {"htype": "header", "filename": "", "msg_number": 100}
    assert appendix == {"source": "braggstream simulate", "seed": 5, "line": 3}
    one, blob = encoder.image(7, pixels, {"i0": 0.98, "angle": 12.5})
    assert json.loads(one) == {
        "htype": "image",
        "frame": 7,
        "shape": [33, 47],
        "type": "uint16",
        "compression": "bslz4",
        "msg_number": 108,
        "i0": 0.98,
        "angle": 12.5,
    }
    np.testing.assert_array_equal(unfilter(blob, (33, 47), "<u2", tmp_path), pixels)
    assert [json.loads(part) for part in encoder.end()] == [{"htype": "series_end", "msg_number": 113}]


def test_stins_has_the_keys_of_the_recording(series, pixels, recordings):
    def headers(messages):
        parsed = [json.loads(parts[0]) for parts in messages]
        return {header["htype"]: header.keys() for header in parsed}

    recorded = read_messages(recordings / "maxiv" / "dump_xrd.cbors")
    encoder = Stins(series)
    assert headers([encoder.start(), encoder.image(0, pixels, {}), encoder.end()]) == headers(recorded)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32"])
@pytest.mark.parametrize("format", FORMATS)
def test_each_format_is_decoded_to_the_pixels_sent(format, dtype, series, pixels):
    encoder = make_encoder(format, replace(series, first_frame=1, dtype=dtype, label={"slice": 2}))
    image = retype(pixels, dtype)
    start, event, end = (decode(m) for m in (encoder.start(), encoder.image(7, image, {"i0": 0.5}), encoder.end()))
    assert isinstance(start, SeriesStart)
    assert isinstance(event, Image)
    assert isinstance(end, SeriesEnd)
    assert start.appendix == {"source": "braggstream simulate", "seed": 5, "slice": 2}
    assert (event.frame, event.appendix) == (8, {"i0": 0.5})
    assert start.series == event.series == end.series
    np.testing.assert_array_equal(pixels_of(event), image)
    assert pixels_of(event).dtype == dtype
    if format == "stins":
        assert (start.shape, start.mask) == (None, {})
    else:
        assert start.shape == (33, 47)
    if format == "dectris-2":
        np.testing.assert_array_equal(decompress(start.mask["threshold_1"]), series.pixel_mask)
        assert start.settings["image_dtype"] == dtype
        assert start.saturation == 2 ** (8 * image.itemsize) - 2


def test_counts_keep_their_value_in_another_type():
    image = np.array([[0, 7, 253, 254, 255, 65533, 65535]], dtype=np.uint16)
    assert retype(image, "uint16") is image
    assert retype(image, "uint32").tolist() == [[0, 7, 253, 254, 255, 65533, 2**32 - 1]]
    assert retype(image, "uint8").tolist() == [[0, 7, 253, 253, 253, 253, 255]]


def test_the_series_of_a_sender_have_numbers_that_grow_and_names_of_their_own(series):
    some = [replace(series, index=k) for k in range(40)]
    assert [s.number for s in some] == list(range(6, 46))
    assert len({s.unique_id for s in some} | {replace(series, seed=6).unique_id}) == 41
    assert all(len(s.unique_id) == 26 for s in some)
