"""Every message comes back as it was received, from whatever is left of the file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import cbor2
import h5py
import hdf5plugin  # noqa: F401  (registers the filter that the frames are read with)
import numpy as np
import pytest
from helpers.encode import bslz4, v1_image, v2_image, v2_message
from helpers.recordings import read_messages
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.core.errors import MessageError, RunDirectoryError, StoreError
from stream.core.messages import Armed, Event, Image, Parts, Readings
from stream.core.wire import decode, decompress
from stream.ingest.envelope import find_blob, pack, unpack
from stream.ingest.recorded import read_recording, recording_summary
from stream.ingest.recorder import Recorder
from stream.ingest.recording import Recording

EIGER_1M, SCAN = (1065, 1030), (400, 400)
STREAMS = [
    ("dectris_v1/v1_eiger1_1M_basic.cbors", EIGER_1M),
    ("dectris_v1/v1_synth_all_encodings.cbors", (33, 47)),
    ("dectris_v1/eiger-small.cbors", (3262, 3108)),
    ("dectris_v2/v2_synth_two_thresholds.cbors", (33, 47)),
    ("maxiv/dump_xrd.cbors", (10, 10)),
]


def event_of(parts: Parts) -> Event | None:
    try:
        return decode(parts)
    except MessageError:
        return None


def record(folder: Path, messages: list[list[bytes]], shape: tuple[int, int], flushed: bool = False) -> Path:
    recording = Recording(folder, shape)
    for n, parts in enumerate(messages):
        assert recording.append(parts, event_of(parts), 1.7e9 + n / 8) == n
        if flushed:
            recording.flush()
    assert recording.count == len(messages)
    recording.close()
    return recording.path


@pytest.mark.parametrize(("name", "shape"), STREAMS)
@pytest.mark.parametrize("flushed", [False, True])
def test_round_trip(recordings: Path, tmp_path: Path, name: str, shape: tuple[int, int], flushed: bool) -> None:
    messages = read_messages(recordings / name)
    path = record(tmp_path, messages, shape, flushed)
    back = list(read_recording(path))
    assert [list(message.parts) for message in back] == messages
    assert [message.received for message in back] == [1.7e9 + n / 8 for n in range(len(messages))]
    assert [message.index for message in back] == list(range(len(messages)))
    (summary,) = recording_summary(path)
    assert summary.messages == len(messages)
    assert summary.images == sum(isinstance(event_of(parts), Image) for parts in messages)
    assert summary.closed
    assert (summary.first, summary.last) == (1.7e9, 1.7e9 + (len(messages) - 1) / 8)


def test_round_trip_of_a_16m_v2_message(recordings: Path, tmp_path: Path) -> None:
    messages = [[(recordings / "dectris_v2" / f"{name}.cbor").read_bytes()] for name in ("start", "image", "end")]
    image = event_of(messages[1])
    assert isinstance(image, Image)
    (array,) = image.channels.values()
    path = record(tmp_path, messages, array.shape[:2])
    assert [list(message.parts) for message in read_recording(path)] == messages
    with h5py.File(path) as file:
        assert file["entry/data/frames"].shape == (1, *array.shape)
        assert file["entry/messages/bytes"].size < len(messages[0][0]) + 2000  # the pixels are there once
        np.testing.assert_array_equal(file["entry/data/frames"][0], decompress(array))


def test_frames_can_be_viewed(recordings: Path, tmp_path: Path) -> None:
    messages = read_messages(recordings / "dectris_v1/v1_eiger1_1M_basic.cbors")
    images = [event for event in map(event_of, messages) if isinstance(event, Image)]
    path = record(tmp_path, messages, EIGER_1M)
    with h5py.File(path) as file:
        assert file["entry"].attrs["NX_class"] == b"NXentry"
        assert file["entry/data"].attrs["signal"] == b"frames"
        frames = file["entry/data/frames"]
        assert len(frames) == len(images) == 9
        for frame, image in zip(frames, images, strict=True):
            np.testing.assert_array_equal(frame, decompress(image.channels[""]))


def test_raw_pixels_are_frames_too(tmp_path: Path) -> None:
    pixels = np.arange(12, dtype=np.uint16).reshape(3, 4)
    messages = [v1_image(pixels, frame=0), v1_image(pixels + 1, 1, encoding="bs16-lz4<", blob=bslz4(pixels + 1))]
    path = record(tmp_path, messages, (3, 4))
    assert [list(message.parts) for message in read_recording(path)] == messages
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["entry/data/frames"][:], [pixels, pixels + 1])


def test_strange_messages_are_kept_whole(tmp_path: Path) -> None:
    """What cannot be a frame of this detector neither shapes the file nor disturbs it."""
    pixels = np.arange(12, dtype=np.uint16).reshape(3, 4)
    messages = [
        [b"garbage"],
        [b"", b"", b""],
        [],
        v1_image(np.zeros((70_000, 70_000), dtype=np.uint8), blob=b"x"),
        v1_image(pixels[:2]),
        v1_image(pixels),
        v1_image(pixels.astype(np.uint32)),
        v1_image(pixels, encoding="bs32-lz4<", blob=bslz4(pixels)),
        v1_image(pixels)[:2],
    ]
    path = record(tmp_path, messages, (3, 4))
    assert [list(message.parts) for message in read_recording(path)] == messages
    (summary,) = recording_summary(path)
    assert (summary.shape, summary.dtype, summary.messages) == ((1, 3, 4), "uint16", len(messages))


def test_monitors_lie_between_the_detectors_messages(tmp_path: Path) -> None:
    pixels = np.arange(12, dtype=np.uint16).reshape(3, 4)
    readings = Readings(first=0, values={"i0": np.ones(2)})
    told = [([b"armed"], Armed(), 2), (v1_image(pixels), None, 0), ([b"rows"], readings, 1), ([b"junk"], None, 3)]
    recording = Recording(tmp_path, (3, 4))
    for n, (parts, event, stream) in enumerate(told):
        recording.append(parts, event if stream else event_of(parts), 1.0 + n, stream)
    recording.close()
    back = [(list(message.parts), message.received, message.stream) for message in read_recording(tmp_path)]
    assert back == [(parts, 1.0 + n, stream) for n, (parts, _, stream) in enumerate(told)]
    (summary,) = recording_summary(tmp_path)
    assert (summary.messages, summary.images, summary.shape) == (4, 1, (1, 3, 4))


def test_parts_may_be_views(recordings: Path, tmp_path: Path) -> None:
    messages = read_messages(recordings / "dectris_v1/v1_eiger1_1M_basic.cbors")
    views = [[memoryview(bytearray(part)) for part in parts] for parts in messages]
    recording = Recording(tmp_path, EIGER_1M)
    for parts in views:
        recording.append(parts, event_of(parts), 1.0)
        for part in parts:
            part.obj[:] = bytes(len(part))  # the receiver uses the buffer again
    recording.close()
    assert [list(message.parts) for message in read_recording(tmp_path)] == messages


def test_several_files_in_order_and_skipping(tmp_path: Path) -> None:
    folder = tmp_path / "recording"
    folder.mkdir()
    pixels = np.zeros((3, 4), dtype=np.uint16)
    messages = [[b"start"], v1_image(pixels), v1_image(pixels + 1), [b"end"], v1_image(pixels + 2)]
    first = record(folder, messages[:2], (3, 4))
    nothing = Recording(folder, (3, 4))
    second = record(folder, messages[2:], (3, 4))
    assert [first.name, nothing.name, second.name] == ["raw-0001.h5", "raw-0002.h5", "raw-0003.h5"]
    for skip in range(len(messages) + 2):
        back = list(read_recording(tmp_path, skip))
        assert [list(message.parts) for message in back] == messages[skip:]
    assert [(m.file, m.index) for m in read_recording(tmp_path)] == [
        ("raw-0001.h5", 0),
        ("raw-0001.h5", 1),
        ("raw-0003.h5", 0),
        ("raw-0003.h5", 1),
        ("raw-0003.h5", 2),
    ]
    assert [summary.messages for summary in recording_summary(tmp_path)] == [2, 0, 3]
    nothing.close()
    assert not nothing.path.exists()


def test_a_directory_without_recording_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunDirectoryError, match="holds no recording"):
        list(read_recording(tmp_path))


WRITER = """
import sys, time
from pathlib import Path
from stream.core.wire import decode
from stream.ingest.recorded import read_recording
from stream.ingest.recording import Recording
source, folder, flushed = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
recording = Recording(folder, (1065, 1030))
for message in read_recording(source):
    recording.append(message.parts, decode(message.parts), 1.0)
    if recording.count <= flushed:
        recording.flush()
print("written", flush=True)
time.sleep(60)
"""


def test_what_was_flushed_survives_a_kill(recordings: Path, tmp_path: Path) -> None:
    source = recordings / "dectris_v1/v1_eiger1_1M_basic.cbors"
    messages = read_messages(source)
    command = [sys.executable, "-c", WRITER, str(source), str(tmp_path), "7"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"written\n"
        alive = [list(message.parts) for message in read_recording(tmp_path)]
        os.kill(writer.pid, signal.SIGKILL)
    assert alive == messages[:7]
    assert [list(message.parts) for message in read_recording(tmp_path)] == messages[:7]
    (summary,) = recording_summary(tmp_path)
    assert not summary.closed
    assert Recording(tmp_path, EIGER_1M).name == "raw-0002.h5"


BUSY = """
import sys, time
from pathlib import Path
import numpy as np
from helpers.encode import v1_image
from stream.core.wire import decode
from stream.ingest.recording import Recording
recording, begin, frame = Recording(Path(sys.argv[1]), (71, 95)), time.monotonic(), 0
while time.monotonic() < begin + 2:
    parts = v1_image(np.full((71, 95), frame, dtype=np.uint16), frame)
    recording.append(parts, decode(parts), 1.0)
    frame += 1
    if frame % 5 == 0:
        recording.flush()
recording.close()
"""


def test_a_recording_is_read_while_it_is_written(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    counts = []
    with subprocess.Popen([sys.executable, "-c", BUSY, str(tmp_path)], env=environment) as writer:
        while writer.poll() is None:
            if list(tmp_path.glob("raw-*.h5")):
                counts.append(recording_summary(tmp_path)[0].messages)
                skip = max(0, counts[-1] - 20)
                for n, message in enumerate(read_recording(tmp_path, skip), skip):
                    assert bytes(message.parts[2]) == np.full((71, 95), n, dtype=np.uint16).tobytes()
    assert writer.returncode == 0
    assert counts == sorted(counts)
    assert len(set(counts)) > 5


def test_a_full_disk_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message that found no room is not recorded, those before it are, and it may come again."""
    pixels = np.zeros((3, 4), dtype=np.uint16)
    messages = [v1_image(pixels + n, n) for n in range(4)]
    recording = Recording(tmp_path, (3, 4))
    for parts in messages[:2]:
        recording.append(parts, event_of(parts), 1.0)
    with monkeypatch.context() as full:
        full.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=1000))
        with pytest.raises(StoreError, match=r"raw-0001\.h5 cannot be written: the disk is full \(1000 bytes left\)"):
            recording.append(messages[2], event_of(messages[2]), 1.0)
        recording.flush()
        assert [list(message.parts) for message in read_recording(tmp_path)] == messages[:2]
    for parts in messages[2:]:
        recording.append(parts, event_of(parts), 1.0)
    recording.close()
    assert [list(message.parts) for message in read_recording(tmp_path)] == messages


def test_a_failed_write_is_an_error_and_loses_nothing_flushed(recordings: Path, tmp_path: Path) -> None:
    messages = read_messages(recordings / "dectris_v1/v1_eiger1_1M_basic.cbors")
    recording = Recording(tmp_path, EIGER_1M)
    for parts in messages[:5]:
        recording.append(parts, event_of(parts), 1.0)
    recording.flush()
    assert recording._file is not None
    with open("/dev/full", "r+b") as full:  # a disk that takes nothing any more
        os.dup2(full.fileno(), recording._file.id.get_vfd_handle())
    recording.append(messages[5], None, 1.0)
    with pytest.raises(StoreError, match=r"raw-0001\.h5 cannot be written"):
        recording.flush()
    with pytest.raises(StoreError, match="an earlier write failed"):
        recording.append(messages[5], event_of(messages[5]), 1.0)
    recording.close()
    assert [list(message.parts) for message in read_recording(tmp_path)] == messages[:5]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"nowhere/raw-0001\.h5 cannot be written"):
        Recording(tmp_path / "nowhere", (3, 4))


def is_refused(path: Path, messages: list[list[bytes]]) -> bool:
    """True for an error that names the file, False where every message comes back as it was."""
    try:
        back = [list(message.parts) for message in read_recording(path)]
    except StoreError as error:
        return path.name in str(error)
    assert back == messages
    return False


def test_a_flipped_byte_is_found(recordings: Path, tmp_path: Path) -> None:
    """Anywhere in the file: either an error that names the file, or nothing of the messages was hit."""
    source = recordings / "dectris_v1/v1_eiger1_1M_basic.cbors"
    messages = read_messages(source)
    path = record(tmp_path, messages, EIGER_1M)
    good = path.read_bytes()
    for at in (good.index(messages[3][2]) + 5000, good.index(messages[8][0]) + 10):
        path.write_bytes(good[:at] + bytes([good[at] ^ 16]) + good[at + 1 :])
        with pytest.raises(StoreError, match=r"raw-0001\.h5: message \d+ is damaged"):
            list(read_recording(path))
    random, found = np.random.default_rng(3), 0
    for at in random.integers(0, len(good), 60).tolist():
        path.write_bytes(good[:at] + bytes([good[at] ^ (1 << random.integers(8))]) + good[at + 1 :])
        found += is_refused(path, messages)
    assert found > 20


@given(parts=st.lists(st.binary(max_size=200), max_size=6), data=st.data())
@settings(max_examples=60, deadline=None)
def test_envelope(parts: list[bytes], data: st.DataObject) -> None:
    joined = b"".join(parts)
    whole = [n for n, part in enumerate(parts) if part]
    cut = size = 0
    if whole:
        n = data.draw(st.sampled_from(whole))
        begin = data.draw(st.integers(0, len(parts[n]) - 1))
        size = data.draw(st.integers(1, len(parts[n]) - begin))
        cut = len(b"".join(parts[:n])) + begin
        blob = parts[n][begin : begin + size]
        found = find_blob(parts, blob)
        assert found is not None
        assert joined[found : found + size] == blob
    envelope = pack(parts, cut, size)
    assert len(envelope) == 4 + 8 * len(parts) + len(joined) - size
    assert unpack(envelope, cut, joined[cut : cut + size]) == parts


PIXELS = [np.arange(12, dtype=dtype).reshape(3, 4) for dtype in ("u1", "<u2", "<u4")]
ALL_FORMATS = [
    [b'{"htype":"dheader-1.0","header_detail":"none","series":1}'],
    [b'{"htype":"dseries_end-1.0","series":1}'],
    *(v1_image(pixels, frame=5) for pixels in PIXELS),
    v1_image(PIXELS[1], 6, encoding="bs16-lz4<", blob=bslz4(PIXELS[1])),
    v2_message("start", number_of_images=3),
    v2_image(PIXELS[2], frame=1),
    v2_message("end"),
    [b'{"htype":"header","filename":"","msg_number":1}'],
    [b'{"htype":"image","frame":1,"shape":[3,4],"type":"uint16","compression":"none"}', PIXELS[1].tobytes()],
    [b'{"htype":"array-1.0","shape":[3,4],"type":"uint8","frame":9}', PIXELS[0].tobytes()],
]
MESSAGE = st.sampled_from(ALL_FORMATS) | st.lists(st.binary(max_size=40), max_size=4)


@given(told=st.lists(st.tuples(MESSAGE, st.floats(0, 4e9), st.integers(0, 3), st.booleans()), max_size=25))
@settings(max_examples=40, deadline=None)
def test_messages_come_back_in_order_with_their_times(told: list[tuple[list[bytes], float, int, bool]]) -> None:
    """Of every format, junk, duplicates and gaps included, whatever the order and wherever it was flushed."""
    assert None not in map(event_of, ALL_FORMATS)
    with TemporaryDirectory() as folder:
        recorder = Recorder(Path(folder), (3, 4), pytest.fail)
        for parts, received, stream, flushed in told:
            recorder.append(parts, None if stream else event_of(parts), received, stream)
            if flushed:
                recorder.flush()
        recorder.close()
        back = list(read_recording(Path(folder))) if told else []
        assert [(list(m.parts), m.received, m.stream) for m in back] == [each[:3] for each in told]
        assert len(list(Path(folder).glob("raw-*"))) <= 2


def test_what_is_damaged_is_told_and_the_rest_is_read(tmp_path: Path) -> None:
    messages = [v1_image(PIXELS[1] + n, n) for n in range(6)]
    path = record(tmp_path, messages, (3, 4))
    content = bytearray(path.read_bytes())
    content[content.index(messages[2][2])] ^= 1
    path.write_bytes(content)
    (tmp_path / "raw-0000.h5").write_bytes(b"no HDF5")
    said: list[str] = []
    back = [list(m.parts) for m in read_recording(tmp_path, on_damage=lambda error: said.append(str(error)))]
    assert back == [*messages[:2], *messages[3:]]
    assert said[0].startswith(f"{tmp_path}/raw-0000.h5: cannot be read: ")
    assert said[1] == f"{path}: message 2 is damaged, it does not match its checksum"
    with pytest.raises(StoreError, match=r"raw-0000\.h5"):
        list(read_recording(tmp_path))


def test_damaged_dumps_and_foreign_files_are_named(tmp_path: Path) -> None:
    cases = {
        "cut.cbors": cbor2.dumps([b"one", b"two"])[:-1],
        "odd.cbors": cbor2.dumps({"no": "message"}),
        "text.h5": b"not HDF5 at all",
    }
    for name, content in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(StoreError, match=name):
            list(read_recording(tmp_path / name))
    with pytest.raises(StoreError, match=r"absent\.h5"):
        list(read_recording(tmp_path / "absent.h5"))
