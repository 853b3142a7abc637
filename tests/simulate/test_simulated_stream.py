"""The simulated stream: messages, faults, the socket, the command."""

import hashlib
import json
import threading
import time

import cbor2
import h5py
import hdf5plugin
import numpy as np
import pytest
import yaml
import zmq
from pyFAI.detectors import Detector as PixelDetector
from pyFAI.integrator.azimuthal import AzimuthalIntegrator

from stream.core.config import load_config
from stream.core.config.scan import ScanConfig
from stream.core.errors import UnavailableError, UsageError
from stream.core.scan import ScanGrid
from stream.simulate.beamline import Beamline
from stream.simulate.command import simulate
from stream.simulate.defaults import write_beamline
from stream.simulate.faults import Faults, cut_short, deliveries
from stream.simulate.presets import PRESETS
from stream.simulate.scan import VirtualScan
from stream.simulate.wire import DectrisV1, DectrisV2, Series, compress, make_encoder

ANY_PORT = "tcp://127.0.0.1:*"


def unfilter(blob, shape, dtype, tmp_path):
    """Decode a bslz4 blob with HDF5's own filter."""
    with h5py.File(tmp_path / "chunk.h5", "w") as file:
        data = file.create_dataset("x", shape, dtype, chunks=shape, compression=hdf5plugin.Bitshuffle(cname="lz4"))
        data.id.write_direct_chunk((0,) * len(shape), blob)
    with h5py.File(tmp_path / "chunk.h5") as file:
        return file["x"][()]


def make_scan(seed=5, size=64):
    config = ScanConfig.model_validate(
        {
            "name": "t",
            "angles": {"start": 0.0, "step": 60.0, "count": 3},
            "positions": {"start": -3.5, "step": 1.0, "count": 8},
        }
    )
    pixels = PixelDetector(pixel1=6e-4, pixel2=6e-4, max_shape=(size, size + 2))
    geometry = AzimuthalIntegrator(dist=0.1, poni1=0.001, poni2=0.001, detector=pixels, wavelength=0.6738e-10)
    return VirtualScan(ScanGrid.from_config(config), geometry, PRESETS["ncm622-cycled"], seed=seed)


@pytest.fixture(scope="module")
def scan():
    return make_scan()


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
    with pytest.raises(UsageError, match="'xyz' cannot be simulated; there are dectris-1, dectris-2"):
        make_encoder("xyz", series)


def test_faults_are_read_and_wrong_ones_named():
    faults = Faults.parse("drop:0.01, duplicate:0.02,reorder:3,corrupt:0.005,dump:0.1,no-end")
    assert faults == Faults(drop=0.01, duplicate=0.02, corrupt=0.005, dump=0.1, reorder=3, no_end=True)
    assert Faults.parse("") == Faults()
    for wrong in ("drop", "drop:2", "lose:0.1", "reorder:x", "reorder:-1", "no-end:3", "drop:nan"):
        with pytest.raises(UsageError, match=f"--faults has '{wrong}'"):
            Faults.parse(wrong)


def test_deliveries_follow_the_faults_and_the_seed():
    assert list(deliveries(5, Faults(), 1)) == [(n, False) for n in range(5)]
    shuffled = [frame for frame, _ in deliveries(100, Faults(reorder=4), 1)]
    assert sorted(shuffled) == list(range(100))
    assert 0 < np.abs(np.array(shuffled) - np.arange(100)).max() <= 3
    wrong = Faults(drop=0.1, duplicate=0.2, corrupt=0.05)
    sent = list(deliveries(5000, wrong, 2))
    assert sent == list(deliveries(5000, wrong, 2)) != list(deliveries(5000, wrong, 3))
    frames, counts = np.unique([frame for frame, _ in sent], return_counts=True)
    assert len(frames) == pytest.approx(4500, abs=5 * np.sqrt(450))
    assert (counts == 2).sum() == pytest.approx(900, abs=5 * np.sqrt(720))
    assert sum(cut for _, cut in sent) == pytest.approx(225, abs=5 * np.sqrt(214))


def test_a_message_cut_short_keeps_its_small_parts():
    assert cut_short([b"head", b"0123456789", b"tail"]) == [b"head", b"01234", b"tail"]


class Receiver:
    """Collects messages in a thread until told to stop or the number is there."""

    def __init__(self, endpoint):
        self.socket = zmq.Context.instance().socket(zmq.PULL)
        self.socket.setsockopt(zmq.RCVHWM, 4)
        self.socket.connect(endpoint)

    def collect(self, timeout=10.0):
        messages = []
        while not messages or not self.is_end(messages[-1]):
            assert self.socket.poll(int(1000 * timeout)), f"silence after {len(messages)} messages"
            messages.append(self.socket.recv_multipart())
        self.socket.close(0)
        return messages

    @staticmethod
    def is_end(parts):
        return b"dseries_end" in parts[0] or parts[0][:40].find(b"cend") > 0


def published(scan, **options):
    beamline = Beamline(scan, ANY_PORT, **options)
    receiver = Receiver(beamline.endpoint)
    thread = threading.Thread(target=beamline.run)
    thread.start()
    messages = receiver.collect()
    thread.join(5)
    assert not thread.is_alive()
    return messages


def v1_pixels(messages, shape, tmp_path):
    return {json.loads(m[0])["frame"]: unfilter(m[2], shape, "<u2", tmp_path) for m in messages[1:-1]}


def test_a_scan_arrives_whole_and_both_protocols_carry_the_same_pixels(scan, tmp_path):
    first, again = published(scan, format="dectris-1"), published(scan, format="dectris-1")
    assert first == again  # byte for byte
    images = v1_pixels(first, (64, 66), tmp_path)
    assert list(images) == list(range(24))
    np.testing.assert_array_equal(images[20], scan.frame(20)[0])
    second = published(scan, format="dectris-2")
    assert len(second) == 26
    for n, (message,) in enumerate(second[1:-1]):
        body = cbor2.loads(message)
        blob = body["data"]["threshold_1"].value[1].value.value[2]
        np.testing.assert_array_equal(unfilter(blob, (64, 66), "<u2", tmp_path), images[n])
        assert json.loads(body["user_data"]) == json.loads(first[n + 1][4])
    assert published(make_scan(seed=6), format="dectris-1") != first


def test_nothing_is_lost_without_a_receiver_and_stopping_is_quick(scan):
    beamline, stop, counted = Beamline(scan, ANY_PORT), threading.Event(), []
    thread = threading.Thread(target=beamline.run, args=(stop, lambda n, total: counted.append((n, total))))
    thread.start()
    time.sleep(0.3)
    assert thread.is_alive()
    assert counted == []  # blocked at the start message
    begin = time.monotonic()
    stop.set()
    thread.join(5)
    assert not thread.is_alive()
    assert time.monotonic() - begin < 1


def test_stopping_is_quick_when_the_receiver_takes_nothing_any_more(tmp_path):
    scan = make_scan(size=400)  # a megabyte in all: more than the system's buffers for a local socket
    beamline, stop, counted = Beamline(scan, f"ipc://{tmp_path}/stream"), threading.Event(), []
    receiver = Receiver(beamline.endpoint)
    thread = threading.Thread(target=beamline.run, args=(stop, lambda n, total: counted.append(n)))
    thread.start()
    while len(counted) < 24:
        time.sleep(0.01)
    thread.join(0.3)
    assert thread.is_alive()  # everything is sent, not everything is taken
    begin = time.monotonic()
    stop.set()
    thread.join(5)
    assert time.monotonic() - begin < 1
    receiver.socket.close(0)


def test_the_rate_is_kept(scan):
    begin = time.monotonic()
    published(scan, rate=60.0)
    assert 0.38 < time.monotonic() - begin < 2


def test_no_end_leaves_the_end_out_and_a_taken_port_is_named(scan):
    beamline = Beamline(scan, ANY_PORT, faults=Faults(no_end=True))
    with pytest.raises(UnavailableError, match=f"the endpoint {beamline.endpoint} cannot be bound"):
        Beamline(scan, beamline.endpoint)
    receiver = Receiver(beamline.endpoint)
    thread = threading.Thread(target=beamline.run)
    thread.start()
    with pytest.raises(AssertionError, match="silence after 25 messages"):
        receiver.collect(timeout=1.0)
    receiver.socket.close(0)
    thread.join(5)


def test_the_demonstration_s_files_make_a_valid_config(tmp_path):
    for preset, fast, shape in (("ncm622-cycled", False, (1, 45, 48)), ("lnmo-lsr", True, (1, 30, 32))):
        path = write_beamline(tmp_path / preset, preset, fast, "tcp://127.0.0.1:31001", 3)
        config = load_config(path)
        assert ScanGrid.from_config(config.scan).shape == shape
        assert {phase.name for phase in config.phases} >= {"layered", "spinel", "carbon", "glass"}
        assert (path.parent / "lab6.edf").is_file()


def test_the_command_follows_a_config_and_writes_the_truth(tmp_path):
    path = write_beamline(tmp_path, "ncm622-cycled", True, "tcp://127.0.0.1:31001", 3)
    raw = yaml.safe_load(path.read_text())
    raw["scan"]["angles"] = {"values": [0.0, 90.0]}
    raw["scan"]["positions"] = {"start": 10.0, "step": 2.0, "count": 6}
    path.write_text(yaml.safe_dump(raw))
    endpoint = f"ipc://{tmp_path}/stream"
    receiver = Receiver(endpoint)
    threading.Thread(
        target=simulate,
        kwargs={"config": path, "endpoint": endpoint, "seed": 4, "truth": tmp_path / "t.h5"},
    ).start()
    messages = receiver.collect(timeout=20)
    assert len(messages) == 14
    assert [json.loads(m[4])["position"] for m in messages[1:7]] == [10, 12, 14, 16, 18, 20]
    with h5py.File(tmp_path / "t.h5") as file:
        assert file["maps/strain_layered"].shape == (1, 6, 6)
        assert file.attrs["seed"] == 4


def test_the_command_writes_a_line_standard_and_sends_nothing(tmp_path):
    assert simulate(calibrant="CeO2", image=tmp_path / "ceo2.tif") == 0
    assert (tmp_path / "ceo2.tif").stat().st_size > 512 * 512
    with pytest.raises(UsageError, match="--calibrant and --image go together"):
        simulate(calibrant="CeO2")
