"""The recording goes on as long as it can, says when it cannot, and never stops the frames."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import fabio
import h5py
import numpy as np
import pytest
import silx.io
from helpers.bench import write_config
from helpers.encode import v1_image
from helpers.hostile import PIXELS
from silx.io import nxdata

from stream.core.messages import Armed, Parts
from stream.core.scan import ScanGrid
from stream.core.wire import decode
from stream.ingest.master import write_master
from stream.ingest.recorded import read_recording, recording_summary
from stream.ingest.recorder import RETRY, Recorder
from stream.ingest.recording import Recording
from stream.ingest.room import MARGIN, room_for_results

SHAPE = (3, 4)
START = [b'{"htype":"dheader-1.0","header_detail":"none","series":1}']


def image(frame: int, shape: tuple[int, int] = SHAPE) -> list[bytes]:
    return v1_image(np.random.default_rng(frame).integers(0, 65536, shape, dtype=np.uint16), frame)


def break_disk(recorder: Recorder) -> None:
    """From now on the disk under the open file takes nothing."""
    assert recorder._recording is not None
    assert recorder._recording._file is not None
    full = os.open("/dev/full", os.O_RDWR)
    os.dup2(full, recorder._recording._file.id.get_vfd_handle())
    os.close(full)


class Run:
    """A recorder with a clock that is set by hand."""

    def __init__(self, folder: Path, shape: tuple[int, int] = SHAPE, reserve: int = MARGIN) -> None:
        self.now, self.notes, self.given = 0.0, list[str](), list[Parts]()
        self.recorder = Recorder(folder, shape, self.notes.append, lambda: self.now, reserve)

    def give(self, *messages: Parts) -> list[tuple[str, int] | None]:
        places = []
        for parts in messages:
            place = self.recorder.append(parts, decode(parts), 1.0 + len(self.given))
            self.given.append(parts)
            places.append(None if place is None else (place["file"], place["count"]))
        return places


def parts_in(folder: Path) -> list[Parts]:
    return [list(message.parts) for message in read_recording(folder)]


def test_what_was_flushed_before_the_first_image_lies_with_the_images(tmp_path: Path) -> None:
    """Its file is made anew by the first image: one file holds the whole start."""
    run = Run(tmp_path)
    assert not list(tmp_path.iterdir())
    assert run.give(START) == [("raw-0001.h5", 1)]
    run.recorder.flush()
    assert parts_in(tmp_path) == [START]
    for n in range(50):  # monitors and junk for hours
        assert run.recorder.append([b"armed"], Armed(), 5.0, 1) == {"file": "raw-0001.h5", "count": n + 2}
        run.recorder.flush()
    assert run.give(image(0), START, image(1)) == [("raw-0001.h5", n) for n in (52, 53, 54)]
    assert len(parts_in(tmp_path)) == 51
    run.recorder.flush()
    assert len(parts_in(tmp_path)) == 54
    run.recorder.close()
    assert (tmp_path / "master.h5").exists()
    assert [summary.messages for summary in recording_summary(tmp_path)] == [54]
    assert [summary.shape for summary in recording_summary(tmp_path)] == [(2, *SHAPE)]
    assert [message.stream for message in read_recording(tmp_path)] == [0] + [1] * 50 + [0] * 3
    assert run.notes == []


def test_much_that_comes_before_the_first_image_keeps_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream.ingest.recording._FEW", 100)
    run = Run(tmp_path)
    run.give(START, START, START)
    run.recorder.flush()
    assert run.give(image(0), image(1)) == [("raw-0002.h5", 1), ("raw-0002.h5", 2)]
    run.recorder.close()
    assert [summary.messages for summary in recording_summary(tmp_path)] == [3, 2]
    assert parts_in(tmp_path) == run.given


def test_a_file_holds_only_so_many_messages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream.ingest.recorder.LONGEST", 3)
    run = Run(tmp_path)
    places = run.give(START, *map(image, range(4)), START)
    assert places == [(f"raw-000{file}.h5", count) for file in (1, 2) for count in (1, 2, 3)]
    run.recorder.close()
    assert parts_in(tmp_path) == run.given


def test_a_header_that_was_not_flushed_lies_with_the_images(tmp_path: Path) -> None:
    run = Run(tmp_path)
    assert run.give(START, image(0)) == [("raw-0001.h5", 1), ("raw-0001.h5", 2)]
    run.recorder.flush()
    run.recorder.close()
    assert parts_in(tmp_path) == run.given
    assert len(recording_summary(tmp_path)) == 1


KILLED = """
import os, signal, sys
from pathlib import Path
from stream.core.wire import decode
from stream.ingest.recorded import read_recording
from stream.ingest.recorder import Recorder
recorder = Recorder(Path(sys.argv[2]), (1065, 1030), print)
for message in list(read_recording(Path(sys.argv[1])))[: int(sys.argv[3])]:
    recorder.append(message.parts, decode(message.parts), 1.0)
    recorder.flush()
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_killed_process_leaves_every_message_it_flushed(recordings: Path, tmp_path: Path, count: int) -> None:
    source = recordings / "dectris_v1/v1_eiger1_1M_basic.cbors"
    command = [sys.executable, "-c", KILLED, str(source), str(tmp_path), str(count)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert parts_in(tmp_path) == parts_in(source)[:count]
    assert [summary.closed for summary in recording_summary(tmp_path)] == [False]


def test_a_full_disk_suspends_the_recording_until_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, disk = Run(tmp_path), SimpleNamespace(free=1 << 40)
    monkeypatch.setattr("shutil.disk_usage", lambda path: disk)
    run.give(START, image(0), image(1))
    disk.free = MARGIN // 2
    assert run.give(image(2), image(3)) == [None, None]
    assert run.recorder.suspended is not None
    assert parts_in(tmp_path) == run.given[:3]  # nothing that was recorded is lost
    run.recorder.flush()
    run.now += RETRY + 1
    assert run.give(image(4)) == [None]
    disk.free = MARGIN + (1 << 20)  # too little to begin again
    run.now += RETRY + 1
    assert run.give(image(5)) == [None]
    disk.free = 1 << 40
    assert run.give(image(6)) == [None]  # not yet tried again
    run.now += RETRY + 1
    assert run.give(image(7), image(8)) == [("raw-0002.h5", 1), ("raw-0002.h5", 2)]
    assert run.recorder.suspended is None
    run.recorder.close()
    assert parts_in(tmp_path) == run.given[:3] + run.given[8:]
    assert run.notes == [
        f"recording suspended: {tmp_path}/raw-0001.h5 cannot be written: the disk is full ({MARGIN // 2} bytes left);"
        " frames go on to be integrated but cannot be replayed",
        "recording again in raw-0002.h5; 5 messages are not in it",
    ]


def test_a_disk_without_room_for_the_rest_is_told_once_and_room_for_the_results_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the results need: patterns in Tiled and in results.nxs, and the volume, in float32."""
    grid = ScanGrid.from_config(write_config(tmp_path).scan)  # 3 angles × 4 positions
    assert room_for_results(grid, 1000) == MARGIN + 4 * 1000 * (12 + 12 + 16)
    run, disk = Run(tmp_path / "recording", reserve=1 << 30), SimpleNamespace(free=3 << 30)
    (tmp_path / "recording").mkdir()
    monkeypatch.setattr("shutil.disk_usage", lambda path: disk)
    messages = [image(n) for n in range(120)]
    a_message = sum(len(part) for parts in messages[:100] for part in parts) / 100
    run.give(*messages[:99])
    run.recorder.foresee(10**12)
    assert run.notes == []  # too early to tell
    run.give(messages[99])
    run.recorder.foresee(int((2 << 30) / a_message) - 1)
    assert run.notes == []  # there is room
    run.now += 11
    for _ in range(2):
        run.recorder.foresee(int(3e9 / a_message))
        run.now += 11
    assert run.notes == [
        "the rest of the recording needs 3 GB, and the disk has 2.15 GB beside 1.07 GB for the results: "
        "the recording will be suspended when it is full"
    ]
    disk.free = (1 << 30) - 1
    assert run.give(messages[100]) == [None]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 80 MiB, of which the reserve leaves 16."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=80m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("a small disk of its own needs root and mount")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_real_disk_that_gets_full_and_is_freed(small_disk: Path) -> None:
    shape = (1024, 512)  # 1 MiB a frame
    run = Run(small_disk, shape)
    places = run.give(START, *(image(n, shape) for n in range(30)))
    assert places[0] is not None
    assert places[-1] is None
    kept = len(places) - places.count(None)
    assert 10 < kept < 17
    assert parts_in(small_disk) == run.given[:kept]
    (small_disk / "ledger").write_bytes(bytes(32 << 20))  # what the reserve is for
    (small_disk / "ledger").unlink()
    run.now += RETRY + 1
    assert run.give(image(50, shape)) == [None]  # 80 MiB do not hold two reserves
    subprocess.run(["mount", "-o", "remount,size=300m", str(small_disk)], check=True)
    run.now += RETRY + 1
    assert run.give(image(51, shape)) != [None]
    run.recorder.close()
    assert parts_in(small_disk) == [*run.given[:kept], run.given[-1]]
    assert f"recording again in raw-0002.h5; {30 + 1 - kept + 1} messages are not in it" in run.notes


def test_a_write_that_fails_suspends_the_recording(tmp_path: Path) -> None:
    run = Run(tmp_path, PIXELS.shape)
    messages = [v1_image(PIXELS + np.uint32(n), n) for n in range(20)]
    run.give(START, *messages[:10])
    run.recorder.flush()
    assert run.give(messages[10]) == [("raw-0001.h5", 12)]  # in memory when the disk fails
    break_disk(run.recorder)
    run.recorder.flush()
    assert "raw-0001.h5 cannot be written" in (run.recorder.suspended or "")
    assert run.give(*messages[11:15]) == [None] * 4
    run.now += RETRY + 1
    assert run.give(*messages[15:18]) == [("raw-0002.h5", n) for n in (1, 2, 3)]
    break_disk(run.recorder)
    run.recorder.close()
    gc.collect()
    assert run.recorder.suspended is not None
    assert parts_in(tmp_path) == [START, *messages[:10]]
    assert [path.name for path in tmp_path.glob("raw*")] == ["raw-0001.h5"]  # a file without messages is no file
    assert [note.split(":")[0] for note in run.notes] == [
        "recording suspended",
        "recording again in raw-0002.h5; 5 messages are not in it",
        "recording suspended",
        "the recording ends without the last 3 messages",
    ]


def test_a_failing_hdf5_suspends_the_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(tmp_path)
    run.give(START, image(0))
    run.recorder.flush()

    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("stream.ingest.recording._extend", fail)
        run.give(image(1))
        run.recorder.close()
    assert parts_in(tmp_path) == run.given[:2]
    assert len(run.notes) == 2
    assert "Input/output error" in run.notes[0]
    assert run.notes[1] == "the recording ends without the last 1 messages"


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    run = Run(tmp_path / "nowhere")
    assert run.give(START, image(0)) == [None, None]
    run.recorder.flush()
    run.now += RETRY + 1
    (tmp_path / "nowhere").mkdir()
    assert run.give(image(1)) == [("raw-0001.h5", 1)]
    run.recorder.close()
    assert run.notes[-1] == "recording again in raw-0001.h5; 2 messages are not in it"


def test_the_master_shows_all_frames_to_viewers(tmp_path: Path) -> None:
    """One closed file, one whose writer was killed; h5py, silx and fabio open master and parts as they are."""
    pixels = [np.full(SHAPE, n, dtype=np.uint16) for n in range(3)]
    run = Run(tmp_path)
    run.give(START)
    run.recorder.flush()
    run.give(*(v1_image(each, n) for n, each in enumerate(pixels)))
    run.recorder.close()
    killed = Recording(tmp_path, SHAPE)
    for n, each in enumerate(pixels):
        killed.append(v1_image(each + 100, n), decode(v1_image(each + 100, n)), 50.0 + n)
    killed.flush()
    content = killed.path.read_bytes()
    killed.close()
    killed.path.write_bytes(content)  # as a killed process would have left it
    with pytest.raises(OSError, match="already open for write"):
        h5py.File(killed.path)
    given = parts_in(tmp_path)
    write_master(tmp_path)
    assert parts_in(tmp_path) == parts_in(tmp_path / "master.h5") == given
    master, values = tmp_path / "master.h5", [0, 1, 2, 100, 101, 102]
    with h5py.File(master) as file:
        np.testing.assert_array_equal(file["entry/data/frames"][:, 1, 1], values)
        np.testing.assert_array_equal(file["entry/data/received"], [2, 3, 4, 50, 51, 52])
    for path, expected in ((master, values), (tmp_path / "raw-0001.h5", values[:3]), (killed.path, values[3:])):
        with silx.io.open(str(path)) as file:
            np.testing.assert_array_equal(nxdata.get_default(file).signal[:, 0, 0], expected)
        with fabio.open(str(path)) as image:
            assert image.nframes == len(expected)
            assert [image.getframe(n).data[2, 3] for n in range(len(expected))] == expected
    (tmp_path / "raw-0001.h5").unlink()
    with h5py.File(master) as file:
        np.testing.assert_array_equal(file["entry/data/frames"][:, 1, 1], [65535] * 3 + values[3:])


AT_ANY_MOMENT = """
import gc, os, sys
from pathlib import Path
import numpy as np
from helpers.bench import write_config
from helpers.encode import v1_image
from stream.core.wire import decode
from stream.ingest.recorder import RETRY, Recorder
now, notes, given = [0.0], [], 0
recorder = Recorder(Path(sys.argv[1]), (71, 95), notes.append, lambda: now[0])
random = np.random.default_rng(7)
for step in range(600):
    now[0] += RETRY / 5
    if step % 20 == step // 20 % 20 and recorder._recording and recorder._recording._file:
        with open("/dev/full", "r+b") as full:
            os.dup2(full.fileno(), recorder._recording._file.id.get_vfd_handle())
    parts = v1_image(random.integers(0, 65535, (71, 95) if step % 5 else (300, 300), dtype=np.uint16), step)
    recorder.append(parts, decode(parts), 1.0)
    if step % (1 + step // 20 % 7) == 0:
        recorder.flush()
recorder.close()
gc.collect()
print(sum(int(note.split("; ")[1].split()[0]) for note in notes if "recording again" in note), recorder._missing)
"""


def test_a_disk_that_fails_at_any_moment_ends_nothing_and_every_message_is_counted(tmp_path: Path) -> None:
    """In a process of its own: HDF5 crashes where what it could not write is closed or written again."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-X", "faulthandler", "-c", AT_ANY_MOMENT, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    missing = sum(map(int, done.stdout.split()))
    back = len(parts_in(tmp_path))
    print(f"600 messages, {len(list(tmp_path.glob('raw-*')))} files, {back} recorded, {missing} not")
    assert 100 < back == 600 - missing
