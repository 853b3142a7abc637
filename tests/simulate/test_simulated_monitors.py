"""Monitor and encoder streams of the virtual beamline, against the recorded ones."""

import json
import threading
import time

import numpy as np
import pytest
import yaml
import zmq
from helpers.recordings import read_messages
from receiving import ANY_PORT, Receiver, events, make_scan

from stream.core.config import MonitorStream
from stream.core.errors import UnavailableError
from stream.core.messages import Armed, Disarmed, Image
from stream.core.wire.maxiv import decode_monitor
from stream.simulate import beamline as beamline_module
from stream.simulate.arming import SeriesPlan, make_arms, make_messages
from stream.simulate.beamline import Beamline
from stream.simulate.command import simulate
from stream.simulate.defaults import write_beamline
from stream.simulate.faults import Faults
from stream.simulate.monitors import Monitor

AXES = {"position": {"column": "INENC1.VAL.Mean", "scale": -0.5, "offset": 100.0}, "angle": "INENC2.VAL.Mean"}


@pytest.fixture(scope="module")
def scan():
    return make_scan()


def stream(format, endpoint="ipc:///tmp/unused", **options):
    return MonitorStream(endpoint=endpoint, format=format, **options)


def told(monitor, plan=None, faults=None):
    """Every envelope of a scan."""
    arms = make_arms(24, plan or SeriesPlan(), faults or Faults(), 1)
    return [json.loads(part) for message in make_messages(arms) for part in monitor.follow(message)]


def keys(envelopes):
    return {envelope["message_type"]: envelope.keys() for envelope in envelopes}


def test_an_electrometer_speaks_as_the_recorded_one(scan, recordings):
    recorded = [json.loads(part) for (part,) in read_messages(recordings / "maxiv" / "albaem-dump.cbors")]
    envelopes = told(Monitor(stream("maxiv-albaem", key="channel2"), scan))
    assert keys(envelopes) == keys(recorded)
    assert [e["message_type"] for e in envelopes] == ["series-start", *["data"] * 24, "series-end"]
    assert [e["message_id"] for e in envelopes] == list(range(1, 27))
    assert [e["frame_number"] for e in envelopes[1:-1]] == list(range(24))
    assert [e["channel2"] for e in envelopes[1:-1]] == [scan.frame(n)[1]["i0"] for n in range(24)]
    times = np.array([e["acquisition_timestamp"] for e in envelopes[1:-1]])
    assert set(np.diff(times)) == {2_000_000}
    for recording, ours in zip(recorded[1].values(), envelopes[1].values(), strict=True):
        assert type(recording) is type(ours)


def test_encoders_speak_as_the_recorded_ones(scan, recordings):
    recorded = [json.loads(part) for (part,) in read_messages(recordings / "maxiv" / "pcap-zmq.cbors")]
    axes = {"angle": "energy", "position": "INENC3.VAL.Mean"}
    envelopes = told(Monitor(stream("maxiv-pcap", axes=axes), scan))
    assert keys(envelopes) == keys(recorded)
    assert [(e["message_type"], e.get("frame_number")) for e in envelopes] == [
        ("series-start", None),
        ("data", 0),
        ("data", 15),
        ("series-end", None),
    ]
    lengths = [{len(value) for value in e.values() if isinstance(value, list)} for e in envelopes[1:-1]]
    assert lengths == [{15}, {9}]


def test_scaled_encoder_readings_are_the_places_of_the_frames(scan):
    rows = told(Monitor(stream("maxiv-pcap", key="i0", axes=AXES), scan))[1:-1]
    columns = {key: np.array([v for e in rows for v in e[key]]) for key in rows[0] if isinstance(rows[0][key], list)}
    places = [scan.frame(n)[1] for n in range(24)]
    np.testing.assert_allclose(-0.5 * columns["INENC1.VAL.Mean"] + 100.0, [p["position"] for p in places], atol=1e-12)
    np.testing.assert_array_equal(columns["INENC2.VAL.Mean"], [p["angle"] for p in places])
    np.testing.assert_array_equal(columns["i0"], [p["i0"] for p in places])
    assert "slice" not in columns
    plain = told(Monitor(stream("maxiv-pcap"), scan))[1]
    assert {"slice", "angle", "position"} < plain.keys()
    assert "i0" not in plain


def test_each_series_is_a_series_of_readings_counted_from_the_first_frame(scan):
    monitor = Monitor(stream("maxiv-pcap", first_frame=1), scan)
    envelopes = told(monitor, SeriesPlan(kind="line", frames=8), Faults(abort=0.5))
    starts = [n for n, e in enumerate(envelopes) if e["message_type"] == "series-start"]
    assert len(starts) == 4  # three lines, and one that was given up
    for begin, end in zip(starts, [*starts[1:], len(envelopes)], strict=True):
        first, data, last = envelopes[begin:end]
        assert (data["frame_number"], last["message_type"]) == (1, "series-end")
        assert [e["message_id"] for e in (first, data, last)] == [1, 2, 3]
    assert sorted(len(e["inttime"]) for e in envelopes if e["message_type"] == "data") == [4, 8, 8, 8]


class Listener(threading.Thread):
    """The receiver's end of a monitor stream; it comes late and listens until the series of readings is over."""

    def __init__(self, kind, endpoint, bind=False, delay=0.0):
        super().__init__()
        self.socket = zmq.Context.instance().socket(kind)
        self.endpoint, self.bind, self.delay, self.envelopes = endpoint, bind, delay, []
        self.start()

    def run(self):
        time.sleep(self.delay)
        if self.socket.type == zmq.SUB:
            self.socket.subscribe(b"")
        (self.socket.bind if self.bind else self.socket.connect)(self.endpoint)
        while not self.envelopes or self.envelopes[-1]["message_type"] != "series-end":
            if not self.socket.poll(5000):
                break
            self.envelopes.append(json.loads(self.socket.recv()))
        self.socket.close(0)


@pytest.mark.parametrize("bind", [False, True])
@pytest.mark.parametrize("socket", ["sub", "pull"])
def test_nothing_is_lost_for_a_receiver_that_comes_late(socket, bind, scan, tmp_path):
    config = stream("maxiv-albaem", f"ipc://{tmp_path}/monitor", key="i0", socket=socket, bind=bind)
    beamline = Beamline(scan, ANY_PORT, monitors=[config], faults=Faults(drop=0.5))
    sender = threading.Thread(target=beamline.run)
    sender.start()
    receiver = Receiver(beamline.endpoint)
    listener = Listener(zmq.SUB if socket == "sub" else zmq.PULL, config.endpoint, bind, delay=0.3)
    messages = receiver.collect()
    listener.join(10)
    sender.join(10)
    assert len(listener.envelopes) == 26  # also of the frames that were lost on their way
    assert len(messages) < 26


def test_without_a_subscriber_the_frames_are_sent_all_the_same(scan, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(beamline_module, "SUBSCRIBED", 0.3)
    beamline = Beamline(scan, ANY_PORT, monitors=[stream("maxiv-albaem", f"ipc://{tmp_path}/monitor")])
    receiver = Receiver(beamline.endpoint)
    sender = threading.Thread(target=beamline.run)
    sender.start()
    assert len(receiver.collect()) == 26
    sender.join(10)
    assert "monitor.nobody-subscribed" in capsys.readouterr().out


def test_stopping_is_quick_while_nobody_listens(scan, tmp_path):
    for socket in ("sub", "pull"):
        config = stream("maxiv-pcap", f"ipc://{tmp_path}/{socket}", socket=socket)
        beamline, stop = Beamline(scan, ANY_PORT, monitors=[config]), threading.Event()
        receiver = Receiver(beamline.endpoint)
        sender = threading.Thread(target=beamline.run, args=(stop,))
        sender.start()
        time.sleep(0.2)
        assert sender.is_alive()
        stop.set()
        sender.join(1)
        assert not sender.is_alive()
        receiver.socket.close(0)


def test_a_taken_endpoint_of_a_monitor_is_named(scan, tmp_path):
    config = stream("maxiv-pcap", f"ipc://{tmp_path}/missing/monitor")
    with pytest.raises(UnavailableError, match=r"the endpoint ipc://.*/missing/monitor cannot be bound"):
        Beamline(scan, ANY_PORT, monitors=[config])


@pytest.mark.parametrize("monitor", [None, "i0"])
def test_the_config_says_who_tells_the_incident_intensity(monitor, tmp_path):
    path = write_beamline(tmp_path, "ncm622-cycled", True, f"ipc://{tmp_path}/frames", 3)
    raw = yaml.safe_load(path.read_text())
    raw["scan"] |= {"angles": {"values": [0.0, 90.0]}, "positions": {"count": 4}, "series": "line", "index": "pcap"}
    raw["detector"] |= {"monitor": monitor, "format": "stins", "first_frame": 1}
    raw["monitors"] = [
        {"endpoint": f"ipc://{tmp_path}/readings", "format": "maxiv-pcap", "axes": AXES}
        | ({} if monitor else {"key": "i0"})
    ]
    path.write_text(yaml.safe_dump(raw))
    sender = threading.Thread(target=simulate, kwargs={"config": path, "seed": 4})
    sender.start()
    listener = Listener(zmq.SUB, f"ipc://{tmp_path}/readings")
    messages = Receiver(f"ipc://{tmp_path}/frames").collect(ends=2, timeout=20)
    sender.join(10)
    listener.join(10)
    shots = [event for event in events(messages) if isinstance(event, Image)]
    assert [shot.frame for shot in shots] == [1, 2, 3, 4] * 2
    assert all(("i0" in shot.appendix) == (monitor is not None) for shot in shots)
    assert [shot.appendix["angle"] for shot in shots] == [0.0] * 4 + [90.0] * 4
    assert ("i0" in listener.envelopes[1]) == (monitor is None)


@pytest.mark.parametrize("format", ["maxiv-albaem", "maxiv-pcap"])
def test_the_decoder_reads_every_envelope(format, scan):
    monitor = Monitor(stream(format, key="i0"), scan)
    arms = make_arms(24, SeriesPlan(), Faults(), 1)
    armed, *readings, disarmed = (
        decode_monitor([part]) for message in make_messages(arms) for part in monitor.follow(message)
    )
    assert (type(armed), type(disarmed)) == (Armed, Disarmed)
    values = np.concatenate([event.values["i0"] for event in readings])
    np.testing.assert_array_equal(values, [scan.frame(n)[1]["i0"] for n in range(24)])
    assert [event.first for event in readings] == (list(range(24)) if format == "maxiv-albaem" else [0, 15])
