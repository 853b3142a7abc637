"""The simulated stream: the socket, series, faults on the way, the command."""

import json
import threading
import time
from collections import Counter
from itertools import pairwise

import h5py
import numpy as np
import pytest
import yaml
from receiving import ANY_PORT, FORMATS, Receiver, events, make_scan, pixels_of, published, sent_by

from stream.core.config import load_config
from stream.core.errors import MessageError, UnavailableError, UsageError
from stream.core.messages import Image, SeriesEnd, SeriesStart
from stream.core.scan import ScanGrid
from stream.core.wire import decode
from stream.simulate.arming import SeriesPlan
from stream.simulate.beamline import Beamline
from stream.simulate.command import simulate
from stream.simulate.defaults import write_beamline
from stream.simulate.faults import Faults

FRAMES = 24
PLACE = ("slice", "angle", "position")


@pytest.fixture(scope="module")
def scan():
    return make_scan()


def images(messages):
    return [event for event in events(messages) if isinstance(event, Image)]


@pytest.mark.parametrize("format", FORMATS)
def test_a_scan_arrives_whole_and_each_protocol_carries_the_same_pixels(format, scan):
    messages = published(scan, format=format)
    assert messages == published(scan, format=format)  # byte for byte
    start, *shots, end = events(messages)
    assert isinstance(start, SeriesStart)
    assert isinstance(end, SeriesEnd)
    assert [shot.frame for shot in shots] == list(range(FRAMES))
    for n in (0, 20):
        pixels, appendix = scan.frame(n)
        np.testing.assert_array_equal(pixels_of(shots[n]), pixels)
        assert shots[n].appendix == appendix
    assert published(make_scan(seed=6), format=format) != messages


@pytest.mark.parametrize("format", FORMATS)
def test_frames_are_counted_from_the_first_frame_of_the_config(format, scan):
    messages = published(scan, format=format, plan=SeriesPlan(kind="line", frames=8, first_frame=1))
    assert [shot.frame for shot in images(messages)] == [*range(1, 9)] * 3


@pytest.mark.parametrize(("kind", "length"), [("line", 8), ("slice", 24)])
@pytest.mark.parametrize("format", FORMATS)
def test_each_line_or_slice_is_a_series_of_its_own(format, kind, length):
    scan = make_scan(slices=2)
    messages = published(scan, format=format, plan=SeriesPlan(kind=kind, frames=length))
    count, size = 48 // length, length + 2
    for k in range(count):
        start, *shots, end = events(messages[k * size : (k + 1) * size])
        assert isinstance(start, SeriesStart)
        assert isinstance(end, SeriesEnd)
        assert start.appendix[kind] == k
        assert [shot.frame for shot in shots] == list(range(length))
        places = [scan.appendix(k * length + n) for n in range(length)]
        assert [[shot.appendix[axis] for axis in PLACE] for shot in shots] == [[p[a] for a in PLACE] for p in places]
        assert {start.series} == {event.series for event in (*shots, end)}
    starts = [event for event in events(messages) if isinstance(event, SeriesStart)]
    assert len(starts) == count
    if format == "dectris-1":
        assert [int(start.series) for start in starts] == [6 + k for k in range(count)]
    if format == "dectris-2":
        assert len({start.series for start in starts}) == count
    if format == "stins":  # counted through the life of the sender
        assert [json.loads(parts[0])["msg_number"] for parts in messages] == list(range(len(messages)))


@pytest.mark.parametrize("format", FORMATS)
def test_damaged_messages_are_refused_or_carry_other_pixels(format, scan):
    whole = published(scan, format=format)
    for name in ("corrupt", "truncate"):
        faults = Faults(**{name: 1.0})
        damaged = published(scan, format=format, faults=faults)
        assert damaged == published(scan, format=format, faults=faults)
        assert (damaged[0], damaged[-1]) == (whole[0], whole[-1])
        assert all(bad != good for bad, good in zip(damaged[1:-1], whole[1:-1], strict=True))
        for bad, good in zip(damaged[1:-1], whole[1:-1], strict=True):
            sizes = [len(part) for part in bad]
            if name == "truncate":
                assert sum(len(part) for part in good) - sum(sizes) == (max(len(part) for part in good) + 1) // 2
                with pytest.raises(MessageError):
                    pixels_of(decode(bad))
            else:
                assert sizes == [len(part) for part in good]
                flips = [a ^ b for one, other in zip(bad, good, strict=True) for a, b in zip(one, other, strict=True)]
                assert sum(flip.bit_count() for flip in flips) == 8
                assert decode(bad).frame == decode(good).frame  # only pixels are hit


@pytest.mark.parametrize("format", FORMATS)
def test_an_aborted_series_is_taken_again_and_leaves_strays(format, scan):
    shots = published(scan, format=format, faults=Faults(abort=0.5))
    kinds = [type(event) for event in events(shots)]
    assert kinds == [SeriesStart, *[Image] * 8, SeriesStart, *[Image] * 4, *[Image] * 24, SeriesEnd]
    assert [shot.frame for shot in images(shots)] == [*range(12), *range(24)]
    first, again = (event for event in events(shots) if isinstance(event, SeriesStart))
    if format != "stins":
        assert first.series != again.series
        assert [event.series for event in events(shots)] == [first.series] * 9 + [again.series] + [first.series] * 4 + [
            again.series
        ] * 25
    else:  # strays have older numbers
        numbers = [json.loads(parts[0])["msg_number"] for parts in shots]
        assert numbers == [*range(9), 13, *range(9, 13), *range(14, 39)]


@pytest.mark.parametrize("format", FORMATS)
def test_a_restarted_series_counts_from_the_beginning_without_an_end_before(format, scan):
    messages = published(scan, format=format, faults=Faults(restart=0.25))
    kinds = [type(event) for event in events(messages)]
    assert kinds == [SeriesStart, *[Image] * 6, SeriesStart, *[Image] * 24, SeriesEnd]
    shots = images(messages)
    assert [shot.frame for shot in shots] == [*range(6), *range(24)]
    for old, new in zip(shots, shots[6:12], strict=False):
        np.testing.assert_array_equal(pixels_of(old), pixels_of(new))
        assert old.appendix == new.appendix
    if format != "stins":
        assert [shot.series for shot in shots[:6]] != [shot.series for shot in shots[6:12]]


@pytest.mark.parametrize("format", FORMATS)
def test_pixels_come_as_another_type_in_the_second_half(format, scan):
    def types(**options):
        shots = images(published(scan, format=format, faults=Faults(dtype="uint32"), **options))
        for n in (11, 23):
            kept = pixels_of(shots[n]) != np.iinfo(pixels_of(shots[n]).dtype).max
            np.testing.assert_array_equal(pixels_of(shots[n])[kept], scan.frame(n)[0][kept])
        return [pixels_of(shot).dtype.name for shot in shots]

    assert types() == ["uint16"] * 12 + ["uint32"] * 12
    # three lines: the third is the first that begins in the second half
    assert types(plan=SeriesPlan(kind="line", frames=8)) == ["uint16"] * 16 + ["uint32"] * 8


@pytest.mark.parametrize("format", FORMATS)
def test_a_second_puller_takes_every_other_message(format):
    scan = make_scan(size=16)
    beamline = Beamline(scan, ANY_PORT, format, rate=200.0, faults=Faults(steal=True))
    messages = sent_by(beamline)
    assert len(messages) + beamline.stolen == FRAMES + 2
    assert isinstance(decode(messages[0]), SeriesStart)  # it came before the second puller did
    frames = [shot.frame for shot in images(messages)]
    assert {later - frame for frame, later in pairwise(frames)} == {2}
    assert len(frames) == FRAMES / 2


def test_every_frame_is_doubled_late_and_shuffled_and_the_bytes_repeat(scan):
    faults = Faults(duplicate=1.0, shuffle=64, delay=0.3)
    messages = published(scan, faults=faults)
    assert messages == published(scan, faults=faults)
    assert Counter(shot.frame for shot in images(messages)) == dict.fromkeys(range(FRAMES), 2)
    assert sorted(messages) == sorted([*published(scan), *published(scan)[1:-1]])


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
    assert len(receiver.collect_until(thread)) == 25
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
